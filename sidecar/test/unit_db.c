/* SPDX-License-Identifier: PostgreSQL */
/*
 * Guards: every call is answered exactly once, by its deadline, whatever becomes of the session; a
 * batch is one transaction; success is reported only after the commit. Needs a server:
 * CONCERTD_TEST_CONNINFO, a role that may create temporary tables and end its own sessions; skipped
 * without it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db.h"
#include "log.h"
#include "loop.h"

#define TIMEOUT_MS 700
#define QUEUE_MAX 10

typedef struct Answer
{
	int	 count;
	int	 eachs;
	bool lost;
	char sqlstate[8];
	char value[64];
} Answer;

static struct event_base *base;
static const char		 *conninfo;

static void
take_answer(void *arg, const PGresult *res, const char *errstr)
{
	Answer *answer = arg;

	answer->count++;
	answer->lost = res == NULL;
	snprintf(answer->sqlstate, sizeof(answer->sqlstate), "%s",
			 errstr != NULL ? db_sqlstate(res) : "");
	if (errstr == NULL && PQntuples(res) > 0)
		snprintf(answer->value, sizeof(answer->value), "%s", PQgetvalue(res, 0, 0));
}

static void
take_each(void *arg, int i, const PGresult *res)
{
	Answer *answer = arg;

	(void) res;
	assert_int_equal(i, answer->eachs);
	answer->eachs++;
}

static bool
is_answered(const void *arg)
{
	return ((const Answer *) arg)->count > 0;
}

static bool
is_connected(const void *arg)
{
	return db_connected(arg) > 0;
}

static Db *
open_pool(int sessions)
{
	Db *db;

	db = db_open(base, conninfo, sessions, QUEUE_MAX, TIMEOUT_MS, "unit_db");
	assert_non_null(db);
	assert_true(loop_until(base, is_connected, db, LOOP_WAIT_MS));
	return db;
}

static Answer
call(Db *db, const char *sql, int nparams, const char *const *values)
{
	Answer answer = {0};

	assert_true(db_call(db, sql, nparams, values, take_answer, &answer));
	assert_int_equal(answer.count, 0);
	assert_true(loop_until(base, is_answered, &answer, LOOP_WAIT_MS));
	assert_int_equal(answer.count, 1);
	return answer;
}

static void
values_and_errors_come_back(void **state)
{
	Db		   *db = open_pool(2);
	const char *values[] = {"a'b\"é", NULL};
	Answer		answer = call(db, "SELECT $1::text || coalesce($2::text, '-null')", 2, values);

	(void) state;
	assert_string_equal(answer.value, "a'b\"é-null");
	answer = call(db, "SELECT 1 / 0", 0, NULL);
	assert_false(answer.lost);
	assert_string_equal(answer.sqlstate, "22012");
	answer = call(db, "SELECT nonsense", 0, NULL);
	assert_string_equal(answer.sqlstate, "42703");
	answer = call(db, "SELECT 'again'", 0, NULL);
	assert_string_equal(answer.value, "again");
	db_close(db);
}

static void
a_failed_commit_is_no_success(void **state)
{
	Db	  *db = open_pool(1);
	Answer answer;

	(void) state;
	call(db, "CREATE TEMPORARY TABLE t (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)", 0, NULL);
	answer = call(db, "INSERT INTO t VALUES (1), (1) RETURNING a", 0, NULL);
	assert_string_equal(answer.sqlstate, "23505");
	answer = call(db, "SELECT count(*) FROM t", 0, NULL);
	assert_string_equal(answer.value, "0");
	db_close(db);
}

static void
a_batch_is_one_transaction(void **state)
{
	Db		   *db = open_pool(1);
	DbStatement statements[] = {
		{.sql = "INSERT INTO t VALUES ($1::int)", .nparams = 1, .values = {"1"}},
		{.sql = "SELECT 1 / $1::int", .nparams = 1, .values = {"0"}},
		{.sql = "INSERT INTO t VALUES ($1::int)", .nparams = 1, .values = {"2"}},
	};
	Answer answer = {0};

	(void) state;
	call(db, "CREATE TEMPORARY TABLE t (a int)", 0, NULL);
	assert_true(db_batch(db, statements, 3, take_each, take_answer, &answer));
	assert_true(loop_until(base, is_answered, &answer, LOOP_WAIT_MS));
	assert_string_equal(answer.sqlstate, "22012");
	assert_int_equal(answer.eachs, 2);
	assert_string_equal(call(db, "SELECT count(*) FROM t", 0, NULL).value, "0");
	statements[1].values[0] = "1";
	answer = (Answer){0};
	assert_true(db_batch(db, statements, 3, take_each, take_answer, &answer));
	assert_true(loop_until(base, is_answered, &answer, LOOP_WAIT_MS));
	assert_string_equal(answer.sqlstate, "");
	assert_int_equal(answer.eachs, 3);
	assert_string_equal(call(db, "SELECT count(*) FROM t", 0, NULL).value, "2");
	db_close(db);
}

static void
a_large_batch_does_not_get_stuck(void **state)
{
	Db				  *db = open_pool(1);
	static char		   text[20001];
	static DbStatement statements[DB_BATCH_MAX];
	Answer			   answer = {0};

	(void) state;
	memset(text, 'x', sizeof(text) - 1);
	for (int i = 0; i < DB_BATCH_MAX; i++)
		statements[i] = (DbStatement){.sql = "SELECT $1::text", .nparams = 1, .values = {text}};
	assert_true(db_batch(db, statements, DB_BATCH_MAX, take_each, take_answer, &answer));
	assert_true(loop_until(base, is_answered, &answer, LOOP_WAIT_MS));
	assert_int_equal(answer.eachs, DB_BATCH_MAX);
	assert_false(answer.lost);
	assert_false(db_batch(db, statements, DB_BATCH_MAX + 1, NULL, take_answer, &answer));
	db_close(db);
}

static bool
nothing_sleeps(const void *arg)
{
	return strcmp(((const Answer *) arg)->value, "0") == 0;
}

static void
a_late_call_is_answered_and_cancelled(void **state)
{
	Db	  *db = open_pool(1);
	Db	  *other = open_pool(1);
	Answer answer = call(db, "SELECT pg_sleep(60) /* unit_db late */", 0, NULL);
	Answer sleeping = {.value = "1"};

	(void) state;
	assert_true(answer.lost);
	assert_true(loop_until(base, is_connected, db, LOOP_WAIT_MS));
	assert_string_equal(call(db, "SELECT 'again'", 0, NULL).value, "again");
	for (int i = 0; i < 1000 && !nothing_sleeps(&sleeping); i++)
		sleeping = call(other,
						"SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
						" AND query LIKE '%/* unit_db late */' AND pid <> pg_backend_pid()",
						0, NULL);
	assert_string_equal(sleeping.value, "0");
	db_close(db);
	db_close(other);
}

