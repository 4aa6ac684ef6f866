/* SPDX-License-Identifier: PostgreSQL */
/*
 * The life of a booking after reserve(): extend, expire, and what paying and cancelling (cancel.c)
 * need of it.
 *
 * A pending reservation whose time is over counts as free everywhere; only the next taker or
 * expire() writes that down, and then lets go of points that a payment has set aside beside it.
 * Locks: the booking, accounts of such points, then the outbox key.
 */
#include "reservation.h"

#include "common/int.h"
#include "errors.h"
#include "history.h"
#include "lock.h"
#include "outbox.h"
#include "payment_store.h"
#include "store.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"

#define EXPIRE_ROWS_MAX 10000
#define EXPIRE_PASSED_OVER_MAX 10000 /* rows that somebody is at work on */
#define EXPIRE_LOOK_AT_MIN 1000		 /* in one go */
#define LOCKS_PER_BOOKING 3			 /* its own, its event key's, perhaps a wallet's */

PG_FUNCTION_INFO_V1(concert_extend);
PG_FUNCTION_INFO_V1(concert_expire);

#define BOOKING_COLUMNS                                                                      \
	"booking_id, concert_date_id, user_id, id, seat_id, price, currency, fence, expires_at," \
	" expires_at_max, status, concession"

enum
{
	COLUMN_BOOKING,
	COLUMN_DATE,
	COLUMN_USER,
	COLUMN_ID,
	COLUMN_SEAT,
	COLUMN_PRICE,
	COLUMN_CURRENCY,
	COLUMN_FENCE,
	COLUMN_EXPIRES,
	COLUMN_EXPIRES_MAX,
	COLUMN_STATUS,
	COLUMN_CONCESSION
};

/* A seat that expired and was taken again for late money has two rows: the one that expired ended. */
static SavedPlan find_booking =
	PLAN("SELECT DISTINCT ON (seat_id) " BOOKING_COLUMNS " FROM concert.reservation"
		 " WHERE booking_id = $1 ORDER BY seat_id, status = 'expired'",
		 UUIDOID);

static SavedPlan find_reservations =
	PLAN("SELECT " BOOKING_COLUMNS " FROM concert.reservation WHERE id = ANY ($1) ORDER BY seat_id",
		 UUIDARRAYOID);

/*
 * What is pending is not resolved, and the other way round. Said so where rows are found by
 * booking or seat: the index of pendings by expiry, of which a plan that is made while the table
 * is empty would read everything, cannot be used then.
 */
#define IS_PENDING "resolved_at IS NULL"

static SavedPlan confirm_booking =
	PLAN("UPDATE concert.reservation SET status = 'confirmed', resolved_at = $2"
		 " WHERE booking_id = $1 AND " IS_PENDING,
		 UUIDOID, TIMESTAMPTZOID);

static SavedPlan cancel_booking =
	PLAN("UPDATE concert.reservation SET status = 'cancelled', resolved_at = $2, deleted_at = $2"
		 " WHERE booking_id = $1 AND " IS_PENDING " AND id = ANY ($3)",
		 UUIDOID, TIMESTAMPTZOID, UUIDARRAYOID);

static SavedPlan cancel_paid =
	PLAN("UPDATE concert.reservation SET status = 'cancelled', resolved_at = $2, deleted_at = $2"
		 " WHERE booking_id = $1 AND status = 'confirmed' AND id = ANY ($3)",
		 UUIDOID, TIMESTAMPTZOID, UUIDARRAYOID);

static SavedPlan void_tickets = PLAN("UPDATE concert.ticket SET deleted_at = $2"
									 " WHERE reservation_id = ANY ($1) AND deleted_at IS NULL",
									 UUIDARRAYOID, TIMESTAMPTZOID);

static SavedPlan extend_booking =
	PLAN("UPDATE concert.reservation SET expires_at = $2 WHERE booking_id = $1 AND " IS_PENDING,
		 UUIDOID, TIMESTAMPTZOID);

/* Seats for whoever has their locks; who has only the booking's may meet a seat whose id changes. */
#define RETIRE(WHICH)                                                                            \
	PLAN("WITH retired AS ("                                                                     \
		 " UPDATE concert.reservation SET status = 'expired', resolved_at = $2, deleted_at = $2" \
		 " WHERE " WHICH " = ANY ($1) AND deleted_at IS NULL AND " IS_PENDING                    \
		 " AND expires_at <= $2 RETURNING " BOOKING_COLUMNS                                      \
		 ") SELECT * FROM retired ORDER BY booking_id, seat_id",                                 \
		 UUIDARRAYOID, TIMESTAMPTZOID)

