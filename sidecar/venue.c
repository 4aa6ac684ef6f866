/* SPDX-License-Identifier: PostgreSQL */
/*
 * Reads a venue file line by line: bytes are checked, libcsv splits, and the fields become a row
 * of the grid. One line is one record, so an error always has its line. After the first error
 * nothing more is read.
 */
#include "venue.h"

#include <csv.h>
#include <errno.h>
#include <jansson.h>
#include <search.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FIELDS_MAX 64
#define SECTION_GAP 1 /* empty grid rows between two sections */
#define BYTE_ORDER_MARK "\xEF\xBB\xBF"

enum
{
	COLUMN_SECTION,
	COLUMN_ROW,
	COLUMN_SEATS,
	COLUMN_PRICE,
	COLUMNS
};

static const char *const column_names[COLUMNS] = {"section", "row", "seats", "price"};

/* A row of the hall, found by its printed names; last is its newest line. */
typedef struct RowEntry
{
	const char *section;
	const char *row;
	int			last;
} RowEntry;

typedef struct Reader
{
	Venue	   *venue;
	VenueError *error;
	bool		failed;
	long		line;
	char	   *fields[FIELDS_MAX];
	int			nfields; /* may count past FIELDS_MAX; only the first ones are kept */
	bool		header_seen;
	int			field_of[COLUMNS];
	void	   *rows_by_name;  /* tsearch tree of RowEntry */
	long	   *taken_in_line; /* by seat number, for the row being read */
	int			newest_row;	   /* index of the row with the highest grid number, or -1 */
} Reader;

