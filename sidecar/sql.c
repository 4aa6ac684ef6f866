/* SPDX-License-Identifier: PostgreSQL */
/* The SQL text of every call. Types are written as casts, because parameters travel as text. */
#include <inttypes.h>
#include <stdio.h>

#include "sql.h"

#define RFC3339(column) \
	"to_char(" column " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"

typedef struct Number
{
	char text[24];
} Number;

#define CALL(db, sql, done, arg, ...)                                                      \
	db_call(db, sql, (int) (sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *)), \
			(const char *[]){__VA_ARGS__}, done, arg)

/* SQL is laid out as SQL. */
/* clang-format off */
#define RESERVE_SQL(more) \
	"SELECT ok, reason, booking_id, " RFC3339("expires_at") "," \
	" greatest(0, extract(epoch FROM expires_at - clock_timestamp()) * 1000)::bigint, seats" \
	" FROM concert.reserve($1::uuid, $2::uuid[], $3::uuid, NULL, $4::text, $5::bigint, $6::text," \
	" $7::text" more ")"

static const char concert_dates_sql[] =
	"SELECT json_build_object('concert_id', $1::uuid, 'dates', coalesce(json_agg(json_build_object("
	"           'id', id, 'starts_at', " RFC3339("starts_at") ", 'time_zone', time_zone,"
	"           'sale_opens_at', " RFC3339("sale_opens_at") ","
	"           'sale_closes_at', " RFC3339("sale_closes_at") ","
	"           'pending_seconds', pending_seconds, 'seats_per_user_max', seats_per_user_max,"
	"           'admission', admission) ORDER BY starts_at, id), '[]')),"
	"       EXISTS (SELECT FROM concert.concerts() WHERE id = $1::uuid)"
	" FROM concert.concert_dates($1::uuid)";

static const char seat_map_sql[] =
	"WITH map AS MATERIALIZED (SELECT * FROM concert.seat_map($1::uuid)),"
	" sections AS (SELECT section_id, section, price, currency,"
	"                     row_number() OVER (ORDER BY min(\"row\"), section_id) - 1 AS i"
	"              FROM map GROUP BY section_id, section, price, currency)"
	" SELECT json_build_object("
	"            'concert_date_id', $1::uuid,"
	"            'sections', (SELECT coalesce(json_agg(json_build_object('id', section_id,"
	"                             'name', section, 'price', price, 'currency', currency)"
	"                             ORDER BY i), '[]') FROM sections),"
	"            'seats', (SELECT coalesce(json_agg(json_build_array(seat_id, i, \"row\", col,"
	"                          label, left(state, 1))), '[]')"
	"                      FROM map JOIN sections USING (section_id))),"
	"        EXISTS (SELECT FROM map)"
	"        OR EXISTS (SELECT FROM concert.concerts() AS c, LATERAL concert.concert_dates(c.id) AS d"
	"                   WHERE d.id = $1::uuid)";

static const char outbox_read_sql[] =
	"SELECT s1, s2, seq, id, topic, key, type, headers, payload, " RFC3339("created_at")
	" FROM concert.outbox_read($1::int, $2::pg_snapshot, $3::pg_snapshot, $4::bigint, $5::int)";
/* clang-format on */

static const char *
number(Number *at, int64_t value)
{
	snprintf(at->text, sizeof(at->text), "%" PRId64, value);
	return at->text;
}

bool
sql_reserve(Db *db, const SqlReserve *call, DbDone done, void *arg)
{
	Number fence;

	/* Without concessions it is the call that the extension's version before this one knows. */
	if (call->concessions == NULL)
		return CALL(db, RESERVE_SQL(""), done, arg, call->concert_date_id, call->seat_ids,
					call->user_id, call->pass, call->fence < 0 ? NULL : number(&fence, call->fence),
					call->idempotency_key, call->correlation_id);
	return CALL(db, RESERVE_SQL(", $8::text[]"), done, arg, call->concert_date_id, call->seat_ids,
				call->user_id, call->pass, call->fence < 0 ? NULL : number(&fence, call->fence),
				call->idempotency_key, call->correlation_id, call->concessions);
}

