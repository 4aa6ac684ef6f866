/* SPDX-License-Identifier: PostgreSQL */
/*
 * reserve(): all the seats for one user as one pending booking, or none.
 *
 * A loser is answered before it locks anything: the seats are probed first. Only seats that
 * look free are locked, and only by trying, so that nobody waits behind a winner that has not
 * committed ('busy'). Then everything is read again and judged at one reading of the clock.
 *
 * Locks: request key, user's limit, seats in id order (tried), bookings of expired pendings
 * (tried), outbox key. What a refused call had locked of seats and bookings it gives back.
 */
#include "concert.h"

#include "errors.h"
#include "lock.h"
#include "pass.h"
#include "request.h"
#include "reservation.h"
#include "utils/array.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(concert_reserve);

#define FENCE_AHEAD_DAYS_MAX 1

typedef struct SeatChoice
{
	pg_uuid_t	id;
	int			asked;			/* its place in the caller's list */
	bool		has_expired;	/* a pending reservation whose time is over */
	pg_uuid_t	expired_booking_id;
	bool		seat_locked;
	bool		booking_locked;
	pg_uuid_t	locked_booking_id;
	Reason		reason;
	int64		remaining_ms;	/* until a held seat frees */
	int64		price;
	char		currency[4];
	int64		newest_fence;
} SeatChoice;

/* One call of reserve(). */
typedef struct Reserving
{
	pg_uuid_t	date_id;
	pg_uuid_t	user_id;
	const char *pass;
	int64		fence;			/* 0: none given */
	int			pending_seconds;	/* 0: the date's */
	int			seats_per_user_max;
	int			count;
	SeatChoice *seats;			/* in id order */
	TimestampTz now;
} Reserving;

static SavedPlan find_date = PLAN(
	"SELECT d.sale_opens_at <= $2 AND $2 < d.sale_closes_at, d.pending_seconds,"
	" d.seats_per_user_max, d.admission = 'required'"
	" FROM concert.concert_date AS d JOIN concert.concert AS c ON c.id = d.concert_id"
	" WHERE d.id = $1 AND d.deleted_at IS NULL AND c.deleted_at IS NULL",
	UUIDOID, TIMESTAMPTZOID);

static SavedPlan find_seats = PLAN(
	"SELECT s.id, s.concert_date_id,"
	" s.blocked_reason IS NOT NULL AND coalesce(s.blocked_until > $2, true),"
	" section.price, section.currency, live.booking_id, live.status, live.expires_at,"
	" newest.fence, newest.user_id"
	" FROM concert.seat AS s"
	" JOIN concert.section AS section ON section.id = s.section_id AND section.deleted_at IS NULL"
	" LEFT JOIN concert.reservation AS live ON live.seat_id = s.id AND live.deleted_at IS NULL"
	" LEFT JOIN LATERAL (SELECT h.fence, h.user_id FROM concert.reservation AS h"
	"  WHERE h.seat_id = s.id ORDER BY h.fence DESC LIMIT 1) AS newest ON true"
	" WHERE s.id = ANY ($1) AND s.deleted_at IS NULL",
	UUIDARRAYOID, TIMESTAMPTZOID);

enum
{
	COLUMN_SEAT, COLUMN_DATE, COLUMN_BLOCKED, COLUMN_PRICE, COLUMN_CURRENCY, COLUMN_BOOKING,
	COLUMN_STATUS, COLUMN_EXPIRES, COLUMN_FENCE, COLUMN_FENCE_USER
};

static SavedPlan count_users_seats = PLAN(
	"SELECT count(*) FROM concert.reservation"
	" WHERE user_id = $1 AND concert_date_id = $2 AND deleted_at IS NULL"
	" AND (status = 'confirmed' OR expires_at > $3)",
	UUIDOID, UUIDOID, TIMESTAMPTZOID);

static SavedPlan insert_reservations = PLAN(
	"INSERT INTO concert.reservation (id, booking_id, concert_date_id, seat_id, user_id, status,"
	" price, currency, fence, created_at, expires_at, expires_at_max)"
	" SELECT r.id, $1, $2, r.seat_id, $3, 'pending', r.price, $4, r.fence, $5, $6, $7"
	" FROM unnest($8, $9, $10, $11) AS r (id, seat_id, price, fence)",
	UUIDOID, UUIDOID, UUIDOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
	UUIDARRAYOID, UUIDARRAYOID, INT8ARRAYOID, INT8ARRAYOID);

