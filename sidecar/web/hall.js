// SPDX-License-Identifier: PostgreSQL
// Where the seats of a date lie on the map. Sections of one name are one block (each price is a
// section of its own); blocks whose names begin with the same word are a group. The grid says how
// the seats of a block lie to each other, not where the blocks stand: they are laid out in lines,
// groups together, in the shape that shows them largest. The unit is the distance between two
// seats.

const GAP = 2.5; // between blocks
const GROUP_GAP = 5;
const EMPTY_MAX = 4; // rows or columns that nobody sits in, at most, within a block
const LABEL_PX = 15;
const HEAD_LABELS = 1.4; // height of a group's name, in those of a block's
const WIDTHS = 24; // shapes tried

export const STATES = ["free", "pending", "sold", "blocked"];
const STATE_LETTERS = "fpsb";

export class Hall {
	// data is the answer of GET /v1/dates/{id}/seats, with one seat at least; width and height are
	// those of the map in pixels.
	constructor(data, width, height) {
		const n = data.seats.length;
		this.sections = data.sections;
		this.ids = data.seats.map(seat => seat[0]);
		this.section = Uint16Array.from(data.seats, seat => seat[1]);
		this.labels = data.seats.map(seat => seat[4]);
		this.state = Uint8Array.from(data.seats, seat => STATE_LETTERS.indexOf(seat[5]));
		this.indexOf = new Map(this.ids.map((id, i) => [id, i]));
		this.col = new Float32Array(n); // in its block
		this.row = new Float32Array(n);
		this.x = new Float32Array(n); // on the map
		this.y = new Float32Array(n);
		this.blockOf = new Uint16Array(n);
		this.makeBlocks(data.seats);
		this.layOut(width, height);
	}

	// The seats whose state differs from data; null if data is not about the same seats.
	take(data) {
		const changed = [];
		if (data.seats.length !== this.ids.length || data.sections.length !== this.sections.length)
			return null;
		for (let i = 0; i < this.ids.length; i++) {
			const seat = data.seats[i];
			if (seat[0] !== this.ids[i] || seat[1] !== this.section[i]) return null;
			const state = STATE_LETTERS.indexOf(seat[5]);
			if (state !== this.state[i]) {
				this.state[i] = state;
				changed.push(i);
			}
		}
		return changed;
	}

	// How many seats of each state each section has: counts[section][state].
	counts() {
		const counts = this.sections.map(() => STATES.map(() => 0));
		for (let i = 0; i < this.ids.length; i++) counts[this.section[i]][this.state[i]]++;
		return counts;
	}

	makeBlocks(seats) {
		const byName = new Map();
		seats.forEach((seat, i) => {
			const name = this.sections[seat[1]].name;
			if (!byName.has(name)) byName.set(name, {name, seats: [], spots: new Map()});
			byName.get(name).seats.push(i);
		});
		this.blocks = [...byName.values()];
		this.blocks.forEach((block, b) => {
			const rows = compress(block.seats.map(i => seats[i][2]));
			const cols = compress(block.seats.map(i => seats[i][3]));
			for (const i of block.seats) {
				this.blockOf[i] = b;
				this.col[i] = cols.get(seats[i][3]);
				this.row[i] = rows.get(seats[i][2]);
				block.spots.set(spot(this.col[i], this.row[i]), i);
			}
			block.width = 1 + Math.max(...cols.values());
			block.height = 1 + Math.max(...rows.values());
		});
		this.groups = [];
		for (const block of this.blocks) {
			const word = block.name.split(" ")[0];
			const last = this.groups.at(-1);
			if (last?.word === word) last.blocks.push(block);
			else this.groups.push({word, blocks: [block]});
		}
		for (const group of this.groups)
			for (const block of group.blocks)
				block.label =
					group.blocks.length > 1
						? block.name.slice(group.word.length + 1) || block.name
						: block.name;
	}

	// Tries lines of different lengths, for the blocks of a group and for the groups, and keeps
	// what comes out largest.
	layOut(width, height) {
		const area = this.blocks.reduce(
			(sum, block) => sum + (block.width + GAP) * (block.height + GAP),
			0,
		);
		this.labelHeight = Math.min(
			8,
			Math.max(1.5, LABEL_PX / Math.sqrt((width * height) / area)),
		);
		const widths = lineWidths(this.blocks, area);
		let best = null;
		for (const inner of widths)
			for (const outer of widths) {
				const plan = this.plan(inner, outer);
				plan.scale = Math.min(width / plan.width, height / plan.height);
				if (best === null || plan.scale > best.scale) best = plan;
			}
		this.plan(best.inner, best.outer);
		this.width = best.width;
		this.height = best.height;
		for (let i = 0; i < this.ids.length; i++) {
			const block = this.blocks[this.blockOf[i]];
			this.x[i] = block.x + this.col[i];
			this.y[i] = block.y + this.row[i];
		}
	}

