// SPDX-License-Identifier: PostgreSQL
// The legend with its counts, the share that is sold, and the sections with what is left of each.

import {STATES} from "./hall.js";
import {$, STATE_WORDS, button, count, element, money, percent} from "./format.js";

const SWATCHES = {free: "free", pending: "pending", sold: "sold-out", blocked: "blocked"};

export class SectionList {
	// onChoose(section) is called with the section's number.
	constructor(hall, onChoose) {
		this.rows = hall.sections.map((section, i) => sectionRow(section, () => onChoose(i)));
		$("sections").replaceChildren(...this.rows.map(row => row.item));
	}

	// counts[section][state]
	show(counts) {
		const total = STATES.map((_, s) => counts.reduce((sum, section) => sum + section[s], 0));
		const all = total.reduce((sum, n) => sum + n, 0);
		const share = total[2] / Math.max(1, all);
		$("sold-share").textContent = percent(share);
		$("sold-bar").value = share;
		const legend = STATES.map((state, s) =>
			legendItem(SWATCHES[state], STATE_WORDS[state], count(total[s])),
		);
		$("legend").replaceChildren(...legend, legendItem("picked", "yours", ""));
		this.rows.forEach((row, i) => showRow(row, counts[i]));
	}
}

function legendItem(swatch, text, number) {
	return element(
		"li",
		{},
		element("span", {className: `swatch ${swatch}`}),
		text,
		element("strong", {}, number),
	);
}

function sectionRow(section, onclick) {
	const left = element("small");
	const bar = element("progress", {max: 1, ariaHidden: "true"});
	const node = button("", onclick);
	node.append(
		element("span", {}, section.name),
		element("small", {}, money(section.price, section.currency)),
		left,
		bar,
	);
	return {item: element("li", {}, node), left, bar};
}

function showRow(row, [free, pending, sold]) {
	const forSale = free + pending + sold;
	if (free > 0) row.left.textContent = `${count(free)} of ${count(forSale)} free`;
	else row.left.textContent = pending > 0 ? "all taken" : "sold out";
	row.bar.value = (pending + sold) / Math.max(1, forSale);
}