static SavedPlan replay_reserve = PLAN(
	"SELECT jsonb_populate_record(NULL::concert.reserve_answer, $1)", JSONBOID);

static int
seat_compare(const void *a, const void *b)
{
	return uuid_compare(&((const SeatChoice *) a)->id, &((const SeatChoice *) b)->id);
}

/*
 * Fences are Unix microseconds at most (DESIGN: max(stored + 1, TIME)). One far in the future
 * would make its seat stale for everybody after, so it is not let in.
 */
static int64
reserving_fence_max(void)
{
	return GetCurrentTimestamp() + FENCE_AHEAD_DAYS_MAX * USECS_PER_DAY +
		(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
}

static void
reserving_read_arguments(FunctionCallInfo fcinfo, Reserving *call)
{
	static const char *const names[] = {"concert_date_id", "seat_ids", "user_id"};
	int64		fence_max = reserving_fence_max();
	pg_uuid_t  *ids;

	argument_require(fcinfo, lengthof(names), names);
	ids = argument_seats(fcinfo, 1, settings_max_seats_per_booking, &call->count);
	call->date_id = *PG_GETARG_UUID_P(0);
	call->user_id = *PG_GETARG_UUID_P(2);
	call->pending_seconds = PG_ARGISNULL(3) ? 0 : Max(1, Min(PG_GETARG_INT32(3), PENDING_SECONDS_MAX));
	call->pass = PG_ARGISNULL(4) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(4));
	call->fence = PG_ARGISNULL(5) ? 0 : PG_GETARG_INT64(5);
	if (!PG_ARGISNULL(5) && (call->fence < 1 || call->fence > fence_max))
		error_invalid_number("fence", call->fence, 1, fence_max);
	call->seats = palloc0(sizeof(SeatChoice) * call->count);
	for (int i = 0; i < call->count; i++)
	{
		call->seats[i].id = ids[i];
		call->seats[i].asked = i;
	}
	qsort(call->seats, call->count, sizeof(SeatChoice), seat_compare);
}

/* The rules that hold for the call as a whole. */
static Reason
reserving_judge_date(Reserving *call)
{
	int			date_pending_seconds;

	call->now = GetCurrentTimestamp();
	if (plan_read(&find_date, PLAN_ARGS(uuid_value(&call->date_id),
										value(TimestampTzGetDatum(call->now)))) == 0)
		return REASON_UNKNOWN;
	if (!plan_bool(0, 0))
		return REASON_NOT_ON_SALE;
	date_pending_seconds = plan_int32(0, 1);
	if (call->pending_seconds == 0)
		call->pending_seconds = date_pending_seconds;
	call->seats_per_user_max = plan_int32(0, 2);
	if (plan_bool(0, 3) &&
		!pass_is_valid(call->pass, &call->date_id, &call->user_id, call->now))
		return REASON_NO_PASS;
	return REASON_NONE;
}

static void
seat_read_fence(SeatChoice *seat, int row, const Reserving *call)
{
	pg_uuid_t	newest_user = plan_uuid(row, COLUMN_FENCE_USER);

	seat->newest_fence = plan_is_null(row, COLUMN_FENCE) ? 0 : plan_int64(row, COLUMN_FENCE);
	if (call->fence == 0)
		return;
	if (call->fence < seat->newest_fence ||
		(call->fence == seat->newest_fence && uuid_compare(&newest_user, &call->user_id) != 0))
		seat->reason = REASON_STALE_FENCE;
}

