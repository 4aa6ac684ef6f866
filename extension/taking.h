/* SPDX-License-Identifier: PostgreSQL */
/*
 * Taking seats: what reserve() and every other way to a booking have in common.
 *
 * A loser is answered before it locks anything: the seats are read first. Only seats that look
 * free are locked, and only by trying, so that nobody waits behind a winner that has not
 * committed ('busy'). Then everything is read again and judged at one reading of the clock.
 *
 * Locks: user's limit (waiting), seats in id order (tried), bookings of expired pendings (tried),
 * outbox key. What a refused call had locked of seats and bookings it gives back.
 */
#ifndef CONCERT_TAKING_H
#define CONCERT_TAKING_H

#include "store.h"

/* One seat that is asked for. */
typedef struct SeatChoice
{
	SeatRow		row;
	int			asked;		 /* its place in the caller's list */
	const char *concession;	 /* the name of the price that is asked for; NULL: the full one */
	Reason		reason;		 /* why it is refused */
	bool		has_expired; /* a pending reservation whose time is over */
	bool		seat_locked;
	bool		booking_locked;
	pg_uuid_t	locked_booking_id;
	bool		leaves_orphan;	 /* it or its neighbours, without need */
	bool		orphan_in_doubt; /* unless somebody else gives up a seat; and what would not: */
	int			alternative_count;
	const pg_uuid_t *alternative;
} SeatChoice;

/* All of these seats for this user, or none. */
typedef struct Taking
{
	pg_uuid_t	date_id;
	pg_uuid_t	user_id;
	const char *pass;			 /* may be NULL */
	int64		fence;			 /* 0: none given */
	int			pending_seconds; /* 0: the date's */
	const char *correlation_id;	 /* may be NULL */
	bool		is_paid;		 /* already: then most of the sale's rules do not count */
	int			count;
	SeatChoice *seats; /* in id order */
	DateRules	rules;
	TimestampTz now;	/* what all is judged at */
	bool		waited; /* for the user's limit, in the last decision */
} Taking;

/* Sets the seats that are asked for, in the caller's order; ids are all different. */
extern void taking_set_seats(Taking *taking, const pg_uuid_t *ids, int count);

/* Sets the seats' concessions, in the caller's order; names may be NULL, and each of them too. */
extern void taking_set_concessions(Taking *taking, char *const *names);

/* Cuts what the caller asked for to what is allowed; NULL is 0, the date's own. Raises nothing. */
extern int taking_pending_seconds(NullableDatum argument);

/*
 * Judges the rules of the sale, then every seat, and takes their locks. REASON_NONE: the seats
 * are free, ours to take, and locked; otherwise no seat is locked and each has its reason. Raises
 * TK001 when all are, but one has a concession that its section does not know.
 */
extern Reason taking_decide(Taking *taking);

/*
 * What taking_decide() takes first after its first look; for whoever waits for the seats' locks
 * before it. Returns whether it had to wait.
 */
extern bool taking_lock_limit(const Taking *taking);

/* Gives back the seats' locks after a REASON_NONE that is not made use of. */
extern void taking_release(const Taking *taking);

/* The rules of the sale alone, read and judged at taking->now, which it sets. */
extern Reason taking_judge_date(Taking *taking);

/*
 * The judgements that make up the decision, one by one, for explaining it: all seats read and
 * judged, one seat as it was read, and what concerns the seats together. They lock nothing.
 */
extern bool	  taking_probe(Taking *taking, StoreLook look);
extern Reason taking_judge_seat(SeatChoice *seat, const Taking *taking);
extern bool	  taking_one_currency(const Taking *taking);
extern bool	  taking_over_limit(const Taking *taking);

/* After REASON_NONE: retires expired pendings, makes the booking, tells it. */
extern Booking taking_take(Taking *taking);

/*
 * The same for seats that are paid: they are taken as new reservations of that booking, at the
 * prices that stand in it, which has them in id order.
 */
extern void taking_take_again(Taking *taking, Booking *booking);

/*
 * The seats of an answer: the booking's, or every refused one with its reason in the caller's
 * order. Allocated in the current context.
 */
extern Datum taking_seats_jsonb(const Taking *taking, Reason reason, const Booking *booking);

#endif /* CONCERT_TAKING_H */
