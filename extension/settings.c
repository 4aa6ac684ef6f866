/* SPDX-License-Identifier: PostgreSQL */
/* The settings under "concert." with their ranges. */
#include "concert.h"

#include <limits.h>

#include "utils/guc.h"

#define EVENT_BYTES_MAX_DEFAULT (256 * 1024)
#define EVENT_BYTES_MAX_LIMIT (900 * 1024) /* below Kafka's own default of 1 MiB a message */

int	  settings_max_seats_per_booking = 10;
int	  settings_max_event_bytes = EVENT_BYTES_MAX_DEFAULT;
char *settings_pass_key_file = NULL;
bool  settings_direct_access = true;
int	  settings_retention_days = 730;

void
settings_define(void)
{
	DefineCustomIntVariable(
		"concert.max_seats_per_booking", "How many seats one call of reserve() may name.",
		"Each takes a place in the shared lock table.", &settings_max_seats_per_booking, 10, 1,
		SEATS_PER_CALL_LIMIT, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("concert.max_event_bytes", "How large an event's payload may be.", NULL,
							&settings_max_event_bytes, EVENT_BYTES_MAX_DEFAULT, 1024,
							EVENT_BYTES_MAX_LIMIT, PGC_SUSET, GUC_UNIT_BYTE, NULL, NULL, NULL);
	DefineCustomStringVariable(
		"concert.pass_key_file", "The file with the keys that sign passes.",
		"One or two lines \"ID HEX\"; the first signs, all verify. Read again when it changes.",
		&settings_pass_key_file, "", PGC_SIGHUP, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
	DefineCustomBoolVariable(
		"concert.direct_access",
		"Whether reserving reads and writes its tables without the executor.",
		"Only ever done for tables that have no trigger, rule or policy but our own.",
		&settings_direct_access, true, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable(
		"concert.retention_days",
		"For how many days what was soft-deleted or has ended is kept at least.",
		"purge() refuses to remove anything younger.", &settings_retention_days, 730, 1, 36500,
		PGC_SUSET, 0, NULL, NULL, NULL);
	MarkGUCPrefixReserved("concert");
}
