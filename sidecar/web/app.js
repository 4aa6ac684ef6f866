// SPDX-License-Identifier: PostgreSQL
// The page: the programme, or with ?date=ID the sale of one date. Here the parts meet; each keeps itself up to date and
// is shown anew when it changes.

import {get, pause, seats as getSeats, userId} from "./api.js";
import {Basket} from "./basket.js";
import {button, count, countdown, element, moment, money, percent} from "./format.js";
import {Hall, STATES} from "./hall.js";
import {SeatMap} from "./map.js";
import {Room} from "./room.js";

const PROGRAMME_MS = 4000;
const TROUBLE_MS = 3000;
const POLL_MIN_MS = 1000;
const POLL_COST_FACTOR = 4;		// a map that takes long to fetch is fetched more rarely
const TICK_MS = 500;
const CHARGE_SEATS = 4;			// the demo's money is for this many of the dearest seats
const SWATCHES = {free: "free", pending: "pending", sold: "sold-out", blocked: "blocked"};
const STATE_WORDS = {free: "free", pending: "being bought", sold: "sold", blocked: "not for sale"};

const $ = id => document.getElementById(id);

function notice(text) {
	$("notice").textContent = text;
	$("notice").hidden = !text;
}

// The programme ------------------------------------------------------------------------------------------------------

async function readProgramme() {
	const {concerts} = await get("/v1/concerts");
	const lists = await Promise.all(concerts.map(concert => get(`/v1/concerts/${concert.id}/dates`)));
	return lists.flatMap((list, i) => list.dates.map(date => ({...date, name: concerts[i].name})))
		.sort((a, b) => a.starts_at.localeCompare(b.starts_at));
}

function saleChip(date) {
	const now = Date.now();
	if (now < Date.parse(date.sale_opens_at))
		return element("span", {className: "chip"}, "not open yet");
	if (now >= Date.parse(date.sale_closes_at))
		return element("span", {className: "chip"}, "closed");
	return element("span", {className: "chip open"}, "on sale");
}

async function showProgramme() {
	$("programme").hidden = false;
	for (;;) {
		try {
			const dates = await readProgramme();
			notice("");
			$("no-dates").hidden = dates.length > 0;
			$("dates").replaceChildren(...dates.map(date => element("li", {},
				element("a", {className: "card", href: `/?date=${date.id}`},
					element("span", {}, element("strong", {}, date.name),
						element("small", {}, moment(date.starts_at, date.time_zone))),
					saleChip(date)))));
		} catch (problem) {
			notice(problem.message);
		}
		await pause(PROGRAMME_MS);
	}
}

// The sale -----------------------------------------------------------------------------------------------------------

class Sale {
	constructor(date) {
		this.date = date;
		this.needsPass = date.admission === "required";
		this.hall = null;
		this.map = new SeatMap($("map"), {
			onPick: seat => this.pick(seat),
			onHover: (seat, block, x, y) => this.hover(seat, block, x, y),
			onCursor: seat => this.announce(seat),
		});
		this.basket = new Basket(date, () => this.showBasket());
		if (this.needsPass)
			this.room = new Room(date.id, () => this.showRoom());
	}

	start() {
		document.body.classList.add("selling");
		document.title = `${this.date.name} · concert`;
		$("name").textContent = this.date.name;
		$("when").textContent = moment(this.date.starts_at, this.date.time_zone);
		for (const id of ["title", "sold", "sale"])
			$(id).hidden = false;
		$("room-card").hidden = !this.needsPass;
		$("user").textContent = userId;
		$("zoom-in").onclick = () => this.map.zoom(1.6);
		$("zoom-out").onclick = () => this.map.zoom(1 / 1.6);
		$("zoom-fit").onclick = () => this.map.fit();
		if (this.needsPass)
			this.showRoom();
		this.showBasket();
		setInterval(() => this.tick(), TICK_MS);
		this.poll();
	}

	async poll() {
		let etag = null;
		for (;;) {
			let wait = TROUBLE_MS;
			if (!document.hidden) {
				try {
					const since = performance.now();
					const answer = await getSeats(this.date.id, etag);
					wait = Math.max(POLL_MIN_MS, answer.maxAgeMs, POLL_COST_FACTOR * (performance.now() - since));
					etag = answer.etag;
					if (answer.seats)
						this.take(answer.seats, wait);
					notice("");
				} catch (problem) {
					notice(`${problem.message} The map may be out of date.`);
				}
			}
			await pause(wait);
		}
	}

	take(data, spreadMs) {
		const changed = this.hall?.take(data);
		if (changed)
			this.map.change(changed, spreadMs);
		else {
			this.hall = new Hall(data, $("map").clientWidth, $("map").clientHeight);
			this.map.load(this.hall);
			this.basket.currency = data.sections[0]?.currency ?? this.basket.currency;
			this.basket.readBalance().catch(() => {});
		}
		this.basket.drop(id => this.stateOf(id) === "free");
		this.showCounts();
		this.mark();
	}

