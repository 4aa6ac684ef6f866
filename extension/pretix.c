/* SPDX-License-Identifier: PostgreSQL */
/*
 * The public seating plan form of pretix: zones of rows of seats, each with a position in the
 * plane, and categories, whose prices come beside the plan. docs/layout.md says which keys are known.
 * Here the plan is read; pretix_place.c finds the grid's rows and cols for a zone's seats.
 */
#include "pretix.h"

#include "errors.h"
#include "miscadmin.h"

#define CATEGORIES_MAX 1000
#define ZONE_ROWS_MAX 10000		/* of one zone */
#define POSITION_LIMIT 1e6		/* in the plan's own unit, either way */
#define TEXT_CHARS_MAX 10000	/* of a seat_guid */
#define ROW_NUMBER_CHARS_MAX 99 /* with the other and a dash within NAME_CHARS_MAX */
#define SEAT_NUMBER_CHARS_MAX 100
#define SEATS_ROOM_MIN 1024

enum
{
	PLAN_NAME,
	PLAN_ZONES,
	PLAN_CATEGORIES,
	PLAN_SIZE,
	PLAN_KEYS
};

static const DocumentKey plan_keys[PLAN_KEYS] = {
	[PLAN_NAME] = {"name", KIND_STRING, false},
	[PLAN_ZONES] = {"zones", KIND_ARRAY, true},
	[PLAN_CATEGORIES] = {"categories", KIND_ARRAY, true},
	[PLAN_SIZE] = {"size", KIND_OBJECT, false},
};

enum
{
	ZONE_NAME,
	ZONE_POSITION,
	ZONE_ROWS,
	ZONE_KEYS_READ,
	ZONE_KEYS = ZONE_KEYS_READ + 4
};

static const DocumentKey zone_keys[ZONE_KEYS] = {
	[ZONE_NAME] = {"name", KIND_STRING, false},
	[ZONE_POSITION] = {"position", KIND_OBJECT, true},
	[ZONE_ROWS] = {"rows", KIND_ARRAY, true},
	{"zone_id", KIND_ANY, false},
	{"uuid", KIND_ANY, false},
	{"areas", KIND_ANY, false},
	{"displayed", KIND_ANY, false},
};

enum
{
	ROW_NUMBER,
	ROW_POSITION,
	ROW_SEATS,
	ROW_KEYS_READ,
	ROW_KEYS = ROW_KEYS_READ + 6
};

static const DocumentKey row_keys[ROW_KEYS] = {
	[ROW_NUMBER] = {"row_number", KIND_STRING, true},
	[ROW_POSITION] = {"position", KIND_OBJECT, false},
	[ROW_SEATS] = {"seats", KIND_ARRAY, true},
	{"row_label", KIND_ANY, false},
	{"seat_label", KIND_ANY, false},
	{"uuid", KIND_ANY, false},
	{"row_number_position", KIND_ANY, false},
	{"number_of_seats", KIND_ANY, false},
	{"seats_spacing", KIND_ANY, false},
};

enum
{
	SEAT_GUID,
	SEAT_NUMBER,
	SEAT_POSITION,
	SEAT_CATEGORY,
	SEAT_KEYS_READ,
	SEAT_KEYS = SEAT_KEYS_READ + 3
};

static const DocumentKey seat_keys[SEAT_KEYS] = {
	[SEAT_GUID] = {"seat_guid", KIND_STRING, true},
	[SEAT_NUMBER] = {"seat_number", KIND_STRING, true},
	[SEAT_POSITION] = {"position", KIND_OBJECT, true},
	[SEAT_CATEGORY] = {"category", KIND_STRING, true},
	{"uuid", KIND_ANY, false},
	{"start_direction", KIND_ANY, false},
	{"radius", KIND_ANY, false},
};

static const DocumentKey position_keys[] = {
	{"x", KIND_NUMBER, true},
	{"y", KIND_NUMBER, true},
};

static const DocumentKey category_keys[] = {
	{"name", KIND_STRING, true},
	{"color", KIND_ANY, false},
};

static const DocumentKey price_keys[] = {
	{"price", KIND_NUMBER, true},
	{"currency", KIND_STRING, false},
};

typedef struct Category
{
	const char *name;
	bool		priced;
	int64		price;
	const char *currency;
	int			section; /* of the zone that is read, or -1 */
} Category;

typedef struct Reading
{
	Layout	   *layout;
	Category   *categories;
	int			category_count;
	LayoutName *guids;	   /* of the seats that are in the layout, in their order */
	const char *zone_name; /* "": it has none */
	int			zone_index;
	Spot		origin;
	PlanZone	zone;
	int			seat_room; /* of zone.seats */
} Reading;

static Spot
pretix_position(const JsonbValue *object, const DocumentPath *up, Spot origin)
{
	DocumentPath at = document_key(up, "position");
	DocumentPath x = document_key(&at, "x");
	DocumentPath y = document_key(&at, "y");
	JsonbValue	 values[lengthof(position_keys)];

	if (!document_given(object))
		return origin;
	document_object(object, &at, position_keys, lengthof(position_keys), values);
	return (Spot){origin.x + document_number(&values[0], &x, POSITION_LIMIT),
				  origin.y + document_number(&values[1], &y, POSITION_LIMIT)};
}

