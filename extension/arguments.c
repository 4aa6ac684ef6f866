/* SPDX-License-Identifier: PostgreSQL */
/*
 * What callers pass, judged before anything is locked or read: NULLs, lengths, characters.
 * Results are in the caller's memory context.
 */
#include "errors.h"

#include "catalog/pg_type_d.h"
#include "mb/pg_wchar.h"
#include "pgtime.h"
#include "utils/array.h"
#include "utils/builtins.h"

#define ZONE_EXPECTED "the name of an IANA time zone, as in Europe/Oslo"
#define DIGITS "0123456789"
#define SMALL_LETTERS "abcdefghijklmnopqrstuvwxyz"

void
argument_require(FunctionCallInfo fcinfo, int count, const char *const *names)
{
	for (int i = 0; i < count; i++)
		if (PG_ARGISNULL(i))
			error_null(names[i]);
}

int
argument_int32(FunctionCallInfo fcinfo, int n, const char *name, int low, int high)
{
	int given;

	if (PG_ARGISNULL(n))
		error_null(name);
	given = PG_GETARG_INT32(n);
	if (given < low || given > high)
		error_invalid_number(name, given, low, high);
	return given;
}

char *
argument_text(FunctionCallInfo fcinfo, int n, const char *name, int chars_max)
{
	char *given;
	int	  chars;

	if (PG_ARGISNULL(n))
		error_null(name);
	given = text_to_cstring(PG_GETARG_TEXT_PP(n));
	chars = pg_mbstrlen(given);
	if (chars < 1 || chars > chars_max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid length of argument \"%s\": %d characters", name, chars),
				 errdetail("Expected from 1 to %d characters.", chars_max)));
	return given;
}

char *
argument_optional_text(FunctionCallInfo fcinfo, int n, const char *name, int chars_max)
{
	return PG_ARGISNULL(n) ? NULL : argument_text(fcinfo, n, name, chars_max);
}

char *
argument_currency(FunctionCallInfo fcinfo, int n, const char *name)
{
	char *given;

	if (PG_ARGISNULL(n))
		error_null(name);
	given = text_to_cstring(PG_GETARG_TEXT_PP(n));
	if (strlen(given) != 3 || strspn(given, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 3)
		error_invalid(name, given, "three capital letters, as in PTS or EUR");
	return given;
}

struct pg_tz *
argument_time_zone(FunctionCallInfo fcinfo, int n, const char *name)
{
	char  *given = argument_text(fcinfo, n, name, NAME_CHARS_MAX);
	pg_tz *zone = pg_tzset(given);

	if (zone == NULL)
		error_invalid(name, given, ZONE_EXPECTED);
	return zone;
}

static bool
zone_is_listed(const char *name)
{
	pg_tzenum *names = pg_tzenumerate_start();
	bool	   found = false;
	pg_tz	  *zone;

	while (!found && (zone = pg_tzenumerate_next(names)) != NULL)
		found = strcmp(pg_get_timezone_name(zone), name) == 0;
	pg_tzenumerate_end(names);
	return found;
}

/*
 * Of a POSIX specification the server makes a zone whose name is in capitals and has the digits of
 * an offset. Few zones of the data are named so (EST5EDT): only for these names is it searched. What
 * begins with a small letter (right/, posix/, localtime) is the machine's own and no IANA name.
 */
static bool
zone_is_named(const char *name)
{
	if (strchr(SMALL_LETTERS, name[0]) != NULL)
		return false;
	return strpbrk(name, DIGITS) == NULL || strpbrk(name, SMALL_LETTERS) != NULL ||
		zone_is_listed(name);
}

/* The server's own list leaves out the zones that count leap seconds, too. */
struct pg_tz *
argument_iana_zone(FunctionCallInfo fcinfo, int n, const char *name)
{
	pg_tz	   *zone = argument_time_zone(fcinfo, n, name);
	char	   *given = text_to_cstring(PG_GETARG_TEXT_PP(n));
	const char *zone_name = pg_get_timezone_name(zone);

	if (!pg_tz_acceptable(zone) || pg_strcasecmp(given, zone_name) != 0 ||
		!zone_is_named(zone_name))
		error_invalid(name, given, ZONE_EXPECTED);
	return zone;
}

/* The seats in the caller's order; empty, NULL or repeated ones are errors. */
pg_uuid_t *
argument_seats(FunctionCallInfo fcinfo, int n, int seats_max, int *ret_count)
{
	ArrayType *array;
	Datum	  *elements;
	bool	  *nulls;
	int		   count;
	pg_uuid_t *ids;
	pg_uuid_t *sorted;

	if (PG_ARGISNULL(n))
		error_null("seat_ids");
	array = PG_GETARG_ARRAYTYPE_P(n);
	if (ARR_NDIM(array) > 1)
		error_invalid("seat_ids", "an array of arrays", "an array of one dimension");
	count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	if (count == 0)
		error_invalid("seat_ids", "{}", "at least one seat");
	if (count > seats_max)
		error_too_many_seats(count, seats_max);
	deconstruct_array(array, UUIDOID, UUID_LEN, false, TYPALIGN_CHAR, &elements, &nulls, &count);
	ids = palloc(sizeof(pg_uuid_t) * count);
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			error_null("seat_ids");
		ids[i] = *DatumGetUUIDP(elements[i]);
	}
	sorted = palloc(sizeof(pg_uuid_t) * count);
	memcpy(sorted, ids, sizeof(pg_uuid_t) * count);
	qsort(sorted, count, sizeof(pg_uuid_t), uuid_compare);
	for (int i = 1; i < count; i++)
		if (uuid_compare(&sorted[i - 1], &sorted[i]) == 0)
			error_duplicate_seat(uuid_text(&sorted[i]));
	*ret_count = count;
	return ids;
}

/*
 * What the setting allows now. It is no part of reading a request that has a key: the setting may
 * have been lowered since the request got its answer.
 */
void
argument_check_seats(int count)
{
	if (count > settings_max_seats_per_booking)
		error_too_many_seats(count, settings_max_seats_per_booking);
}

/* A name, or NULL for the full price, for each of count seats; NULL when none is given. */
char **
argument_concessions(FunctionCallInfo fcinfo, int n, int count)
{
	ArrayType *array;
	Datum	  *elements;
	bool	  *nulls;
	int		   given;
	char	 **names;

	if (PG_ARGISNULL(n))
		return NULL;
	array = PG_GETARG_ARRAYTYPE_P(n);
	if (ARR_NDIM(array) > 1)
		error_invalid("concessions", "an array of arrays", "an array of one dimension");
	given = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	if (given != count)
		error_invalid_number("number of concessions", given, count, count);
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &given);
	names = palloc0(sizeof(char *) * count);
	for (int i = 0; i < count; i++)
	{
		int chars;

		if (nulls[i])
			continue;
		names[i] = TextDatumGetCString(elements[i]);
		chars = pg_mbstrlen(names[i]);
		if (chars < 1 || chars > NAME_CHARS_MAX)
			error_invalid_number("length of a concession", chars, 1, NAME_CHARS_MAX);
	}
	return names;
}
