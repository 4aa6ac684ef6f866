/* SPDX-License-Identifier: PostgreSQL */
#include "audit.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#define VIOLATIONS_SHOWN_MAX 20

struct Audit
{
	PGconn *conn;
};

/* The outbox and the inbox are rings of tables; the views read all that there are. */
static const char *const setup_sql[] = {
	"SET synchronous_commit = off",
	"SET work_mem = '64MB'",
	"SET jit = off",
	"CREATE TEMP TABLE delivery (topic text, partition integer, position bigint, key text,"
	" event_id text, type text)",
	"DO $$ BEGIN EXECUTE (SELECT 'CREATE TEMP VIEW event AS ' || string_agg(format("
	" 'SELECT id, seq, topic, key, type FROM concert.%I', relname), ' UNION ALL ') FROM pg_class"
	" WHERE relnamespace = 'concert'::regnamespace AND relkind = 'r'"
	" AND relname ~ '^outbox_event_[0-9]+$'); END $$",
	"DO $$ BEGIN EXECUTE (SELECT 'CREATE TEMP VIEW receipt AS ' || string_agg(format("
	" 'SELECT consumer, event_id FROM concert.%I', relname), ' UNION ALL ') FROM pg_class"
	" WHERE relnamespace = 'concert'::regnamespace AND relkind = 'r'"
	" AND relname ~ '^inbox_[0-9]+$'); END $$",
	"CREATE TEMP TABLE subscription AS SELECT * FROM (VALUES"
	" ('ticket', 'concert.reservation'), ('seat-map', 'concert.reservation'),"
	" ('point-charge', 'concert.point'), ('notification', 'concert.reservation'),"
	" ('notification', 'concert.payment'), ('notification', 'concert.point'),"
	" ('notification', 'concert.notification')) AS s (consumer, topic)",
};

#define LAPSED_SQL                              \
	"(SELECT count(*) FROM concert.reservation" \
	" WHERE status = 'pending' AND expires_at < clock_timestamp())"
#define CAPTURED_SQL \
	"(SELECT coalesce(sum(captured), 0) FROM concert.payment WHERE method = 'provider')"
#define REFUNDED_SQL                                              \
	"(SELECT coalesce(sum(r.amount), 0) FROM concert.refund AS r" \
	" JOIN concert.payment AS p ON p.id = r.payment_id"           \
	" WHERE p.method = 'provider' AND r.status = 'settled')"
#define UNSETTLED_SQL                                                                 \
	"((SELECT count(*) FROM concert.payment WHERE status IN ('begun', 'authorized'))" \
	" + (SELECT count(*) FROM concert.refund WHERE status = 'due'))"
#define DELIVERED_SQL                  \
	"(SELECT count(*) FROM event AS e" \
	" WHERE EXISTS (SELECT FROM delivery AS d WHERE d.event_id = e.id::text))"
#define APPLIED_SQL                                                                 \
	"((SELECT count(*) FROM event) - (SELECT count(DISTINCT id) FROM ("             \
	" SELECT s.consumer, e.id FROM event AS e JOIN subscription AS s USING (topic)" \
	" EXCEPT SELECT consumer, event_id FROM receipt) AS missing))"

static const char glance_sql[] =
	"SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM delivery),"
	" (SELECT count(*) FROM receipt WHERE consumer = 'notification'), " LAPSED_SQL
	", " UNSETTLED_SQL;

static const char progress_sql[] = "SELECT (SELECT count(*) FROM event), " DELIVERED_SQL
								   ", " APPLIED_SQL ", " LAPSED_SQL ", " UNSETTLED_SQL;

