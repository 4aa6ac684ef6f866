/* SPDX-License-Identifier: PostgreSQL */
/*
 * Instants and what the clocks of a time zone show, by the names of the time zone data alone: AT
 * TIME ZONE would take some of them, such as CET, for abbreviations of a fixed offset.
 */
#include "errors.h"

#include "pgtime.h"
#include "utils/datetime.h"

PG_FUNCTION_INFO_V1(concert_from_local_time);
PG_FUNCTION_INFO_V1(concert_local_time);

static void
local_time_out_of_range(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
}

typedef struct pg_tz *(*ReadZone)(FunctionCallInfo fcinfo, int n, const char *name);

/* Both take a finite time, local or not, and a zone. */
static pg_tz *
local_time_arguments(FunctionCallInfo fcinfo, const char *name, ReadZone read_zone, int64 *ret_time)
{
	const char *const names[] = {name, "time_zone"};
	pg_tz			 *zone;

	argument_require(fcinfo, lengthof(names), names);
	*ret_time = PG_GETARG_INT64(0);
	zone = read_zone(fcinfo, 1, "time_zone");
	if (TIMESTAMP_NOT_FINITE(*ret_time))
		error_invalid(name, timestamptz_to_str(*ret_time), "a finite time");
	return zone;
}

/* Which side of a change of the clocks is meant is the server's own rule. */
Datum
concert_from_local_time(PG_FUNCTION_ARGS)
{
	Timestamp	 wall_clock;
	TimestampTz	 at;
	pg_tz		*zone = local_time_arguments(fcinfo, "wall_clock", argument_iana_zone, &wall_clock);
	struct pg_tm tm;
	fsec_t		 fraction;
	int			 offset;

	if (timestamp2tm(wall_clock, NULL, &tm, &fraction, NULL, NULL) != 0)
		local_time_out_of_range();
	offset = DetermineTimeZoneOffset(&tm, zone);
	if (tm2timestamp(&tm, fraction, &offset, &at) != 0)
		local_time_out_of_range();
	PG_RETURN_TIMESTAMPTZ(at);
}

/* A date's zone is told by this one, also a date's of a version that let any zone in. */
Datum
concert_local_time(PG_FUNCTION_ARGS)
{
	TimestampTz	 at;
	Timestamp	 wall_clock;
	pg_tz		*zone = local_time_arguments(fcinfo, "at", argument_time_zone, &at);
	struct pg_tm tm;
	fsec_t		 fraction;
	int			 offset;

	if (timestamp2tm(at, &offset, &tm, &fraction, NULL, zone) != 0 ||
		tm2timestamp(&tm, fraction, NULL, &wall_clock) != 0)
		local_time_out_of_range();
	PG_RETURN_TIMESTAMP(wall_clock);
}
