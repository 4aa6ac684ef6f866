// SPDX-License-Identifier: PostgreSQL
// How amounts, times, states and refusals read, and the few things that every part of the page does
// with its elements. Amounts are minor units of their currency; points (PTS) have none.

const REFUSALS = {
	sold: "Somebody has bought it.",
	held: "Somebody else is about to buy it.",
	busy: "Somebody is at it this very moment. Try again.",
	blocked: "It is not for sale.",
	unknown: "It does not exist.",
	limit: "That is more than one person may have.",
	not_on_sale: "The sale is not open.",
	no_pass: "You need to be let in by the waiting room first.",
	stale_fence: "Somebody was faster. Try again.",
	insufficient_funds: "There is too little in your wallet.",
	wrong_currency: "Your wallet is in another currency.",
	frozen: "Your wallet is frozen.",
	expired: "The time to pay is over. The seats are free again.",
	already_paid: "It is paid.",
	already_resolved: "It was settled before.",
	not_owner: "It belongs to somebody else.",
	too_late: "The time for it is over.",
	caller_unknown: "concertd does not believe this page's demo identity from this machine.",
	room_off: "The waiting room is closed at the moment.",
};

export const STATE_WORDS = {
	free: "free",
	pending: "being bought",
	sold: "sold",
	blocked: "not for sale",
};

export function refusal(code, fallback) {
	return REFUSALS[code] ?? fallback ?? "That did not work. Try again.";
}

export function count(n) {
	return n.toLocaleString("en");
}

export function money(amount, currency) {
	if (currency === "PTS") return `${count(amount)} points`;
	try {
		const format = new Intl.NumberFormat("en", {style: "currency", currency});
		return format.format(amount / 10 ** format.resolvedOptions().maximumFractionDigits);
	} catch {
		return `${count(amount)} ${currency}`;
	}
}

export function percent(share) {
	return `${share > 0.99 && share < 1 ? 99 : Math.round(share * 100)} %`;
}

export function moment(iso, timeZone) {
	const options = {dateStyle: "full", timeStyle: "short"};
	try {
		return new Intl.DateTimeFormat("en-GB", {...options, timeZone}).format(new Date(iso));
	} catch {
		return new Intl.DateTimeFormat("en-GB", options).format(new Date(iso));
	}
}

function countdown(ms) {
	const seconds = Math.max(0, Math.ceil(ms / 1000));
	return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

// element("p", {className: "quiet"}, "text", child…)
export function element(tag, properties = {}, ...children) {
	const node = Object.assign(document.createElement(tag), properties);
	node.append(...children);
	return node;
}

export function button(text, onclick, className = "") {
	return element("button", {type: "button", textContent: text, onclick, className});
}

export function $(id) {
	return document.getElementById(id);
}

export function notice(text) {
	$("notice").textContent = text;
	$("notice").hidden = !text;
}

// A text with a time that runs down: showTimers() keeps all of them going.
export function timer(text, endsAt) {
	const left = element("strong", {}, countdown(endsAt - Date.now()));
	left.dataset.endsAt = endsAt;
	return element("p", {className: "quiet"}, `${text} `, left);
}

export function showTimers() {
	for (const node of document.querySelectorAll("[data-ends-at]"))
		node.textContent = countdown(Number(node.dataset.endsAt) - Date.now());
}
