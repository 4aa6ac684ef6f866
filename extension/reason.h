/* SPDX-License-Identifier: PostgreSQL */
/*
 * The one closed list of reasons for a refusal: SQL answers, HTTP problems, metrics and docs
 * all take it from here.
 */
#ifndef CONCERT_REASON_H
#define CONCERT_REASON_H

/* X(name, text, what it means) */
#define CONCERT_REASONS(X)                                                                         \
	X(SOLD, "sold", "the seat belongs to a confirmed reservation")                                 \
	X(HELD, "held", "the seat is kept for somebody, as a hold or a pending reservation")           \
	X(BUSY, "busy", "another open transaction is at work on it; the same call may be tried again") \
	X(BLOCKED, "blocked", "the organiser has taken the seat out of the sale")                      \
	X(UNKNOWN, "unknown", "it does not exist, or the caller may not know of it")                   \
	X(OTHER_DATE, "other_date", "the seat is of another concert date")                             \
	X(ORPHAN, "orphan", "the choice would leave a single empty seat")                              \
	X(LIMIT, "limit", "the user would have more seats of the date than are allowed")               \
	X(NOT_ON_SALE, "not_on_sale", "the sale is not open")                                          \
	X(NO_PASS, "no_pass", "the date requires a valid pass")                                        \
	X(STALE_FENCE, "stale_fence", "a newer fence is known")                                        \
	X(INSUFFICIENT_FUNDS, "insufficient_funds", "the wallet holds too little")                     \
	X(WRONG_CURRENCY, "wrong_currency", "the money is of another currency")                        \
	X(FROZEN, "frozen", "the account is frozen")                                                   \
	X(EXPIRED, "expired", "the pending time of the booking is over")                               \
	X(ALREADY_PAID, "already_paid", "the booking is paid")                                         \
	X(ALREADY_RESOLVED, "already_resolved", "it was settled before")                               \
	X(NOT_OWNER, "not_owner", "it belongs to somebody else")                                       \
	X(TOO_LATE, "too_late", "the time for it is over")

#endif /* CONCERT_REASON_H */
