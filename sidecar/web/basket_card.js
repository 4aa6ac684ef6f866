// SPDX-License-Identifier: PostgreSQL
// The basket as the fan sees it: chosen seats, bookings to be paid and paid, and the wallet.

import {$, button, element, money, timer} from "./format.js";

const CHARGE_SEATS = 4; // the demo's money is for this many of the dearest seats

export class BasketCard {
	constructor(basket) {
		this.basket = basket;
		this.pass = null;
		this.mayReserve = false;
		this.isFull = false;
		this.dearest = 0;
	}

	// What the basket itself does not know; shown anew only if it differs, so that a click meets
	// its button.
	update(known) {
		const differs = Object.keys(known).some(name => this[name] !== known[name]);
		Object.assign(this, known);
		if (differs) this.show();
	}

	show() {
		const {basket} = this;
		$("basket").replaceChildren(...this.choice());
		if (basket.message) $("basket").append(this.message());
		$("bookings").replaceChildren(...basket.bookings.map(booking => this.booking(booking)));
		$("balance").textContent =
			basket.balance === null ? "…" : money(basket.balance, basket.currency);
		this.showCharge();
	}

	choice() {
		const {basket} = this;
		if (basket.picked.length > 0) {
			const amount = basket.picked.reduce((sum, seat) => sum + seat.price, 0);
			const text = this.mayReserve ? "Reserve" : "Reserve once you are let in";
			const reserve = button(text, () => basket.reserve(this.pass), "main");
			reserve.disabled = basket.busy || !this.mayReserve;
			return [
				this.seatList(basket.picked, true),
				sum(amount, basket.picked[0].currency),
				reserve,
			];
		}
		if (basket.bookings.length > 0) return [];
		const text = this.isFull
			? "Every seat is taken. One that is given up comes back."
			: `Zoom in and choose up to ${basket.date.seats_per_user_max} seats.`;
		return [element("p", {className: "quiet"}, text)];
	}

	message() {
		const node = element("p", {className: "refusal", role: "alert"});
		for (const line of this.basket.message.split("\n")) node.append(line, element("br"));
		return node;
	}

	seatList(seats, canGiveUp) {
		const items = seats.map(seat => {
			const item = element("li", {}, element("span", {}, `${seat.section}, ${seat.label}`));
			if (canGiveUp) item.append(this.giveUpButton(seat));
			else
				item.append(
					element("span", {className: "quiet"}, money(seat.price, seat.currency)),
				);
			return item;
		});
		return element("ul", {className: "seats"}, ...items);
	}

	giveUpButton(seat) {
		const node = button("×", () => this.basket.toggle(seat));
		node.ariaLabel = `Give up seat ${seat.label}`;
		return node;
	}

	booking(booking) {
		const card = element("div", {className: "booking"}, this.seatList(booking.seats, false));
		const amount = money(booking.amount, booking.currency);
		if (booking.status === "paid")
			card.append(element("p", {className: "good"}, `Paid: ${amount}. Enjoy the concert!`));
		else if (booking.status === "expired")
			card.append(element("p", {className: "quiet"}, "Not paid in time: back on sale."));
		else {
			const pay = button(`Pay ${amount}`, () => this.basket.pay(booking), "main");
			const giveBack = button("Give back", () => this.basket.giveBack(booking));
			pay.disabled = giveBack.disabled = this.basket.busy;
			card.append(timer("To be paid within", booking.endsAt));
			card.append(element("div", {className: "pair"}, pay, giveBack));
		}
		return card;
	}

	showCharge() {
		const {balance, busy, currency} = this.basket;
		const amount = CHARGE_SEATS * this.dearest;
		$("charge").hidden = !amount || balance === null || balance >= amount;
		$("charge").textContent = `Add ${money(amount, currency)} (demo)`;
		$("charge").disabled = busy;
		$("charge").onclick = () => this.basket.charge(amount);
	}
}

function sum(amount, currency) {
	const text = element("span", {}, "Together");
	return element("p", {className: "sum"}, text, element("span", {}, money(amount, currency)));
}
