// SPDX-License-Identifier: PostgreSQL
// The seats that this browser's user chose, reserved and paid, and the wallet. Bookings are kept in
// the browser: the interface has no list of them.

import {get, post, randomId, remove, userId} from "./api.js";
import {refusal} from "./format.js";

const POINTS = "PTS";

export class Basket {
	// onChange(basket) is called whenever something is to be shown anew.
	constructor(date, onChange) {
		this.date = date;
		this.onChange = onChange;
		this.item = `concert.bookings.${date.id}`;
		this.bookings = JSON.parse(localStorage.getItem(this.item) ?? "[]");
		this.picked = []; // {id, label, section, price, currency}
		this.message = "";
		this.busy = false;
		this.balance = null;
		this.currency = POINTS;
	}

	toggle(seat) {
		const at = this.picked.findIndex(other => other.id === seat.id);
		this.message = "";
		if (at >= 0) this.picked.splice(at, 1);
		else if (seat.state !== "free")
			this.message = `${seat.label}: ${refusal({pending: "held"}[seat.state] ?? seat.state)}`;
		else if (this.picked.length >= this.date.seats_per_user_max)
			this.message = `One person may have ${this.date.seats_per_user_max} seats.`;
		else this.picked.push(seat);
		this.onChange(this);
	}

	// Chosen seats that somebody else took meanwhile.
	drop(isFree) {
		const gone = this.busy ? [] : this.picked.filter(seat => !isFree(seat.id));
		if (gone.length === 0) return;
		this.picked = this.picked.filter(seat => !gone.includes(seat));
		this.message = `Taken meanwhile: ${gone.map(seat => seat.label).join(", ")}`;
		this.onChange(this);
	}

	// Bookings whose time to pay is over.
	expire() {
		const over = this.bookings.filter(
			booking => booking.status === "pending" && booking.endsAt <= Date.now(),
		);
		for (const booking of over) booking.status = "expired";
		if (over.length > 0) this.onChange(this);
	}

	reserve(pass) {
		const seats = this.picked;
		return this.attempt(
			async () => {
				const answer = await post(
					`/v1/dates/${this.date.id}/bookings`,
					{seats: seats.map(seat => seat.id)},
					pass ? {"Concert-Pass": pass} : {},
				);
				this.bookings.push({
					id: answer.booking_id,
					seats,
					endsAt: Date.now() + answer.expires_in_ms,
					status: "pending",
					amount: answer.seats.reduce((sum, seat) => sum + seat.price, 0),
					currency: seats[0].currency,
				});
				this.picked = [];
			},
			problem => {
				const refused = new Map(problem.seats.map(seat => [seat.seat_id, seat.reason]));
				this.picked = seats.filter(seat => !refused.has(seat.id));
				const lines = seats
					.filter(seat => refused.has(seat.id))
					.map(seat => `${seat.label}: ${refusal(refused.get(seat.id))}`);
				return lines.join("\n");
			},
		);
	}

	pay(booking) {
		return this.attempt(
			async () => {
				await post(`/v1/bookings/${booking.id}/payment`);
				booking.status = "paid";
				await this.readBalance();
			},
			problem => {
				if (problem.code === "already_paid" || problem.code === "expired")
					booking.status = {already_paid: "paid", expired: "expired"}[problem.code];
			},
		);
	}

	giveBack(booking) {
		return this.attempt(
			async () => {
				await remove(`/v1/bookings/${booking.id}`);
				booking.status = "cancelled";
			},
			problem => {
				if (problem.code === "expired") booking.status = "expired";
			},
		);
	}

	// The demo's money: the page asks as an operator, which is believed from concertd's own machine
	// only.
	charge(amount) {
		return this.attempt(async () => {
			const answer = await post(
				`/v1/users/${userId}/points`,
				{amount, currency: this.currency, source: "demo-page", external_ref: randomId()},
				{"X-Role": "operator"},
			);
			this.balance = answer.balance;
		});
	}

	async readBalance() {
		this.balance = (await get(`/v1/users/${userId}/points?currency=${this.currency}`)).balance;
		this.onChange(this);
	}

	// One thing at a time. explain may settle what the problem means and return words of its own.
	async attempt(what, explain = () => "") {
		this.busy = true;
		this.message = "";
		this.onChange(this);
		try {
			await what();
		} catch (problem) {
			this.message = explain(problem) || refusal(problem.code, problem.message);
		}
		this.busy = false;
		this.bookings = this.bookings.filter(booking => booking.status !== "cancelled");
		localStorage.setItem(this.item, JSON.stringify(this.bookings));
		this.onChange(this);
	}
}
