/* SPDX-License-Identifier: PostgreSQL */
/*
 * Every SQLSTATE of our own, once, for the extension, the daemon and the docs. Class TK is
 * ours: the standard keeps classes that start with A-H and 0-4 for itself.
 *
 * Only misuse and faults raise. What the rules foresee is a result with a reason (reason.h).
 */
#ifndef CONCERT_SQLSTATE_H
#define CONCERT_SQLSTATE_H

/* X(name, SQLSTATE, what it means) */
#define CONCERT_ERRORS(X)                                                                          \
	X(UNKNOWN_OBJECT, "TK001", "a concert, date, section, concession or seat that does not exist") \
	X(KEY_REUSED, "TK002",                                                                         \
	  "an idempotency key or message id that came before with another request or message")         \
	X(TOO_MANY_SEATS, "TK003", "more seats than concert.max_seats_per_booking")                    \
	X(DUPLICATE_SEAT, "TK004", "a seat named twice, or a grid spot that is taken")                 \
	X(DELETE_REFUSED, "TK005", "DELETE or TRUNCATE of rows that are never removed")                \
	X(HISTORY_REFUSED, "TK006", "a change of rows that are history")                               \
	X(STILL_IN_USE, "TK007", "soft delete of something that live rows depend on")                  \
	X(OUTBOX_RESET_NEEDED, "TK008", "an outbox restored from a dump and not reset since")          \
	X(EVENT_REFUSED, "TK009",                                                                      \
	  "an event that Kafka would not take (topic, key or size), or of concert's own")              \
	X(KEY_FILE_UNUSABLE, "TK010", "a pass key file that is missing or malformed")                  \
	X(EVENT_ID_REFUSED, "TK011", "an event id that is not a version 7 UUID")                       \
	X(CURSOR_BACKWARDS, "TK012", "an outbox cursor that would move backwards")                     \
	X(SNAPSHOT_TOO_OLD, "TK013", "rotation inside a transaction that keeps one snapshot")          \
	X(LAYOUT_REFUSED, "TK014",                                                                     \
	  "a layout that cannot be imported or copied; the message says where")                        \
	X(RESTORE_REFUSED, "TK015",                                                                    \
	  "restoring something whose parent is deleted or whose name is taken")                        \
	X(UPDATE_NEEDED, "TK016", "objects of another version than the library")

#endif /* CONCERT_SQLSTATE_H */
