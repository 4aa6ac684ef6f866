/* SPDX-License-Identifier: PostgreSQL */
/*
 * Our own form of a layout: sections with their price, and rows whose seats are ranges of cols or
 * a list. A row that names no grid row comes one after the row before it; a section begins with
 * an empty grid row between it and what came before.
 */
#include "layout.h"

#include "mb/pg_wchar.h"

#define COL_DIGITS_MAX 7 /* those of GRID_MAX */
#define CLIPPED_BYTES_MAX 20

enum
{
	TOP_CURRENCY,
	TOP_SECTIONS,
	TOP_KEYS
};

static const DocumentKey top_keys[TOP_KEYS] = {
	[TOP_CURRENCY] = {"currency", KIND_STRING, false},
	[TOP_SECTIONS] = {"sections", KIND_ARRAY, true},
};

enum
{
	SECTION_NAME,
	SECTION_PRICE,
	SECTION_CURRENCY,
	SECTION_KIND,
	SECTION_FOCAL,
	SECTION_ROWS,
	SECTION_ROW,
	SECTION_CAPACITY,
	SECTION_KEYS
};

static const DocumentKey section_keys[SECTION_KEYS] = {
	[SECTION_NAME] = {"name", KIND_STRING, true},
	[SECTION_PRICE] = {"price", KIND_NUMBER, true},
	[SECTION_CURRENCY] = {"currency", KIND_STRING, false},
	[SECTION_KIND] = {"kind", KIND_STRING, false},
	[SECTION_FOCAL] = {"focal", KIND_ARRAY, false},
	[SECTION_ROWS] = {"rows", KIND_ARRAY, false},
	[SECTION_ROW] = {"row", KIND_NUMBER, false},
	[SECTION_CAPACITY] = {"capacity", KIND_NUMBER, false},
};

enum
{
	ROW_ROW,
	ROW_LABEL,
	ROW_SEATS,
	ROW_KEYS
};

static const DocumentKey row_keys[ROW_KEYS] = {
	[ROW_ROW] = {"row", KIND_NUMBER, false},
	[ROW_LABEL] = {"label", KIND_STRING, false},
	[ROW_SEATS] = {"seats", KIND_STRING | KIND_ARRAY, true},
};

enum
{
	SEAT_COL,
	SEAT_LABEL,
	SEAT_ACCESSIBLE,
	SEAT_KEYS
};

static const DocumentKey seat_keys[SEAT_KEYS] = {
	[SEAT_COL] = {"col", KIND_NUMBER, true},
	[SEAT_LABEL] = {"label", KIND_STRING, false},
	[SEAT_ACCESSIBLE] = {"accessible", KIND_BOOLEAN, false},
};

/* "ROW-COL", as far as it fits a label. */
static const char *
layout_form_label(const char *row_label, int col, const DocumentPath *at)
{
	char *label = psprintf("%s-%d", row_label, col);

	if (pg_mbstrlen(label) > NAME_CHARS_MAX)
		document_refuse(
			at, psprintf("label of seat %d is longer than %d characters", col, NAME_CHARS_MAX));
	return label;
}

/* As much of somebody's ranges as a message bears. */
static const char *
layout_form_clip(const char *text)
{
	return pnstrdup(text, pg_mbcliplen(text, strlen(text), CLIPPED_BYTES_MAX));
}

/* The number at *text, which is moved behind it. */
static int
layout_form_range_end(const char **text, const DocumentPath *at)
{
	int	  digits = strspn(*text, "0123456789");
	int64 number = 0;

	if (digits == 0)
		document_refuse(at,
						psprintf("expected seats such as \"1-18\" or \"1-4,31-34\","
								 " got \"%s\"",
								 layout_form_clip(*text)));
	number = digits > COL_DIGITS_MAX ? GRID_MAX + 1 : atoi(*text);
	if (number < 1 || number > GRID_MAX)
		document_refuse(
			at, psprintf("expected seats from 1 to %d, got %s", GRID_MAX, layout_form_clip(*text)));
	*text += digits;
	return number;
}

