// SPDX-License-Identifier: PostgreSQL
// A place in the waiting room of one date. Asking for it is also the sign of life that keeps it,
// and fetches the pass once admitted; so it is asked for as long as the page is open. The place
// outlives a reload.

import {get, post} from "./api.js";

const ASK_MIN_MS = 250;
const ASK_MAX_MS = 30000;
const TROUBLE_MS = 2000;

export class Room {
	// onChange(room) is called after every answer; state is none, waiting, admitted, lost or
	// closed.
	constructor(dateId, onChange) {
		this.dateId = dateId;
		this.item = `concert.place.${dateId}`;
		this.onChange = onChange;
		this.state = "none";
		this.pass = null;
		this.passEndsAt = 0;
		this.trouble = "";
		const kept = JSON.parse(localStorage.getItem(this.item) ?? "null");
		this.place = kept?.place ?? null;
		this.farthest = kept?.farthest ?? 0;
		if (this.place) this.ask();
	}

	async join() {
		const answer = await post(`/v1/dates/${this.dateId}/queue`);
		this.place = answer.place;
		this.farthest = 0;
		this.take(answer);
		this.later(answer.state === "admitted" ? ASK_MIN_MS : answer.refresh_after_ms);
	}

	async ask() {
		let again = TROUBLE_MS;
		try {
			const answer = await get("/v1/queue", {"Concert-Place": this.place});
			this.take(answer);
			again = answer.refresh_after_ms;
			if (this.state === "lost" || this.state === "closed") this.forget();
		} catch (problem) {
			if (problem.code === "place_invalid") {
				this.state = "none";
				this.forget();
			} else this.trouble = problem.message;
			this.onChange(this);
		}
		if (this.place) this.later(again);
	}

	take(answer) {
		this.state = answer.state;
		this.number = answer.number;
		this.position = answer.position;
		this.farthest = Math.max(this.farthest, answer.position);
		this.pass = answer.pass ?? (this.state === "admitted" ? this.pass : null);
		if (answer.pass_expires_in_ms !== undefined)
			this.passEndsAt = Date.now() + answer.pass_expires_in_ms;
		this.trouble = "";
		localStorage.setItem(
			this.item,
			JSON.stringify({place: this.place, farthest: this.farthest}),
		);
		this.onChange(this);
	}

	forget() {
		this.place = null;
		this.pass = null;
		localStorage.removeItem(this.item);
	}

	later(ms) {
		clearTimeout(this.timer);
		this.timer = setTimeout(() => this.ask(), Math.min(ASK_MAX_MS, Math.max(ASK_MIN_MS, ms)));
	}
}