static SavedPlan retire_seats = RETIRE("seat_id");
static SavedPlan retire_reservations = RETIRE("id");

/* The rows of a booking have one time, so they follow each other. */
static SavedPlan find_expired =
	PLAN("SELECT booking_id FROM concert.reservation"
		 " WHERE status = 'pending' AND expires_at <= $1 ORDER BY expires_at, booking_id"
		 " OFFSET $2 LIMIT $3",
		 TIMESTAMPTZOID, INT4OID, INT4OID);

static SavedPlan count_expired =
	PLAN("SELECT count(*) FROM concert.reservation"
		 " WHERE booking_id = $1 AND " IS_PENDING " AND expires_at <= $2",
		 UUIDOID, TIMESTAMPTZOID);

/* The lock of the UPDATE that follows, which it would wait for. */
static SavedPlan lock_expired =
	PLAN("SELECT id FROM concert.reservation"
		 " WHERE booking_id = $1 AND " IS_PENDING " AND expires_at <= $2"
		 " FOR NO KEY UPDATE SKIP LOCKED",
		 UUIDOID, TIMESTAMPTZOID);

int64
remaining_ms(TimestampTz until, TimestampTz now)
{
	return Max((until - now) / 1000, 0);
}

void
booking_add(Booking *booking, Reservation reservation)
{
	if (pg_add_s64_overflow(booking->amount, reservation.price, &booking->amount))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("price of the booking is out of range")));
	booking->reservations[booking->count++] = reservation;
}

static bool
booking_row_is(int row, const char *status)
{
	return strcmp(plan_text(row, COLUMN_STATUS), status) == 0;
}

/* Reads rows [first, last) of the last run, all of one booking, but for what was cancelled. */
static Booking
booking_from_rows(int first, int last)
{
	Booking booking = {
		.id = plan_uuid(first, COLUMN_BOOKING),
		.date_id = plan_uuid(first, COLUMN_DATE),
		.user_id = plan_uuid(first, COLUMN_USER),
		.expires_at_max = plan_time(first, COLUMN_EXPIRES_MAX),
		.reservations = palloc(sizeof(Reservation) * (last - first)),
	};

	strlcpy(booking.currency, plan_text(first, COLUMN_CURRENCY), sizeof(booking.currency));
	for (int row = first; row < last; row++)
	{
		if (booking_row_is(row, "cancelled"))
			continue;
		booking_add(&booking,
					(Reservation){
						.id = plan_uuid(row, COLUMN_ID),
						.seat_id = plan_uuid(row, COLUMN_SEAT),
						.price = plan_int64(row, COLUMN_PRICE),
						.concession = plan_text(row, COLUMN_CONCESSION),
						.fence = plan_int64(row, COLUMN_FENCE),
					});
		booking.expires_at = plan_time(row, COLUMN_EXPIRES);
	}
	return booking;
}

static NullableDatum
booking_reservation_ids(const Booking *booking)
{
	pg_uuid_t *ids = palloc(sizeof(pg_uuid_t) * Max(booking->count, 1));

	for (int i = 0; i < booking->count; i++)
		ids[i] = booking->reservations[i].id;
	return uuid_array_value(ids, booking->count);
}

static bool
id_follow(pg_uuid_t *id, pg_uuid_t stored)
{
	bool is_other = uuid_compare(id, &stored) != 0;

	*id = stored;
	return is_other;
}

bool
booking_follow_ids(Booking *booking)
{
	int	 rows = plan_read(&find_reservations, PLAN_ARGS(booking_reservation_ids(booking)));
	bool are_others = false;

	for (int row = 0; row < rows; row++)
	{
		pg_uuid_t id = plan_uuid(row, COLUMN_ID);
		int		  i = 0;

		while (i < booking->count && uuid_compare(&booking->reservations[i].id, &id) != 0)
			i++;
		if (i < booking->count)
			are_others |= id_follow(&booking->reservations[i].seat_id, plan_uuid(row, COLUMN_SEAT));
		are_others |= id_follow(&booking->date_id, plan_uuid(row, COLUMN_DATE));
	}
	return are_others;
}