/* Each query gives one number. */
static const struct Count
{
	const char *name;
	const char *sql;
} counts[] = {
	{"seats",
	 "SELECT count(*) FROM concert.seat WHERE deleted_at IS NULL AND blocked_reason IS NULL"},
	{"sold", "SELECT count(DISTINCT seat_id) FROM concert.reservation WHERE status = 'confirmed'"},
	{"reservations", "SELECT count(*) FROM concert.reservation"},

	/*
	 * Seats with two live reservations, two tickets, or a reservation made while another one
	 * lived.
	 */
	{"double_bookings",
	 "SELECT count(DISTINCT seat_id) FROM ("
	 " SELECT seat_id FROM concert.reservation WHERE status IN ('pending', 'confirmed')"
	 "  GROUP BY seat_id HAVING count(*) > 1"
	 " UNION ALL"
	 " SELECT r.seat_id FROM concert.reservation AS r"
	 "  JOIN concert.ticket AS t ON t.reservation_id = r.id"
	 "  GROUP BY r.seat_id HAVING count(DISTINCT t.reservation_id) > 1"
	 " UNION ALL"
	 " SELECT seat_id FROM (SELECT seat_id, status, resolved_at, expires_at,"
	 "   lead(created_at) OVER (PARTITION BY seat_id ORDER BY created_at) AS next_at"
	 "   FROM concert.reservation) AS r"
	 "  WHERE next_at < CASE status WHEN 'confirmed' THEN 'infinity' WHEN 'pending' THEN expires_at"
	 "   ELSE least(resolved_at, expires_at) END) AS twice"},

	/*
	 * What the books are out by: balances against transfers and below zero, all accounts against
	 * nothing, payments against the seats they paid for, revenue against all seats sold, what the
	 * provider's source gave against what it captured and has paid back.
	 */
	{"ledger_imbalance",
	 "WITH moved AS (SELECT account_id, sum(debit) AS debits, sum(credit) AS credits FROM ("
	 "  SELECT debit_account_id AS account_id, amount AS debit, 0 AS credit FROM concert.transfer"
	 "  UNION ALL SELECT credit_account_id, 0, amount FROM concert.transfer) AS t"
	 "  GROUP BY account_id),"
	 " sold AS (SELECT booking_id, sum(price) AS price FROM concert.reservation"
	 "  WHERE status = 'confirmed' GROUP BY booking_id),"
	 " paid AS (SELECT booking_id, sum(captured - refunded - fee) AS amount FROM concert.payment"
	 "  GROUP BY booking_id)"
	 " SELECT (SELECT coalesce(sum(abs(coalesce(m.debits, 0) - b.debits)"
	 "   + abs(coalesce(m.credits, 0) - b.credits) + greatest(b.debits - b.credits, 0)), 0)"
	 "   FROM concert.account_balance AS b LEFT JOIN moved AS m USING (account_id))"
	 " + (SELECT coalesce(abs(sum(credits - debits)), 0) FROM moved)"
	 " + (SELECT coalesce(sum(abs(coalesce(paid.amount, 0) - coalesce(sold.price, 0))), 0)"
	 "   FROM paid FULL JOIN sold USING (booking_id))"
	 " + abs((SELECT coalesce(sum(m.credits - m.debits), 0) FROM moved AS m"
	 "    JOIN concert.account AS a ON a.id = m.account_id WHERE a.kind = 'revenue')"
	 "   - (SELECT coalesce(sum(price), 0) FROM sold))"
	 " + abs((SELECT coalesce(sum(m.debits - m.credits), 0) FROM moved AS m"
	 "    JOIN concert.account AS a ON a.id = m.account_id WHERE a.kind = 'funding'"
	 "    AND a.name IN (SELECT provider FROM concert.payment))"
	 "   - " CAPTURED_SQL " + " REFUNDED_SQL ")"},

	/* Money without a ticket that is not on its way back, and tickets without money. */
	{"paid_without_ticket",
	 "SELECT count(*) FROM concert.payment AS p WHERE captured > refunded AND NOT EXISTS ("
	 " SELECT FROM concert.reservation AS r WHERE r.booking_id = p.booking_id"
	 " AND r.status = 'confirmed')"},
	{"tickets_without_money",
	 "SELECT count(*) FROM (SELECT booking_id, sum(price) AS price FROM concert.reservation"
	 "  WHERE status = 'confirmed' GROUP BY booking_id) AS r WHERE price > (SELECT"
	 "  coalesce(sum(captured - refunded), 0) FROM concert.payment AS p"
	 "  WHERE p.booking_id = r.booking_id)"},
	{"payments_unsettled", "SELECT " UNSETTLED_SQL},
	{"captured_by_provider", "SELECT " CAPTURED_SQL},
	{"refunded_by_provider", "SELECT " REFUNDED_SQL},

	{"events_committed", "SELECT count(*) FROM event"},
	{"events_in_kafka", "SELECT " DELIVERED_SQL},
	{"events_applied", "SELECT " APPLIED_SQL},
	{"events_redelivered", "SELECT count(*) - count(DISTINCT event_id) FROM delivery"},
	{"events_unknown",
	 "SELECT count(DISTINCT d.event_id) FROM delivery AS d WHERE NOT EXISTS ("
	 " SELECT FROM event AS e WHERE e.id::text = d.event_id"
	 " AND e.topic = d.topic AND e.key = d.key AND e.type = d.type)"},

	/*
	 * First deliveries of a key in another order than the outbox has them, or a key in two
	 * partitions.
	 */
	{"events_disordered",
	 "SELECT (SELECT count(*) FROM (SELECT e.seq,"
	 "   lag(e.seq) OVER (PARTITION BY f.topic, f.key ORDER BY f.position) AS before"
	 "   FROM (SELECT DISTINCT ON (event_id) * FROM delivery ORDER BY event_id, position) AS f"
	 "   JOIN event AS e ON e.id::text = f.event_id) AS o WHERE seq < before)"
	 " + (SELECT count(*) FROM (SELECT FROM delivery"
	 "   GROUP BY topic, key HAVING count(DISTINCT partition) > 1) AS k)"},

	{"events_applied_twice",
	 "SELECT (SELECT count(*) FROM (SELECT FROM receipt"
	 "   GROUP BY consumer, event_id HAVING count(*) > 1) AS r)"
	 " + (SELECT count(*) FROM (SELECT FROM concert.ticket"
	 "   GROUP BY reservation_id HAVING count(*) > 1) AS t)"
	 " + (SELECT count(*) FROM (SELECT FROM concert.point_charge_record"
	 "   GROUP BY transfer_id HAVING count(*) > 1) AS p)"},
	{"effects_missing",
	 "SELECT (SELECT count(*) FROM concert.reservation AS r"
	 "   LEFT JOIN concert.ticket AS t ON t.reservation_id = r.id"
	 "   WHERE (r.status = 'confirmed') <> (t.reservation_id IS NOT NULL))"
	 " + (SELECT count(*) FROM concert.transfer AS t"
	 "   LEFT JOIN concert.point_charge_record AS p ON p.transfer_id = t.id"
	 "   WHERE (t.kind = 'charge') <> (p.transfer_id IS NOT NULL))"},
};