/* "1-18" or "1-4,31-34". */
static void
layout_form_ranges(Layout *layout, LayoutSeat *seat, const char *text, const char *row_label,
				   const DocumentPath *at)
{
	for (;;)
	{
		int first = layout_form_range_end(&text, at);
		int last = first;

		if (*text == '-')
		{
			text++;
			last = layout_form_range_end(&text, at);
		}
		if (last < first)
			document_refuse(at, psprintf("range %d-%d descends", first, last));
		for (seat->col = first; seat->col <= last; seat->col++)
		{
			seat->label = layout_form_label(row_label, seat->col, at);
			layout_add_seat(layout, seat, at);
		}
		if (*text == '\0')
			return;
		if (*text != ',')
			document_refuse(at,
							psprintf("expected a comma after seat %d, got \"%s\"", last,
									 layout_form_clip(text)));
		text++;
	}
}

static void
layout_form_seats(Layout *layout, LayoutSeat *seat, const JsonbValue *list, const char *row_label,
				  const DocumentPath *at)
{
	DocumentItems items = document_items(list, at, KIND_OBJECT);

	if (document_count(list) == 0)
		document_refuse(at, "expected at least one seat");
	while (document_next(&items))
	{
		JsonbValue	 values[SEAT_KEYS];
		DocumentPath col = document_key(&items.at, "col");
		DocumentPath label = document_key(&items.at, "label");

		document_object(&items.item, &items.at, seat_keys, SEAT_KEYS, values);
		seat->seat_index = items.at.index;
		seat->col = document_integer(&values[SEAT_COL], &col, 1, GRID_MAX);
		seat->label = document_given(&values[SEAT_LABEL])
			? document_text(&values[SEAT_LABEL], &label, 1, NAME_CHARS_MAX)
			: layout_form_label(row_label, seat->col, &items.at);
		seat->accessible =
			document_given(&values[SEAT_ACCESSIBLE]) && values[SEAT_ACCESSIBLE].val.boolean;
		layout_add_seat(layout, seat, &items.at);
	}
}

/* The grid row that is given, or the next one. */
static int
layout_form_row(const JsonbValue *given, const DocumentPath *up, int next)
{
	DocumentPath at = document_key(up, "row");

	if (document_given(given))
		return document_integer(given, &at, 1, GRID_MAX);
	if (next > GRID_MAX)
		document_refuse(&at, psprintf("no grid row is left below %d", GRID_MAX));
	return next;
}

static void
layout_form_rows(Layout *layout, int section, const JsonbValue *rows, const DocumentPath *at)
{
	DocumentItems items = document_items(rows, at, KIND_OBJECT);
	int			  next_row = layout_next_row(layout);

	while (document_next(&items))
	{
		JsonbValue	 values[ROW_KEYS];
		DocumentPath label = document_key(&items.at, "label");
		DocumentPath seats = document_key(&items.at, "seats");
		LayoutSeat	 seat = {.section = section,
							 .part_index = layout->sections[section].part,
							 .row_index = items.at.index,
							 .seat_index = -1};
		const char	*row_label;

		layout_add_row(layout, &items.at);
		document_object(&items.item, &items.at, row_keys, ROW_KEYS, values);
		seat.row = layout_form_row(&values[ROW_ROW], &items.at, next_row);
		next_row = seat.row + 1;
		row_label = document_given(&values[ROW_LABEL])
			? document_text(&values[ROW_LABEL], &label, 1, NAME_CHARS_MAX)
			: psprintf("%d", seat.row);
		if (values[ROW_SEATS].type == jbvString)
			layout_form_ranges(
				layout, &seat,
				pnstrdup(values[ROW_SEATS].val.string.val, values[ROW_SEATS].val.string.len),
				row_label, &seats);
		else
			layout_form_seats(layout, &seat, &values[ROW_SEATS], row_label, &seats);
	}
}

/* Seats that nobody sees, numbered from 1, in as many grid rows as they need. */
static void
layout_form_capacity(Layout *layout, int section, const JsonbValue *values, const DocumentPath *up)
{
	DocumentPath at = document_key(up, "capacity");
	int			 capacity = document_integer(&values[SECTION_CAPACITY], &at, 1, LAYOUT_SEATS_MAX);
	LayoutSeat	 seat = {.section = section,
						 .part_index = layout->sections[section].part,
						 .row_index = -1,
						 .seat_index = -1};

	seat.row = layout_form_row(&values[SECTION_ROW], up, layout_next_row(layout));
	for (int i = 0; i < capacity; i++)
	{
		seat.col = i % LAYOUT_STANDING_COLS + 1;
		seat.label = psprintf("%d", i + 1);
		layout_add_seat(layout, &seat, &at);
		if (seat.col == LAYOUT_STANDING_COLS)
			seat.row++;
	}
}