/* Whether the last run's row is that reservation still; what all rows share is the first row's. */
static bool
booking_row_is_same(int row, const Booking *booking, const Reservation *reservation)
{
	pg_uuid_t id = plan_uuid(row, COLUMN_ID);
	pg_uuid_t booking_id = plan_uuid(row, COLUMN_BOOKING);
	pg_uuid_t seat_id = plan_uuid(row, COLUMN_SEAT);
	pg_uuid_t date_id = plan_uuid(row, COLUMN_DATE);
	pg_uuid_t user_id = plan_uuid(row, COLUMN_USER);

	return uuid_compare(&id, &reservation->id) == 0 &&
		uuid_compare(&booking_id, &booking->id) == 0 &&
		uuid_compare(&seat_id, &reservation->seat_id) == 0 &&
		uuid_compare(&date_id, &booking->date_id) == 0 &&
		uuid_compare(&user_id, &booking->user_id) == 0 && booking_row_is(row, "pending") &&
		plan_time(row, COLUMN_EXPIRES) == plan_time(0, COLUMN_EXPIRES) &&
		strcmp(plan_text(row, COLUMN_CURRENCY), plan_text(0, COLUMN_CURRENCY)) == 0;
}

/* Both are in order of the seats' ids. */
void
booking_take_stored(Booking *booking)
{
	int		rows = plan_read(&find_reservations, PLAN_ARGS(booking_reservation_ids(booking)));
	bool	is_same = rows == booking->count;
	Booking stored;

	for (int i = 0; is_same && i < rows; i++)
		is_same = booking_row_is_same(i, booking, &booking->reservations[i]);
	if (!is_same)
		ereport(
			ERROR,
			(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
			 errmsg(
				 "could not reserve %d seats: a trigger or rule of table \"reservation\" made other reservations of them",
				 booking->count),
			 errdetail(
				 "It may change price, concession and fence, and currency and expires_at of all alike.")));
	stored = booking_from_rows(0, rows);
	for (int i = 0; i < rows; i++)
		stored.reservations[i].leaves_orphan = booking->reservations[i].leaves_orphan;
	*booking = stored;
}

void
booking_add_seats(Json *json, const Booking *booking, TimestampTz now)
{
	json_begin_array(json);
	for (int i = 0; i < booking->count; i++)
	{
		const Reservation *reservation = &booking->reservations[i];

		json_begin_object(json);
		json_add_uuid(json, "seat_id", &reservation->seat_id);
		json_add_uuid(json, "reservation_id", &reservation->id);
		json_add_int64(json, "price", reservation->price);
		json_add_text(json, "currency", booking->currency);
		if (reservation->concession != NULL)
			json_add_text(json, "concession", reservation->concession);
		json_add_int64(json, "fence", reservation->fence);
		if (now != 0)
			json_add_int64(json, "remaining_ms", remaining_ms(booking->expires_at, now));
		if (now != 0 && reservation->leaves_orphan)
			json_add_text(json, "warning", reason_text(REASON_ORPHAN));
		json_end_object(json);
	}
	json_end_array(json);
}

static pg_uuid_t *
booking_seat_ids(const Booking *booking)
{
	pg_uuid_t *seat_ids = palloc(sizeof(pg_uuid_t) * booking->count);

	for (int i = 0; i < booking->count; i++)
		seat_ids[i] = booking->reservations[i].seat_id;
	return seat_ids;
}

/* The payload of an event; detail is what an operator gave as the reason, or NULL. */
static Jsonb *
booking_payload(const Booking *booking, const char *detail)
{
	Json payload = {0};
	char expires_at[MAXDATELEN + 1];

	JsonEncodeDateTime(expires_at, TimestampTzGetDatum(booking->expires_at), TIMESTAMPTZOID, NULL);
	json_begin_object(&payload);
	json_add_uuid(&payload, "booking_id", &booking->id);
	json_add_uuid(&payload, "concert_date_id", &booking->date_id);
	json_add_uuid(&payload, "user_id", &booking->user_id);
	json_add_name(&payload, "seats");
	booking_add_seats(&payload, booking, 0);
	json_add_text(&payload, "expires_at", expires_at);
	if (detail != NULL)
		json_add_text(&payload, "detail", detail);
	json_end_object(&payload);
	return json_finish(&payload);
}

