/* SPDX-License-Identifier: PostgreSQL */
/*
 * A bounded pool of non-blocking PostgreSQL sessions inside the libevent loop. Every call is one
 * pipeline with one Sync, hence one implicit transaction, and is answered exactly once: after the
 * Sync, because a commit may still fail after its last row. A call has one deadline, waiting in the
 * queue included; when it passes the statement is cancelled and its session replaced, so that no
 * late cancel hits another call. Lost sessions are reopened by themselves with a growing delay. One
 * loop, no locks.
 */
#ifndef CONCERTD_DB_H
#define CONCERTD_DB_H

#include <stdbool.h>

#include <event2/event.h>
#include <libpq-fe.h>

#define DB_PARAMS_MAX 12
#define DB_BATCH_MAX 512
#define DB_POOL_MAX 64

typedef struct Db Db;

/*
 * res is valid during the call only. NULL: no connection, or the deadline passed; what became of
 * the statement is then unknown. Otherwise res may be an error with an SQLSTATE; errstr is NULL on
 * success.
 */
typedef void (*DbDone)(void *arg, const PGresult *res, const char *errstr);
typedef void (*DbEach)(void *arg, int i, const PGresult *res);

typedef struct DbStatement
{
	const char *sql;
	int			nparams;
	const char *values[DB_PARAMS_MAX];
} DbStatement;

Db *db_open(struct event_base *base, const char *conninfo, int pool_size, int queue_max,
			int timeout_ms, const char *application_name);

/* Unfinished calls are answered with res = NULL before it returns. Not from inside a callback. */
void db_close(Db *db);

/*
 * false: the queue is full, or a bound is passed, and done is never called. Otherwise done is
 * called later, never before db_call() returns; it may make new calls. sql and values are copied.
 */
bool db_call(Db *db, const char *sql, int nparams, const char *const *values, DbDone done,
			 void *arg) __attribute__((warn_unused_result));

/*
 * One pipeline, one Sync: all n in one implicit transaction. each (may be NULL) is called for every
 * result that arrived, an error's included; finished comes last: errstr NULL means committed, res
 * with an error means rolled back, res NULL with an errstr means unknown.
 */
bool db_batch(Db *db, const DbStatement *statements, int n, DbEach each, DbDone finished, void *arg)
	__attribute__((warn_unused_result));

/* changed(true) with every session that opens, changed(false) with every one that is lost. */
void db_on_state(Db *db, void (*changed)(void *arg, bool connected), void *arg);
int	 db_connected(const Db *db);
int	 db_queued(const Db *db);

/* The extension's version before this one has no such function. */
#define DB_UNDEFINED_FUNCTION "42883"

/* The SQLSTATE of an error result, "" for anything else. */
const char *db_sqlstate(const PGresult *res);

#endif
