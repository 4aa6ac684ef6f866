/* SPDX-License-Identifier: PostgreSQL */
/* Saved SPI plans; see plan.h. */
#include "plan.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "jit/jit.h"
#include "optimizer/cost.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/plancache.h"
#include "utils/snapmgr.h"

/* What a function with a pinned path would name in its SET clause. */
#define SEARCH_PATH "pg_catalog, pg_temp"

/* The level is that of settings which plan_run() makes for the statements of this bracket. */
void
plan_begin(void)
{
	if (SPI_connect() != SPI_OK_CONNECT)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not connect to the server programming interface")));
	(void) NewGUCNestLevel();
}

/* Back to the level below, which is the one below a new one. */
void
plan_end(void)
{
	AtEOXact_GUC(true, NewGUCNestLevel() - 1);
	SPI_finish();
}

static int
plan_arg_count(const SavedPlan *plan)
{
	int count = 0;

	while (count < PLAN_ARGS_MAX && OidIsValid(plan->types[count]))
		count++;
	return count;
}

/*
 * One generic plan: these statements find their rows by key, and planning one for its arguments
 * each time costs more than running it.
 */
static void
plan_prepare(SavedPlan *plan)
{
	SPIPlanPtr prepared =
		SPI_prepare_cursor(plan->sql, plan_arg_count(plan), plan->types, CURSOR_OPT_GENERIC_PLAN);

	if (prepared == NULL || SPI_keepplan(prepared) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not prepare a statement of concert: %s",
						SPI_result_code_string(SPI_result))));
	plan->saved = prepared;
}

/*
 * Makes the generic plan, when there is none that is valid, with sequential scans off: a plan
 * made while a table was small would scan it all through the minute in which the sale fills it,
 * until the next ANALYZE. And with JIT off: where only a sequential scan is left its forbidding
 * cost would have the plan compiled, for longer than it runs. Only our own statement is planned
 * so, not what its triggers run.
 */
static void
plan_plan(const SavedPlan *plan)
{
	bool		callers_seqscan = enable_seqscan;
	bool		callers_jit = jit_enabled;
	CachedPlan *cached = NULL;

	enable_seqscan = false;
	jit_enabled = false;
	PG_TRY();
	{
		cached = SPI_plan_get_cached_plan(plan->saved);
	}
	PG_FINALLY();
	{
		enable_seqscan = callers_seqscan;
		jit_enabled = callers_jit;
	}
	PG_END_TRY();
	if (cached != NULL)
		ReleaseCachedPlan(cached, CurrentResourceOwner);
}

/* The setting, not an override of it: a function of an app's that sets its own path keeps it. */
static void
plan_pin_search_path(void)
{
	if (strcmp(namespace_search_path, SEARCH_PATH) != 0)
		(void) set_config_option("search_path", SEARCH_PATH, PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * The latest snapshot, for which InvalidSnapshot stands, is pushed by SPI with the current
 * command's id, so that a run sees what the transaction itself has done so far.
 */
static int
plan_run(SavedPlan *plan, const NullableDatum *args, Snapshot snapshot, bool read_only)
{
	Datum	 values[PLAN_ARGS_MAX];
	char	 nulls[PLAN_ARGS_MAX];
	int		 count = plan_arg_count(plan);
	Snapshot crosscheck = InvalidSnapshot;
	int		 code;

	plan_pin_search_path();
	if (plan->saved == NULL)
		plan_prepare(plan);
	plan_plan(plan);
	for (int i = 0; i < count; i++)
	{
		values[i] = args[i].value;
		nulls[i] = args[i].isnull ? 'n' : ' ';
	}
	if (read_only && snapshot == InvalidSnapshot)
		CommandCounterIncrement();
	else if (!read_only && IsolationUsesXactSnapshot())
		crosscheck = GetTransactionSnapshot();
	code = SPI_execute_snapshot(plan->saved, values, nulls,
								snapshot == InvalidSnapshot ? GetLatestSnapshot() : snapshot,
								crosscheck, read_only, true, 0);
	if (code < 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("could not execute a statement of concert: %s", SPI_result_code_string(code))));
	return (int) SPI_processed;
}

int
plan_read(SavedPlan *plan, const NullableDatum *args)
{
	return plan_run(plan, args, InvalidSnapshot, true);
}

int
plan_read_at(SavedPlan *plan, const NullableDatum *args, Snapshot snapshot)
{
	return plan_run(plan, args, snapshot, true);
}

int
plan_write(SavedPlan *plan, const NullableDatum *args)
{
	return plan_run(plan, args, InvalidSnapshot, false);
}

void
plan_write_rows(SavedPlan *plan, const NullableDatum *args, int rows)
{
	plan_require_rows(plan, plan_write(plan, args), rows);
}

void
plan_require_rows(SavedPlan *plan, int written, int rows)
{
	if (written == rows)
		return;
	plan_forget(plan);
	ereport(
		ERROR,
		(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
		 errmsg(
			 "could not write %d of %d rows: a trigger, rule or policy of the table kept them out",
			 rows - written, rows),
		 errcontext("SQL statement \"%s\"", plan->sql)));
}

void
plan_forget(SavedPlan *plan)
{
	if (plan->saved != NULL && DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, (Datum) 0)) == 0)
		SPI_freeplan(plan->saved);
	plan->saved = NULL;
}

bool
plan_is_null(int row, int column)
{
	bool isnull;

	(void) SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column + 1, &isnull);
	return isnull;
}

Datum
plan_datum(int row, int column)
{
	bool isnull;

	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column + 1, &isnull);
}

pg_uuid_t
plan_uuid(int row, int column)
{
	pg_uuid_t id = {{0}};

	if (!plan_is_null(row, column))
		id = *DatumGetUUIDP(plan_datum(row, column));
	return id;
}

pg_uuid_t *
plan_uuids(int rows, int column)
{
	pg_uuid_t *ids = palloc(sizeof(pg_uuid_t) * Max(rows, 1));

	for (int i = 0; i < rows; i++)
		ids[i] = plan_uuid(i, column);
	return ids;
}

int64
plan_int64(int row, int column)
{
	return DatumGetInt64(plan_datum(row, column));
}

int
plan_int32(int row, int column)
{
	return DatumGetInt32(plan_datum(row, column));
}

bool
plan_bool(int row, int column)
{
	return DatumGetBool(plan_datum(row, column));
}

TimestampTz
plan_time(int row, int column)
{
	return DatumGetTimestampTz(plan_datum(row, column));
}

char *
plan_text(int row, int column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column + 1);
}

NullableDatum
uuid_value(const pg_uuid_t *id)
{
	return value(UUIDPGetDatum(id));
}

NullableDatum
text_value(const char *text)
{
	return text == NULL ? null_value() : value(CStringGetTextDatum(text));
}

NullableDatum
uuid_array_value(const pg_uuid_t *ids, int count)
{
	Datum *elements = palloc(sizeof(Datum) * Max(count, 1));

	for (int i = 0; i < count; i++)
		elements[i] = UUIDPGetDatum(&ids[i]);
	return value(
		PointerGetDatum(construct_array(elements, count, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR)));
}
