/* SPDX-License-Identifier: PostgreSQL */
/*
 * Setting up: concerts, dates, sections.
 *
 * Checks of what a caller passes stand here or in the tables' own constraints; nothing is
 * locked but the rows that foreign keys need, and a date against import_layout() and copy_layout()
 * while it gets a section (layout_store.c).
 */
#include "errors.h"

#include "plan.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(concert_create_concert);
PG_FUNCTION_INFO_V1(concert_create_concert_date);
PG_FUNCTION_INFO_V1(concert_create_section);

static SavedPlan insert_concert =
	PLAN("INSERT INTO concert.concert (name) VALUES ($1) RETURNING id", TEXTOID);

static SavedPlan live_concert = PLAN(
	"SELECT 1 FROM concert.concert WHERE id = $1 AND deleted_at IS NULL FOR KEY SHARE", UUIDOID);

static SavedPlan insert_date = PLAN(
	"INSERT INTO concert.concert_date (concert_id, starts_at, time_zone, sale_opens_at,"
	" sale_closes_at, pending_seconds, seats_per_user_max, admission, admission_cap,"
	" admission_rate, claim_seconds, pass_seconds, orphan_rule, orphan_relax_fill_percent,"
	" orphan_relax_hours)"
	" VALUES ($1, $2, $3, coalesce($4, clock_timestamp()), coalesce($5, $2), $6, $7, $8, $9, $10,"
	" $11, $12, $13, $14, $15) RETURNING id",
	UUIDOID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID, INT4OID, TEXTOID,
	INT4OID, INT4OID, INT4OID, INT4OID, TEXTOID, INT4OID, INT4OID);

static SavedPlan live_date = PLAN(
	"SELECT concert_id FROM concert.concert_date WHERE id = $1 AND deleted_at IS NULL FOR SHARE",
	UUIDOID);

static SavedPlan insert_section = PLAN(
	"INSERT INTO concert.section (concert_date_id, name, price, currency, kind, focal_row, focal_col)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
	UUIDOID, TEXTOID, INT8OID, TEXTOID, TEXTOID, INT4OID, INT4OID);

static SavedPlan open_revenue =
	PLAN("INSERT INTO concert.account (kind, owner_id, currency) VALUES ('revenue', $1, $2)"
		 " ON CONFLICT (owner_id, kind, currency) WHERE owner_id IS NOT NULL AND deleted_at IS NULL"
		 " DO NOTHING",
		 UUIDOID, TEXTOID);

static Datum
programme_id(MemoryContext caller)
{
	pg_uuid_t *id = MemoryContextAlloc(caller, sizeof(pg_uuid_t));

	*id = plan_uuid(0, 0);
	plan_end();
	PG_RETURN_UUID_P(id);
}

Datum
concert_create_concert(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	char		 *name = argument_text(fcinfo, 0, "name", NAME_CHARS_MAX);

	plan_begin();
	plan_write_rows(&insert_concert, PLAN_ARGS(text_value(name)), 1);
	return programme_id(caller);
}

static void
programme_check_date(FunctionCallInfo fcinfo)
{
	static const char *const names[] = {"concert_id", "starts_at", "time_zone"};
	static const struct
	{
		int			argument;
		const char *name;
		int			low;
		int			high;
	} bounds[] = {
		{5, "pending_seconds", 1, PENDING_SECONDS_MAX},
		{6, "seats_per_user_max", 1, 1000},
		{8, "admission_cap", 1, 1000000},
		{9, "admission_rate", 1, 100000},
		{10, "claim_seconds", 1, 3600},
		{11, "pass_seconds", 1, 86400},
		{13, "orphan_relax_fill_percent", 1, 100},
		{14, "orphan_relax_hours", 0, 8760},
	};
	char *admission;
	char *orphan_rule;

	argument_require(fcinfo, lengthof(names), names);
	(void) argument_iana_zone(fcinfo, 2, "time_zone");
	admission = argument_text(fcinfo, 7, "admission", NAME_CHARS_MAX);
	if (strcmp(admission, "open") != 0 && strcmp(admission, "required") != 0)
		error_invalid("admission", admission, "\"open\" or \"required\"");
	orphan_rule = argument_text(fcinfo, 12, "orphan_rule", NAME_CHARS_MAX);
	if (strcmp(orphan_rule, "off") != 0 && strcmp(orphan_rule, "warn") != 0 &&
		strcmp(orphan_rule, "enforce") != 0)
		error_invalid("orphan_rule", orphan_rule, "\"off\", \"warn\" or \"enforce\"");
	for (int i = 0; i < lengthof(bounds); i++)
	{
		int number;

		if (PG_ARGISNULL(bounds[i].argument))
			error_null(bounds[i].name);
		number = PG_GETARG_INT32(bounds[i].argument);
		if (number < bounds[i].low || number > bounds[i].high)
			error_invalid_number(bounds[i].name, number, bounds[i].low, bounds[i].high);
	}
}

