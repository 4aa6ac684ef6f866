/* SPDX-License-Identifier: PostgreSQL */
/*
 * Refunds as rows: money of a payment that goes back. One that is settled never changes again; one
 * that is due is asked for until it is. Under the lock of the payment's booking.
 */
#ifndef CONCERT_REFUND_STORE_H
#define CONCERT_REFUND_STORE_H

#include "payment_store.h"

typedef struct Refund
{
	pg_uuid_t	id;
	pg_uuid_t	payment_id;
	const char *kind; /* late, excess, seats, goodwill */
	bool		is_settled;
	int64		amount;
	char		currency[CURRENCY_BYTES];
	const char *cause;
	pg_uuid_t	transfer_id; /* by which it was decided, and by which it was done */
	pg_uuid_t	settled_transfer_id;
	const char *provider_ref;
	int			attempts;
	TimestampTz next_attempt_at;
} Refund;

extern bool refund_store_read(const pg_uuid_t *id, Refund *ret_refund);

/* The newest refund of a payment; false when there is none. */
extern bool refund_store_newest(const pg_uuid_t *payment_id, pg_uuid_t *ret_id);

/* Writes a refund of the payment: settled when it was of points, else due at once. */
extern void refund_store_insert(Refund *refund, const Payment *payment, TimestampTz now);

/* Writes down as an act that there is one; of which capture, where it is not the first. */
extern void refund_store_add_act(const Refund *refund, const Payment *payment,
								 PaymentStatus from_status, TimestampTz now,
								 const char *provider_ref, const char *correlation_id);

/* Writes what may change: attempts, and that it is settled. */
extern void refund_store_save(const Refund *refund, TimestampTz now);

/* A payment of which nothing is left, and nothing on its way back, becomes refunded. */
extern void refund_store_close(Payment *payment);

#endif /* CONCERT_REFUND_STORE_H */