/* What the database says of one seat; the later a rule stands here, the more it weighs. */
static void
seat_judge(SeatChoice *seat, int row, const Reserving *call)
{
	pg_uuid_t	date_id = plan_uuid(row, COLUMN_DATE);

	seat->reason = REASON_NONE;
	seat->has_expired = false;
	seat->price = plan_int64(row, COLUMN_PRICE);
	strlcpy(seat->currency, plan_text(row, COLUMN_CURRENCY), sizeof(seat->currency));
	seat_read_fence(seat, row, call);
	if (!plan_is_null(row, COLUMN_BOOKING))
	{
		bool		pending = strcmp(plan_text(row, COLUMN_STATUS), "pending") == 0;
		TimestampTz expires_at = plan_time(row, COLUMN_EXPIRES);

		seat->has_expired = pending && expires_at <= call->now;
		seat->expired_booking_id = plan_uuid(row, COLUMN_BOOKING);
		seat->remaining_ms = remaining_ms(expires_at, call->now);
		if (!seat->has_expired)
			seat->reason = pending ? REASON_HELD : REASON_SOLD;
	}
	if (plan_bool(row, COLUMN_BLOCKED))
		seat->reason = REASON_BLOCKED;
	if (uuid_compare(&date_id, &call->date_id) != 0)
		seat->reason = REASON_OTHER_DATE;
}

/* Reads and judges every seat at call->now; true when none is refused. */
static bool
reserving_probe(Reserving *call)
{
	pg_uuid_t  *ids = palloc(sizeof(pg_uuid_t) * call->count);
	int			rows;
	bool		all = true;

	for (int i = 0; i < call->count; i++)
	{
		ids[i] = call->seats[i].id;
		call->seats[i].reason = REASON_UNKNOWN;
	}
	rows = plan_read(&find_seats, PLAN_ARGS(uuid_array_value(ids, call->count),
											value(TimestampTzGetDatum(call->now))));
	for (int row = 0; row < rows; row++)
	{
		SeatChoice	wanted = {.id = plan_uuid(row, COLUMN_SEAT)};

		seat_judge(bsearch(&wanted, call->seats, call->count, sizeof(SeatChoice), seat_compare),
				   row, call);
	}
	for (int i = 0; i < call->count; i++)
		all = all && call->seats[i].reason == REASON_NONE;
	return all;
}

/*
 * Tries the seats that look free, and with them the bookings of their expired pendings. True
 * when all were had; the others are 'busy'.
 */
static bool
reserving_lock(Reserving *call)
{
	bool		all = true;

	for (int i = 0; i < call->count; i++)
	{
		SeatChoice *seat = &call->seats[i];

		if (seat->reason != REASON_NONE)
			continue;
		seat->seat_locked = lock_try(LOCK_SEAT, lock_name_uuid(&seat->id));
		if (seat->seat_locked && seat->has_expired)
		{
			seat->locked_booking_id = seat->expired_booking_id;
			seat->booking_locked = lock_try(LOCK_BOOKING, lock_name_uuid(&seat->locked_booking_id));
		}
		if (!seat->seat_locked || seat->booking_locked != seat->has_expired)
		{
			seat->reason = REASON_BUSY;
			all = false;
		}
	}
	return all;
}

static void
reserving_unlock(const Reserving *call)
{
	for (int i = 0; i < call->count; i++)
	{
		const SeatChoice *seat = &call->seats[i];

		if (seat->booking_locked)
			lock_release(LOCK_BOOKING, lock_name_uuid(&seat->locked_booking_id));
		if (seat->seat_locked)
			lock_release(LOCK_SEAT, lock_name_uuid(&seat->id));
	}
}

/* Under the locks: a seat that expired or changed hands since the first look is busy. */
static bool
reserving_probe_locked(Reserving *call)
{
	bool		all = reserving_probe(call);

	for (int i = 0; i < call->count; i++)
	{
		SeatChoice *seat = &call->seats[i];

		if (seat->reason != REASON_NONE || !seat->has_expired)
			continue;
		if (!seat->booking_locked ||
			uuid_compare(&seat->expired_booking_id, &seat->locked_booking_id) != 0)
		{
			seat->reason = REASON_BUSY;
			all = false;
		}
	}
	return all;
}

static bool
reserving_one_currency(const Reserving *call)
{
	for (int i = 1; i < call->count; i++)
		if (strcmp(call->seats[i].currency, call->seats[0].currency) != 0)
			return false;
	return true;
}

