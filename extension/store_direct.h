/* SPDX-License-Identifier: PostgreSQL */
/* The direct way of store.h: only where store_goes_direct() says so, but for store_in_doubt(). */
#ifndef CONCERT_STORE_DIRECT_H
#define CONCERT_STORE_DIRECT_H

#include "store.h"

/* Whether all that is read of a sale may be read directly. */
extern bool store_goes_direct(void);

extern bool store_direct_date(const pg_uuid_t *date_id, DateRules *ret_rules);
extern void store_direct_seats(SeatRow *seats, int count, TimestampTz now, StoreLook look);
extern bool store_direct_concession(const pg_uuid_t *section_id, const char *name,
									int64 *ret_price);
extern int	store_direct_count_user_seats(const pg_uuid_t *user_id, const pg_uuid_t *date_id,
										  TimestampTz now);

/*
 * Whether another open transaction is making or ending a live reservation of the seat: what no
 * statement can see.
 */
extern bool store_in_doubt(const pg_uuid_t *seat_id);

#endif /* CONCERT_STORE_DIRECT_H */
