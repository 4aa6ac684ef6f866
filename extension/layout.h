/* SPDX-License-Identifier: PostgreSQL */
/*
 * A layout: the sections and seats of a hall, out of a document of one of two forms, on their way
 * into a concert date. docs/layout.md describes both forms.
 *
 * layout_form.c and pretix.c fill it; layout.c judges it as a whole and stores it; every seat
 * remembers where in the document it stands, so that whatever is wrong is named there.
 */
#ifndef CONCERT_LAYOUT_H
#define CONCERT_LAYOUT_H

#include "document.h"

/* Bounds of one layout. */
#define LAYOUT_SECTIONS_MAX 2000
#define LAYOUT_ROWS_MAX 100000
#define LAYOUT_SEATS_MAX 1000000

#define LAYOUT_GAP 1			  /* empty grid rows between two sections, and at an aisle across */
#define LAYOUT_STANDING_COLS 1000 /* cols of a grid row that standing people fill */

typedef struct LayoutSection
{
	pg_uuid_t	id;
	bool		exists; /* in the date, before this layout */
	const char *name;
	int64		price;
	const char *currency;
	bool		standing;
	int			focal_row; /* 0: none is given */
	int			focal_col;
	int			part; /* its index in the document */
} LayoutSection;

typedef struct LayoutSeat
{
	int			section; /* index into sections */
	int			row;
	int			col;
	bool		accessible;
	const char *label;
	int			part_index; /* where it stands: sections[] or zones[] */
	int			row_index;	/* rows[] of it, or -1: the part as a whole */
	int			seat_index; /* seats[] of it, or -1: the row as a whole */
} LayoutSeat;

/* A text that may stand only once within its scope, and whose it is. */
typedef struct LayoutName
{
	const char *scope;
	const char *text;
	int			seat; /* index into seats; -1: of a seat that the date has already */
} LayoutName;

typedef struct Layout
{
	const char	  *parts_key; /* "sections" or "zones"; NULL: of no document */
	const char	  *label_key; /* of a seat */
	const char	  *currency;  /* of sections that name none */
	LayoutSection *sections;
	int			   section_count;
	int			   section_room;
	LayoutSeat	  *seats;
	int			   seat_count;
	int			   seat_room;
	int			   row_count; /* of the document */
	int			   row_max;	  /* the largest grid row so far, those of the date included */
} Layout;

/* layout.c: adding to a layout, within the bounds. */
extern int layout_add_section(Layout *layout, const LayoutSection *section, const DocumentPath *at);
extern int layout_find_section(const LayoutSection *sections, int count,
							   const LayoutSection *wanted);
extern void	 layout_add_seat(Layout *layout, const LayoutSeat *seat, const DocumentPath *at);
extern void	 layout_add_row(Layout *layout, const DocumentPath *at);
extern int	 layout_next_row(const Layout *layout);
extern int64 layout_price(const JsonbValue *value, const DocumentPath *at);
extern char *layout_currency(const JsonbValue *value, const DocumentPath *at);

/* layout.c: judging it; what is wrong raises. */
extern const char *layout_section_where(const Layout *layout, int section, const char *key);
extern const char *layout_seat_where(const Layout *layout, int seat, const char *key);
extern void layout_refuse_same(const Layout *layout, LayoutName *names, int count, const char *key);
extern void layout_refuse_same_spots(const Layout *layout);

/* The two forms. prices is NULL or an object of categories. */
extern void layout_form_read(Layout *layout, const JsonbValue *document, const DocumentPath *root);
extern void pretix_read(Layout *layout, const JsonbValue *document, const DocumentPath *root,
						const JsonbValue *prices, const DocumentPath *prices_root);

#endif /* CONCERT_LAYOUT_H */
