/* SPDX-License-Identifier: PostgreSQL */
/*
 * A date's live sections and seats as a layout of our own form, in one shape whatever it was made
 * from: ranges where a row's labels are "LABEL-COL", a capacity where people stand as they were
 * imported, else every seat by itself.
 */
#include "layout.h"

#include "errors.h"
#include "json.h"
#include "plan.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(concert_export_layout);

static SavedPlan read_layout =
	PLAN("SELECT s.id, s.name, s.price, s.currency, s.kind, s.focal_row, s.focal_col,"
		 " seat.\"row\", seat.col, seat.label, seat.accessible"
		 " FROM concert.concert_date AS d"
		 " LEFT JOIN concert.section AS s ON s.concert_date_id = d.id AND s.deleted_at IS NULL"
		 " LEFT JOIN concert.seat ON seat.section_id = s.id AND seat.deleted_at IS NULL"
		 " WHERE d.id = $1 AND d.deleted_at IS NULL ORDER BY s.id, seat.\"row\", seat.col",
		 UUIDOID);

enum
{
	EXPORT_SECTION,
	EXPORT_NAME,
	EXPORT_PRICE,
	EXPORT_CURRENCY,
	EXPORT_KIND,
	EXPORT_FOCAL_ROW,
	EXPORT_FOCAL_COL,
	EXPORT_ROW,
	EXPORT_COL,
	EXPORT_LABEL,
	EXPORT_ACCESSIBLE
};

/* The label without its "-COL"; NULL when it is not of that kind. */
static char *
layout_export_row_label(int i)
{
	char *label = plan_text(i, EXPORT_LABEL);
	char *ending = psprintf("-%d", plan_int32(i, EXPORT_COL));
	int	  bytes = strlen(label) - strlen(ending);

	if (bytes < 1 || strcmp(label + bytes, ending) != 0)
		return NULL;
	label[bytes] = '\0';
	return label;
}

/* What all the seats' labels have before their "-COL", or NULL. */
static char *
layout_export_common_label(int first, int end)
{
	char *common = layout_export_row_label(first);

	for (int i = first; i < end && common != NULL; i++)
	{
		char *label = layout_export_row_label(i);

		if (label == NULL || strcmp(label, common) != 0 || plan_bool(i, EXPORT_ACCESSIBLE))
			common = NULL;
	}
	return common;
}

/* "1-4,31-34" */
static char *
layout_export_ranges(int first, int end)
{
	StringInfoData ranges;

	initStringInfo(&ranges);
	while (first < end)
	{
		int from = plan_int32(first, EXPORT_COL);
		int to = from;

		for (first++; first < end && plan_int32(first, EXPORT_COL) == to + 1; first++)
			to++;
		appendStringInfo(&ranges, "%s%d", ranges.len > 0 ? "," : "", from);
		if (to > from)
			appendStringInfo(&ranges, "-%d", to);
	}
	return ranges.data;
}

static void
layout_export_seats(Json *json, int first, int end)
{
	json_add_name(json, "seats");
	json_begin_array(json);
	for (int i = first; i < end; i++)
	{
		json_begin_object(json);
		json_add_int64(json, "col", plan_int32(i, EXPORT_COL));
		json_add_text(json, "label", plan_text(i, EXPORT_LABEL));
		if (plan_bool(i, EXPORT_ACCESSIBLE))
			json_add_bool(json, "accessible", true);
		json_end_object(json);
	}
	json_end_array(json);
}

static void
layout_export_row(Json *json, int first, int end)
{
	const char *label = layout_export_common_label(first, end);

	json_begin_object(json);
	json_add_int64(json, "row", plan_int32(first, EXPORT_ROW));
	if (label != NULL)
	{
		json_add_text(json, "label", label);
		json_add_text(json, "seats", layout_export_ranges(first, end));
	}
	else
		layout_export_seats(json, first, end);
	json_end_object(json);
}

static void
layout_export_rows(Json *json, int first, int end)
{
	json_add_name(json, "rows");
	json_begin_array(json);
	while (first < end)
	{
		int row_end = first + 1;

		while (row_end < end && plan_int32(row_end, EXPORT_ROW) == plan_int32(first, EXPORT_ROW))
			row_end++;
		layout_export_row(json, first, row_end);
		first = row_end;
	}
	json_end_array(json);
}

/* Whether the seats are just those that a capacity makes, from their first row on. */
static bool
layout_export_is_capacity(int first, int end)
{
	for (int i = first; i < end; i++)
		if (plan_int32(i, EXPORT_COL) != (i - first) % LAYOUT_STANDING_COLS + 1 ||
			plan_int32(i, EXPORT_ROW) !=
				plan_int32(first, EXPORT_ROW) + (i - first) / LAYOUT_STANDING_COLS ||
			plan_bool(i, EXPORT_ACCESSIBLE) ||
			strcmp(plan_text(i, EXPORT_LABEL), psprintf("%d", i - first + 1)) != 0)
			return false;
	return true;
}

static void
layout_export_section(Json *json, int first, int end)
{
	const char *kind = plan_text(first, EXPORT_KIND);
	bool		has_seats = !plan_is_null(first, EXPORT_ROW);

	json_begin_object(json);
	json_add_text(json, "name", plan_text(first, EXPORT_NAME));
	json_add_int64(json, "price", plan_int64(first, EXPORT_PRICE));
	json_add_text(json, "currency", plan_text(first, EXPORT_CURRENCY));
	json_add_text(json, "kind", kind);
	if (!plan_is_null(first, EXPORT_FOCAL_ROW))
	{
		json_add_name(json, "focal");
		json_begin_array(json);
		json_append_int64(json, plan_int32(first, EXPORT_FOCAL_ROW));
		json_append_int64(json, plan_int32(first, EXPORT_FOCAL_COL));
		json_end_array(json);
	}
	if (has_seats && strcmp(kind, "standing") == 0 && layout_export_is_capacity(first, end))
	{
		json_add_int64(json, "row", plan_int32(first, EXPORT_ROW));
		json_add_int64(json, "capacity", end - first);
	}
	else
		layout_export_rows(json, first, has_seats ? end : first);
	json_end_object(json);
}

/* The end of the section that begins at first. */
static int
layout_export_section_end(int first, int count)
{
	pg_uuid_t section_id = plan_uuid(first, EXPORT_SECTION);
	int		  end = first + 1;

	while (end < count &&
		   uuid_compare(DatumGetUUIDP(plan_datum(end, EXPORT_SECTION)), &section_id) == 0)
		end++;
	return end;
}

Datum
concert_export_layout(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"concert_date_id"};
	MemoryContext			 caller = CurrentMemoryContext;
	Json					 json = {0};
	Jsonb					*layout;
	int						 count;

	argument_require(fcinfo, lengthof(names), names);
	plan_begin();
	count = plan_read_at(&read_layout, PLAN_ARGS(fcinfo->args[0]), GetActiveSnapshot());
	if (count == 0)
		error_unknown_object("concert date", PG_GETARG_UUID_P(0));
	json_begin_object(&json);
	json_add_name(&json, "sections");
	json_begin_array(&json);
	for (int first = 0; first < count && !plan_is_null(first, EXPORT_SECTION);)
	{
		int end = layout_export_section_end(first, count);

		layout_export_section(&json, first, end);
		first = end;
	}
	json_end_array(&json);
	json_end_object(&json);
	MemoryContextSwitchTo(caller);
	layout = json_finish(&json);
	plan_end();
	PG_RETURN_JSONB_P(layout);
}