static void
the_queue_is_bounded_and_its_wait_counts(void **state)
{
	Db	  *db = open_pool(1);
	Answer answers[QUEUE_MAX + 1] = {0};
	Answer none = {0};

	(void) state;
	assert_true(db_call(db, "SELECT pg_sleep(60)", 0, NULL, take_answer, &answers[0]));
	for (int i = 1; i <= QUEUE_MAX; i++)
		assert_true(db_call(db, "SELECT 1", 0, NULL, take_answer, &answers[i]));
	assert_false(db_call(db, "SELECT 1", 0, NULL, take_answer, &none));
	for (int i = 0; i <= QUEUE_MAX; i++)
	{
		assert_true(loop_until(base, is_answered, &answers[i], LOOP_WAIT_MS));
		assert_true(answers[i].lost);
		assert_int_equal(answers[i].count, 1);
	}
	assert_int_equal(none.count, 0);
	assert_int_equal(db_queued(db), 0);
	db_close(db);
}

static void
a_lost_session_comes_back(void **state)
{
	Db	  *db = open_pool(1);
	Answer answer = call(db, "SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(1)", 0, NULL);

	(void) state;
	assert_true(answer.lost || strcmp(answer.sqlstate, "57P01") == 0);
	assert_string_equal(call(db, "SELECT 'again'", 0, NULL).value, "again");
	db_close(db);
}

static void
closing_answers_everything(void **state)
{
	Db	  *db = open_pool(1);
	Answer answers[3] = {0};

	(void) state;
	for (int i = 0; i < 3; i++)
		assert_true(db_call(db, "SELECT pg_sleep(60)", 0, NULL, take_answer, &answers[i]));
	db_close(db);
	for (int i = 0; i < 3; i++)
		assert_true(answers[i].lost && answers[i].count == 1);
}

static void
without_a_server_calls_are_answered_in_time(void **state)
{
	Db *db = db_open(base, "host=127.0.0.1 port=1 dbname=x", 2, QUEUE_MAX, TIMEOUT_MS, "unit_db");
	Answer answer = {0};

	(void) state;
	assert_non_null(db);
	assert_true(db_call(db, "SELECT 1", 0, NULL, take_answer, &answer));
	assert_true(loop_until(base, is_answered, &answer, LOOP_WAIT_MS));
	assert_true(answer.lost);
	assert_int_equal(db_connected(db), 0);
	db_close(db);
}

static int
set_up(void **state)
{
	(void) state;
	conninfo = getenv("CONCERTD_TEST_CONNINFO");
	log_set_level(LOG_ERROR_LEVEL);
	base = event_base_new();
	return base == NULL;
}

static int
tear_down(void **state)
{
	(void) state;
	event_base_free(base);
	libevent_global_shutdown();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest with_server[] = {
		cmocka_unit_test(values_and_errors_come_back),
		cmocka_unit_test(a_failed_commit_is_no_success),
		cmocka_unit_test(a_batch_is_one_transaction),
		cmocka_unit_test(a_large_batch_does_not_get_stuck),
		cmocka_unit_test(a_late_call_is_answered_and_cancelled),
		cmocka_unit_test(the_queue_is_bounded_and_its_wait_counts),
		cmocka_unit_test(a_lost_session_comes_back),
		cmocka_unit_test(closing_answers_everything),
		cmocka_unit_test(without_a_server_calls_are_answered_in_time),
	};
	const struct CMUnitTest without_server[] = {
		cmocka_unit_test(without_a_server_calls_are_answered_in_time),
	};

	if (getenv("CONCERTD_TEST_CONNINFO") != NULL)
		return cmocka_run_group_tests_name("db", with_server, set_up, tear_down);
	return cmocka_run_group_tests_name("db, without a server", without_server, set_up, tear_down);
}