	stateOf(id) {
		return STATES[this.hall.state[this.hall.indexOf.get(id)]];
	}

	// What is on the map -----------------------------------------------------------------------------------------------

	showCounts() {
		const counts = this.hall.counts();
		const total = STATES.map((_, s) => counts.reduce((sum, section) => sum + section[s], 0));
		const share = total[2] / Math.max(1, this.hall.ids.length);
		$("sold-share").textContent = percent(share);
		$("sold-bar").value = share;
		$("legend").replaceChildren(...STATES.map((state, s) => element("li", {},
			element("span", {className: `swatch ${SWATCHES[state]}`}), STATE_WORDS[state],
			element("strong", {}, count(total[s])))),
			element("li", {}, element("span", {className: "swatch picked"}), "yours"));
		this.showSections(counts);
		if (this.isFull !== (total[0] === 0)) {
			this.isFull = total[0] === 0;
			this.showBasket();
		}
	}

	showSections(counts) {
		if (this.sectionRows?.hall !== this.hall) {
			this.sectionRows = Object.assign(this.hall.sections.map((section, i) => this.sectionRow(section, i)), {hall: this.hall});
			$("sections").replaceChildren(...this.sectionRows.map(row => row.item));
		}
		this.sectionRows.forEach((row, i) => {
			const [free, pending, sold] = counts[i];
			row.left.textContent = free ? `${count(free)} of ${count(free + pending + sold)} free` : pending ? "all taken" : "sold out";
			row.bar.value = (pending + sold) / Math.max(1, free + pending + sold);
		});
	}

	sectionRow(section, i) {
		const left = element("small");
		const bar = element("progress", {max: 1});
		bar.setAttribute("aria-hidden", "true");
		const row = button("", () => this.map.showSection(i));
		row.append(element("span", {}, section.name), element("small", {}, money(section.price, section.currency)), left, bar);
		return {item: element("li", {}, row), left, bar};
	}

	hover(seat, block, x, y) {
		const tip = $("tip");
		tip.hidden = seat < 0 && (!block || this.map.view.scale >= 8);
		if (tip.hidden)
			return;
		tip.textContent = seat >= 0 ? this.seatText(seat) : this.blockText(block);
		const right = x + tip.offsetWidth + 18 < $("map").clientWidth;
		const below = y + tip.offsetHeight + 18 < $("map").clientHeight;
		tip.style.transform = `translate(${right ? x + 14 : x - tip.offsetWidth - 10}px, ${below ? y + 14 : y - tip.offsetHeight - 10}px)`;
	}

	seatText(seat) {
		const {label, section, price, currency, state} = this.hall.describe(seat);
		return `${section}, seat ${label}\n${money(price, currency)}, ${STATE_WORDS[state]}`;
	}

	blockText(block) {
		const free = block.seats.reduce((sum, i) => sum + (this.hall.state[i] === 0), 0);
		return `${block.name}\n${count(free)} of ${count(block.seats.length)} seats free`;
	}

	announce(seat) {
		$("announce").textContent = this.seatText(seat);
	}

	pick(seat) {
		this.basket.toggle({id: this.hall.ids[seat], ...this.hall.describe(seat)});
		this.announce(seat);
	}

	mark() {
		const indexes = list => list.map(seat => this.hall.indexOf.get(seat.id)).filter(i => i !== undefined);
		if (this.hall)
			this.map.mark(indexes(this.basket.picked),
				indexes(this.basket.bookings.filter(booking => booking.status !== "expired").flatMap(booking => booking.seats)));
	}

	// The waiting room -------------------------------------------------------------------------------------------------

	showRoom() {
		const {room} = this;
		const parts = {
			none: () => [element("p", {}, "Everybody who wants to buy waits here, first come, first served. You may look at the seats meanwhile."),
				button("Join the waiting room", () => this.joinRoom(), "main")],
			waiting: () => [element("p", {className: "quiet"}, "People before you"),
				element("p", {className: "position"}, count(room.position)),
				element("progress", {max: Math.max(1, room.farthest), value: room.farthest - room.position}),
				element("p", {className: "quiet"}, `Your place is number ${count(room.number)}. Keep this page open.`)],
			admitted: () => [element("p", {className: "good"}, room.pass ? "You are in. Choose your seats." : "It is your turn …"),
				...room.pass ? [this.timer("Your pass is good for", room.passEndsAt)] : []],
			lost: () => [element("p", {}, "Your place is gone: the page was away too long, or your time was over."),
				button("Join again", () => this.joinRoom(), "main")],
			closed: () => [element("p", {}, "The sale is closed.")],
		};
		$("room").replaceChildren(...parts[room.state](), ...room.trouble ? [element("p", {className: "refusal"}, room.trouble)] : []);
		if (this.mayReserve !== this.basketAllows)
			this.showBasket();
	}