static Category *
pretix_find_category(const Reading *reading, const char *name)
{
	for (int i = 0; i < reading->category_count; i++)
		if (strcmp(reading->categories[i].name, name) == 0)
			return &reading->categories[i];
	return NULL;
}

static void
pretix_read_categories(Reading *reading, const JsonbValue *list, const DocumentPath *root)
{
	DocumentPath  at = document_key(root, "categories");
	DocumentItems items = document_items(list, &at, KIND_OBJECT);

	if (document_count(list) > CATEGORIES_MAX)
		document_refuse(&at, psprintf("more than %d categories", CATEGORIES_MAX));
	reading->categories = palloc0(sizeof(Category) * Max(document_count(list), 1));
	while (document_next(&items))
	{
		DocumentPath name = document_key(&items.at, "name");
		JsonbValue	 values[lengthof(category_keys)];
		Category	 category = {0};

		document_object(&items.item, &items.at, category_keys, lengthof(category_keys), values);
		category.name = document_text(&values[0], &name, 1, NAME_CHARS_MAX);
		if (pretix_find_category(reading, category.name) != NULL)
			document_refuse(&name, psprintf("category \"%s\" is there already", category.name));
		reading->categories[reading->category_count++] = category;
	}
}

static void
pretix_read_prices(Reading *reading, const JsonbValue *prices, const DocumentPath *root)
{
	DocumentItems items = document_items(prices, root, KIND_OBJECT);

	while (document_next(&items))
	{
		DocumentPath price = document_key(&items.at, "price");
		DocumentPath currency = document_key(&items.at, "currency");
		JsonbValue	 values[lengthof(price_keys)];
		Category	*category;

		category = pretix_find_category(reading, pnstrdup(items.at.key, items.at.key_bytes));
		if (category == NULL)
			document_refuse(&items.at, "the plan has no such category");
		document_object(&items.item, &items.at, price_keys, lengthof(price_keys), values);
		category->priced = true;
		category->price = layout_price(&values[0], &price);
		category->currency = document_given(&values[1]) ? layout_currency(&values[1], &currency)
														: reading->layout->currency;
	}
}

/* A section is a zone at one price; a zone without a name goes by its categories. */
static int
pretix_section(Reading *reading, const JsonbValue *given, const DocumentPath *up)
{
	DocumentPath  at = document_key(up, "category");
	LayoutSection section = {.part = reading->zone_index};
	Category	 *category;

	category = pretix_find_category(reading, document_text(given, &at, 0, TEXT_CHARS_MAX));
	if (category == NULL)
		document_refuse(&at, "the plan has no such category");
	if (!category->priced)
		document_refuse(&at,
						psprintf("category \"%s\" has no price in \"prices\"", category->name));
	if (category->section >= 0)
		return category->section;
	section.name = reading->zone_name[0] != '\0' ? reading->zone_name : category->name;
	section.price = category->price;
	section.currency = category->currency;
	category->section =
		layout_find_section(reading->layout->sections, reading->layout->section_count, &section);
	if (category->section < 0)
		category->section = layout_add_section(reading->layout, &section, &at);
	return category->section;
}

/* "ROW-SEAT", or the seat's number alone in a row without one. */
static const char *
pretix_label(const char *row_number, const JsonbValue *given, const DocumentPath *up)
{
	DocumentPath at = document_key(up, "seat_number");
	char		*number = document_text(given, &at, 1, SEAT_NUMBER_CHARS_MAX);

	return row_number[0] == '\0' ? number : psprintf("%s-%s", row_number, number);
}

static PlanSeat *
pretix_new_seat(Reading *reading, const DocumentPath *at)
{
	CHECK_FOR_INTERRUPTS();
	if (reading->layout->seat_count + reading->zone.seat_count == LAYOUT_SEATS_MAX)
		document_refuse(at, psprintf("more than %d seats", LAYOUT_SEATS_MAX));
	if (reading->zone.seat_count == reading->seat_room)
	{
		reading->seat_room *= 2;
		reading->zone.seats =
			repalloc_huge(reading->zone.seats, sizeof(PlanSeat) * reading->seat_room);
	}
	return &reading->zone.seats[reading->zone.seat_count++];
}