static bool reader_fail(Reader *reader, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void read_lines(Reader *reader, const char *text, size_t length);
static bool check_bytes(Reader *reader, const char *text, size_t length);
static void read_record(Reader *reader, const char *text, size_t length);
static bool read_header(Reader *reader);
static bool read_row(Reader *reader);
static bool read_price(Reader *reader, int64_t *ret_price);
static bool read_seats(Reader *reader, VenueRow *row);
static int	find_section(Reader *reader, const char *name, int64_t price);
static bool place_row(Reader *reader, VenueRow *row, RowEntry *entry);
static RowEntry *find_row(Reader *reader, const char *section, const char *row);

static void *
must(void *memory)
{
	if (memory == NULL)
	{
		fputs("out of memory\n", stderr);
		exit(1);
	}
	return memory;
}

/* Room for one more item behind the count that are there; the capacity is the next power of two. */
static void *
with_room(void *items, int count, size_t item_bytes)
{
	if (count > 0 && (count & (count - 1)) != 0)
		return items;
	return must(realloc(items, (count == 0 ? 1 : (size_t) count * 2) * item_bytes));
}

Venue *
venue_parse(const char *text, size_t length, VenueError *ret_error)
{
	Reader reader = {.venue = must(calloc(1, sizeof(Venue))), .error = ret_error, .newest_row = -1};

	reader.taken_in_line = must(calloc(VENUE_SEAT_NUMBER_MAX + 1, sizeof(long)));
	if (length >= strlen(BYTE_ORDER_MARK) &&
		memcmp(text, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
	{
		text += strlen(BYTE_ORDER_MARK);
		length -= strlen(BYTE_ORDER_MARK);
	}
	read_lines(&reader, text, length);

	reader.line = 0;
	if (!reader.failed && !reader.header_seen)
		reader_fail(&reader, "the file is empty");
	else if (!reader.failed && reader.venue->nrows == 0)
		reader_fail(&reader, "the file has a header but no seats");

	tdestroy(reader.rows_by_name, free);
	free(reader.taken_in_line);
	if (reader.failed)
	{
		venue_free(reader.venue);
		return NULL;
	}
	return reader.venue;
}

void
venue_free(Venue *venue)
{
	if (venue == NULL)
		return;
	for (int i = 0; i < venue->nsections; i++)
		free(venue->sections[i].name);
	for (int i = 0; i < venue->nrows; i++)
	{
		free(venue->rows[i].name);
		free(venue->rows[i].cols);
	}
	free(venue->sections);
	free(venue->rows);
	free(venue);
}

/* Always false, so that it can be returned; the first error stays. */
static bool
reader_fail(Reader *reader, const char *fmt, ...)
{
	va_list args;

	if (reader->failed)
		return false;
	reader->failed = true;
	reader->error->line = reader->line;
	va_start(args, fmt);
	vsnprintf(reader->error->reason, sizeof(reader->error->reason), fmt, args);
	va_end(args);
	return false;
}

static void
read_lines(Reader *reader, const char *text, size_t length)
{
	const char *end = text + length;

	while (text < end && !reader->failed)
	{
		const char *newline = memchr(text, '\n', (size_t) (end - text));
		const char *stop = newline != NULL ? newline : end;
		size_t		line_bytes = (size_t) (stop - text);

		reader->line++;
		if (newline != NULL && line_bytes > 0 && text[line_bytes - 1] == '\r')
			line_bytes--;
		if (check_bytes(reader, text, line_bytes))
			read_record(reader, text, line_bytes);
		text = newline != NULL ? newline + 1 : end;
	}
}

static bool
check_bytes(Reader *reader, const char *text, size_t length)
{
	json_t *as_text = json_stringn(text, length); /* refuses what is not UTF-8 */

	if (as_text == NULL)
		reader_fail(reader, "not UTF-8");
	json_decref(as_text);
	for (size_t i = 0; i < length && !reader->failed; i++)
	{
		unsigned char byte = (unsigned char) text[i];

		if (byte == '\0')
			reader_fail(reader, "a NUL byte");
		else if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
			reader_fail(reader, "a control character (0x%02x)", byte);
	}
	return !reader->failed;
}

static void
keep_field(void *field, size_t length, void *arg)
{
	Reader *reader = arg;

	if (reader->nfields < FIELDS_MAX)
		reader->fields[reader->nfields] = must(strndup(field != NULL ? field : "", length));
	reader->nfields++;
}

static void
read_record(Reader *reader, const char *text, size_t length)
{
	struct csv_parser parser;

	reader->nfields = 0;
	if (csv_init(&parser, CSV_STRICT | CSV_STRICT_FINI | CSV_APPEND_NULL) != 0)
		must(NULL);
	if (csv_parse(&parser, text, length, keep_field, NULL, reader) != length)
		reader_fail(reader,
					"a quote inside a field (put the field in quotes, double the quotes in it)");
	else if (csv_fini(&parser, keep_field, NULL, reader) != 0)
		reader_fail(reader, "a quoted field is not closed on its line");
	else if (reader->nfields > 0 && reader->header_seen)
		read_row(reader);
	else if (reader->nfields > 0)
		read_header(reader);
	csv_free(&parser);
	for (int i = 0; i < reader->nfields && i < FIELDS_MAX; i++)
		free(reader->fields[i]);
}

static bool
read_header(Reader *reader)
{
	for (int column = 0; column < COLUMNS; column++)
		reader->field_of[column] = -1;
	for (int i = 0; i < reader->nfields && i < FIELDS_MAX; i++)
	{
		int column = 0;

		while (column < COLUMNS && strcasecmp(reader->fields[i], column_names[column]) != 0)
			column++;
		if (column == COLUMNS)
			return reader_fail(reader,
							   "unknown column \"%.50s\" (the header is section,row,seats,price)",
							   reader->fields[i]);
		if (reader->field_of[column] >= 0)
			return reader_fail(reader, "column \"%s\" stands twice in the header",
							   column_names[column]);
		reader->field_of[column] = i;
	}
	for (int column = 0; column < COLUMNS; column++)
		if (reader->field_of[column] < 0)
			return reader_fail(reader, "column \"%s\" is missing in the header",
							   column_names[column]);
	reader->header_seen = true;
	return true;
}

static const char *
read_name(Reader *reader, int column)
{
	const char *name = reader->fields[reader->field_of[column]];

	if (name[0] == '\0')
		reader_fail(reader, "%s is missing", column_names[column]);
	else if (strlen(name) > VENUE_NAME_BYTES_MAX)
		reader_fail(reader, "%s is longer than %d bytes", column_names[column],
					VENUE_NAME_BYTES_MAX);
	return name;
}

static bool
read_row(Reader *reader)
{
	Venue	   *venue = reader->venue;
	VenueRow	row = {.line = reader->line};
	const char *section;
	const char *name;
	int64_t		price;
	RowEntry   *entry;

	if (reader->nfields != COLUMNS)
		return reader_fail(reader, "%d fields where the header has %d", reader->nfields, COLUMNS);
	section = read_name(reader, COLUMN_SECTION);
	name = read_name(reader, COLUMN_ROW);
	if (reader->failed || !read_price(reader, &price))
		return false;
	if (venue->nrows == VENUE_ROWS_MAX)
		return reader_fail(reader, "more than %d rows", VENUE_ROWS_MAX);
	row.section = find_section(reader, section, price);
	if (row.section < 0)
		return false;
	entry = find_row(reader, venue->sections[row.section].name, name);
	if (!place_row(reader, &row, entry) || !read_seats(reader, &row))
	{
		free(row.cols);
		return false;
	}
	row.name = must(strdup(name));
	venue->rows = with_room(venue->rows, venue->nrows, sizeof(VenueRow));
	venue->rows[venue->nrows] = row;
	if (entry->last < 0)
		entry->row = row.name;
	if (row.same_row < 0)
		reader->newest_row = venue->nrows;
	entry->last = venue->nrows++;
	return true;
}

/* Digits only; false leaves the text where the number ends, or says why it is none. */
static bool
read_number(Reader *reader, const char **text, const char *what, int64_t max, int64_t *ret_number)
{
	const char *digits = *text;
	int64_t		number = 0;
	size_t		ndigits = strspn(digits, "0123456789");

	if (ndigits == 0)
	{
		reader_fail(reader, "%s \"%.50s\" is not a number", what, digits);
		return false;
	}
	for (size_t i = 0; i < ndigits; i++)
	{
		number = number * 10 + (digits[i] - '0');
		if (number > max)
		{
			reader_fail(reader, "%s %.50s is too large (at most %lld)", what, digits,
						(long long) max);
			return false;
		}
	}
	*text = digits + ndigits;
	*ret_number = number;
	return true;
}

static bool
read_price(Reader *reader, int64_t *ret_price)
{
	const char *field = reader->fields[reader->field_of[COLUMN_PRICE]];
	const char *rest = field;

	if (field[0] == '\0')
		reader_fail(reader, "price is missing");
	else if (field[0] == '-')
		reader_fail(reader, "price %.50s is negative", field);
	else if (read_number(reader, &rest, "price", VENUE_PRICE_MAX, ret_price) && rest[0] != '\0')
		reader_fail(reader, "price \"%.50s\" is not a whole number of minor units", field);
	return !reader->failed;
}

static bool
take_seats(Reader *reader, VenueRow *row, int64_t first, int64_t last)
{
	if (first == 0)
		reader_fail(reader, "seat 0: seats count from 1");
	else if (last < first)
		reader_fail(reader, "range %lld-%lld descends", (long long) first, (long long) last);
	else if (reader->venue->nseats + (last - first) >= VENUE_SEATS_MAX)
		reader_fail(reader, "more than %d seats", VENUE_SEATS_MAX);
	for (int64_t seat = first; seat <= last && !reader->failed; seat++)
	{
		if (reader->taken_in_line[seat] == reader->line)
			return reader_fail(reader, "seat %lld stands twice in its row", (long long) seat);
		reader->taken_in_line[seat] = reader->line;
		row->cols = with_room(row->cols, row->ncols, sizeof(int));
		row->cols[row->ncols++] = (int) seat;
		reader->venue->nseats++;
	}
	return !reader->failed;
}

/*
 * "1-18" or "1-4,31-34"; a seat that an earlier line gave to this row at another price is an
 * overlap too.
 */
static bool
read_seats(Reader *reader, VenueRow *row)
{
	const char *rest = reader->fields[reader->field_of[COLUMN_SEATS]];

	for (int i = row->same_row; i >= 0; i = reader->venue->rows[i].same_row)
		for (int seat = 0; seat < reader->venue->rows[i].ncols; seat++)
			reader->taken_in_line[reader->venue->rows[i].cols[seat]] = reader->line;

	if (rest[0] == '\0')
		reader_fail(reader, "seats are missing");
	while (!reader->failed)
	{
		int64_t first;
		int64_t last;

		rest += strspn(rest, " ");
		if (!read_number(reader, &rest, "seat", VENUE_SEAT_NUMBER_MAX, &first))
			break;
		last = first;
		rest += strspn(rest, " ");
		if (*rest == '-')
		{
			rest += 1 + strspn(rest + 1, " ");
			if (!read_number(reader, &rest, "seat", VENUE_SEAT_NUMBER_MAX, &last))
				break;
			rest += strspn(rest, " ");
		}
		if (!take_seats(reader, row, first, last) || *rest == '\0')
			break;
		if (*rest != ',')
			reader_fail(reader, "seats have \"%.50s\" where a comma belongs", rest);
		rest++;
	}
	return !reader->failed;
}

static int
find_section(Reader *reader, const char *name, int64_t price)
{
	Venue *venue = reader->venue;

	for (int i = venue->nsections - 1; i >= 0; i--)
		if (venue->sections[i].price == price && strcmp(venue->sections[i].name, name) == 0)
			return i;
	if (venue->nsections == VENUE_SECTIONS_MAX)
	{
		reader_fail(reader, "more than %d sections and prices", VENUE_SECTIONS_MAX);
		return -1;
	}
	venue->sections = with_room(venue->sections, venue->nsections, sizeof(VenueSection));
	venue->sections[venue->nsections] = (VenueSection){.name = must(strdup(name)), .price = price};
	return venue->nsections++;
}

/* The distance in the grid to the row before, in the same section. */
static int64_t
row_step(const char *before, const char *name)
{
	char   *before_end;
	char   *name_end;
	int64_t from;
	int64_t to;

	errno = 0;
	from = strtoll(before, &before_end, 10);
	to = strtoll(name, &name_end, 10);
	if (errno != 0 || before_end == before || *before_end != '\0' || name_end == name ||
		*name_end != '\0' || from == to)
		return 1;
	if (from < 0 || to < 0)
		return 1;
	return to > from ? to - from : from - to;
}

/* Gives the row its grid number; false if the file already gave this row at this price. */
static bool
place_row(Reader *reader, VenueRow *row, RowEntry *entry)
{
	const Venue	   *venue = reader->venue;
	const VenueRow *before = reader->newest_row >= 0 ? &venue->rows[reader->newest_row] : NULL;
	const char	   *name = reader->fields[reader->field_of[COLUMN_ROW]];
	const char	   *section = venue->sections[row->section].name;
	int64_t			step = 1;
	int64_t			grid_row;

	row->same_row = entry->last;
	for (int i = entry->last; i >= 0; i = venue->rows[i].same_row)
		if (venue->rows[i].section == row->section)
			return reader_fail(reader, "row \"%s\" of section \"%s\" was given in line %ld", name,
							   section, venue->rows[i].line);
	if (entry->last >= 0)
	{
		row->grid_row = venue->rows[entry->last].grid_row;
		return true;
	}
	if (before != NULL)
	{
		bool same_section = strcmp(venue->sections[before->section].name, section) == 0;

		step = same_section ? row_step(before->name, name) : 1 + SECTION_GAP;
	}
	grid_row = (before != NULL ? before->grid_row : 0) + step;
	if (grid_row > VENUE_GRID_ROW_MAX)
		return reader_fail(reader, "row \"%s\" is too far from the row before it", name);
	row->grid_row = (int) grid_row;
	return true;
}

static int
compare_rows(const void *left, const void *right)
{
	const RowEntry *a = left;
	const RowEntry *b = right;
	int				order = strcmp(a->section, b->section);

	return order != 0 ? order : strcmp(a->row, b->row);
}

/* A new entry borrows the row's name from the record until the row is kept. */
static RowEntry *
find_row(Reader *reader, const char *section, const char *row)
{
	RowEntry *entry = must(malloc(sizeof(RowEntry)));
	RowEntry *found;

	*entry = (RowEntry){.section = section, .row = row, .last = -1};
	found = *(RowEntry **) must(tsearch(entry, &reader->rows_by_name, compare_rows));
	if (found != entry)
		free(entry);
	return found;
}