/* Writes down what was done to the booking; who did it and why are the act's. */
static void
booking_add_history(const Booking *booking, Act act, TimestampTz now)
{
	act.date_id = booking->date_id;
	act.booking_id = &booking->id;
	act.user_id = &booking->user_id;
	act.count = booking->count;
	act.seat_ids = booking_seat_ids(booking);
	history_add(&act, now);
}

static void
booking_tell(const Booking *booking, Act act, TimestampTz now)
{
	booking_add_history(booking, act, now);
	outbox_emit(TOPIC_RESERVATION, uuid_text(&booking->id), psprintf("reservation.%s", act.action),
				booking_payload(booking, act.detail), act.correlation_id);
}

/* NULL when it is pending for so many seconds, the date's. */
static const char *
booking_pending_detail(const Booking *booking, int usual_seconds, TimestampTz now)
{
	TimestampTz pending = booking->expires_at - now;

	if (pending == usual_seconds * USECS_PER_SEC)
		return NULL;
	return psprintf("pending for " INT64_FORMAT " s", pending / USECS_PER_SEC);
}

void
booking_tell_made(const Booking *booking, int usual_seconds, TimestampTz now,
				  const char *correlation_id)
{
	booking_add_history(booking,
						(Act){.action = "reserved",
							  .detail = booking_pending_detail(booking, usual_seconds, now),
							  .correlation_id = correlation_id},
						now);
	outbox_emit_first(TOPIC_RESERVATION, uuid_text(&booking->id), "reservation.reserved",
					  booking_payload(booking, NULL), correlation_id);
}

void
booking_tell_taken_again(const Booking *booking, TimestampTz now, const char *correlation_id)
{
	booking_tell(booking,
				 (Act){.action = "reserved",
					   .detail = "taken again for money that came late",
					   .correlation_id = correlation_id},
				 now);
}

/*
 * What was cancelled is no part of the booking any more. Of the rest one reservation that is no
 * longer pending speaks for the whole: a booking is paid as one. user_id NULL: an operator, who
 * may do it for anybody.
 */
static Reason
booking_judge(int rows, const pg_uuid_t *user_id, TimestampTz now)
{
	pg_uuid_t owner_id;
	bool	  all_cancelled = true;

	if (rows == 0)
		return REASON_UNKNOWN;
	owner_id = plan_uuid(0, COLUMN_USER);
	if (user_id != NULL && uuid_compare(&owner_id, user_id) != 0)
		return REASON_NOT_OWNER;
	for (int i = 0; i < rows; i++)
	{
		if (booking_row_is(i, "cancelled"))
			continue;
		all_cancelled = false;
		if (booking_row_is(i, "confirmed"))
			return REASON_ALREADY_PAID;
		if (booking_row_is(i, "expired") || plan_time(i, COLUMN_EXPIRES) <= now)
			return REASON_EXPIRED;
	}
	return all_cancelled ? REASON_ALREADY_RESOLVED : REASON_NONE;
}

Reason
booking_lock_pending(const pg_uuid_t *booking_id, const pg_uuid_t *user_id, Booking *ret_booking,
					 TimestampTz *ret_now)
{
	int	   rows;
	Reason reason;

	lock_wait(LOCK_BOOKING, lock_name_uuid(booking_id));
	*ret_now = GetCurrentTimestamp();
	rows = plan_read(&find_booking, PLAN_ARGS(uuid_value(booking_id)));
	reason = booking_judge(rows, user_id, *ret_now);
	if (rows > 0)
		*ret_booking = booking_from_rows(0, rows);
	return reason;
}

/*
 * Who changes rows has their booking's lock, and one that the caller's own snapshot does not show
 * is 40001 already: only an app's trigger, rule or policy leaves a row as it was.
 */
static void
booking_require_changed(SavedPlan *change, int changed, int count)
{
	if (changed == count)
		return;
	plan_forget(change);
	error_rows_kept("change", count - changed, count, "reservation");
}

/*
 * Writes to every reservation of the booking, and tells it by the ids that the rows have since: the
 * statement waits for a change of id that is open, and from then on such a change waits for us.
 */