	plan(inner, outer) {
		for (const group of this.groups) {
			const head = group.blocks.length > 1 ? HEAD_LABELS * this.labelHeight : 0;
			Object.assign(group, inLines(group.blocks, inner, GAP, this.labelHeight));
			group.height += head;
			group.head = head;
		}
		const size = inLines(this.groups, outer, GROUP_GAP, 0);
		for (const group of this.groups)
			for (const block of group.blocks) {
				block.x += group.x;
				block.y += group.y + group.head;
			}
		return {inner, outer, width: size.width, height: size.height};
	}

	// The seat at a place of the map, or -1.
	seatAt(x, y) {
		const block = this.blockAt(x, y);
		return block?.spots.get(spot(Math.floor(x - block.x), Math.floor(y - block.y))) ?? -1;
	}

	blockAt(x, y) {
		return this.blocks.find(
			block =>
				x >= block.x - 0.5 &&
				x < block.x + block.width + 0.5 &&
				y >= block.y - this.labelHeight &&
				y < block.y + block.height + 0.5,
		);
	}

	sectionArea(section) {
		let left = Infinity,
			top = Infinity,
			right = -Infinity,
			bottom = -Infinity;
		for (let i = 0; i < this.ids.length; i++) {
			if (this.section[i] !== section) continue;
			left = Math.min(left, this.x[i]);
			right = Math.max(right, this.x[i] + 1);
			top = Math.min(top, this.y[i]);
			bottom = Math.max(bottom, this.y[i] + 1);
		}
		return {x: left, y: top, width: right - left, height: bottom - top};
	}

	// The nearest seat in a direction, or -1; what lies aside counts double.
	neighbour(from, dx, dy) {
		let best = -1,
			bestDistance = Infinity;
		for (let i = 0; i < this.ids.length; i++) {
			const ahead = (this.x[i] - this.x[from]) * dx + (this.y[i] - this.y[from]) * dy;
			const aside =
				Math.abs((this.x[i] - this.x[from]) * dy) +
				Math.abs((this.y[i] - this.y[from]) * dx);
			if (ahead > 0.5 && aside <= 2 * ahead && ahead + 2 * aside < bestDistance) {
				best = i;
				bestDistance = ahead + 2 * aside;
			}
		}
		return best;
	}

	nearestFree(x, y) {
		let best = -1,
			bestDistance = Infinity;
		for (let i = 0; i < this.ids.length; i++) {
			const distance = (this.x[i] - x) ** 2 + (this.y[i] - y) ** 2;
			if (this.state[i] === 0 && distance < bestDistance) {
				best = i;
				bestDistance = distance;
			}
		}
		return best;
	}

	describe(i) {
		const section = this.sections[this.section[i]];
		return {
			label: this.labels[i],
			section: section.name,
			price: section.price,
			currency: section.currency,
			state: STATES[this.state[i]],
		};
	}
}

function spot(x, y) {
	return y * 2 ** 21 + x;
}

// Numbers of rows or columns → places from 0; what nobody uses is cut to EMPTY_MAX.
function compress(numbers) {
	const places = new Map();
	let place = 0,
		before = null;
	for (const number of [...new Set(numbers)].sort((a, b) => a - b)) {
		if (before !== null) place += Math.min(number - before, 1 + EMPTY_MAX);
		places.set(number, place);
		before = number;
	}
	return places;
}

function lineWidths(blocks, area) {
	const least = Math.max(...blocks.map(block => block.width));
	const most = Math.max(least, 4 * Math.sqrt(area));
	return Array.from({length: WIDTHS}, (_, i) => least * (most / least) ** (i / (WIDTHS - 1)));
}

// Gives boxes their x and y, left to right, in centred lines no longer than width.
function inLines(boxes, width, gap, labelHeight) {
	const lines = [];
	for (const box of boxes) {
		let line = lines.at(-1);
		if (!line || line.width + gap + box.width > width + 0.01)
			lines.push((line = {boxes: [], width: -gap, height: 0}));
		line.boxes.push(box);
		line.width += gap + box.width;
		line.height = Math.max(line.height, box.height);
	}
	const longest = Math.max(...lines.map(line => line.width));
	let y = 0;
	for (const line of lines) {
		let x = (longest - line.width) / 2;
		for (const box of line.boxes) {
			box.x = x;
			box.y = y + labelHeight;
			x += box.width + gap;
		}
		y += labelHeight + line.height + gap;
	}
	return {width: longest, height: y - gap};
}
