/* SPDX-License-Identifier: PostgreSQL */
/*
 * Payments as rows, and what was done to each. A row changes only here, only under the lock of its
 * booking; what was done to it, or told of it, is one row of payment_act, numbered, never changed.
 */
#ifndef CONCERT_PAYMENT_STORE_H
#define CONCERT_PAYMENT_STORE_H

#include "account.h"
#include "transition.h"

typedef struct Payment
{
	pg_uuid_t	  id;
	pg_uuid_t	  booking_id;
	pg_uuid_t	  user_id;
	PaymentStatus status;
	int64		  amount; /* what was asked for */
	char		  currency[CURRENCY_BYTES];
	int64		  captured; /* what came */
	char		  captured_currency[CURRENCY_BYTES];
	int64		  refunded; /* of that: what goes or went back, and what is kept as a fee */
	int64		  fee;
	const char	 *provider; /* NULL: paid by points */
	const char	 *provider_ref;
	int64		  points; /* that are set aside beside it, and by which pending transfer */
	pg_uuid_t	  pending_id;
	int			  attempts;
	TimestampTz	  next_attempt_at; /* when the provider is to be asked; 0: no more */
} Payment;

/* What was done or told; what follows the act may be NULL or 0. A sender is not kept. */
typedef struct PaymentAct
{
	const char		*act;
	const char		*message_id;
	const char		*from_status; /* NULL: it begins */
	int64			 amount;
	const char		*currency;
	const pg_uuid_t *refund_id;
	const char		*cause;
	const char		*correlation_id;
	const char
		*provider_ref;	/* what the provider calls it; of a due refund, the capture it is of */
	const char *sender; /* the provider that tells it */
} PaymentAct;

/* Reads it; false when it is unknown. */
extern bool payment_store_read(const pg_uuid_t *id, Payment *ret_payment);

/* The same, after taking its booking's lock (waiting). */
extern bool payment_store_lock(const pg_uuid_t *id, Payment *ret_payment);

/* The payments of a booking that has been locked, the newest first, that have something left. */
extern Payment *payment_store_of_booking(const pg_uuid_t *booking_id, int *ret_count);

/* Whether a payment of the booking is open. */
extern bool payment_store_has_open(const pg_uuid_t *booking_id);

/* What of it is neither given back nor kept as a fee. */
extern int64 payment_left(const Payment *payment);

extern void payment_store_insert(const Payment *payment, TimestampTz now);
extern void payment_store_save(const Payment *payment);

/* Whether the message is of the provider that is to pay this. */
extern bool payment_store_is_of(const Payment *payment, const PaymentAct *act);

/*
 * Whether this message was taken before: of the payment, or of one of its refunds. Raises when it
 * said something else then: a cause counts where the message is to have one.
 */
extern bool payment_store_heard(const Payment *payment, const PaymentAct *act);

/*
 * Whether a capture is another than each that was told before: by its ref, if one of them had a
 * ref, else by amount and currency. One without a ref is none of its own.
 */
extern bool payment_store_is_other_capture(const Payment *payment, const PaymentAct *act);
extern void payment_store_add_act(const Payment *payment, const PaymentAct *act, TimestampTz now);

/*
 * Lets go of the points that open payments of these bookings, all locked, have set aside: of those
 * bookings that are not pending any more at the time expired_by, where that is not 0.
 */
extern void payment_store_let_go(const pg_uuid_t *booking_ids, int count, TimestampTz expired_by);

/* When a provider is asked again: after so many seconds, twice that with each attempt, in an hour at most. */
extern TimestampTz payment_next_attempt(TimestampTz now, int seconds, int attempts);

#endif /* CONCERT_PAYMENT_STORE_H */