bool
sql_cancel(Db *db, const char *booking_id, const char *user_id, const char *idempotency_key,
		   const char *correlation_id, const char *seat_ids, DbDone done, void *arg)
{
	/* The call for the whole is the one that the extension's version before this one knows. */
	if (seat_ids == NULL)
		return CALL(db,
					"SELECT ok, reason, seats"
					" FROM concert.cancel($1::uuid, $2::uuid, $3::text, $4::text)",
					done, arg, booking_id, user_id, idempotency_key, correlation_id);
	return CALL(db,
				"SELECT ok, reason, seats"
				" FROM concert.cancel($1::uuid, $2::uuid, $3::text, $4::text, $5::uuid[])",
				done, arg, booking_id, user_id, idempotency_key, correlation_id, seat_ids);
}

bool
sql_pay(Db *db, const char *booking_id, const char *user_id, const char *idempotency_key,
		const char *correlation_id, DbDone done, void *arg)
{
	return CALL(db,
				"SELECT ok, reason, payment_id, amount, currency"
				" FROM concert.pay($1::uuid, $2::uuid, $3::text, $4::text)",
				done, arg, booking_id, user_id, idempotency_key, correlation_id);
}

bool
sql_payment_begin(Db *db, const SqlPaymentBegin *call, DbDone done, void *arg)
{
	Number points;

	return CALL(
		db,
		"SELECT ok, reason, payment_id, amount, currency, points, " RFC3339(
			"expires_at") " FROM concert.payment_begin($1::uuid, $2::uuid, $3::text, $4::bigint, $5::text,"
						  " $6::text)",
		done, arg, call->booking_id, call->user_id, call->provider, number(&points, call->points),
		call->idempotency_key, call->correlation_id);
}

bool
sql_payment_state(Db *db, const char *payment_id, const char *user_id, DbDone done, void *arg)
{
	return CALL(db,
				"SELECT status, amount, currency, booking_status, refunded, refund_status"
				" FROM concert.payment_state($1::uuid, $2::uuid)",
				done, arg, payment_id, user_id);
}

bool
sql_refund(Db *db, const SqlRefund *call, DbDone done, void *arg)
{
	Number fee;

	return CALL(db,
				"SELECT ok, reason, amount, fee, currency, refunds"
				" FROM concert.refund($1::uuid, $2::uuid, $3::uuid[], $4::bigint, $5::text,"
				" $6::text, $7::text)",
				done, arg, call->booking_id, call->user_id, call->seat_ids, number(&fee, call->fee),
				call->cause, call->idempotency_key, call->correlation_id);
}

bool
sql_payment_authorized(Db *db, const SqlMessage *message, DbDone done, void *arg)
{
	return CALL(
		db,
		"SELECT ok, reason, payment_id, status"
		" FROM concert.payment_authorized($1::uuid, $2::text, $3::text, $4::text, $5::text)",
		done, arg, message->subject_id, message->provider_ref, message->message_id,
		message->correlation_id, message->provider);
}

bool
sql_payment_captured(Db *db, const SqlMessage *message, DbDone done, void *arg)
{
	Number amount;

	return CALL(db,
				"SELECT ok, reason, payment_id, status FROM concert.payment_captured($1::uuid,"
				" $2::bigint, $3::text, $4::text, $5::text, $6::text, $7::text)",
				done, arg, message->subject_id, number(&amount, message->amount), message->currency,
				message->provider_ref, message->message_id, message->correlation_id,
				message->provider);
}

bool
sql_payment_failed(Db *db, const SqlMessage *message, DbDone done, void *arg)
{
	return CALL(db,
				"SELECT ok, reason, payment_id, status"
				" FROM concert.payment_failed($1::uuid, $2::text, $3::text, $4::text, $5::text)",
				done, arg, message->subject_id, message->cause, message->message_id,
				message->correlation_id, message->provider);
}

bool
sql_refund_settled(Db *db, const SqlMessage *message, DbDone done, void *arg)
{
	return CALL(db,
				"SELECT ok, reason, payment_id, status"
				" FROM concert.refund_settled($1::uuid, $2::text, $3::text, $4::text, $5::text)",
				done, arg, message->subject_id, message->provider_ref, message->message_id,
				message->correlation_id, message->provider);
}