static void
booking_change(SavedPlan *change, Booking *booking, TimestampTz at, Act act, TimestampTz now)
{
	int changed = plan_write(change,
							 PLAN_ARGS(uuid_value(&booking->id), value(TimestampTzGetDatum(at)),
									   booking_reservation_ids(booking)));

	booking_require_changed(change, changed, booking->count);
	(void) booking_follow_ids(booking);
	booking_tell(booking, act, now);
}

void
booking_confirm(Booking *booking, TimestampTz now, const char *correlation_id)
{
	int changed = reservation_direct_confirm(booking, now);

	if (changed < booking->count)
	{
		changed += plan_write(&confirm_booking,
							  PLAN_ARGS(uuid_value(&booking->id), value(TimestampTzGetDatum(now))));
		booking_require_changed(&confirm_booking, changed, booking->count);
		(void) booking_follow_ids(booking);
	}
	booking_tell(booking, (Act){.action = "confirmed", .correlation_id = correlation_id}, now);
}

void
booking_cancel(Booking *booking, TimestampTz now, const char *actor, const char *detail,
			   const char *correlation_id)
{
	booking_change(&cancel_booking, booking, now,
				   (Act){.action = "cancelled",
						 .actor = actor,
						 .detail = detail,
						 .correlation_id = correlation_id},
				   now);
}

/* Who issues a ticket keeps the reservation as it is until that is committed (effect.c). */
void
booking_cancel_paid(Booking *booking, TimestampTz now, const char *actor, const char *detail,
					const char *correlation_id)
{
	booking_change(&cancel_paid, booking, now,
				   (Act){.action = "cancelled",
						 .actor = actor,
						 .detail = detail,
						 .correlation_id = correlation_id},
				   now);
	plan_write(&void_tickets,
			   PLAN_ARGS(booking_reservation_ids(booking), value(TimestampTzGetDatum(now))));
}

static void
booking_retire(SavedPlan *retire, const pg_uuid_t *ids, int count, TimestampTz now,
			   const char *correlation_id)
{
	int		 rows = plan_write(retire,
							   PLAN_ARGS(uuid_array_value(ids, count), value(TimestampTzGetDatum(now))));
	Booking *bookings = palloc(sizeof(Booking) * Max(rows, 1));
	int		 booking_count = 0;

	booking_require_changed(retire, rows, count);
	for (int first = 0, last; first < rows; first = last)
	{
		pg_uuid_t booking_id = plan_uuid(first, COLUMN_BOOKING);

		for (last = first + 1; last < rows; last++)
		{
			pg_uuid_t next_id = plan_uuid(last, COLUMN_BOOKING);

			if (uuid_compare(&booking_id, &next_id) != 0)
				break;
		}
		bookings[booking_count++] = booking_from_rows(first, last);
	}
	for (int i = 0; i < booking_count; i++)
		booking_tell(&bookings[i], (Act){.action = "expired", .correlation_id = correlation_id},
					 now);
}

void
booking_retire_seats(const pg_uuid_t *seat_ids, int count, TimestampTz now,
					 const char *correlation_id)
{
	booking_retire(&retire_seats, seat_ids, count, now, correlation_id);
}

Datum
concert_extend(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"booking_id", "user_id", "seconds"};
	char	   *correlation_id = argument_optional_text(fcinfo, 3, "correlation_id", KEY_CHARS_MAX);
	int			seconds;
	Booking		booking = {0};
	TimestampTz now;
	Reason		reason;

	version_require();
	argument_require(fcinfo, lengthof(names), names);
	seconds = argument_int32(fcinfo, 2, "seconds", 1, PENDING_SECONDS_MAX);
	plan_begin();
	reason = booking_lock_pending(PG_GETARG_UUID_P(0), PG_GETARG_UUID_P(1), &booking, &now);
	if (reason == REASON_NONE)
	{
		TimestampTz wanted = Min(now + seconds * USECS_PER_SEC, booking.expires_at_max);

		booking.expires_at = Max(booking.expires_at, wanted);
		booking_change(&extend_booking, &booking, booking.expires_at,
					   (Act){.action = "extended", .correlation_id = correlation_id}, now);
	}
	plan_end();
	if (reason != REASON_NONE)
		return answer_row(fcinfo,
						  (NullableDatum[]){value(BoolGetDatum(false)), answer_reason(reason),
											null_value(), null_value()},
						  4);
	return answer_row(
		fcinfo,
		(NullableDatum[]){value(BoolGetDatum(true)), null_value(),
						  value(TimestampTzGetDatum(booking.expires_at)),
						  value(Int64GetDatum(remaining_ms(booking.expires_at, now)))},
		4);
}

