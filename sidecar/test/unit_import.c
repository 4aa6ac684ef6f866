/* SPDX-License-Identifier: PostgreSQL */
/*
 * What import-venue promises about a file before the database sees it: the grid that a good file
 * becomes, and the line and reason of every kind of bad one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "import.h"
#include "venue.h"

#define HEADER "section,row,seats,price\n"

static Venue *
parsed(const char *text)
{
	VenueError error = {0};
	Venue	  *venue = venue_parse(text, strlen(text), &error);

	if (venue == NULL)
		fail_msg("line %ld: %s", error.line, error.reason);
	return venue;
}

static void
assert_refused(const char *text, size_t length, long line, const char *reason)
{
	VenueError error = {0};
	Venue	  *venue = venue_parse(text, length, &error);

	assert_null(venue);
	assert_int_equal(error.line, line);
	if (strstr(error.reason, reason) == NULL)
		fail_msg("expected \"%s\", got \"%s\"", reason, error.reason);
}

static void
rows_follow_the_file_with_a_gap_between_sections(void **state)
{
	Venue *venue = parsed(HEADER "east,1,1-3,100\neast,2,1-3,100\nwest,1,1-3,50\n");

	(void) state;
	assert_int_equal(venue->nsections, 2);
	assert_int_equal(venue->nseats, 9);
	assert_int_equal(venue->rows[0].grid_row, 1);
	assert_int_equal(venue->rows[1].grid_row, 2);
	assert_int_equal(venue->rows[2].grid_row, 4);
	assert_int_equal(venue->rows[2].section, 1);
	assert_string_equal(venue->rows[2].name, "1");
	venue_free(venue);
}

static void
jumps_in_rows_and_seats_stay_gaps(void **state)
{
	Venue *venue =
		parsed(HEADER "a,1,\"1-2,31-32\",5\na,4,7,5\na,A,1,5\na,B,1,5\nb,9,1,5\nb,6,1,5\n");
	const int first_cols[] = {1, 2, 31, 32};

	(void) state;
	assert_int_equal(venue->rows[0].ncols, 4);
	assert_memory_equal(venue->rows[0].cols, first_cols, sizeof(first_cols));
	assert_int_equal(venue->rows[1].grid_row, 4);
	assert_int_equal(venue->rows[1].cols[0], 7);
	assert_int_equal(venue->rows[2].grid_row, 5);
	assert_int_equal(venue->rows[3].grid_row, 6);
	assert_int_equal(venue->rows[4].grid_row, 8);
	assert_int_equal(venue->rows[5].grid_row, 11);
	venue_free(venue);
}

static void
a_section_with_two_prices_becomes_two(void **state)
{
	Venue *venue = parsed(HEADER "a,1,1-4,100\na,2,1-4,70\na,1,5-8,70\na,3,1-4,100\n");

	(void) state;
	assert_int_equal(venue->nsections, 2);
	assert_string_equal(venue->sections[0].name, venue->sections[1].name);
	assert_int_equal(venue->sections[1].price, 70);
	assert_int_equal(venue->rows[2].section, 1);
	assert_int_equal(venue->rows[2].grid_row, venue->rows[0].grid_row);
	assert_int_equal(venue->rows[3].grid_row, 3);
	venue_free(venue);
}

static void
crlf_mark_quotes_blank_lines_and_column_order_are_fine(void **state)
{
	Venue *venue = parsed(
		"\xEF\xBB\xBF"
		"Price,\"section\",row,seats\r\n\r\n0,\"north, \"\"upper\"\"\",1 ,\" 1 - 2 , 4\"\r\n  \n7,ö,1,5");

	(void) state;
	assert_int_equal(venue->nrows, 2);
	assert_string_equal(venue->sections[0].name, "north, \"upper\"");
	assert_int_equal(venue->sections[0].price, 0);
	assert_string_equal(venue->rows[0].name, "1");
	assert_int_equal(venue->rows[0].ncols, 3);
	assert_int_equal(venue->rows[1].line, 5);
	venue_free(venue);
}

static const struct BadFile
{
	const char *text;
	long		line;
	const char *reason;
} bad_files[] = {
	{"", 0, "the file is empty"},
	{"\xEF\xBB\xBF", 0, "the file is empty"},
	{"\n \n", 0, "the file is empty"},
	{HEADER, 0, "no seats"},
	{"a,1,1-3,100\n", 1, "unknown column \"a\""},
	{"section,row,seats\na,1,1-3\n", 1, "column \"price\" is missing"},
	{"section,row,seats,price,colour\n", 1, "unknown column \"colour\""},
	{"section,row,seats,price,row\n", 1, "column \"row\" stands twice"},
	{"\xFF\xFE"
	 "s",
	 1, "not UTF-8"},
	{HEADER "a,1,1-3,100\nb\xC3,1,1-3,100\n", 3, "not UTF-8"},
	{HEADER "a,1,1-3,100,x\n", 2, "5 fields where the header has 4"},
	{HEADER "a,1,1-3\n", 2, "3 fields"},
	{HEADER "a,1,1-4,31-34,100\n", 2, "5 fields"},
	{HEADER "a\rb,1,1-3,100\n", 2, "control character (0x0d)"},
	{HEADER "a\"b,1,1-3,100\n", 2, "quote inside a field"},
	{HEADER "\"a\nb\",1,1-3,100\n", 2, "not closed"},
	{HEADER ",1,1-3,100\n", 2, "section is missing"},
	{HEADER "a,,1-3,100\n", 2, "row is missing"},
	{HEADER "a,1,,100\n", 2, "seats are missing"},
	{HEADER "a,1,1-3,\n", 2, "price is missing"},
	{HEADER "a,1,1-3,-5\n", 2, "price -5 is negative"},
	{HEADER "a,1,1-3,1.5\n", 2, "not a whole number"},
	{HEADER "a,1,1-3,free\n", 2, "price \"free\" is not a number"},
	{HEADER "a,1,1-3,99999999999999999999\n", 2, "is too large"},
	{HEADER "a,1,0-3,100\n", 2, "seat 0"},
	{HEADER "a,1,0,100\n", 2, "seat 0"},
	{HEADER "a,1,5-3,100\n", 2, "range 5-3 descends"},
	{HEADER "a,1,5--3,100\n", 2, "is not a number"},
	{HEADER "a,1,-3,100\n", 2, "is not a number"},
	{HEADER "a,1,3-,100\n", 2, "is not a number"},
	{HEADER "a,1,\"1,,2\",100\n", 2, "is not a number"},
	{HEADER "a,1,\"1,\",100\n", 2, "is not a number"},
	{HEADER "a,1,1;2,100\n", 2, "where a comma belongs"},
	{HEADER "a,1,A-F,100\n", 2, "is not a number"},
	{HEADER "a,1,1-4294967297,100\n", 2, "is too large"},
	{HEADER "a,1,\"1-5,5-8\",100\n", 2, "seat 5 stands twice"},
	{HEADER "a,1,\"3,1-4\",100\n", 2, "seat 3 stands twice"},
	{HEADER "a,1,1-3,100\na,2,1-3,100\na,1,7-9,100\n", 4,
	 "row \"1\" of section \"a\" was given in line 2"},
	{HEADER "a,1,1-3,100\na,1,3-5,200\n", 3, "seat 3 stands twice"},
	{HEADER "a,1,1-3,100\na,9999999,1-3,100\n", 3, "too far"},
};

static void
a_bad_line_is_named_with_its_reason(void **state)
{
	(void) state;
	for (size_t i = 0; i < sizeof(bad_files) / sizeof(bad_files[0]); i++)
		assert_refused(bad_files[i].text, strlen(bad_files[i].text), bad_files[i].line,
					   bad_files[i].reason);
}

static void
nul_bytes_are_refused(void **state)
{
	static const char text[] = HEADER "a\0b,1,1-3,100\n";

	(void) state;
	assert_refused(text, sizeof(text) - 1, 2, "NUL byte");
}

static void
names_and_seats_are_bounded(void **state)
{
	char   text[VENUE_NAME_BYTES_MAX + 100];
	char  *many = malloc(64 * 1024);
	size_t length = (size_t) sprintf(many, HEADER);

	(void) state;
	snprintf(text, sizeof(text), HEADER "%0*d,1,1-3,100\n", VENUE_NAME_BYTES_MAX + 1, 7);
	assert_refused(text, strlen(text), 2, "longer than");
	for (int row = 1; row <= VENUE_SEATS_MAX / VENUE_SEAT_NUMBER_MAX + 1; row++)
		length += (size_t) sprintf(many + length, "a,%d,1-%d,5\n", row, VENUE_SEAT_NUMBER_MAX);
	assert_refused(many, length, VENUE_SEATS_MAX / VENUE_SEAT_NUMBER_MAX + 2,
				   "more than 1000000 seats");
	free(many);
}

static void
a_stadium_of_fifty_thousand_seats_is_read(void **state)
{
	char  *text = malloc(1024 * 1024);
	size_t length = (size_t) sprintf(text, HEADER);
	Venue *venue;

	(void) state;
	for (int section = 0; section < 50; section++)
		for (int row = 1; row <= 40; row++)
			length += (size_t) sprintf(text + length, "sector %d,%d,1-25,80000\n", section, row);
	venue = parsed(text);
	assert_int_equal(venue->nseats, 50000);
	assert_int_equal(venue->nsections, 50);
	assert_int_equal(venue->rows[venue->nrows - 1].grid_row, 50 * 40 + 49);
	venue_free(venue);
	free(text);
}

static void
misuse_is_told_before_anything_is_read(void **state)
{
	char *no_file[] = {"import-venue", "--concert", "x", "--starts-at", "2030-01-01", NULL};
	char *no_concert[] = {"import-venue", "hall.csv", "--starts-at", "2030-01-01", NULL};
	char *unknown[] = {"import-venue", "hall.csv", "--colour", "red", NULL};
	char *missing[] = {"import-venue",
					   "/nonexistent/hall.csv",
					   "--concert",
					   "x",
					   "--starts-at",
					   "2030-01-01",
					   NULL};

	(void) state;
	assert_int_equal(import_main(5, no_file), 2);
	assert_int_equal(import_main(4, no_concert), 2);
	assert_int_equal(import_main(4, unknown), 2);
	assert_int_equal(import_main(6, missing), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_follow_the_file_with_a_gap_between_sections),
		cmocka_unit_test(jumps_in_rows_and_seats_stay_gaps),
		cmocka_unit_test(a_section_with_two_prices_becomes_two),
		cmocka_unit_test(crlf_mark_quotes_blank_lines_and_column_order_are_fine),
		cmocka_unit_test(a_bad_line_is_named_with_its_reason),
		cmocka_unit_test(nul_bytes_are_refused),
		cmocka_unit_test(names_and_seats_are_bounded),
		cmocka_unit_test(a_stadium_of_fifty_thousand_seats_is_read),
		cmocka_unit_test(misuse_is_told_before_anything_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
