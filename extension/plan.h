/* SPDX-License-Identifier: PostgreSQL */
/*
 * Saved SPI plans: the one way in which the extension runs SQL.
 *
 * A plan is a static variable: PLAN("SELECT ... WHERE id = $1", UUIDOID). It is prepared on its
 * first use in a backend and kept; the server plans it anew when a relation changes.
 *
 * Every run is under the latest snapshot, at every isolation level, so that a guard sees what
 * was committed before its locks were taken. Where the transaction keeps one snapshot
 * (REPEATABLE READ and up), a row to be changed that this snapshot cannot see is 40001, as it
 * is for the foreign keys of PostgreSQL itself.
 *
 * plan_begin() ... plan_end() bracket a unit of work; what is allocated between is gone after
 * plan_end(). The first statement pins the search path to pg_catalog until then, whatever the
 * caller's is: that is why functions in C need no SET clause, which would cost each of their calls
 * a third of what a refusal costs, also those that run no statement.
 * Results of a run live until the next run: copy by value or read before it.
 */
#ifndef CONCERT_PLAN_H
#define CONCERT_PLAN_H

#include "concert.h"

#include "catalog/pg_type_d.h"
#include "executor/spi.h"

#define PLAN_ARGS_MAX 16

typedef struct SavedPlan
{
	const char *sql;
	Oid			types[PLAN_ARGS_MAX]; /* closed by InvalidOid */
	SPIPlanPtr	saved;
} SavedPlan;

#define PLAN(sql, ...)             \
	{                              \
		(sql), {__VA_ARGS__}, NULL \
	}

/* The arguments of one run: PLAN_ARGS(value(a), value(b)). */
#define PLAN_ARGS(...) ((const NullableDatum[]){__VA_ARGS__})

extern void plan_begin(void);
extern void plan_end(void);

/* Runs a query that only reads; returns its number of rows. */
extern int plan_read(SavedPlan *plan, const NullableDatum *args);

/*
 * The same under a snapshot of the caller's choice, which a read on a standby or in a parallel
 * worker makes: nothing is marked as a command of its own.
 */
extern int plan_read_at(SavedPlan *plan, const NullableDatum *args, Snapshot snapshot);

/* Runs a statement that writes; returns the number of rows it touched or returned. */
extern int plan_write(SavedPlan *plan, const NullableDatum *args);

/* The same for a statement that writes so many rows. Raises 09000 when the app keeps one out. */
extern void plan_write_rows(SavedPlan *plan, const NullableDatum *args, int rows);
extern void plan_require_rows(SavedPlan *plan, int written, int rows);

/*
 * Has the statement prepared anew when it is next run: one that is made at run time and no longer wanted, and
 * one whose plan was made under an app's rule DO INSTEAD NOTHING, which names no table, so that the server would not
 * notice when the rule goes. Below a trigger the plan may be running, and is only let go.
 */
extern void plan_forget(SavedPlan *plan);

/* Columns of the last run's rows, both counted from 0; a NULL reads as 0, false or NULL. */
extern bool		   plan_is_null(int row, int column);
extern Datum	   plan_datum(int row, int column);
extern pg_uuid_t   plan_uuid(int row, int column);
extern pg_uuid_t  *plan_uuids(int rows, int column); /* of the first so many rows */
extern int64	   plan_int64(int row, int column);
extern int		   plan_int32(int row, int column);
extern bool		   plan_bool(int row, int column);
extern TimestampTz plan_time(int row, int column);
extern char		  *plan_text(int row, int column);

/* Array arguments. */
extern NullableDatum uuid_value(const pg_uuid_t *id);
extern NullableDatum text_value(const char *text);
extern NullableDatum uuid_array_value(const pg_uuid_t *ids, int count);

#endif /* CONCERT_PLAN_H */
