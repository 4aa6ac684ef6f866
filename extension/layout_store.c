/* SPDX-License-Identifier: PostgreSQL */
/*
 * A layout on its way into a date, all or nothing: out of a document, or out of another date.
 *
 * The date's row is locked (FOR NO KEY UPDATE: sales and foreign keys go on), so that two imports
 * of a date come one after the other, and so are its sections (FOR KEY SHARE). Who adds seats or a
 * section to the date, or restores one, locks its row too (FOR SHARE): what is judged here is all
 * that there is. Rows that come by a bare INSERT meanwhile are met by the unique indexes alone.
 * Reservations are not looked at: seats are only ever added.
 */
#include "layout.h"

#include "errors.h"
#include "history.h"
#include "lock.h"
#include "miscadmin.h"
#include "plan.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(concert_import_layout);
PG_FUNCTION_INFO_V1(concert_copy_layout);

static SavedPlan lock_date =
	PLAN("SELECT concert_id FROM concert.concert_date WHERE id = $1 AND deleted_at IS NULL"
		 " FOR NO KEY UPDATE",
		 UUIDOID);

static SavedPlan share_date =
	PLAN("SELECT 1 FROM concert.concert_date WHERE id = $1 AND deleted_at IS NULL FOR KEY SHARE",
		 UUIDOID);

/* In the order in which they were made; locked, lest one is soft-deleted before its seats come. */
static SavedPlan live_sections =
	PLAN("SELECT id, name, price, currency, kind, focal_row, focal_col FROM concert.section"
		 " WHERE concert_date_id = $1 AND deleted_at IS NULL ORDER BY id FOR KEY SHARE",
		 UUIDOID);

/* Of soft-deleted seats too: they keep their spot. */
static SavedPlan highest_row =
	PLAN("SELECT coalesce(max(\"row\"), 0) FROM concert.seat WHERE concert_date_id = $1", UUIDOID);

static SavedPlan live_labels =
	PLAN("SELECT s.name, seat.label FROM concert.section AS s"
		 " JOIN concert.seat ON seat.section_id = s.id AND seat.deleted_at IS NULL"
		 " WHERE s.concert_date_id = $1 AND s.name = ANY ($2) AND s.kind = 'seated'"
		 " AND s.deleted_at IS NULL",
		 UUIDOID, TEXTARRAYOID);

static SavedPlan insert_sections =
	PLAN("INSERT INTO concert.section (id, concert_date_id, name, price, currency, kind, focal_row,"
		 " focal_col)"
		 " SELECT s.id, $1, s.name, s.price, s.currency, s.kind, nullif(s.focal_row, 0),"
		 " nullif(s.focal_col, 0)"
		 " FROM unnest($2, $3, $4, $5, $6, $7, $8)"
		 " AS s (id, name, price, currency, kind, focal_row, focal_col)",
		 UUIDOID, UUIDARRAYOID, TEXTARRAYOID, INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
		 INT4ARRAYOID, INT4ARRAYOID);

static SavedPlan open_revenues =
	PLAN("INSERT INTO concert.account (kind, owner_id, currency)"
		 " SELECT DISTINCT 'revenue', $1, c.currency FROM unnest($2) AS c (currency)"
		 " ON CONFLICT (owner_id, kind, currency) WHERE owner_id IS NOT NULL AND deleted_at IS NULL"
		 " DO NOTHING",
		 UUIDOID, TEXTARRAYOID);

static SavedPlan insert_seats = PLAN(
	"INSERT INTO concert.seat (id, concert_date_id, section_id, \"row\", col, label, accessible)"
	" SELECT s.id, $1, s.section_id, s.\"row\", s.col, s.label, s.accessible"
	" FROM unnest($2, $3, $4, $5, $6, $7) AS s (id, section_id, \"row\", col, label, accessible)"
	" ON CONFLICT (concert_date_id, \"row\", col) DO NOTHING",
	UUIDOID, UUIDARRAYOID, UUIDARRAYOID, INT4ARRAYOID, INT4ARRAYOID, TEXTARRAYOID, BOOLARRAYOID);