static bool
layout_form_standing(const JsonbValue *kind, const DocumentPath *up)
{
	DocumentPath at = document_key(up, "kind");
	char		*given;

	if (!document_given(kind))
		return false;
	given = document_text(kind, &at, 1, NAME_CHARS_MAX);
	if (strcmp(given, "seated") != 0 && strcmp(given, "standing") != 0)
		document_refuse(&at, "expected \"seated\" or \"standing\"");
	return strcmp(given, "standing") == 0;
}

/* [row, col] of the grid. */
static void
layout_form_focal(LayoutSection *section, const JsonbValue *focal, const DocumentPath *up)
{
	DocumentPath  at = document_key(up, "focal");
	DocumentItems items;
	int			 *parts[] = {&section->focal_row, &section->focal_col};

	if (!document_given(focal))
		return;
	if (document_count(focal) != lengthof(parts))
		document_refuse(&at, "expected [row, col]");
	items = document_items(focal, &at, KIND_NUMBER);
	while (document_next(&items))
		*parts[items.at.index] = document_integer(&items.item, &items.at, 1, GRID_MAX);
}

static LayoutSection
layout_form_describe(const Layout *layout, const JsonbValue *values, const DocumentPath *at)
{
	DocumentPath  name = document_key(at, "name");
	DocumentPath  price = document_key(at, "price");
	DocumentPath  currency = document_key(at, "currency");
	LayoutSection section = {.part = at->index};

	section.name = document_text(&values[SECTION_NAME], &name, 1, NAME_CHARS_MAX);
	section.price = layout_price(&values[SECTION_PRICE], &price);
	section.currency = document_given(&values[SECTION_CURRENCY])
		? layout_currency(&values[SECTION_CURRENCY], &currency)
		: layout->currency;
	section.standing = layout_form_standing(&values[SECTION_KIND], at);
	layout_form_focal(&section, &values[SECTION_FOCAL], at);
	return section;
}

static void
layout_form_section(Layout *layout, const JsonbValue *object, const DocumentPath *at)
{
	JsonbValue	  values[SECTION_KEYS];
	DocumentPath  rows = document_key(at, "rows");
	DocumentPath  row = document_key(at, "row");
	DocumentPath  capacity = document_key(at, "capacity");
	LayoutSection section;
	int			  index;

	document_object(object, at, section_keys, SECTION_KEYS, values);
	section = layout_form_describe(layout, values, at);
	index = layout_find_section(layout->sections, layout->section_count, &section);
	if (index >= 0)
		document_refuse(at,
						psprintf("same name, price and currency as sections[%d]",
								 layout->sections[index].part));
	if (document_given(&values[SECTION_CAPACITY]) && !section.standing)
		document_refuse(&capacity, "only a standing section has a capacity");
	if (document_given(&values[SECTION_ROWS]) == document_given(&values[SECTION_CAPACITY]))
		document_refuse(at,
						section.standing ? "expected either \"rows\" or \"capacity\""
										 : "expected \"rows\"");
	if (document_given(&values[SECTION_ROW]) && !document_given(&values[SECTION_CAPACITY]))
		document_refuse(&row, "goes with \"capacity\" only");
	index = layout_add_section(layout, &section, at);
	if (document_given(&values[SECTION_ROWS]))
		layout_form_rows(layout, index, &values[SECTION_ROWS], &rows);
	else
		layout_form_capacity(layout, index, values, at);
}

void
layout_form_read(Layout *layout, const JsonbValue *document, const DocumentPath *root)
{
	JsonbValue	  values[TOP_KEYS];
	DocumentPath  currency = document_key(root, "currency");
	DocumentPath  sections = document_key(root, "sections");
	DocumentItems items;

	layout->parts_key = sections.key;
	layout->label_key = seat_keys[SEAT_LABEL].name;
	document_object(document, root, top_keys, TOP_KEYS, values);
	if (document_given(&values[TOP_CURRENCY]))
		layout->currency = layout_currency(&values[TOP_CURRENCY], &currency);
	if (document_count(&values[TOP_SECTIONS]) == 0)
		document_refuse(&sections, "expected at least one section");
	items = document_items(&values[TOP_SECTIONS], &sections, KIND_OBJECT);
	while (document_next(&items))
		layout_form_section(layout, &items.item, &items.at);
}