static void
programme_check_finite(const char *name, TimestampTz time)
{
	if (TIMESTAMP_NOT_FINITE(time))
		error_invalid(name, timestamptz_to_str(time), "a finite time");
}

static void
programme_check_window(FunctionCallInfo fcinfo)
{
	TimestampTz starts_at = PG_GETARG_TIMESTAMPTZ(1);
	TimestampTz opens_at = PG_ARGISNULL(3) ? GetCurrentTimestamp() : PG_GETARG_TIMESTAMPTZ(3);
	TimestampTz closes_at = PG_ARGISNULL(4) ? starts_at : PG_GETARG_TIMESTAMPTZ(4);

	programme_check_finite("starts_at", starts_at);
	programme_check_finite("sale_opens_at", opens_at);
	programme_check_finite("sale_closes_at", closes_at);
	if (opens_at >= closes_at)
		error_invalid("sale_closes_at", timestamptz_to_str(closes_at),
					  psprintf("a time after sale_opens_at, %s", timestamptz_to_str(opens_at)));
}

Datum
concert_create_concert_date(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	NullableDatum columns[15];

	version_require();
	programme_check_date(fcinfo);
	programme_check_window(fcinfo);
	for (int i = 0; i < lengthof(columns); i++)
		columns[i] = fcinfo->args[i];
	plan_begin();
	if (plan_write(&live_concert, columns) == 0)
		error_unknown_object("concert", PG_GETARG_UUID_P(0));
	plan_write_rows(&insert_date, columns, 1);
	return programme_id(caller);
}

/* Both or none; the spot need not be a seat. */
static void
programme_check_focal(FunctionCallInfo fcinfo)
{
	static const char *const names[] = {"focal_row", "focal_col"};

	for (int i = 0; i < lengthof(names); i++)
	{
		NullableDatum spot = fcinfo->args[5 + i];

		if (spot.isnull != fcinfo->args[5].isnull)
			error_null(names[PG_ARGISNULL(5) ? 0 : 1]);
		if (!spot.isnull && (DatumGetInt32(spot.value) < 1 || DatumGetInt32(spot.value) > GRID_MAX))
			error_invalid_number(names[i], DatumGetInt32(spot.value), 1, GRID_MAX);
	}
}

Datum
concert_create_section(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"concert_date_id", "name", "price", "currency", "kind"};
	MemoryContext			 caller = CurrentMemoryContext;
	char					*name = argument_text(fcinfo, 1, "name", NAME_CHARS_MAX);
	char					*currency = argument_currency(fcinfo, 3, "currency");
	char					*kind;
	pg_uuid_t				 concert_id;

	version_require();
	argument_require(fcinfo, lengthof(names), names);
	kind = argument_text(fcinfo, 4, "kind", NAME_CHARS_MAX);
	if (strcmp(kind, "seated") != 0 && strcmp(kind, "standing") != 0)
		error_invalid("kind", kind, "\"seated\" or \"standing\"");
	if (PG_GETARG_INT64(2) < 0 || PG_GETARG_INT64(2) > PRICE_MAX)
		error_invalid_number("price", PG_GETARG_INT64(2), 0, PRICE_MAX);
	programme_check_focal(fcinfo);
	plan_begin();
	if (plan_write(&live_date, PLAN_ARGS(fcinfo->args[0])) == 0)
		error_unknown_object("concert date", PG_GETARG_UUID_P(0));
	concert_id = plan_uuid(0, 0);
	plan_write(&open_revenue, PLAN_ARGS(uuid_value(&concert_id), text_value(currency)));
	plan_write_rows(&insert_section,
					PLAN_ARGS(fcinfo->args[0], text_value(name), fcinfo->args[2],
							  text_value(currency), text_value(kind), fcinfo->args[5],
							  fcinfo->args[6]),
					1);
	return programme_id(caller);
}
