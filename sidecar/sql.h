/* SPDX-License-Identifier: PostgreSQL */
/*
 * One C wrapper for each SQL function that the daemon calls: the only place where SQL stands. All
 * values travel as text. The sql_…() that take a Db send the call at once (false: the queue is full
 * and done is never called); those that return a DbStatement are for db_batch() and keep no text of
 * their own: what they were given must live until db_batch() returns. NULL means SQL NULL.
 */
#ifndef CONCERTD_SQL_H
#define CONCERTD_SQL_H

#include <stdbool.h>
#include <stdint.h>

#include "db.h"

#define SQL_MUST_CHECK __attribute__((warn_unused_result))

/* Columns of (ok, reason, …) answers; a wrapper's own columns follow at SQL_REST. */
#define SQL_OK 0
#define SQL_REASON 1
#define SQL_REST 2

/*
 * Sale. → ok, reason, booking_id, expires_at, expires_in_ms, seats (jsonb). fence < 0: none.
 * seat_ids is a uuid[] literal.
 */
typedef struct SqlReserve
{
	const char *concert_date_id;
	const char *seat_ids;
	const char *user_id;
	const char *pass;
	int64_t		fence;
	const char *idempotency_key;
	const char *correlation_id;
	const char *concessions; /* a text[] literal, parallel to seat_ids; NULL: full price for all */
} SqlReserve;
bool sql_reserve(Db *db, const SqlReserve *call, DbDone done, void *arg) SQL_MUST_CHECK;
/* → ok, reason, seats; seat_ids, a uuid[] literal, NULL: the whole booking */
bool sql_cancel(Db *db, const char *booking_id, const char *user_id, const char *idempotency_key,
				const char *correlation_id, const char *seat_ids, DbDone done,
				void *arg) SQL_MUST_CHECK;
/* → ok, reason, payment_id, amount, currency */
bool sql_pay(Db *db, const char *booking_id, const char *user_id, const char *idempotency_key,
			 const char *correlation_id, DbDone done, void *arg) SQL_MUST_CHECK;

/* → ok, reason, payment_id, amount, currency, points, expires_at (RFC 3339, UTC) */
typedef struct SqlPaymentBegin
{
	const char *booking_id;
	const char *user_id;
	const char *provider;
	int64_t		points;
	const char *idempotency_key;
	const char *correlation_id;
} SqlPaymentBegin;
bool sql_payment_begin(Db *db, const SqlPaymentBegin *call, DbDone done, void *arg) SQL_MUST_CHECK;
/* user_id NULL: any. → status, amount, currency, booking_status, refunded, refund_status; no row: unknown */
bool sql_payment_state(Db *db, const char *payment_id, const char *user_id, DbDone done,
					   void *arg) SQL_MUST_CHECK;
/* user_id NULL: the operator's; seat_ids, a uuid[] literal, NULL: all. → ok, reason, amount, fee, currency, refunds */
typedef struct SqlRefund
{
	const char *booking_id;
	const char *user_id;
	const char *seat_ids;
	int64_t		fee;
	const char *cause;
	const char *idempotency_key;
	const char *correlation_id;
} SqlRefund;
bool sql_refund(Db *db, const SqlRefund *call, DbDone done, void *arg) SQL_MUST_CHECK;

/*
 * What a provider says of a payment or refund, its subject; each takes what it needs. → ok, reason,
 * payment_id, status, …
 */
typedef struct SqlMessage
{
	const char *subject_id;
	int64_t		amount;
	const char *currency;
	const char *provider_ref;
	const char *cause;
	const char *message_id;
	const char *correlation_id;
	const char *provider; /* who says it */
} SqlMessage;
bool sql_payment_authorized(Db *db, const SqlMessage *message, DbDone done,
							void *arg) SQL_MUST_CHECK;
bool sql_payment_captured(Db *db, const SqlMessage *message, DbDone done, void *arg) SQL_MUST_CHECK;
bool sql_payment_failed(Db *db, const SqlMessage *message, DbDone done, void *arg) SQL_MUST_CHECK;
bool sql_refund_settled(Db *db, const SqlMessage *message, DbDone done, void *arg) SQL_MUST_CHECK;
bool sql_refund_failed(Db *db, const SqlMessage *message, DbDone done, void *arg) SQL_MUST_CHECK;
/*
 * → rows kind, payment_id, refund_id, provider_ref, amount, currency, booking_id, attempt,
 * correlation_id
 */
bool sql_payment_work(Db *db, int max_rows, int lease_seconds, const char *provider, DbDone done,
					  void *arg) SQL_MUST_CHECK;

