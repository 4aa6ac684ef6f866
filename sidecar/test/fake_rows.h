/* SPDX-License-Identifier: PostgreSQL */
/*
 * For tests: answers of the database made by hand, for fakes of sql.c. A row is added word by
 * word; NULL is SQL NULL. The answer comes from the loop, as the real one does.
 */
#ifndef CONCERT_TEST_FAKE_ROWS_H
#define CONCERT_TEST_FAKE_ROWS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <libpq-fe.h>

#include "db.h"
#include "flight.h"

typedef struct FakeRows
{
	PGresult *res; /* NULL: no answer came */
	DbDone	  done;
	void	 *arg;
} FakeRows;

static inline PGresult *
fake_rows(int columns)
{
	PGresult	*res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
	PGresAttDesc attributes[16];

	memset(attributes, 0, sizeof(attributes));
	for (int i = 0; i < columns; i++)
		attributes[i].name = "column";
	PQsetResultAttrs(res, columns, attributes);
	return res;
}

static inline void
fake_rows_add(PGresult *res, ...)
{
	int		row = PQntuples(res);
	va_list args;

	va_start(args, res);
	for (int i = 0; i < PQnfields(res); i++)
	{
		const char *value = va_arg(args, const char *);

		PQsetvalue(res, row, i, (char *) value, value != NULL ? (int) strlen(value) : -1);
	}
	va_end(args);
}

static inline void
fake_rows_deliver(void *arg)
{
	FakeRows *rows = arg;

	rows->done(rows->arg, rows->res, rows->res != NULL ? NULL : "database is away");
	PQclear(rows->res);
	free(rows);
}

static inline void
fake_rows_send(struct event_base *base, PGresult *res, DbDone done, void *arg)
{
	FakeRows *rows = malloc(sizeof(FakeRows));

	*rows = (FakeRows){.res = res, .done = done, .arg = arg};
	flight_later(base, fake_rows_deliver, rows);
}

#endif
