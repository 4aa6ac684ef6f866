// SPDX-License-Identifier: PostgreSQL
// Draws a hall on a canvas and lets one look around in it: wheel, drag, pinch, keys. It draws only
// when something changed. Changes of a poll are shown spread over the time to the next one, as they
// happened, and flash. From afar, where all the seats are in sight, they come from a picture of the
// hall in which only changed ones are drawn anew.

import {STATES} from "./hall.js";

const SEAT = 0.86; // of the distance between two seats
const PICK_PX = 8; // seats can be chosen when they are at least this far apart
const ROUND_PX = 11; // and have round corners
const TEXT_PX = 24; // and their labels on them
const SCALE_MAX = 44;
const MARGIN_PX = 24;
const FLASH_MS = 800;
const FLASHES_MAX = 4000;
const FLIGHT_MS = 280;
const STEADY_MS = 120; // without zooming: time for a sharp picture
const PICTURE_PX_MAX = 4096;
const GAP_FROM_PX = 2.5; // nearer than that, seats touch each other
const DRAG_PX = 5;
const KEY_ZOOM = 1.5;
const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
const COLOURS = ["free", "pending", "sold", "blocked", "picked", "flash", "text"];

export class SeatMap {
	// onPick(seat), onHover(seat or -1, block or null, x, y), onCursor(seat)
	constructor(canvas, handlers) {
		this.canvas = canvas;
		this.context = canvas.getContext("2d");
		this.handlers = handlers;
		this.hall = null;
		this.view = {scale: 1, x: 0, y: 0};
		this.fitted = true;
		this.cursor = -1;
		this.picked = new Set();
		this.mine = new Set();
		this.coming = []; // {seat, at}: changes yet to be shown, in order of time
		this.flashes = new Map();
		this.picture = document.createElement("canvas");
		this.pictureScale = 0; // at which it was drawn; 0: not
		this.steadyAt = 0;
		this.pointers = new Map();
		this.calm = matchMedia("(prefers-reduced-motion: reduce)");
		this.readColours();
		matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
			this.readColours(),
		);
		new ResizeObserver(() => this.resize()).observe(canvas);
		this.listen();
	}

	load(hall) {
		this.hall = hall;
		this.shown = hall.state.slice();
		this.pictureScale = 0;
		this.coming = [];
		this.flashes.clear();
		this.cursor = -1;
		this.fit(true);
	}

	change(seats, spreadMs) {
		const now = performance.now();
		const spread = this.calm.matches ? 0 : spreadMs;
		for (const seat of seats) this.coming.push({seat, at: now + Math.random() * spread});
		this.coming.sort((a, b) => a.at - b.at);
		this.draw();
	}

	mark(picked, mine) {
		this.picked = new Set(picked);
		this.mine = new Set(mine);
		this.draw();
	}

	// Looking around ------------------------------------------------------------------------------

	fit(atOnce = false) {
		if (!this.hall) return;
		this.showArea(0, 0, this.hall.width, this.hall.height, atOnce);
		this.fitted = true;
	}

	showBlock(block) {
		const label = this.hall.labelHeight;
		this.showArea(block.x, block.y - label, block.width, block.height + label);
	}

	showSection(section) {
		const area = this.hall.sectionArea(section);
		this.showArea(area.x, area.y, area.width, area.height);
	}

	showArea(x, y, width, height, atOnce = false) {
		const {clientWidth, clientHeight} = this.canvas;
		const scale = Math.min(
			SCALE_MAX,
			(clientWidth - 2 * MARGIN_PX) / width,
			(clientHeight - 2 * MARGIN_PX) / height,
		);
		this.fly(
			{
				scale,
				x: clientWidth / 2 - (x + width / 2) * scale,
				y: clientHeight / 2 - (y + height / 2) * scale,
			},
			atOnce,
		);
	}

	zoom(
		factor,
		x = this.canvas.clientWidth / 2,
		y = this.canvas.clientHeight / 2,
		atOnce = false,
	) {
		const from = this.flight?.to ?? this.view;
		const least =
			Math.min(
				this.canvas.clientWidth / this.hall.width,
				this.canvas.clientHeight / this.hall.height,
			) / 2;
		const scale = Math.min(SCALE_MAX, Math.max(least, from.scale * factor));
		const ratio = scale / from.scale;
		this.fly({scale, x: x - (x - from.x) * ratio, y: y - (y - from.y) * ratio}, atOnce);
	}

	// The middle of the canvas stays on the hall.
	fly(to, atOnce) {
		const {clientWidth, clientHeight} = this.canvas;
		to.x = Math.min(
			clientWidth / 2,
			Math.max(clientWidth / 2 - this.hall.width * to.scale, to.x),
		);
		to.y = Math.min(
			clientHeight / 2,
			Math.max(clientHeight / 2 - this.hall.height * to.scale, to.y),
		);
		this.fitted = false;
		if (atOnce || this.calm.matches) {
			this.flight = null;
			if (to.scale !== this.view.scale) this.steadyAt = performance.now() + STEADY_MS;
			this.view = to;
		} else this.flight = {from: this.view, to, since: performance.now()};
		this.draw();
	}

	resize() {
		const ratio = devicePixelRatio || 1;
		this.canvas.width = Math.round(this.canvas.clientWidth * ratio);
		this.canvas.height = Math.round(this.canvas.clientHeight * ratio);
		this.ratio = ratio;
		this.pictureScale = 0;
		if (this.hall && this.fitted) {
			this.hall.layOut(this.canvas.clientWidth, this.canvas.clientHeight);
			this.fit(true);
		}
		this.draw();
	}

	// Drawing -------------------------------------------------------------------------------------

	readColours() {
		const style = getComputedStyle(document.documentElement);
		this.colours = {};
		for (const name of COLOURS)
			this.colours[name] = style.getPropertyValue(`--seat-${name}`).trim();
		for (const name of ["quiet", "block", "accent", "text", "line"])
			this.colours[`page-${name}`] = style.getPropertyValue(`--${name}`).trim();
		this.pictureScale = 0;
		this.draw();
	}

	draw() {
		if (this.hall && !this.frame) this.frame = requestAnimationFrame(now => this.paint(now));
	}

	paint(now) {
		this.frame = 0;
		this.advance(now);
		const {context, view, hall} = this;
		context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
		context.clearRect(0, 0, this.canvas.clientWidth, this.canvas.clientHeight);
		const blocks = hall.blocks.filter(block => this.isVisible(block));
		this.paintFrames(blocks);
		if (view.scale < PICK_PX && this.readyPicture(now)) this.paintPicture();
		else this.paintSeats(blocks);
		this.paintFlashes(now);
		if (view.scale >= TEXT_PX) this.paintLabels(blocks);
		this.paintMarks();
		if (this.flight || this.coming.length || this.flashes.size || now < this.steadyAt)
			this.draw();
	}

	advance(now) {
		let due = 0;
		while (due < this.coming.length && this.coming[due].at <= now) {
			const {seat} = this.coming[due++];
			this.shown[seat] = this.hall.state[seat];
			if (this.pictureScale) this.drawInPicture(seat);
			if (this.flashes.size < FLASHES_MAX && !this.calm.matches) this.flashes.set(seat, now);
		}
		this.coming.splice(0, due);
		if (!this.flight) return;
		const {from, to, since} = this.flight;
		const t = Math.min(1, (now - since) / FLIGHT_MS);
		const eased = 1 - (1 - t) ** 3;
		const scale = from.scale * (to.scale / from.scale) ** eased;
		const share =
			to.scale === from.scale ? eased : (scale - from.scale) / (to.scale - from.scale);
		this.view =
			t === 1
				? to
				: {scale, x: from.x + (to.x - from.x) * share, y: from.y + (to.y - from.y) * share};
		if (t === 1) this.flight = null;
	}

	isVisible(block) {
		const {scale, x, y} = this.view;
		return (
			block.x * scale + x < this.canvas.clientWidth &&
			(block.x + block.width) * scale + x > 0 &&
			(block.y - this.hall.labelHeight) * scale + y < this.canvas.clientHeight &&
			(block.y + block.height) * scale + y > 0
		);
	}

	paintFrames(blocks) {
		const {context, view} = this;
		const size = Math.min(15, Math.max(10, this.hall.labelHeight * view.scale * 0.62));
		context.textBaseline = "alphabetic";
		context.textAlign = "center";
		for (const block of blocks) {
			const pad = Math.min(0.7, 4 / view.scale) + (1 - SEAT) / 2;
			context.fillStyle = this.colours["page-block"];
			context.beginPath();
			context.roundRect(
				(block.x - pad) * view.scale + view.x,
				(block.y - pad) * view.scale + view.y,
				(block.width + 2 * pad) * view.scale,
				(block.height + 2 * pad) * view.scale,
				5,
			);
			context.fill();
			context.font = `${size}px system-ui, "DejaVu Sans", sans-serif`;
			this.paintText(
				block.label,
				block,
				block.y * view.scale + view.y - pad * view.scale - 3,
				"page-quiet",
			);
		}
		context.font = `600 ${Math.min(18, size * 1.2)}px system-ui, "DejaVu Sans", sans-serif`;
		for (const group of this.hall.groups)
			if (group.head)
				this.paintText(
					group.word,
					group,
					(group.y + group.head * 0.55) * view.scale + view.y,
					"page-text",
				);
	}

	// Only where there is room for it.
	paintText(text, box, y, colour) {
		const {context, view} = this;
		if (context.measureText(text).width > (box.width + 1.5) * view.scale) return;
		context.fillStyle = this.colours[colour];
		context.fillText(text, (box.x + box.width / 2) * view.scale + view.x, y);
	}

	paintSeats(blocks) {
		const {context, hall, shown} = this;
		const {scale, x, y} = this.view;
		const side = Math.max(1, scale * SEAT);
		const {clientWidth, clientHeight} = this.canvas;
		STATES.forEach((state, s) => {
			context.fillStyle = this.colours[state];
			context.beginPath();
			for (const block of blocks)
				for (const i of block.seats) {
					const left = hall.x[i] * scale + x,
						top = hall.y[i] * scale + y;
					if (
						shown[i] !== s ||
						left < -scale ||
						top < -scale ||
						left > clientWidth ||
						top > clientHeight
					)
						continue;
					if (scale >= ROUND_PX) context.roundRect(left, top, side, side, scale * 0.22);
					else context.fillRect(left, top, side, side);
				}
			context.fill();
		});
	}

	// Whether the picture can be shown: while one zooms, also one of another scale, which is less
	// sharp.
	readyPicture(now) {
		const {hall, picture, view, ratio} = this;
		const isMoving = this.flight || now < this.steadyAt;
		if (this.pictureScale && (this.pictureScale === view.scale || isMoving)) return true;
		picture.width = Math.ceil(hall.width * view.scale * ratio) + 1;
		picture.height = Math.ceil(hall.height * view.scale * ratio) + 1;
		this.pictureScale = 0;
		if (Math.max(picture.width, picture.height) > PICTURE_PX_MAX) return false;
		this.pictureScale = view.scale;
		this.pictureContext = picture.getContext("2d");
		for (let i = 0; i < hall.ids.length; i++) this.drawInPicture(i);
		return true;
	}

	// On whole pixels: what is drawn over then leaves no edge behind.
	drawInPicture(seat) {
		const pixels = this.pictureScale * this.ratio;
		const gap = pixels >= GAP_FROM_PX ? Math.max(1, Math.round(pixels * (1 - SEAT))) : 0;
		const x = this.hall.x[seat] * pixels,
			y = this.hall.y[seat] * pixels;
		const left = Math.round(x),
			top = Math.round(y);
		this.pictureContext.fillStyle = this.colours[STATES[this.shown[seat]]];
		this.pictureContext.fillRect(
			left,
			top,
			Math.max(1, Math.round(x + pixels) - left - gap),
			Math.max(1, Math.round(y + pixels) - top - gap),
		);
	}

	paintPicture() {
		const {picture, ratio, view} = this;
		const stretch = view.scale / this.pictureScale / ratio;
		this.context.drawImage(
			picture,
			Math.round(view.x * ratio) / ratio,
			Math.round(view.y * ratio) / ratio,
			picture.width * stretch,
			picture.height * stretch,
		);
	}

	paintFlashes(now) {
		const {context} = this;
		context.fillStyle = this.colours.flash;
		for (const [seat, since] of this.flashes) {
			const age = (now - since) / FLASH_MS;
			if (age >= 1) {
				this.flashes.delete(seat);
				continue;
			}
			context.globalAlpha = 0.85 * (1 - age);
			this.paintSquare(seat, (1 - age) * Math.max(0.25, 2.5 / this.view.scale), "fill");
		}
		context.globalAlpha = 1;
	}

	paintLabels(blocks) {
		const {context, hall} = this;
		const {scale, x, y} = this.view;
		context.font = `${scale * 0.3}px system-ui, "DejaVu Sans", sans-serif`;
		context.textBaseline = "middle";
		for (const block of blocks)
			for (const i of block.seats) {
				const left = (hall.x[i] + SEAT / 2) * scale + x,
					top = (hall.y[i] + SEAT / 2) * scale + y;
				if (
					left < -scale ||
					top < -scale ||
					left > this.canvas.clientWidth + scale ||
					top > this.canvas.clientHeight + scale
				)
					continue;
				context.fillStyle =
					STATES[this.shown[i]] === "sold" ? "#ffffff" : this.colours.text;
				context.fillText(hall.labels[i], left, top, scale * 0.78);
			}
	}

	paintMarks() {
		const {context, view} = this;
		context.fillStyle = context.strokeStyle = this.colours.picked;
		context.lineWidth = Math.max(1.5, view.scale * 0.14);
		for (const seat of this.picked) this.paintSquare(seat, Math.max(0, 1 / view.scale), "fill");
		for (const seat of this.mine) this.paintSquare(seat, 0, "stroke");
		if (this.cursor >= 0 && document.activeElement === this.canvas) {
			context.strokeStyle = this.colours["page-accent"];
			context.lineWidth = 3;
			this.paintSquare(this.cursor, Math.max(0.15, 2 / view.scale), "stroke");
		}
	}

	paintSquare(seat, grow, how) {
		const {context, hall} = this;
		const {scale, x, y} = this.view;
		context.beginPath();
		context.roundRect(
			(hall.x[seat] - grow) * scale + x,
			(hall.y[seat] - grow) * scale + y,
			(SEAT + 2 * grow) * scale,
			(SEAT + 2 * grow) * scale,
			scale * 0.22,
		);
		context[how]();
	}

	// Pointers and keys ---------------------------------------------------------------------------

	listen() {
		const on = (type, handler, options) =>
			this.canvas.addEventListener(type, event => this.hall && handler(event), options);
		on(
			"wheel",
			event => {
				event.preventDefault();
				const pixels =
					event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 20 : 1);
				this.zoom(Math.exp(-pixels * 0.0018), event.offsetX, event.offsetY, true);
			},
			{passive: false},
		);
		on("pointerdown", event => this.press(event));
		on("pointermove", event => this.move(event));
		on("pointerup", event => this.release(event, true));
		on("pointercancel", event => this.release(event, false));
		on("pointerleave", () => this.handlers.onHover(-1, null));
		on("keydown", event => this.key(event));
		on("focus", () => this.draw());
		on("blur", () => this.draw());
	}

	press(event) {
		this.canvas.setPointerCapture(event.pointerId);
		this.pointers.set(event.pointerId, {x: event.offsetX, y: event.offsetY});
		if (this.pointers.size === 1) this.dragged = 0;
		this.handlers.onHover(-1, null);
	}

	move(event) {
		const before = this.pointers.get(event.pointerId);
		const here = {x: event.offsetX, y: event.offsetY};
		if (!before) {
			this.hover(here);
			return;
		}
		const others = [...this.pointers.entries()]
			.filter(([id]) => id !== event.pointerId)
			.map(([, at]) => at);
		this.dragged += Math.hypot(here.x - before.x, here.y - before.y);
		this.pointers.set(event.pointerId, here);
		if (this.dragged < DRAG_PX) return;
		this.canvas.classList.add("dragging");
		if (others.length === 0)
			this.fly(
				{
					...this.view,
					x: this.view.x + here.x - before.x,
					y: this.view.y + here.y - before.y,
				},
				true,
			);
		else {
			const span = at => Math.max(1, Math.hypot(at.x - others[0].x, at.y - others[0].y));
			this.zoom(
				span(here) / span(before),
				(here.x + others[0].x) / 2,
				(here.y + others[0].y) / 2,
				true,
			);
		}
	}

	release(event, isClick) {
		this.pointers.delete(event.pointerId);
		this.canvas.classList.remove("dragging");
		if (!isClick || this.dragged >= DRAG_PX) return;
		const {seat, block} = this.at({x: event.offsetX, y: event.offsetY});
		if (seat >= 0 && this.view.scale >= PICK_PX) {
			this.cursor = seat;
			this.handlers.onPick(seat);
		} else if (block) this.showBlock(block);
		this.draw();
	}

	hover(here) {
		const {seat, block} = this.at(here);
		const canPick = seat >= 0 && this.view.scale >= PICK_PX;
		this.canvas.classList.toggle("over-seat", canPick);
		this.handlers.onHover(canPick ? seat : -1, block, here.x, here.y);
	}

	at(here) {
		const x = (here.x - this.view.x) / this.view.scale,
			y = (here.y - this.view.y) / this.view.scale;
		return {seat: this.hall.seatAt(x, y), block: this.hall.blockAt(x, y)};
	}

	key(event) {
		const arrow = ARROWS[event.key];
		if (arrow) this.moveCursor(arrow);
		else if ((event.key === "Enter" || event.key === " ") && this.cursor >= 0)
			this.handlers.onPick(this.cursor);
		else if (event.key === "+" || event.key === "=") this.zoom(KEY_ZOOM);
		else if (event.key === "-") this.zoom(1 / KEY_ZOOM);
		else if (event.key === "Escape" || event.key === "0") this.fit();
		else return;
		event.preventDefault();
	}

	moveCursor([dx, dy]) {
		const next = this.cursor < 0 ? this.middleSeat() : this.hall.neighbour(this.cursor, dx, dy);
		if (next < 0) return;
		this.cursor = next;
		const {scale, x, y} = this.view;
		const left = this.hall.x[next] * scale + x,
			top = this.hall.y[next] * scale + y;
		if (scale < PICK_PX) this.showBlock(this.hall.blocks[this.hall.blockOf[next]]);
		else if (
			left < 0 ||
			top < 0 ||
			left + scale > this.canvas.clientWidth ||
			top + scale > this.canvas.clientHeight
		)
			this.fly({
				scale,
				x: x + this.canvas.clientWidth / 2 - left,
				y: y + this.canvas.clientHeight / 2 - top,
			});
		this.handlers.onCursor(next);
		this.draw();
	}
	middleSeat() {
		const {scale, x, y} = this.view;
		return this.hall.nearestFree(
			(this.canvas.clientWidth / 2 - x) / scale,
			(this.canvas.clientHeight / 2 - y) / scale,
		);
	}
}