typedef struct SqlCharge
{
	const char *user_id;
	int64_t		amount;
	const char *currency;
	const char *source;
	const char *external_ref;
	const char *idempotency_key;
	const char *correlation_id;
} SqlCharge;
/* → ok, reason, transfer_id, account_id, balance */
bool sql_charge_points(Db *db, const SqlCharge *call, DbDone done, void *arg) SQL_MUST_CHECK;
/* → balance */
bool sql_balance(Db *db, const char *user_id, const char *currency, DbDone done,
				 void *arg) SQL_MUST_CHECK;

/*
 * Reads for HTTP: one row with the JSON text of the whole answer and, but for the concerts, "t" if
 * there is such a concert or date.
 */
bool sql_concerts_json(Db *db, DbDone done, void *arg) SQL_MUST_CHECK;
bool sql_concert_dates_json(Db *db, const char *concert_id, DbDone done, void *arg) SQL_MUST_CHECK;
bool sql_seat_map_json(Db *db, const char *concert_date_id, DbDone done, void *arg) SQL_MUST_CHECK;

/*
 * Redis' truth. → rows seat_id, state, user_id, fence, remaining_ms; seat_ids NULL: all that are
 * not free
 */
bool sql_seat_states(Db *db, const char *concert_date_id, const char *seat_ids, DbDone done,
					 void *arg) SQL_MUST_CHECK;
/*
 * → rows concert_date_id, opens_in_ms, closes_in_ms, admission, admission_cap, admission_rate,
 * claim_seconds, pass_seconds
 */
bool sql_sale_dates(Db *db, DbDone done, void *arg) SQL_MUST_CHECK;
/*
 * → locked: this session is now the one that admits, until it ends. A lock of the core, as no function
 * of the extension could hold it any better; two-part key, the first part ours.
 */
bool sql_admission_lock(Db *db, DbDone done, void *arg) SQL_MUST_CHECK;
/* → from_number, to_number */
bool sql_lease_places(Db *db, const char *concert_date_id, int count, DbDone done,
					  void *arg) SQL_MUST_CHECK;
/* → ok, reason, issued_at_ms */
bool sql_record_admission(Db *db, const char *concert_date_id, int64_t from_number,
						  int64_t to_number, int admitted, DbDone done, void *arg) SQL_MUST_CHECK;
/* → leased_to, served_to, batches (jsonb) */
bool sql_admission_state(Db *db, const char *concert_date_id, DbDone done,
						 void *arg) SQL_MUST_CHECK;

/* Keeps a session from going silent. */
bool sql_ping(Db *db, DbDone done, void *arg) SQL_MUST_CHECK;

/* Outbox. Positions are text as the database printed them. → lanes */
bool sql_outbox_lanes(Db *db, DbDone done, void *arg) SQL_MUST_CHECK;
/* → ok, reason, epoch, s1, s2, seq */
bool sql_outbox_open(Db *db, int lane, DbDone done, void *arg) SQL_MUST_CHECK;
/* → rows s1, s2, seq, id, topic, key, type, headers, payload, created_at (RFC 3339, UTC) */
bool sql_outbox_read(Db *db, int lane, const char *s1, const char *s2, const char *seq,
					 int max_rows, DbDone done, void *arg) SQL_MUST_CHECK;
/* → ok, reason */
bool sql_outbox_ack(Db *db, int lane, const char *epoch, const char *s1, const char *s2,
					const char *seq, DbDone done, void *arg) SQL_MUST_CHECK;
/* → a row with the lane whose next event it was; none: it is no lane's next */
bool sql_outbox_skip(Db *db, const char *event_id, DbDone done, void *arg) SQL_MUST_CHECK;
/* → ok, reason */
bool sql_outbox_rotate(Db *db, DbDone done, void *arg) SQL_MUST_CHECK;
/* → rows lane, epoch, n, seq, unacked, oldest_unacked_seconds */
bool sql_outbox_stats(Db *db, DbDone done, void *arg) SQL_MUST_CHECK;

/* Inbox; all three → ok, reason. For one transaction of many events, through db_batch(). */
DbStatement sql_inbox_accept(const char *consumer, const char *event_id);
DbStatement sql_issue_tickets(const char *event_id, const char *type, const char *payload);
DbStatement sql_record_point_charge(const char *event_id, const char *type, const char *payload);

/* Housekeeping. → int */
bool sql_expire(Db *db, int max_rows, DbDone done, void *arg) SQL_MUST_CHECK;
bool sql_request_rotate(Db *db, DbDone done, void *arg) SQL_MUST_CHECK;
bool sql_inbox_rotate(Db *db, DbDone done, void *arg) SQL_MUST_CHECK;
bool sql_lapse_transfers(Db *db, int max_accounts, DbDone done, void *arg) SQL_MUST_CHECK;
bool sql_checkpoint_accounts(Db *db, int max_checkpoints, DbDone done, void *arg) SQL_MUST_CHECK;
/* → rows name, value */
bool sql_lag(Db *db, DbDone done, void *arg) SQL_MUST_CHECK;

#endif
