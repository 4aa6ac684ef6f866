/* SPDX-License-Identifier: PostgreSQL */
/*
 * What taking seats reads of the database, and the rows that it writes.
 *
 * There are two ways to each, with the same answers: saved SPI statements (store.c), and direct
 * access to tables and indexes (store_direct.c), which costs a tenth but knows nothing of
 * policies, rules and triggers. The direct way is gone only while the tables have none but our
 * own and concert.direct_access is on; see direct.h.
 */
#ifndef CONCERT_STORE_H
#define CONCERT_STORE_H

#include "plan.h"
#include "reservation.h"

/* What becomes of a choice that leaves a single empty seat without need; see orphan.h. */
typedef enum OrphanRule
{
	ORPHAN_OFF,
	ORPHAN_WARN,
	ORPHAN_ENFORCE
} OrphanRule;

/* The rules of a date's sale. */
typedef struct DateRules
{
	pg_uuid_t	concert_id;
	TimestampTz sale_opens_at;
	TimestampTz sale_closes_at;
	int			pending_seconds;
	int			seats_per_user_max;
	bool		admission_required;
	OrphanRule	orphan_rule;
	int			orphan_relax_fill_percent;
	TimestampTz orphan_relaxed_at; /* from then on the rule does not hold */
	TimestampTz starts_at;		   /* the concert itself */
} DateRules;

/* One seat as it stands. */
typedef struct SeatRow
{
	pg_uuid_t	id;
	bool		found; /* it and its section live; without it nothing below is set */
	pg_uuid_t	date_id;
	pg_uuid_t	section_id;
	int			row;
	bool		is_blocked; /* blocked_until: DT_NOEND when it has no end */
	TimestampTz blocked_until;
	int64		price;
	char		currency[4];
	bool		has_live; /* a live reservation, expired or not */
	bool		is_pending;
	bool		is_in_doubt; /* another open transaction is making or ending one */
	pg_uuid_t	booking_id;
	TimestampTz expires_at;
	int64		newest_fence; /* 0: never reserved */
	pg_uuid_t	newest_user_id;
} SeatRow;

/* False when the date is unknown or deleted; a concert with a live date is never deleted (guard.c). */
extern bool store_read_date(const pg_uuid_t *date_id, DateRules *ret_rules);

/*
 * Fills in count seats, whose id is set, as they stand now. What is not needed is not read: of a
 * seat that is taken at the time now nothing but id, date and reservation need be set. The first
 * look need not see more than the reservations: a seat without one is taken for one of the date
 * that its row names already. A look for naming what is refused needs neither price nor fence.
 * The whole look is for whoever has the seats' locks: no seat is in doubt then. To explain is the
 * whole look of somebody who has not.
 */
typedef enum StoreLook
{
	STORE_FIRST_LOOK,
	STORE_TO_NAME,
	STORE_TO_EXPLAIN,
	STORE_WHOLE
} StoreLook;

extern void store_read_seats(SeatRow *seats, int count, TimestampTz now, StoreLook look);

/* The price of a section's live concession; false when there is none of that name. */
extern bool store_read_concession(const pg_uuid_t *section_id, const char *name, int64 *ret_price);

/* The seats of the date that the user holds or has at the time now. */
extern int store_count_user_seats(const pg_uuid_t *user_id, const pg_uuid_t *date_id,
								  TimestampTz now);

/*
 * Keeps whoever changes the ids of very many seats at once (guard.h) from going on until this
 * transaction ends; false when somebody is at that.
 */
extern bool store_share_ids(void);

/* Whether store_share_ids() would say yes; nothing is kept. */
extern bool store_ids_are_free(void);

/*
 * One pending reservation for each of the booking's. What an app's trigger makes of the rows is taken over
 * into the booking: prices, concessions, fences, the time. Raises 09000 when one is kept out, or
 * becomes another's, another seat's or of another booking.
 */
extern void store_insert_reservations(Booking *booking, TimestampTz now);

#endif /* CONCERT_STORE_H */
