/* SPDX-License-Identifier: PostgreSQL */
/* The sum of an account's transfers up to a number; see checkpoint.c. */
#ifndef CONCERT_CHECKPOINT_H
#define CONCERT_CHECKPOINT_H

#include "plan.h"

#define CHECKPOINT_TRANSFERS 200

/*
 * Writes up to max checkpoints of what of the account's transfers is not summed up, the full ones
 * only, up to a number under which none of the account's can follow; returns how many.
 */
extern int checkpoint_account(const pg_uuid_t *account_id, int64 number, int max);

#endif /* CONCERT_CHECKPOINT_H */
