// SPDX-License-Identifier: PostgreSQL
// The sale of one date: here the map, the waiting room and the basket meet. The seats are asked for
// again as soon as the answer's max-age is over, and not at all while nobody looks.

import {pause, seats as getSeats, userId} from "./api.js";
import {Basket} from "./basket.js";
import {BasketCard} from "./basket_card.js";
import {$, STATE_WORDS, count, moment, money, notice, showTimers} from "./format.js";
import {Hall, STATES} from "./hall.js";
import {SeatMap} from "./map.js";
import {readProgramme} from "./programme.js";
import {RoomCard} from "./room_card.js";
import {SectionList} from "./section_list.js";

const TROUBLE_MS = 3000;
const POLL_MIN_MS = 1000;
const POLL_COST_FACTOR = 4; // a map that takes long to fetch is fetched more rarely
const TICK_MS = 500;
const ZOOM_STEP = 1.6;
const BLOCK_TIP_PX = 8; // nearer than this, seats speak for themselves
const TIP_GAP_PX = 14;

export async function showSale(dateId) {
	for (;;) {
		try {
			const date = (await readProgramme()).find(one => one.id === dateId);
			notice(date ? "" : "There is no such date.");
			if (date) {
				new Sale(date).poll();
				return;
			}
		} catch (problem) {
			notice(problem.message);
		}
		await pause(TROUBLE_MS);
	}
}

class Sale {
	constructor(date) {
		this.date = date;
		this.hall = null;
		this.showFrame();
		this.map = new SeatMap($("map"), {
			onPick: seat => this.pick(seat),
			onHover: (seat, block, x, y) => this.hover(seat, block, x, y),
			onCursor: seat => this.announce(seat),
		});
		this.basket = new Basket(date, () => this.showBasket());
		this.basketCard = new BasketCard(this.basket);
		this.basketCard.update({mayReserve: date.admission !== "required"});
		this.basketCard.show();
		if (date.admission === "required")
			this.roomCard = new RoomCard(date, () => this.takePass());
		setInterval(() => this.tick(), TICK_MS);
	}

	showFrame() {
		document.body.classList.add("selling");
		document.title = `${this.date.name} · concert`;
		$("name").textContent = this.date.name;
		$("when").textContent = moment(this.date.starts_at, this.date.time_zone);
		$("user").textContent = userId;
		for (const id of ["title", "sold", "sale"]) $(id).hidden = false;
		$("zoom-in").onclick = () => this.map.zoom(ZOOM_STEP);
		$("zoom-out").onclick = () => this.map.zoom(1 / ZOOM_STEP);
		$("zoom-fit").onclick = () => this.map.fit();
	}

	async poll() {
		for (let etag = null; ;) {
			let wait = TROUBLE_MS;
			try {
				if (!document.hidden) {
					const since = performance.now();
					const answer = await getSeats(this.date.id, etag);
					const cost = performance.now() - since;
					wait = Math.max(POLL_MIN_MS, answer.maxAgeMs, POLL_COST_FACTOR * cost);
					etag = answer.etag;
					if (answer.seats?.seats.length > 0) this.take(answer.seats, wait);
					notice(this.hall ? "" : "This date has no seats yet.");
				}
			} catch (problem) {
				notice(`${problem.message} The map may be out of date.`);
			}
			await pause(wait);
		}
	}

	take(data, spreadMs) {
		const changed = this.hall?.take(data);
		if (changed) this.map.change(changed, spreadMs);
		else this.load(data);
		this.basket.drop(id => STATES[this.hall.state[this.hall.indexOf.get(id)]] === "free");
		this.sections.show(this.hall.counts());
		this.basketCard.update({isFull: !this.hall.state.includes(STATES.indexOf("free"))});
		this.mark();
	}

	load(data) {
		this.hall = new Hall(data, $("map").clientWidth, $("map").clientHeight);
		this.map.load(this.hall);
		this.sections = new SectionList(this.hall, section => this.map.showSection(section));
		this.basket.currency = data.sections[0]?.currency ?? this.basket.currency;
		this.basketCard.update({dearest: Math.max(0, ...data.sections.map(one => one.price))});
		this.basket.readBalance().catch(problem => notice(problem.message));
	}

	takePass() {
		const pass = this.roomCard?.pass ?? null;
		this.basketCard.update({pass, mayReserve: pass !== null});
	}

	showBasket() {
		this.basketCard.show();
		this.mark();
	}

	mark() {
		if (!this.hall) return;
		const {picked, bookings} = this.basket;
		const mine = bookings.filter(one => one.status !== "expired").flatMap(one => one.seats);
		const indexes = seats =>
			seats.map(seat => this.hall.indexOf.get(seat.id)).filter(i => i !== undefined);
		this.map.mark(indexes(picked), indexes(mine));
	}

	tick() {
		showTimers();
		this.basket.expire();
	}

	pick(seat) {
		this.basket.toggle({id: this.hall.ids[seat], ...this.hall.describe(seat)});
		this.announce(seat);
	}

	announce(seat) {
		$("announce").textContent = this.seatText(seat);
	}

	hover(seat, block, x, y) {
		const tip = $("tip");
		tip.hidden = seat < 0 && (!block || this.map.view.scale >= BLOCK_TIP_PX);
		if (tip.hidden) return;
		tip.textContent = seat >= 0 ? this.seatText(seat) : this.blockText(block);
		const {clientWidth, clientHeight} = $("map");
		const left = beside(x, tip.offsetWidth, clientWidth);
		const top = beside(y, tip.offsetHeight, clientHeight);
		tip.style.transform = `translate(${left}px, ${top}px)`;
	}

	seatText(seat) {
		const {label, section, price, currency, state} = this.hall.describe(seat);
		return `${section}, seat ${label}\n${money(price, currency)}, ${STATE_WORDS[state]}`;
	}

	blockText(block) {
		const free = block.seats.filter(i => STATES[this.hall.state[i]] === "free").length;
		return `${block.name}\n${count(free)} of ${count(block.seats.length)} seats free`;
	}
}

// After the pointer where there is room, else before it.
function beside(at, size, room) {
	return at + size + TIP_GAP_PX < room ? at + TIP_GAP_PX : at - size - TIP_GAP_PX;
}