/* The first of our seats whose spot is another seat's. */
static SavedPlan taken_spot =
	PLAN("SELECT ours.n - 1, seat.deleted_at IS NOT NULL"
		 " FROM unnest($2, $3, $4) WITH ORDINALITY AS ours (id, \"row\", col, n)"
		 " JOIN concert.seat ON seat.concert_date_id = $1 AND seat.\"row\" = ours.\"row\""
		 " AND seat.col = ours.col AND seat.id <> ours.id ORDER BY ours.n LIMIT 1",
		 UUIDOID, UUIDARRAYOID, INT4ARRAYOID, INT4ARRAYOID);

static SavedPlan copy_seats =
	PLAN("INSERT INTO concert.seat (concert_date_id, section_id, \"row\", col, label, accessible)"
		 " SELECT $2, s.to_id, seat.\"row\", seat.col, seat.label, seat.accessible"
		 " FROM unnest($3, $4) AS s (from_id, to_id)"
		 " JOIN concert.seat ON seat.section_id = s.from_id AND seat.concert_date_id = $1"
		 " WHERE seat.deleted_at IS NULL ORDER BY seat.\"row\", seat.col",
		 UUIDOID, UUIDOID, UUIDARRAYOID, UUIDARRAYOID);

/* A section that the date had already keeps the concessions that it has. */
static SavedPlan copy_concessions =
	PLAN("INSERT INTO concert.concession (concert_date_id, section_id, name, price)"
		 " SELECT $2, s.to_id, c.name, c.price FROM unnest($3, $4) AS s (from_id, to_id)"
		 " JOIN concert.concession AS c ON c.section_id = s.from_id AND c.concert_date_id = $1"
		 " WHERE c.deleted_at IS NULL ORDER BY c.id"
		 " ON CONFLICT (section_id, name) WHERE deleted_at IS NULL DO NOTHING",
		 UUIDOID, UUIDOID, UUIDARRAYOID, UUIDARRAYOID);

/* An array argument, made item by item. */
typedef struct Column
{
	Oid	   type;
	int	   count;
	Datum *items;
} Column;

static Column
layout_column(Oid type, int room)
{
	return (Column){.type = type,
					.items =
						MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Datum) * Max(room, 1))};
}

static void
layout_column_add(Column *column, Datum item)
{
	column->items[column->count++] = item;
}

static NullableDatum
layout_column_value(const Column *column)
{
	int16 bytes;
	bool  by_value;
	char  align;

	get_typlenbyvalalign(column->type, &bytes, &by_value, &align);
	return value(PointerGetDatum(
		construct_array(column->items, column->count, column->type, bytes, by_value, align)));
}

/* Locks the date that is written to; returns its concert, and its highest row. */
static pg_uuid_t
layout_lock_date(const pg_uuid_t *date_id, int *ret_row_max)
{
	pg_uuid_t concert_id;

	if (plan_write(&lock_date, PLAN_ARGS(uuid_value(date_id))) == 0)
		error_unknown_object("concert date", date_id);
	concert_id = plan_uuid(0, 0);
	plan_read(&highest_row, PLAN_ARGS(uuid_value(date_id)));
	*ret_row_max = plan_int32(0, 0);
	return concert_id;
}

static LayoutSection *
layout_read_sections(const pg_uuid_t *date_id, int *ret_count)
{
	int			   count = plan_write(&live_sections, PLAN_ARGS(uuid_value(date_id)));
	LayoutSection *sections = palloc(sizeof(LayoutSection) * Max(count, 1));

	for (int i = 0; i < count; i++)
		sections[i] = (LayoutSection){
			.id = plan_uuid(i, 0),
			.exists = true,
			.name = plan_text(i, 1),
			.price = plan_int64(i, 2),
			.currency = plan_text(i, 3),
			.standing = strcmp(plan_text(i, 4), "standing") == 0,
			.focal_row = plan_int32(i, 5),
			.focal_col = plan_int32(i, 6),
			.part = i,
		};
	*ret_count = count;
	return sections;
}