bool
sql_refund_failed(Db *db, const SqlMessage *message, DbDone done, void *arg)
{
	return CALL(db,
				"SELECT ok, reason, payment_id, status"
				" FROM concert.refund_failed($1::uuid, $2::text, $3::text, $4::text, $5::text)",
				done, arg, message->subject_id, message->cause, message->message_id,
				message->correlation_id, message->provider);
}

bool
sql_payment_work(Db *db, int max_rows, int lease_seconds, const char *provider, DbDone done,
				 void *arg)
{
	Number rows;
	Number lease;

	return CALL(db,
				"SELECT kind, payment_id, refund_id, provider_ref, amount, currency, booking_id,"
				" attempt, correlation_id FROM concert.payment_work($1::int, $2::int, $3::text)",
				done, arg, number(&rows, max_rows), number(&lease, lease_seconds), provider);
}

bool
sql_charge_points(Db *db, const SqlCharge *call, DbDone done, void *arg)
{
	Number amount;

	return CALL(db,
				"SELECT ok, reason, transfer_id, account_id, balance"
				" FROM concert.charge_points($1::uuid, $2::bigint, $3::text, $4::text, $5::text,"
				" $6::text, $7::text)",
				done, arg, call->user_id, number(&amount, call->amount), call->currency,
				call->source, call->external_ref, call->idempotency_key, call->correlation_id);
}

bool
sql_balance(Db *db, const char *user_id, const char *currency, DbDone done, void *arg)
{
	return CALL(db, "SELECT concert.balance($1::uuid, $2::text)", done, arg, user_id, currency);
}

bool
sql_concerts_json(Db *db, DbDone done, void *arg)
{
	return db_call(
		db,
		"SELECT json_build_object('concerts',"
		" coalesce(json_agg(json_build_object('id', id, 'name', name) ORDER BY name, id), '[]'))"
		" FROM concert.concerts()",
		0, NULL, done, arg);
}

bool
sql_concert_dates_json(Db *db, const char *concert_id, DbDone done, void *arg)
{
	return CALL(db, concert_dates_sql, done, arg, concert_id);
}

bool
sql_seat_map_json(Db *db, const char *concert_date_id, DbDone done, void *arg)
{
	return CALL(db, seat_map_sql, done, arg, concert_date_id);
}

bool
sql_seat_states(Db *db, const char *concert_date_id, const char *seat_ids, DbDone done, void *arg)
{
	return CALL(db,
				"SELECT seat_id, state, user_id, fence, remaining_ms"
				" FROM concert.seat_states($1::uuid, $2::uuid[])",
				done, arg, concert_date_id, seat_ids);
}

bool
sql_sale_dates(Db *db, DbDone done, void *arg)
{
	return db_call(db,
				   "SELECT concert_date_id, opens_in_ms, closes_in_ms, admission, admission_cap,"
				   " admission_rate, claim_seconds, pass_seconds FROM concert.sale_dates()",
				   0, NULL, done, arg);
}

bool
sql_admission_lock(Db *db, DbDone done, void *arg)
{
	return db_call(db, "SELECT pg_catalog.pg_try_advisory_lock(x'636f6e63'::int, 1)", 0, NULL, done,
				   arg);
}

bool
sql_lease_places(Db *db, const char *concert_date_id, int count, DbDone done, void *arg)
{
	Number places;

	return CALL(db, "SELECT from_number, to_number FROM concert.lease_places($1::uuid, $2::int)",
				done, arg, concert_date_id, number(&places, count));
}

bool
sql_record_admission(Db *db, const char *concert_date_id, int64_t from_number, int64_t to_number,
					 int admitted, DbDone done, void *arg)
{
	Number from;
	Number to;
	Number people;

	return CALL(db,
				"SELECT ok, reason, issued_at_ms"
				" FROM concert.record_admission($1::uuid, $2::bigint, $3::bigint, $4::int)",
				done, arg, concert_date_id, number(&from, from_number), number(&to, to_number),
				number(&people, admitted));
}

bool
sql_admission_state(Db *db, const char *concert_date_id, DbDone done, void *arg)
{
	return CALL(db, "SELECT leased_to, served_to, batches FROM concert.admission_state($1::uuid)",
				done, arg, concert_date_id);
}

bool
sql_ping(Db *db, DbDone done, void *arg)
{
	return db_call(db, "SELECT 1", 0, NULL, done, arg);
}