static bool
reserving_over_limit(const Reserving *call)
{
	plan_read(&count_users_seats,
			  PLAN_ARGS(uuid_value(&call->user_id), uuid_value(&call->date_id),
						value(TimestampTzGetDatum(call->now))));
	return plan_int64(0, 0) + call->count > call->seats_per_user_max;
}

/* The first seat's reason in the caller's order; 'busy' only when nothing is final. */
static Reason
reserving_seats_reason(const Reserving *call)
{
	Reason		reason = REASON_BUSY;
	int			first = INT_MAX;

	for (int i = 0; i < call->count; i++)
	{
		const SeatChoice *seat = &call->seats[i];

		if (seat->reason != REASON_NONE && seat->reason != REASON_BUSY && seat->asked < first)
		{
			reason = seat->reason;
			first = seat->asked;
		}
	}
	return reason;
}

/* REASON_NONE: the seats are free, ours to take, and locked. */
static Reason
reserving_decide(Reserving *call)
{
	Reason		reason = reserving_judge_date(call);
	bool		all_free;

	if (reason != REASON_NONE)
		return reason;
	all_free = reserving_probe(call);
	if (all_free)
		lock_wait(LOCK_USER_LIMIT, lock_name(&call->date_id, UUID_LEN, &call->user_id, UUID_LEN));
	all_free = reserving_lock(call) && all_free;
	if (all_free)
		reason = reserving_judge_date(call);
	if (all_free && reason == REASON_NONE)
		all_free = reserving_probe_locked(call);
	if (!all_free)
		reason = reserving_seats_reason(call);
	else if (reason == REASON_NONE && !reserving_one_currency(call))
		reason = REASON_WRONG_CURRENCY;
	else if (reason == REASON_NONE && reserving_over_limit(call))
		reason = REASON_LIMIT;
	if (reason != REASON_NONE)
		reserving_unlock(call);
	return reason;
}

static void
reserving_retire_expired(const Reserving *call, const char *correlation_id)
{
	pg_uuid_t  *ids = palloc(sizeof(pg_uuid_t) * call->count);
	int			count = 0;

	for (int i = 0; i < call->count; i++)
		if (call->seats[i].has_expired)
			ids[count++] = call->seats[i].id;
	if (count > 0)
		booking_retire_seats(ids, count, call->now, correlation_id);
}

static Booking
reserving_make_booking(const Reserving *call)
{
	Booking		booking = {
		.id = uuid7_next(),
		.date_id = call->date_id,
		.user_id = call->user_id,
		.expires_at = call->now + call->pending_seconds * USECS_PER_SEC,
		.expires_at_max = call->now + PENDING_SECONDS_MAX * USECS_PER_SEC,
		.reservations = palloc(sizeof(Reservation) * call->count),
	};

	strlcpy(booking.currency, call->seats[0].currency, sizeof(booking.currency));
	for (int i = 0; i < call->count; i++)
		booking_add(&booking, (Reservation){
			.id = uuid7_next(),
			.seat_id = call->seats[i].id,
			.price = call->seats[i].price,
			.fence = call->fence != 0 ? call->fence : call->seats[i].newest_fence + 1,
		});
	return booking;
}

static NullableDatum
int64_array_value(const int64 *numbers, int count)
{
	Datum	   *elements = palloc(sizeof(Datum) * count);

	for (int i = 0; i < count; i++)
		elements[i] = Int64GetDatum(numbers[i]);
	return value(PointerGetDatum(construct_array(elements, count, INT8OID, sizeof(int64),
												 FLOAT8PASSBYVAL, TYPALIGN_DOUBLE)));
}