/* A section that the date has already keeps its kind and its focal point. */
static void
layout_match_section(const Layout *layout, int index, const LayoutSection *old)
{
	LayoutSection *section = &layout->sections[index];

	if (old->standing != section->standing)
		error_layout_refused(layout_section_where(layout, index, NULL),
							 psprintf("section \"%s\" exists as a %s one", section->name,
									  old->standing ? "standing" : "seated"));
	if (section->focal_row != 0 &&
		(section->focal_row != old->focal_row || section->focal_col != old->focal_col))
		error_layout_refused(
			layout_section_where(layout, index, "focal"),
			psprintf("section \"%s\" exists with another focal point", section->name));
	section->id = old->id;
	section->exists = true;
}

/* Gives every section its id: that of the one which the date has, or a new one. */
static void
layout_match_sections(Layout *layout, const pg_uuid_t *date_id)
{
	int			   count;
	LayoutSection *existing = layout_read_sections(date_id, &count);

	for (int i = 0; i < layout->section_count; i++)
	{
		int old = layout_find_section(existing, count, &layout->sections[i]);

		layout->sections[i].exists = false;
		if (old >= 0)
			layout_match_section(layout, i, &existing[old]);
		else
			layout->sections[i].id = uuid7_next();
	}
}

static Datum
layout_text(const char *text)
{
	return CStringGetTextDatum(text);
}

/* Two seats of one printed section name may not have one label; nobody sees those that stand. */
static void
layout_judge_labels(const Layout *layout, const pg_uuid_t *date_id)
{
	Column		scopes = layout_column(TEXTOID, layout->section_count);
	LayoutName *names;
	int			old;
	int			count = 0;

	for (int i = 0; i < layout->section_count; i++)
		layout_column_add(&scopes, layout_text(layout->sections[i].name));
	old = plan_read(&live_labels, PLAN_ARGS(uuid_value(date_id), layout_column_value(&scopes)));
	names = MemoryContextAllocHuge(CurrentMemoryContext,
								   sizeof(LayoutName) * Max((Size) old + layout->seat_count, 1));
	for (int i = 0; i < old; i++)
		names[count++] = (LayoutName){plan_text(i, 0), plan_text(i, 1), -1};
	for (int i = 0; i < layout->seat_count; i++)
	{
		const LayoutSection *section = &layout->sections[layout->seats[i].section];

		if (!section->standing)
			names[count++] = (LayoutName){section->name, layout->seats[i].label, i};
	}
	layout_refuse_same(layout, names, count, layout->label_key);
}

static void
layout_store_sections(const Layout *layout, const pg_uuid_t *date_id, const pg_uuid_t *concert_id)
{
	int	   room = layout->section_count;
	Column ids = layout_column(UUIDOID, room);
	Column names = layout_column(TEXTOID, room);
	Column prices = layout_column(INT8OID, room);
	Column currencies = layout_column(TEXTOID, room);
	Column kinds = layout_column(TEXTOID, room);
	Column focal_rows = layout_column(INT4OID, room);
	Column focal_cols = layout_column(INT4OID, room);

	for (int i = 0; i < layout->section_count; i++)
	{
		LayoutSection *section = &layout->sections[i];

		if (section->exists)
			continue;
		layout_column_add(&ids, UUIDPGetDatum(&section->id));
		layout_column_add(&names, layout_text(section->name));
		layout_column_add(&prices, Int64GetDatum(section->price));
		layout_column_add(&currencies, layout_text(section->currency));
		layout_column_add(&kinds, layout_text(section->standing ? "standing" : "seated"));
		layout_column_add(&focal_rows, Int32GetDatum(section->focal_row));
		layout_column_add(&focal_cols, Int32GetDatum(section->focal_col));
	}
	if (ids.count == 0)
		return;
	plan_write(&open_revenues, PLAN_ARGS(uuid_value(concert_id), layout_column_value(&currencies)));
	plan_write(&insert_sections,
			   PLAN_ARGS(uuid_value(date_id), layout_column_value(&ids),
						 layout_column_value(&names), layout_column_value(&prices),
						 layout_column_value(&currencies), layout_column_value(&kinds),
						 layout_column_value(&focal_rows), layout_column_value(&focal_cols)));
}

