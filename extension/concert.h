/* SPDX-License-Identifier: PostgreSQL */
/*
 * What all of the extension shares. The words, one meaning each:
 *
 * concert, concert date, section, seat   what is sold; a seat is one spot of one date's grid
 * reservation, booking   one seat for one user; the reservations made by one call
 * refusal, reason        an answer "no" that the rules foresee: a result (reason.h)
 * error                  misuse or a fault: raised with an SQLSTATE (sqlstate.h)
 * account, transfer, wallet   the ledger; a wallet is a user's account
 * fence                  the number of a hold; a seat never goes back to an older one
 * event, lane            a fact in the outbox; a share of its keys with one ordered stream
 *
 * LOCK ORDER. A call takes its locks in this order and in no other:
 *
 *   request key -> external reference -> booking -> user's limit for the date -> seats in id
 *   order -> accounts in id order -> the transfer that is ended or reversed -> outbox key (topic, key)
 *
 * Reserving only ever tries seats, and so the booking of somebody else's expired pending, which
 * is met after them; taking seats again for money that came late waits for seats, and tries such
 * bookings as well. Rows of payments that a worker claims are locked last, and nothing is waited for then. Whoever deletes, restores or renames a seat waits for it; under an UPDATE of
 * theirs the row's own lock comes first, which can meet a sale as 40P01 (guard.c). All are
 * transaction locks (lock.h). Whatever a call judges, it reads after its last lock under the
 * latest snapshot (plan.h).
 *
 * A date's row stands between the seats and the accounts: SHARE to add seats or a section or to
 * restore one, NO KEY UPDATE to import or copy a layout into it, KEY SHARE to copy from it and to
 * open an account for a refund, UPDATE on all of a concert's, in id order, when its id changes.
 */
#ifndef CONCERT_H
#define CONCERT_H

#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "port/pg_bswap.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "compat.h"
#include "reason.h"

/* Bounds of what callers may pass. */
#define SEATS_PER_CALL_LIMIT 1000
#define KEY_CHARS_MAX 200
#define NAME_CHARS_MAX 200
#define GRID_MAX 1000000 /* the highest row and col */
#define PENDING_SECONDS_MAX 900
#define PRICE_MAX INT64CONST(1000000000000000) /* a call's seats together stay below 2^63 */

typedef enum Reason
{
	REASON_NONE,
#define X(name, text, meaning) REASON_##name,
	CONCERT_REASONS(X)
#undef X
} Reason;

extern const char *reason_text(Reason reason);

/* settings.c */
extern int	 settings_max_seats_per_booking;
extern int	 settings_max_event_bytes;
extern char *settings_pass_key_file;
extern bool	 settings_direct_access;
extern int	 settings_retention_days;

extern void settings_define(void);

/*
 * version.c: the first thing that a function asks which older objects may call with fewer arguments
 * or on tables of another shape.
 */
extern void version_require(void);

/* version.c: a relation of schema concert by its name; InvalidOid when there is none of it. */
extern Oid relation_oid(const char *name);

/* arguments.c: a NULL where none is allowed is 22004 and names the argument. */
extern void	 argument_require(FunctionCallInfo fcinfo, int count, const char *const *names);
extern int	 argument_int32(FunctionCallInfo fcinfo, int n, const char *name, int low, int high);
extern char *argument_text(FunctionCallInfo fcinfo, int n, const char *name, int chars_max);
extern char *argument_optional_text(FunctionCallInfo fcinfo, int n, const char *name,
									int chars_max);
extern char *argument_currency(FunctionCallInfo fcinfo, int n, const char *name);
extern struct pg_tz *argument_iana_zone(FunctionCallInfo fcinfo, int n, const char *name);
extern struct pg_tz *argument_time_zone(FunctionCallInfo fcinfo, int n, const char *name);
extern pg_uuid_t	*argument_seats(FunctionCallInfo fcinfo, int n, int seats_max, int *ret_count);
extern void			 argument_check_seats(int count);
extern char		   **argument_concessions(FunctionCallInfo fcinfo, int n, int count);

/* answer.c: the composite result of the calling function. */
extern Datum		 answer_row(FunctionCallInfo fcinfo, const NullableDatum *columns, int count);
extern NullableDatum answer_reason(Reason reason);
extern const char	*uuid_text(const pg_uuid_t *id);

/* uuid7.c */
extern pg_uuid_t uuid7_next(void);

static inline NullableDatum
value(Datum datum)
{
	return (NullableDatum){.value = datum, .isnull = false};
}

static inline NullableDatum
null_value(void)
{
	return (NullableDatum){.value = (Datum) 0, .isnull = true};
}

/* A NULL reads as the nil UUID. */
static inline pg_uuid_t
value_uuid(NullableDatum column)
{
	pg_uuid_t id = {{0}};

	if (!column.isnull && DatumGetPointer(column.value) != NULL)
		id = *DatumGetUUIDP(column.value);
	return id;
}

/* Whether a text is exactly this. */
static inline bool
value_is_text(Datum datum, const char *word)
{
	const text *given = DatumGetTextPP(datum);
	size_t		bytes = strlen(word);

	return VARSIZE_ANY_EXHDR(given) == bytes && memcmp(VARDATA_ANY(given), word, bytes) == 0;
}

static inline int
uuid_compare(const void *a, const void *b)
{
	uint64 left[2];
	uint64 right[2];
	int	   half;

	memcpy(left, ((const pg_uuid_t *) a)->data, UUID_LEN);
	memcpy(right, ((const pg_uuid_t *) b)->data, UUID_LEN);
	half = left[0] == right[0];
	if (left[half] == right[half])
		return 0;
	return pg_ntoh64(left[half]) < pg_ntoh64(right[half]) ? -1 : 1;
}

#endif /* CONCERT_H */