	get mayReserve() {
		return !this.needsPass || Boolean(this.room?.pass);
	}

	async joinRoom() {
		for (const node of $("room").querySelectorAll("button"))
			node.disabled = true;
		try {
			await this.room.join();
		} catch (problem) {
			this.room.trouble = problem.code === "not_on_sale" && Date.now() < Date.parse(this.date.sale_opens_at)
				? `The sale opens ${moment(this.date.sale_opens_at, this.date.time_zone)}.` : problem.message;
			this.showRoom();
		}
	}

	// The basket -------------------------------------------------------------------------------------------------------

	showBasket() {
		const {basket} = this;
		const {mayReserve} = this;
		this.basketAllows = mayReserve;
		$("basket").replaceChildren(
			...basket.picked.length ? [this.seatList(basket.picked, true),
				this.sumRow(basket.picked.reduce((sum, seat) => sum + seat.price, 0), basket.picked[0].currency),
				Object.assign(button(mayReserve ? "Reserve" : "Reserve once you are let in", () => basket.reserve(this.room?.pass), "main"),
					{disabled: basket.busy || !mayReserve})]
			: basket.bookings.length ? []
			: [element("p", {className: "quiet"}, this.isFull ? "Every seat is taken. One that is given up comes back."
				: `Zoom in and choose up to ${this.date.seats_per_user_max} seats.`)],
			...basket.message ? [element("p", {className: "refusal", role: "alert"}, ...basket.message.split("\n").map(line => element("span", {}, line, element("br"))))] : []);
		$("bookings").replaceChildren(...basket.bookings.map(booking => this.bookingCard(booking)));
		$("balance").textContent = basket.balance === null ? "…" : money(basket.balance, basket.currency);
		this.showCharge();
		this.mark();
	}

	seatList(seats, removable) {
		return element("ul", {className: "seats"}, ...seats.map(seat => element("li", {},
			element("span", {}, `${seat.section}, ${seat.label}`),
			removable ? Object.assign(button("×", () => this.basket.toggle(seat)), {ariaLabel: `Give up seat ${seat.label}`})
				: element("span", {className: "quiet"}, money(seat.price, seat.currency)))));
	}

	sumRow(amount, currency) {
		return element("p", {className: "sum"}, element("span", {}, "Together"), element("span", {}, money(amount, currency)));
	}

	bookingCard(booking) {
		const {basket} = this;
		const card = element("div", {className: "booking"}, this.seatList(booking.seats, false));
		if (booking.status === "paid")
			card.append(element("p", {className: "good"}, `Paid: ${money(booking.amount, booking.currency)}. Enjoy the concert!`));
		else if (booking.status === "expired")
			card.append(element("p", {className: "quiet"}, "Not paid in time: the seats went back on sale."));
		else
			card.append(this.timer("To be paid within", booking.endsAt), element("div", {className: "pair"},
				Object.assign(button(`Pay ${money(booking.amount, booking.currency)}`, () => basket.pay(booking), "main"), {disabled: basket.busy}),
				Object.assign(button("Give back", () => basket.giveBack(booking)), {disabled: basket.busy})));
		return card;
	}

	showCharge() {
		const dearest = Math.max(0, ...this.hall?.sections.map(section => section.price) ?? []);
		const amount = CHARGE_SEATS * dearest;
		$("charge").hidden = !amount || this.basket.balance === null || this.basket.balance >= amount;
		$("charge").textContent = `Add ${money(amount, this.basket.currency)} (demo)`;
		$("charge").disabled = this.basket.busy;
		$("charge").onclick = () => this.basket.charge(amount);
	}

	// Times that run down ----------------------------------------------------------------------------------------------

	timer(text, endsAt) {
		const left = element("strong", {}, countdown(endsAt - Date.now()));
		left.dataset.endsAt = endsAt;
		return element("p", {className: "quiet"}, `${text} `, left);
	}

	tick() {
		for (const node of document.querySelectorAll("[data-ends-at]"))
			node.textContent = countdown(Number(node.dataset.endsAt) - Date.now());
		const over = this.basket.bookings.filter(booking => booking.status === "pending" && booking.endsAt <= Date.now());
		over.forEach(booking => booking.status = "expired");
		if (over.length)
			this.showBasket();
	}
}

async function showSale(dateId) {
	for (;;) {
		try {
			const date = (await readProgramme()).find(one => one.id === dateId);
			notice(date ? "" : "There is no such date.");
			if (date) {
				new Sale(date).start();
				return;
			}
		} catch (problem) {
			notice(problem.message);
		}
		await pause(TROUBLE_MS);
	}
}

const dateId = new URLSearchParams(location.search).get("date");
if (dateId)
	showSale(dateId);
else
	showProgramme();