/* Returns how many there are now: an app's own trigger may have turned some away. */
static int
layout_store_seats(const Layout *layout, const pg_uuid_t *date_id)
{
	int			  room = layout->seat_count;
	pg_uuid_t	 *made = palloc(sizeof(pg_uuid_t) * Max(room, 1));
	Column		  ids = layout_column(UUIDOID, room);
	Column		  sections = layout_column(UUIDOID, room);
	Column		  rows = layout_column(INT4OID, room);
	Column		  cols = layout_column(INT4OID, room);
	Column		  labels = layout_column(TEXTOID, room);
	Column		  accessibles = layout_column(BOOLOID, room);
	NullableDatum spots[4];
	int			  stored;

	for (int i = 0; i < layout->seat_count; i++)
	{
		const LayoutSeat *seat = &layout->seats[i];

		made[i] = uuid7_next();
		layout_column_add(&ids, UUIDPGetDatum(&made[i]));
		layout_column_add(&sections, UUIDPGetDatum(&layout->sections[seat->section].id));
		layout_column_add(&rows, Int32GetDatum(seat->row));
		layout_column_add(&cols, Int32GetDatum(seat->col));
		layout_column_add(&labels, layout_text(seat->label));
		layout_column_add(&accessibles, BoolGetDatum(seat->accessible));
	}
	spots[0] = uuid_value(date_id);
	spots[1] = layout_column_value(&ids);
	spots[2] = layout_column_value(&rows);
	spots[3] = layout_column_value(&cols);
	stored =
		plan_write(&insert_seats,
				   PLAN_ARGS(spots[0], spots[1], layout_column_value(&sections), spots[2], spots[3],
							 layout_column_value(&labels), layout_column_value(&accessibles)));
	if (stored < layout->seat_count && plan_read(&taken_spot, spots) > 0)
	{
		int				  first = plan_int64(0, 0);
		const LayoutSeat *seat = &layout->seats[first];

		error_layout_refused(layout_seat_where(layout, first, NULL),
							 psprintf("row %d, col %d of the grid is taken by a %sseat of the date",
									  seat->row, seat->col,
									  plan_bool(0, 1) ? "soft-deleted " : ""));
	}
	return stored;
}

/* The house's act, so that whoever follows the date's history reads the map anew. */
static void
layout_tell(const pg_uuid_t *date_id, int seats)
{
	if (seats > 0)
		history_add(
			&(Act){
				.action = "added",
				.date_id = *date_id,
				.actor = GetUserNameFromId(GetSessionUserId(), false),
				.detail = psprintf("%d seats", seats),
			},
			GetCurrentTimestamp());
}