bool
sql_outbox_lanes(Db *db, DbDone done, void *arg)
{
	return db_call(db, "SELECT concert.outbox_lanes()", 0, NULL, done, arg);
}

bool
sql_outbox_open(Db *db, int lane, DbDone done, void *arg)
{
	Number lane_number;

	return CALL(db, "SELECT ok, reason, epoch, s1, s2, seq FROM concert.outbox_open($1::int)", done,
				arg, number(&lane_number, lane));
}

bool
sql_outbox_read(Db *db, int lane, const char *s1, const char *s2, const char *seq, int max_rows,
				DbDone done, void *arg)
{
	Number lane_number;
	Number rows;

	return CALL(db, outbox_read_sql, done, arg, number(&lane_number, lane), s1, s2, seq,
				number(&rows, max_rows));
}

bool
sql_outbox_ack(Db *db, int lane, const char *epoch, const char *s1, const char *s2, const char *seq,
			   DbDone done, void *arg)
{
	Number lane_number;

	return CALL(db,
				"SELECT ok, reason FROM concert.outbox_ack($1::int, $2::bigint,"
				" $3::pg_snapshot, $4::pg_snapshot, $5::bigint)",
				done, arg, number(&lane_number, lane), epoch, s1, s2, seq);
}

bool
sql_outbox_skip(Db *db, const char *event_id, DbDone done, void *arg)
{
	return CALL(db,
				"SELECT lane FROM generate_series(0, concert.outbox_lanes() - 1) AS lane,"
				" LATERAL concert.outbox_skip(lane, $1::uuid) AS answer WHERE answer.ok",
				done, arg, event_id);
}

bool
sql_outbox_rotate(Db *db, DbDone done, void *arg)
{
	return db_call(db, "SELECT ok, reason FROM concert.outbox_rotate()", 0, NULL, done, arg);
}

bool
sql_outbox_stats(Db *db, DbDone done, void *arg)
{
	return db_call(db,
				   "SELECT lane, epoch, n, seq, unacked, oldest_unacked_seconds"
				   " FROM concert.outbox_stats()",
				   0, NULL, done, arg);
}

DbStatement
sql_inbox_accept(const char *consumer, const char *event_id)
{
	return (DbStatement){.sql = "SELECT ok, reason FROM concert.inbox_accept($1::text, $2::uuid)",
						 .nparams = 2,
						 .values = {consumer, event_id}};
}

DbStatement
sql_issue_tickets(const char *event_id, const char *type, const char *payload)
{
	return (DbStatement){
		.sql = "SELECT ok, reason FROM concert.issue_tickets($1::uuid, $2::text, $3::jsonb)",
		.nparams = 3,
		.values = {event_id, type, payload}};
}

DbStatement
sql_record_point_charge(const char *event_id, const char *type, const char *payload)
{
	return (DbStatement){
		.sql = "SELECT ok, reason FROM concert.record_point_charge($1::uuid, $2::text, $3::jsonb)",
		.nparams = 3,
		.values = {event_id, type, payload}};
}

bool
sql_expire(Db *db, int max_rows, DbDone done, void *arg)
{
	Number rows;

	return CALL(db, "SELECT concert.expire($1::int)", done, arg, number(&rows, max_rows));
}

bool
sql_request_rotate(Db *db, DbDone done, void *arg)
{
	return db_call(db, "SELECT concert.request_rotate()", 0, NULL, done, arg);
}

bool
sql_inbox_rotate(Db *db, DbDone done, void *arg)
{
	return db_call(db, "SELECT concert.inbox_rotate()", 0, NULL, done, arg);
}

bool
sql_lapse_transfers(Db *db, int max_accounts, DbDone done, void *arg)
{
	Number accounts;

	return CALL(db, "SELECT concert.lapse_transfers($1::int)", done, arg,
				number(&accounts, max_accounts));
}

bool
sql_checkpoint_accounts(Db *db, int max_checkpoints, DbDone done, void *arg)
{
	Number checkpoints;

	return CALL(db, "SELECT concert.checkpoint_accounts($1::int)", done, arg,
				number(&checkpoints, max_checkpoints));
}

bool
sql_lag(Db *db, DbDone done, void *arg)
{
	return db_call(db, "SELECT name, value FROM concert.lag()", 0, NULL, done, arg);
}
