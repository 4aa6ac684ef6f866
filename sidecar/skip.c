/* SPDX-License-Identifier: PostgreSQL */
/* One call to the database, in a loop of its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "caller.h"
#include "db.h"
#include "log.h"
#include "skip.h"
#include "sql.h"

#define EXIT_MISUSE 2
#define TIMEOUT_MS 30000

typedef struct Skip
{
	struct event_base *base;
	const char		  *event_id;
	int				   status;
} Skip;

static void skip_done(void *arg, const PGresult *res, const char *errstr);

int
skip_main(int argc, char **argv)
{
	Skip skip = {.status = EXIT_FAILURE};
	char event_id[ID_BYTES];
	Db	*db;

	if (argc < 1 || argc > 2 || !id_parse(argv[0], event_id))
	{
		fprintf(
			stderr,
			"usage: concertd outbox skip EVENT-ID [CONNINFO]\n"
			"CONNINFO must be a member of concert_admin's; without it PGHOST, PGDATABASE … tell.\n");
		return EXIT_MISUSE;
	}
	log_set_level(LOG_WARN_LEVEL);
	skip.base = event_base_new();
	skip.event_id = event_id;
	db = db_open(skip.base, argc > 1 ? argv[1] : "", 1, 1, TIMEOUT_MS, "concertd-outbox-skip");
	if (db != NULL && sql_outbox_skip(db, event_id, skip_done, &skip))
		event_base_dispatch(skip.base);
	db_close(db);
	event_base_free(skip.base);
	return skip.status;
}

static void
skip_done(void *arg, const PGresult *res, const char *errstr)
{
	Skip *skip = arg;

	if (errstr != NULL)
		fprintf(stderr, "concertd: could not skip event %s: %s\n", skip->event_id, errstr);
	else if (PQntuples(res) == 0)
		fprintf(stderr, "concertd: event %s is not the next event of any lane\n", skip->event_id);
	else
	{
		printf("{\"event_id\":\"%s\",\"lane\":%s}\n", skip->event_id, PQgetvalue(res, 0, 0));
		skip->status = EXIT_SUCCESS;
	}
	event_base_loopbreak(skip->base);
}
