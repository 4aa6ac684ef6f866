// SPDX-License-Identifier: PostgreSQL
// The waiting room as the fan sees it: before joining, waiting, admitted, or out of it again.

import {$, button, count, element, moment, timer} from "./format.js";
import {Room} from "./room.js";

const WELCOME =
	"Everybody who wants to buy waits here, first come, first served. " +
	"You may look at the seats meanwhile.";
const LOST = "Your place is gone: the page was away too long, or your time was over.";

export class RoomCard {
	// onPass() is called whenever the pass may have come or gone.
	constructor(date, onPass) {
		this.date = date;
		this.onPass = onPass;
		$("room-card").hidden = false;
		this.room = new Room(date.id, () => this.show());
		this.show();
	}

	get pass() {
		return this.room?.pass ?? null;
	}

	show() {
		const {room} = this;
		const parts = {
			none: () => [
				quiet(WELCOME),
				button("Join the waiting room", () => this.join(), "main"),
			],
			waiting: () => this.waiting(),
			admitted: () => this.admitted(),
			lost: () => [quiet(LOST), button("Join again", () => this.join(), "main")],
			closed: () => [quiet("The sale is closed.")],
		};
		$("room").replaceChildren(...parts[room.state]());
		if (room.trouble) $("room").append(element("p", {className: "refusal"}, room.trouble));
		this.onPass();
	}

	waiting() {
		const {farthest, number, position} = this.room;
		return [
			quiet("People before you"),
			element("p", {className: "position"}, count(position)),
			element("progress", {max: Math.max(1, farthest), value: farthest - position}),
			quiet(`Your place is number ${count(number)}. Keep this page open.`),
		];
	}

	admitted() {
		const {pass, passEndsAt} = this.room;
		if (!pass) return [element("p", {className: "good"}, "It is your turn …")];
		return [
			element("p", {className: "good"}, "You are in. Choose your seats."),
			timer("Your pass is good for", passEndsAt),
		];
	}

	async join() {
		for (const node of $("room").querySelectorAll("button")) node.disabled = true;
		try {
			await this.room.join();
		} catch (problem) {
			const opensAt = this.date.sale_opens_at;
			const isEarly = problem.code === "not_on_sale" && Date.now() < Date.parse(opensAt);
			this.room.trouble = isEarly
				? `The sale opens ${moment(opensAt, this.date.time_zone)}.`
				: problem.message;
			this.show();
		}
	}
}

function quiet(text) {
	return element("p", {className: "quiet"}, text);
}
