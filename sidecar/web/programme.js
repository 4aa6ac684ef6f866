// SPDX-License-Identifier: PostgreSQL
// The list of all concerts' dates.

import {get, pause} from "./api.js";
import {$, element, moment, notice} from "./format.js";

const REFRESH_MS = 4000;

export async function readProgramme() {
	const {concerts} = await get("/v1/concerts");
	const lists = await Promise.all(
		concerts.map(concert => get(`/v1/concerts/${concert.id}/dates`)),
	);
	return lists
		.flatMap((list, i) => list.dates.map(date => ({...date, name: concerts[i].name})))
		.sort((a, b) => a.starts_at.localeCompare(b.starts_at));
}

export async function showProgramme() {
	$("programme").hidden = false;
	for (;;) {
		try {
			const dates = await readProgramme();
			notice("");
			$("no-dates").hidden = dates.length > 0;
			$("dates").replaceChildren(...dates.map(dateItem));
		} catch (problem) {
			notice(problem.message);
		}
		await pause(REFRESH_MS);
	}
}

function dateItem(date) {
	const what = element(
		"span",
		{},
		element("strong", {}, date.name),
		element("small", {}, moment(date.starts_at, date.time_zone)),
	);
	const link = {className: "card", href: `/?date=${date.id}`};
	return element("li", {}, element("a", link, what, saleChip(date)));
}

function saleChip(date) {
	const now = Date.now();
	if (now < Date.parse(date.sale_opens_at))
		return element("span", {className: "chip"}, "not open yet");
	if (now >= Date.parse(date.sale_closes_at))
		return element("span", {className: "chip"}, "closed");
	return element("span", {className: "chip open"}, "on sale");
}
