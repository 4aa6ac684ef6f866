// SPDX-License-Identifier: PostgreSQL
// concertd's HTTP interface. A POST that was not answered, or with "try again", is repeated under
// the same key: it is done once however often it is sent.

const ATTEMPTS_MAX = 4;
const RETRY_MS = 700;
const REQUEST_TIMEOUT_MS = 15000;
const USER_ITEM = "concert.user";

export class Problem extends Error {
	constructor(status, body) {
		super(body.detail ?? body.title ?? `HTTP ${status}`);
		this.status = status;
		this.code = body.code ?? "";
		this.seats = body.seats ?? [];
	}

	get isTransient() {
		return this.status === 0 || this.status >= 500 || this.code === "busy";
	}
}

export function randomId() {
	const bytes = crypto.getRandomValues(new Uint8Array(16));
	bytes[6] = (bytes[6] & 0x0f) | 0x40;
	bytes[8] = (bytes[8] & 0x3f) | 0x80;
	const hex = Array.from(bytes, byte => byte.toString(16).padStart(2, "0")).join("");
	return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

export const userId = localStorage.getItem(USER_ITEM) ?? randomId();
localStorage.setItem(USER_ITEM, userId);

export function pause(ms) {
	return new Promise(resolve => setTimeout(resolve, ms));
}

async function send(method, path, headers, body) {
	const options = {
		method,
		headers: {"X-User-Id": userId, ...headers},
		body,
		cache: "no-store",
		signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
	};
	try {
		return await fetch(path, options);
	} catch {
		throw new Problem(0, {title: "concertd does not answer."});
	}
}

async function read(response) {
	const body = await response.json().catch(() => ({}));
	if (!response.ok) throw new Problem(response.status, body);
	return body;
}

export async function get(path, headers = {}) {
	return read(await send("GET", path, headers));
}

export async function remove(path) {
	return read(await send("DELETE", path, {"Idempotency-Key": randomId()}));
}

export async function post(path, body = {}, headers = {}) {
	const all = {"Content-Type": "application/json", "Idempotency-Key": randomId(), ...headers};
	for (let attempt = 1; ; attempt++) {
		try {
			return await read(await send("POST", path, all, JSON.stringify(body)));
		} catch (problem) {
			if (!problem.isTransient || attempt === ATTEMPTS_MAX) throw problem;
		}
		await pause(RETRY_MS * attempt);
	}
}

// The seats of a date, or null while they are as etag names them. maxAgeMs is how long the answer
// may be believed.
export async function seats(dateId, etag) {
	const response = await send(
		"GET",
		`/v1/dates/${dateId}/seats`,
		etag ? {"If-None-Match": etag} : {},
	);
	const age = /max-age=(\d+)/.exec(response.headers.get("Cache-Control") ?? "");
	return {
		seats: response.status === 304 ? null : await read(response),
		etag: response.headers.get("ETag"),
		maxAgeMs: age ? Number(age[1]) * 1000 : 0,
	};
}
