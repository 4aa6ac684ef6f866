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

/* Which side of a change of the clocks is meant is the server's own rule. */
Datum
concert_from_local_time(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"wall_clock", "time_zone"};
	Timestamp				 wall_clock;
	TimestampTz				 at;
	pg_tz					*zone;
	struct pg_tm			 tm;
	fsec_t					 fraction;
	int						 offset;

	argument_require(fcinfo, lengthof(names), names);
	wall_clock = PG_GETARG_TIMESTAMP(0);
	zone = argument_time_zone(fcinfo, 1, "time_zone");
	if (TIMESTAMP_NOT_FINITE(wall_clock))
		error_invalid("wall_clock", timestamptz_to_str(wall_clock), "a finite time");
	if (timestamp2tm(wall_clock, NULL, &tm, &fraction, NULL, NULL) != 0)
		local_time_out_of_range();
	offset = DetermineTimeZoneOffset(&tm, zone);
	if (tm2timestamp(&tm, fraction, &offset, &at) != 0)
		local_time_out_of_range();
	PG_RETURN_TIMESTAMPTZ(at);
}

Datum
concert_local_time(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"at", "time_zone"};
	TimestampTz				 at;
	Timestamp				 wall_clock;
	pg_tz					*zone;
	struct pg_tm			 tm;
	fsec_t					 fraction;
	int						 offset;

	argument_require(fcinfo, lengthof(names), names);
	at = PG_GETARG_TIMESTAMPTZ(0);
	zone = argument_time_zone(fcinfo, 1, "time_zone");
	if (TIMESTAMP_NOT_FINITE(at))
		error_invalid("at", timestamptz_to_str(at), "a finite time");
	if (timestamp2tm(at, &offset, &tm, &fraction, NULL, zone) != 0 ||
		tm2timestamp(&tm, fraction, NULL, &wall_clock) != 0)
		local_time_out_of_range();
	PG_RETURN_TIMESTAMP(wall_clock);
}