/* A booking whose time is over, with the lock of it and of its rows. */
typedef struct DueBooking
{
	pg_uuid_t  id;
	int		   count;
	pg_uuid_t *reservation_ids;
} DueBooking;

/* False when somebody is at work on it: has its lock, or that of a row, whose seat's id is being changed. */
static bool
due_booking_lock(DueBooking *due, TimestampTz now)
{
	const NullableDatum *args = PLAN_ARGS(uuid_value(&due->id), value(TimestampTzGetDatum(now)));

	if (!lock_try(LOCK_BOOKING, lock_name_uuid(&due->id)))
		return false;
	due->count = plan_write(&lock_expired, args);
	due->reservation_ids = palloc(sizeof(pg_uuid_t) * Max(due->count, 1));
	for (int i = 0; i < due->count; i++)
		due->reservation_ids[i] = plan_uuid(i, 0);
	plan_read(&count_expired, args);
	if (due->count > 0 && due->count == plan_int64(0, 0))
		return true;
	lock_release(LOCK_BOOKING, lock_name_uuid(&due->id));
	return false;
}

static int
due_booking_compare(const void *a, const void *b)
{
	return uuid_compare(&((const DueBooking *) a)->id, &((const DueBooking *) b)->id);
}

/*
 * Locks due bookings of so many rows, the oldest first, beyond those that are passed over. A booking
 * may come twice, on either side of the end of a look.
 */
static int
due_bookings_lock(DueBooking *ret_due, int max_rows, TimestampTz now)
{
	int count = 0;
	int locked_rows = 0;
	int seen_rows = 0;
	int rows = 1;

	while (rows > 0 && locked_rows < max_rows && seen_rows - locked_rows < EXPIRE_PASSED_OVER_MAX)
	{
		pg_uuid_t *ids;

		rows = plan_read(&find_expired,
						 PLAN_ARGS(value(TimestampTzGetDatum(now)), value(Int32GetDatum(seen_rows)),
								   value(Int32GetDatum(Max(max_rows, EXPIRE_LOOK_AT_MIN)))));
		ids = palloc(sizeof(pg_uuid_t) * Max(rows, 1));
		for (int i = 0; i < rows; i++)
			ids[i] = plan_uuid(i, 0);
		for (int i = 0; i < rows && locked_rows < max_rows; i++)
		{
			if (i > 0 && uuid_compare(&ids[i - 1], &ids[i]) == 0)
				continue;
			ret_due[count].id = ids[i];
			if (due_booking_lock(&ret_due[count], now))
				locked_rows += ret_due[count++].count;
		}
		seen_rows += rows;
		pfree(ids);
	}
	return count;
}

/* All locks first, the accounts of points that are let go of after the bookings. */
static int
bookings_expire(TimestampTz now, int max_rows)
{
	DueBooking *due = palloc(sizeof(DueBooking) * max_rows);
	int			count = due_bookings_lock(due, max_rows, now);
	pg_uuid_t  *booking_ids = palloc(sizeof(pg_uuid_t) * Max(count, 1));
	int			expired = 0;

	qsort(due, count, sizeof(DueBooking), due_booking_compare);
	for (int i = 0; i < count; i++)
		booking_ids[i] = due[i].id;
	payment_store_let_go(booking_ids, count, now);
	for (int i = 0; i < count; i++)
	{
		if (i > 0 && uuid_compare(&due[i - 1].id, &due[i].id) == 0)
			continue;
		booking_retire(&retire_reservations, due[i].reservation_ids, due[i].count, now, NULL);
		expired += due[i].count;
	}
	return expired;
}

Datum
concert_expire(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTimestamp();
	int			expired = 0;
	int			max_rows;

	version_require();
	max_rows = argument_int32(fcinfo, 0, "max_rows", 1, EXPIRE_ROWS_MAX);
	plan_begin();
	max_rows = Min(max_rows, lock_batch_max() / LOCKS_PER_BOOKING);
	if (store_share_ids())
		expired = bookings_expire(now, max_rows);
	plan_end();
	PG_RETURN_INT32(expired);
}
