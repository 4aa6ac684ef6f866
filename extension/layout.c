/* SPDX-License-Identifier: PostgreSQL */
/* A layout as it grows, and what may not be in it as a whole; see layout.h. */
#include "layout.h"

#include "errors.h"
#include "miscadmin.h"

#define ROOM_MIN 64 /* items of a growing list, at first */

int
layout_add_section(Layout *layout, const LayoutSection *section, const DocumentPath *at)
{
	if (layout->section_count == LAYOUT_SECTIONS_MAX)
		document_refuse(at, psprintf("more than %d sections", LAYOUT_SECTIONS_MAX));
	if (layout->sections == NULL)
		layout->sections = palloc(sizeof(LayoutSection) * LAYOUT_SECTIONS_MAX);
	layout->sections[layout->section_count] = *section;
	return layout->section_count++;
}

/* The one with the same name, price and currency, or -1. */
int
layout_find_section(const LayoutSection *sections, int count, const LayoutSection *wanted)
{
	for (int i = 0; i < count; i++)
		if (sections[i].price == wanted->price && strcmp(sections[i].name, wanted->name) == 0 &&
			strcmp(sections[i].currency, wanted->currency) == 0)
			return i;
	return -1;
}

void
layout_add_seat(Layout *layout, const LayoutSeat *seat, const DocumentPath *at)
{
	CHECK_FOR_INTERRUPTS();
	if (layout->seat_count == LAYOUT_SEATS_MAX)
		document_refuse(at, psprintf("more than %d seats", LAYOUT_SEATS_MAX));
	if (seat->row > GRID_MAX || seat->col > GRID_MAX)
		document_refuse(at,
						psprintf("seat at row %d, col %d of the grid, which ends at %d", seat->row,
								 seat->col, GRID_MAX));
	if (layout->seats == NULL)
	{
		layout->seat_room = ROOM_MIN;
		layout->seats = palloc(sizeof(LayoutSeat) * layout->seat_room);
	}
	else if (layout->seat_count == layout->seat_room)
	{
		layout->seat_room *= 2;
		layout->seats = repalloc(layout->seats, sizeof(LayoutSeat) * layout->seat_room);
	}
	layout->seats[layout->seat_count++] = *seat;
	layout->row_max = Max(layout->row_max, seat->row);
}

/* Counts a row of the document. */
void
layout_add_row(Layout *layout, const DocumentPath *at)
{
	if (layout->row_count++ == LAYOUT_ROWS_MAX)
		document_refuse(at, psprintf("more than %d rows", LAYOUT_ROWS_MAX));
}

/* The grid row at which a section begins that names none. */
int
layout_next_row(const Layout *layout)
{
	return layout->row_max == 0 ? 1 : layout->row_max + 1 + LAYOUT_GAP;
}

int64
layout_price(const JsonbValue *value, const DocumentPath *at)
{
	return document_integer(value, at, 0, PRICE_MAX);
}

char *
layout_currency(const JsonbValue *value, const DocumentPath *at)
{
	char *currency = document_text(value, at, 1, NAME_CHARS_MAX);

	if (strlen(currency) != 3 || strspn(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 3)
		document_refuse(at, "expected three capital letters, as in PTS or EUR");
	return currency;
}

const char *
layout_section_where(const Layout *layout, int section, const char *key)
{
	DocumentPath root = document_root("");
	DocumentPath parts = document_key(&root, layout->parts_key != NULL ? layout->parts_key : "");
	DocumentPath part = document_index(&parts, layout->sections[section].part);
	DocumentPath leaf = document_key(&part, key != NULL ? key : "");

	if (layout->parts_key == NULL)
		return "";
	return document_where(key != NULL ? &leaf : &part);
}

/* Where a seat stands; a key of it is named when it has keys of its own. */
const char *
layout_seat_where(const Layout *layout, int seat, const char *key)
{
	const LayoutSeat *at = &layout->seats[seat];
	DocumentPath	  root = document_root("");
	DocumentPath	  parts = document_key(&root, layout->parts_key);
	DocumentPath	  part = document_index(&parts, at->part_index);
	DocumentPath	  rows = document_key(&part, at->row_index < 0 ? "capacity" : "rows");
	DocumentPath	  row = document_index(&rows, at->row_index);
	DocumentPath	  seats = document_key(&row, "seats");
	DocumentPath	  item = document_index(&seats, at->seat_index);
	DocumentPath	  leaf = document_key(&item, key != NULL ? key : "");

	if (at->row_index < 0)
		return document_where(&rows);
	if (at->seat_index < 0)
		return document_where(&seats);
	return document_where(key != NULL ? &leaf : &item);
}

static int
layout_compare_names(const void *a, const void *b)
{
	const LayoutName *left = a;
	const LayoutName *right = b;
	int				  order = strcmp(left->text, right->text);

	if (order == 0)
		order = strcmp(left->scope, right->scope);
	return order != 0 ? order : (left->seat > right->seat) - (left->seat < right->seat);
}

/* Names, which are sorted here, that stand twice: the first of the document is refused. */
void
layout_refuse_same(const Layout *layout, LayoutName *names, int count, const char *key)
{
	const LayoutName *first = NULL;

	qsort(names, count, sizeof(LayoutName), layout_compare_names);
	for (int i = 1; i < count; i++)
		if (strcmp(names[i - 1].text, names[i].text) == 0 &&
			strcmp(names[i - 1].scope, names[i].scope) == 0 && names[i].seat >= 0 &&
			(first == NULL || names[i].seat < first->seat))
			first = &names[i];
	if (first == NULL)
		return;
	error_layout_refused(layout_seat_where(layout, first->seat, key),
						 psprintf("\"%s\" is taken by %s", first->text,
								  first[-1].seat < 0
									  ? "a seat that the section has already"
									  : layout_seat_where(layout, first[-1].seat, NULL)));
}

static int
layout_compare_spots(const void *a, const void *b, void *seats)
{
	const LayoutSeat *left = (const LayoutSeat *) seats + *(const int *) a;
	const LayoutSeat *right = (const LayoutSeat *) seats + *(const int *) b;

	if (left->row != right->row)
		return left->row < right->row ? -1 : 1;
	if (left->col != right->col)
		return left->col < right->col ? -1 : 1;
	return left < right ? -1 : left > right;
}

/* Two seats on one spot of the grid: the first such one of the document is refused. */
void
layout_refuse_same_spots(const Layout *layout)
{
	int				 *order = palloc(sizeof(int) * Max(layout->seat_count, 1));
	const LayoutSeat *seats = layout->seats;
	int				  found = -1;

	for (int i = 0; i < layout->seat_count; i++)
		order[i] = i;
	qsort_arg(order, layout->seat_count, sizeof(int), layout_compare_spots, layout->seats);
	for (int i = 1; i < layout->seat_count; i++)
		if (seats[order[i - 1]].row == seats[order[i]].row &&
			seats[order[i - 1]].col == seats[order[i]].col &&
			(found < 0 || order[i] < order[found]))
			found = i;
	if (found < 0)
		return;
	error_layout_refused(layout_seat_where(layout, order[found], NULL),
						 psprintf("row %d, col %d of the grid is taken by %s",
								  seats[order[found]].row, seats[order[found]].col,
								  layout_seat_where(layout, order[found - 1], NULL)));
}