static void
pretix_read_row(Reading *reading, const JsonbValue *object, const DocumentPath *at)
{
	DocumentPath  number = document_key(at, "row_number");
	DocumentPath  seats = document_key(at, "seats");
	JsonbValue	  values[ROW_KEYS];
	DocumentItems items;
	Spot		  origin;
	char		 *row_number;
	PlanRow		 *row = &reading->zone.rows[reading->zone.row_count];

	layout_add_row(reading->layout, at);
	document_object(object, at, row_keys, ROW_KEYS, values);
	row_number = document_text(&values[ROW_NUMBER], &number, 0, ROW_NUMBER_CHARS_MAX);
	origin = pretix_position(&values[ROW_POSITION], at, reading->origin);
	row->first = reading->zone.seat_count;
	items = document_items(&values[ROW_SEATS], &seats, KIND_OBJECT);
	while (document_next(&items))
	{
		DocumentPath guid = document_key(&items.at, "seat_guid");
		JsonbValue	 keys[SEAT_KEYS];
		PlanSeat	*seat;

		document_object(&items.item, &items.at, seat_keys, SEAT_KEYS, keys);
		seat = pretix_new_seat(reading, &items.at);
		seat->at = pretix_position(&keys[SEAT_POSITION], &items.at, origin);
		seat->guid = document_text(&keys[SEAT_GUID], &guid, 1, TEXT_CHARS_MAX);
		seat->seat = (LayoutSeat){
			.section = pretix_section(reading, &keys[SEAT_CATEGORY], &items.at),
			.label = pretix_label(row_number, &keys[SEAT_NUMBER], &items.at),
			.part_index = reading->zone_index,
			.row_index = at->index,
			.seat_index = items.at.index,
		};
	}
	row->count = reading->zone.seat_count - row->first;
	if (row->count > 0)
		reading->zone.row_count++;
}

/* The zone's seats join the layout, placed on grid rows of their own. */
static void
pretix_keep_zone(Reading *reading, const DocumentPath *at)
{
	Layout	   *layout = reading->layout;
	LayoutName *positions = palloc(sizeof(LayoutName) * reading->zone.seat_count);

	pretix_place(&reading->zone, layout_next_row(layout));
	reading->guids = reading->guids == NULL
		? palloc(sizeof(LayoutName) * reading->zone.seat_count)
		: repalloc_huge(reading->guids,
						sizeof(LayoutName) * (layout->seat_count + reading->zone.seat_count));
	for (int i = 0; i < reading->zone.seat_count; i++)
	{
		const PlanSeat *seat = &reading->zone.seats[i];

		positions[i] =
			(LayoutName){"", psprintf("%.15g, %.15g", seat->at.x, seat->at.y), layout->seat_count};
		reading->guids[layout->seat_count] = (LayoutName){"", seat->guid, layout->seat_count};
		layout_add_seat(layout, &seat->seat, at);
	}
	layout_refuse_same(layout, positions, reading->zone.seat_count, seat_keys[SEAT_POSITION].name);
}

static void
pretix_read_zone(Reading *reading, const JsonbValue *object, const DocumentPath *at)
{
	DocumentPath  name = document_key(at, "name");
	DocumentPath  rows = document_key(at, "rows");
	JsonbValue	  values[ZONE_KEYS];
	DocumentItems items;

	document_object(object, at, zone_keys, ZONE_KEYS, values);
	reading->zone_index = at->index;
	reading->zone_name = document_given(&values[ZONE_NAME])
		? document_text(&values[ZONE_NAME], &name, 0, NAME_CHARS_MAX)
		: "";
	reading->origin = pretix_position(&values[ZONE_POSITION], at, (Spot){0, 0});
	reading->zone.seat_count = 0;
	reading->zone.row_count = 0;
	for (int i = 0; i < reading->category_count; i++)
		reading->categories[i].section = -1;
	if (document_count(&values[ZONE_ROWS]) > ZONE_ROWS_MAX)
		document_refuse(&rows, psprintf("more than %d rows in one zone", ZONE_ROWS_MAX));
	items = document_items(&values[ZONE_ROWS], &rows, KIND_OBJECT);
	while (document_next(&items))
		pretix_read_row(reading, &items.item, &items.at);
	if (reading->zone.seat_count > 0)
		pretix_keep_zone(reading, at);
}

void
pretix_read(Layout *layout, const JsonbValue *document, const DocumentPath *root,
			const JsonbValue *prices, const DocumentPath *prices_root)
{
	DocumentPath  zones = document_key(root, "zones");
	JsonbValue	  values[PLAN_KEYS];
	DocumentItems items;
	Reading		  reading = {.layout = layout, .seat_room = SEATS_ROOM_MIN};

	layout->parts_key = zones.key;
	layout->label_key = seat_keys[SEAT_NUMBER].name;
	document_object(document, root, plan_keys, PLAN_KEYS, values);
	pretix_read_categories(&reading, &values[PLAN_CATEGORIES], root);
	pretix_read_prices(&reading, prices, prices_root);
	reading.zone.rows = palloc(sizeof(PlanRow) * ZONE_ROWS_MAX);
	reading.zone.seats = palloc(sizeof(PlanSeat) * reading.seat_room);
	items = document_items(&values[PLAN_ZONES], &zones, KIND_OBJECT);
	while (document_next(&items))
		pretix_read_zone(&reading, &items.item, &items.at);
	if (layout->seat_count == 0)
		document_refuse(&zones, "expected at least one seat");
	layout_refuse_same(layout, reading.guids, layout->seat_count, seat_keys[SEAT_GUID].name);
}
