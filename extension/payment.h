/* SPDX-License-Identifier: PostgreSQL */
/* What paying by points and setting points aside share; see payment.c. */
#ifndef CONCERT_PAYMENT_H
#define CONCERT_PAYMENT_H

#include "ledger.h"

/*
 * Locks the wallet of the booking's user and the concert's revenue, sets them in the transfer, and
 * says whether it may be done.
 */
extern Reason payment_lock_wallet(const Booking *booking, Transfer *transfer,
								  Accounts *ret_accounts);

#endif /* CONCERT_PAYMENT_H */
