/* SPDX-License-Identifier: PostgreSQL */
/* Admission passes, verified inside the reserving transaction: no gateway to by-pass. */
#ifndef CONCERT_PASS_H
#define CONCERT_PASS_H

#include "concert.h"

/*
 * Whether the text is a pass for this date and user, signed by a key of concert.pass_key_file
 * and not expired at `now`. Raises TK010 when the file cannot be used.
 */
extern bool pass_is_valid(const char *pass, const pg_uuid_t *date_id, const pg_uuid_t *user_id,
						  TimestampTz now);

#endif /* CONCERT_PASS_H */