static PGresult *
ask(Audit *audit, const char *sql)
{
	PGresult	  *res = PQexec(audit->conn, sql);
	ExecStatusType status = PQresultStatus(res);

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_COPY_IN)
		return res;
	fprintf(stderr, "auditor: %s", PQerrorMessage(audit->conn));
	PQclear(res);
	return NULL;
}

Audit *
audit_open(const char *conninfo)
{
	Audit *audit = calloc(1, sizeof(Audit));
	bool   good;

	audit->conn = PQconnectdb(conninfo);
	good = PQstatus(audit->conn) == CONNECTION_OK;
	if (!good)
		fprintf(stderr, "auditor: %s", PQerrorMessage(audit->conn));
	for (size_t i = 0; good && i < sizeof(setup_sql) / sizeof(setup_sql[0]); i++)
	{
		PGresult *res = ask(audit, setup_sql[i]);

		good = res != NULL;
		PQclear(res);
	}
	if (good)
		return audit;
	audit_close(audit);
	return NULL;
}

void
audit_close(Audit *audit)
{
	if (audit == NULL)
		return;
	PQfinish(audit->conn);
	free(audit);
}

bool
audit_add_deliveries(Audit *audit, const char *rows, size_t length)
{
	PGresult *res = ask(audit, "COPY delivery FROM STDIN");
	bool	  good = res != NULL && PQputCopyData(audit->conn, rows, (int) length) == 1 &&
		PQputCopyEnd(audit->conn, NULL) == 1;

	PQclear(res);
	while ((res = PQgetResult(audit->conn)) != NULL)
	{
		good = good && PQresultStatus(res) == PGRES_COMMAND_OK;
		PQclear(res);
	}
	if (!good)
		fprintf(stderr, "auditor: could not keep what Kafka delivered: %s",
				PQerrorMessage(audit->conn));
	return good;
}

static bool
read_progress(Audit *audit, const char *sql, AuditProgress *ret_progress)
{
	PGresult *res = ask(audit, sql);

	if (res == NULL)
		return false;
	*ret_progress = (AuditProgress){atol(PQgetvalue(res, 0, 0)), atol(PQgetvalue(res, 0, 1)),
									atol(PQgetvalue(res, 0, 2)), atol(PQgetvalue(res, 0, 3)),
									atol(PQgetvalue(res, 0, 4))};
	PQclear(res);
	return true;
}

bool
audit_glance(Audit *audit, AuditProgress *ret_progress)
{
	return read_progress(audit, glance_sql, ret_progress);
}

bool
audit_progress(Audit *audit, AuditProgress *ret_progress)
{
	return read_progress(audit, progress_sql, ret_progress);
}

/* Counts the rows of check_integrity(), and shows the first ones. */
static bool
report_violations(Audit *audit, FILE *out)
{
	PGresult *res = ask(audit, "SELECT promise, object, detail FROM concert.check_integrity()");
	bool	  good = res != NULL && fprintf(out, "integrity_violations=%d\n", PQntuples(res)) > 0;

	for (int i = 0; res != NULL && i < PQntuples(res) && i < VIOLATIONS_SHOWN_MAX; i++)
		fprintf(stderr, "%s: %s %s\n", PQgetvalue(res, i, 0), PQgetvalue(res, i, 1),
				PQgetvalue(res, i, 2));
	PQclear(res);
	return good;
}

bool
audit_report(Audit *audit, FILE *out)
{
	PGresult *res = ask(audit, "ANALYZE");
	bool	  good = res != NULL;

	PQclear(res);
	for (size_t i = 0; good && i < sizeof(counts) / sizeof(counts[0]); i++)
	{
		res = ask(audit, counts[i].sql);
		good = res != NULL && fprintf(out, "%s=%s\n", counts[i].name, PQgetvalue(res, 0, 0)) > 0;
		PQclear(res);
	}
	return good && report_violations(audit, out);
}
