/* SPDX-License-Identifier: PostgreSQL */
/*
 * Reservations as rows: what reserving, its later life and paying share.
 *
 * A booking's rows change only under its lock. Each change is told in one event, keyed by the
 * booking, in the transaction that makes it.
 */
#ifndef CONCERT_RESERVATION_H
#define CONCERT_RESERVATION_H

#include "json.h"
#include "plan.h"

typedef struct Reservation
{
	pg_uuid_t	id;
	pg_uuid_t	seat_id;
	int64		price;
	const char *concession; /* its name; NULL: full price */
	int64		fence;
	bool		leaves_orphan; /* as it is made, where the date's rule warns of it */
} Reservation;

/*
 * The reservations of one booking, but for what was cancelled, and what expired and was taken
 * again; all of one user, date and currency.
 */
typedef struct Booking
{
	pg_uuid_t	 id;
	pg_uuid_t	 date_id;
	pg_uuid_t	 user_id;
	char		 currency[4];
	int64		 amount; /* the sum of the prices */
	TimestampTz	 expires_at;
	TimestampTz	 expires_at_max;
	int			 count;
	Reservation *reservations;
} Booking;

/*
 * Takes the booking's lock (waiting), reads it at *ret_now and says whether this user may still
 * change it: REASON_NONE when all of it that was not cancelled is pending, else why not. What was
 * not cancelled is then *ret_booking, unless it is unknown. user_id NULL: an operator, who may
 * change anybody's.
 */
extern Reason booking_lock_pending(const pg_uuid_t *booking_id, const pg_uuid_t *user_id,
								   Booking *ret_booking, TimestampTz *ret_now);

/*
 * These change rows under their booking's lock, all of them: 09000 when an app's trigger, rule or
 * policy leaves one as it was. The booking then has the ids of seats and date that it is told by,
 * which may be others than were read before.
 *
 * Confirms every reservation of a booking that booking_lock_pending() has answered for.
 */
extern void booking_confirm(Booking *booking, TimestampTz now, const char *correlation_id);

/*
 * reservation_direct.c: the same without SQL, row by row; how many it confirmed, in their order, with
 * their ids. The others are left to the statement.
 */
extern int reservation_direct_confirm(Booking *booking, TimestampTz now);

/* Cancels these reservations of a booking that booking_lock_pending() has answered for. */
extern void booking_cancel(Booking *booking, TimestampTz now, const char *actor, const char *detail,
						   const char *correlation_id);

/* The same for a booking of which that said REASON_ALREADY_PAID; their tickets are void. */
extern void booking_cancel_paid(Booking *booking, TimestampTz now, const char *actor,
								const char *detail, const char *correlation_id);

/* Marks pending reservations of these seats, their time being over, as expired; tells it. */
extern void booking_retire_seats(const pg_uuid_t *seat_ids, int count, TimestampTz now,
								 const char *correlation_id);

/* Takes over the ids of seats and date that the rows have by now; whether any is another one. */
extern bool booking_follow_ids(Booking *booking);

/* Appends a reservation and adds its price; the array must have room. Raises 22003 past bigint. */
extern void booking_add(Booking *booking, Reservation reservation);

/*
 * Takes over what is stored of a booking that this transaction has just made, which an app's trigger may
 * have changed. Raises 09000 unless it is the same reservations, pending, of one currency and one time.
 */
extern void booking_take_stored(Booking *booking);

/*
 * Tells of a booking that this transaction has just made: a row of history, with a detail when it
 * is pending for another time than the date's, usual_seconds, and the event reservation.reserved.
 */
extern void booking_tell_made(const Booking *booking, int usual_seconds, TimestampTz now,
							  const char *correlation_id);

/* The same of one that this transaction has taken again, for money that came late. */
extern void booking_tell_taken_again(const Booking *booking, TimestampTz now,
									 const char *correlation_id);

/*
 * Adds [{"seat_id", "reservation_id", "price", "currency", "fence"}], with "concession" where a
 * seat has one; for an answer, where now is set, with "remaining_ms" and the "warning" that there
 * may be.
 */
extern void booking_add_seats(Json *json, const Booking *booking, TimestampTz now);

/* What is left until a time, in milliseconds, never negative. */
extern int64 remaining_ms(TimestampTz until, TimestampTz now);

#endif /* CONCERT_RESERVATION_H */