static void
reserving_insert(const Booking *booking, TimestampTz now)
{
	pg_uuid_t  *ids = palloc(sizeof(pg_uuid_t) * booking->count);
	pg_uuid_t  *seat_ids = palloc(sizeof(pg_uuid_t) * booking->count);
	int64	   *prices = palloc(sizeof(int64) * booking->count);
	int64	   *fences = palloc(sizeof(int64) * booking->count);

	for (int i = 0; i < booking->count; i++)
	{
		ids[i] = booking->reservations[i].id;
		seat_ids[i] = booking->reservations[i].seat_id;
		prices[i] = booking->reservations[i].price;
		fences[i] = booking->reservations[i].fence;
	}
	plan_write(&insert_reservations,
			   PLAN_ARGS(uuid_value(&booking->id), uuid_value(&booking->date_id),
						 uuid_value(&booking->user_id), text_value(booking->currency),
						 value(TimestampTzGetDatum(now)),
						 value(TimestampTzGetDatum(booking->expires_at)),
						 value(TimestampTzGetDatum(booking->expires_at_max)),
						 uuid_array_value(ids, booking->count),
						 uuid_array_value(seat_ids, booking->count),
						 int64_array_value(prices, booking->count),
						 int64_array_value(fences, booking->count)));
}

static Booking
reserving_take(const Reserving *call, const char *correlation_id)
{
	Booking		booking = reserving_make_booking(call);

	reserving_retire_expired(call, correlation_id);
	reserving_insert(&booking, call->now);
	booking_emit(&booking, "reserved", correlation_id);
	return booking;
}

/* Every refused seat with its reason, in the caller's order. */
static void
reserving_append_refused(StringInfo out, const Reserving *call)
{
	const SeatChoice **asked = palloc(sizeof(SeatChoice *) * call->count);
	const char *separator = "";

	for (int i = 0; i < call->count; i++)
		asked[call->seats[i].asked] = &call->seats[i];
	appendStringInfoChar(out, '[');
	for (int i = 0; i < call->count; i++)
	{
		if (asked[i]->reason == REASON_NONE)
			continue;
		appendStringInfo(out, "%s{\"seat_id\": \"%s\", \"reason\": \"%s\"", separator,
						 uuid_text(&asked[i]->id), reason_text(asked[i]->reason));
		if (asked[i]->reason == REASON_HELD)
			appendStringInfo(out, ", \"remaining_ms\": " INT64_FORMAT, asked[i]->remaining_ms);
		appendStringInfoChar(out, '}');
		separator = ", ";
	}
	appendStringInfoChar(out, ']');
}

static Datum
reserving_answer(FunctionCallInfo fcinfo, const Reserving *call, Reason reason,
				 const Booking *booking)
{
	bool		ok = reason == REASON_NONE;
	StringInfoData seats;

	initStringInfo(&seats);
	if (ok)
		booking_append_seats(&seats, booking, call->now);
	else
		reserving_append_refused(&seats, call);
	return answer_row(fcinfo, (NullableDatum[]){
		value(BoolGetDatum(ok)), answer_reason(reason),
		ok ? uuid_value(&booking->id) : null_value(),
		ok ? value(TimestampTzGetDatum(booking->expires_at)) : null_value(),
		value(answer_jsonb(&seats))}, 5);
}

/* What makes it the same request; a retry may carry another pass and another fence. */
static char *
reserving_content(const Reserving *call)
{
	StringInfoData content;

	initStringInfo(&content);
	appendStringInfo(&content, "%s %d", uuid_text(&call->date_id), call->pending_seconds);
	for (int i = 0; i < call->count; i++)
		appendStringInfo(&content, " %s", uuid_text(&call->seats[i].id));
	return content.data;
}

Datum
concert_reserve(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	char	   *key = argument_optional_text(fcinfo, 6, "idempotency_key", KEY_CHARS_MAX);
	char	   *correlation_id = argument_optional_text(fcinfo, 7, "correlation_id", KEY_CHARS_MAX);
	Reserving	call;
	Request		request;
	Datum		answer;

	reserving_read_arguments(fcinfo, &call);
	request_init(&request, "reserve", &replay_reserve, key, &call.user_id,
				 reserving_content(&call));
	plan_begin();
	if (!request_replay(&request, caller, &answer))
	{
		Reason		reason = reserving_decide(&call);
		Booking		booking = {0};
		MemoryContext work;

		if (reason == REASON_NONE)
			booking = reserving_take(&call, correlation_id);
		work = MemoryContextSwitchTo(caller);
		answer = reserving_answer(fcinfo, &call, reason, &booking);
		MemoryContextSwitchTo(work);
		if (reason != REASON_BUSY)
			request_record(&request, answer);
	}
	plan_end();
	PG_RETURN_DATUM(answer);
}