/* Which of the two forms it is shows in its keys. */
static void
layout_read(Layout *layout, FunctionCallInfo fcinfo)
{
	DocumentPath root = document_root("");
	DocumentPath prices_root = document_root("prices");
	JsonbValue	 document = document_value(PG_GETARG_JSONB_P(1), &root);
	JsonbValue	 prices;
	bool		 ours = getKeyJsonValueFromContainer(document.val.binary.data, "sections",
													 strlen("sections"), NULL) != NULL;
	bool theirs = getKeyJsonValueFromContainer(document.val.binary.data, "zones", strlen("zones"),
											   NULL) != NULL;

	if (ours == theirs)
		document_refuse(&root,
						"expected either \"sections\" or, of a pretix seating plan, \"zones\"");
	if (ours && !PG_ARGISNULL(2))
		document_refuse(&prices_root,
						"goes with a pretix seating plan only; sections name their price");
	if (ours)
		layout_form_read(layout, &document, &root);
	else
	{
		if (PG_ARGISNULL(2))
			error_null("prices");
		prices = document_value(PG_GETARG_JSONB_P(2), &prices_root);
		pretix_read(layout, &document, &root, &prices, &prices_root);
	}
}

Datum
concert_import_layout(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"concert_date_id", "layout"};
	Layout					 layout = {.currency = "PTS"};
	pg_uuid_t				*date_id;
	pg_uuid_t				 concert_id;
	int						 seats;

	argument_require(fcinfo, lengthof(names), names);
	date_id = PG_GETARG_UUID_P(0);
	plan_begin();
	concert_id = layout_lock_date(date_id, &layout.row_max);
	layout_read(&layout, fcinfo);
	layout_match_sections(&layout, date_id);
	layout_refuse_same_spots(&layout);
	layout_judge_labels(&layout, date_id);
	layout_store_sections(&layout, date_id, &concert_id);
	seats = layout_store_seats(&layout, date_id);
	layout_tell(date_id, seats);
	plan_end();
	PG_RETURN_INT32(seats);
}

/*
 * Makes the sections that the second date lacks. What copies on then needs: both dates, and the
 * sections of the one beside those of the other.
 */
static void
layout_copy_sections(const pg_uuid_t *from_id, const pg_uuid_t *to_id, const pg_uuid_t *concert_id,
					 NullableDatum *ret_arguments)
{
	Layout		   layout = {0};
	LayoutSection *sources = layout_read_sections(from_id, &layout.section_count);
	Column		   from_sections = layout_column(UUIDOID, layout.section_count);
	Column		   to_sections = layout_column(UUIDOID, layout.section_count);

	layout.sections = palloc(sizeof(LayoutSection) * Max(layout.section_count, 1));
	memcpy(layout.sections, sources, sizeof(LayoutSection) * layout.section_count);
	layout_match_sections(&layout, to_id);
	layout_store_sections(&layout, to_id, concert_id);
	for (int i = 0; i < layout.section_count; i++)
	{
		layout_column_add(&from_sections, UUIDPGetDatum(&sources[i].id));
		layout_column_add(&to_sections, UUIDPGetDatum(&layout.sections[i].id));
	}
	ret_arguments[0] = uuid_value(from_id);
	ret_arguments[1] = uuid_value(to_id);
	ret_arguments[2] = layout_column_value(&from_sections);
	ret_arguments[3] = layout_column_value(&to_sections);
}

Datum
concert_copy_layout(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"from_date", "to_date"};
	NullableDatum			 arguments[4];
	pg_uuid_t				*from_id;
	pg_uuid_t				*to_id;
	pg_uuid_t				 concert_id;
	int						 row_max;
	int						 seats;

	argument_require(fcinfo, lengthof(names), names);
	from_id = PG_GETARG_UUID_P(0);
	to_id = PG_GETARG_UUID_P(1);
	plan_begin();
	concert_id = layout_lock_date(to_id, &row_max);
	if (plan_write(&share_date, PLAN_ARGS(uuid_value(from_id))) == 0)
		error_unknown_object("concert date", from_id);
	if (row_max > 0)
		error_layout_refused("",
							 psprintf("concert date \"%s\" has seats already", uuid_text(to_id)));
	layout_copy_sections(from_id, to_id, &concert_id, arguments);
	plan_write(&copy_concessions, arguments);
	seats = plan_write(&copy_seats, arguments);
	layout_tell(to_id, seats);
	plan_end();
	PG_RETURN_INT32(seats);
}
