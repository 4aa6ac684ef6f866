/* SPDX-License-Identifier: PostgreSQL */
/*
 * For tests: the database's side of the waiting room, in memory: the functions of sql.c and db.c
 * that room, batch, date and admission call. It keeps its rules (a number is leased once, batches
 * never overlap, one session has the lock) and can fail in the ways that matter.
 */
#ifndef CONCERT_TEST_FAKE_ADMISSION_H
#define CONCERT_TEST_FAKE_ADMISSION_H

#include <inttypes.h>
#include <sys/time.h>

#include "fake_rows.h"
#include "loop.h"
#include "sql.h"

#define FAKE_DATES_MAX 8
#define FAKE_BATCHES_MAX 4000
#define FAKE_SESSIONS_MAX 4

typedef enum FakeFault
{
	FAKE_FINE,
	FAKE_AWAY,		   /* no call is answered, nothing is done */
	FAKE_RECORD_FAILS, /* the next batch is refused with an error */
	FAKE_RECORD_LOST,  /* the next batch is written, its answer is lost with the session */
	FAKE_RECORD_NEVER  /* the next batch is not written, the session is lost */
} FakeFault;

typedef struct FakeBatch
{
	int64_t from;
	int64_t to;
	int		admitted;
	int64_t issued_at_ms;
} FakeBatch;

typedef struct FakeDate
{
	char	  id[37];
	bool	  required;
	int		  cap;
	int		  rate;
	int		  claim_seconds;
	int		  pass_seconds;
	int64_t	  opens_at_ms; /* by fake_clock_ms() */
	int64_t	  closes_at_ms;
	int64_t	  leased_to;
	int		  leases;
	FakeBatch batches[FAKE_BATCHES_MAX];
	int		  batch_count;
	int		  stale; /* records refused as stale_fence */
} FakeDate;

typedef struct FakeSession
{
	bool locked;
	void (*changed)(void *arg, bool connected);
	void *arg;
} FakeSession;

static struct event_base *fake_base;
static FakeFault		  fake_fault;
static FakeDate			  fake_dates[FAKE_DATES_MAX];
static int				  fake_date_count;
static FakeSession		  fake_sessions[FAKE_SESSIONS_MAX];

static inline Db *
fake_session(int i)
{
	return (Db *) &fake_sessions[i];
}

static inline int64_t
fake_clock_ms(void)
{
	struct timeval now;

	gettimeofday(&now, NULL);
	return (int64_t) now.tv_sec * 1000 + now.tv_usec / 1000;
}

static inline FakeDate *
fake_date(const char *date_id)
{
	for (int i = 0; i < fake_date_count; i++)
		if (strcmp(fake_dates[i].id, date_id) == 0)
			return &fake_dates[i];
	return NULL;
}

static inline void
fake_text(char *ret_text, int64_t value)
{
	sprintf(ret_text, "%" PRId64, value);
}

/* Its lock goes with it. */
static inline void
fake_lose_session(void *arg)
{
	FakeSession *session = arg;

	session->locked = false;
	if (session->changed != NULL)
		session->changed(session->arg, false);
}

void
db_on_state(Db *db, void (*changed)(void *arg, bool connected), void *arg)
{
	FakeSession *session = (FakeSession *) db;

	session->changed = changed;
	session->arg = arg;
}

int
db_connected(const Db *db)
{
	(void) db;
	return fake_fault == FAKE_AWAY ? 0 : 1;
}

bool
sql_sale_dates(Db *db, DbDone done, void *arg)
{
	PGresult *res = fake_fault == FAKE_AWAY ? NULL : fake_rows(8);
	char	  text[6][24];

	(void) db;
	for (int i = 0; i < fake_date_count && res != NULL; i++)
	{
		const FakeDate *date = &fake_dates[i];

		if (date->closes_at_ms <= fake_clock_ms())
			continue;
		fake_text(text[0], date->opens_at_ms - fake_clock_ms());
		fake_text(text[1], date->closes_at_ms - fake_clock_ms());
		fake_text(text[2], date->cap);
		fake_text(text[3], date->rate);
		fake_text(text[4], date->claim_seconds);
		fake_text(text[5], date->pass_seconds);
		fake_rows_add(res, date->id, text[0], text[1], date->required ? "required" : "open",
					  text[2], text[3], text[4], text[5]);
	}
	fake_rows_send(fake_base, res, done, arg);
	return true;
}

bool
sql_lease_places(Db *db, const char *concert_date_id, int count, DbDone done, void *arg)
{
	FakeDate *date = fake_date(concert_date_id);
	PGresult *res = fake_fault == FAKE_AWAY ? NULL : fake_rows(2);
	char	  from[24];
	char	  to[24];

	(void) db;
	if (res != NULL)
	{
		fake_text(from, date->leased_to + 1);
		date->leased_to += count;
		date->leases++;
		fake_text(to, date->leased_to);
		fake_rows_add(res, from, to);
	}
	fake_rows_send(fake_base, res, done, arg);
	return true;
}

bool
sql_admission_lock(Db *db, DbDone done, void *arg)
{
	FakeSession *session = (FakeSession *) db;
	PGresult	*res = fake_fault == FAKE_AWAY ? NULL : fake_rows(1);
	bool		 taken = false;

	for (int i = 0; i < FAKE_SESSIONS_MAX; i++)
		taken = taken || (fake_sessions[i].locked && &fake_sessions[i] != session);
	if (res != NULL)
	{
		session->locked = !taken;
		fake_rows_add(res, taken ? "f" : "t");
	}
	fake_rows_send(fake_base, res, done, arg);
	return true;
}

bool
sql_record_admission(Db *db, const char *concert_date_id, int64_t from_number, int64_t to_number,
					 int admitted, DbDone done, void *arg)
{
	FakeDate *date = fake_date(concert_date_id);
	FakeFault fault = fake_fault;
	PGresult *res = fake_rows(3);
	bool	  ok = date->batch_count == 0 || from_number > date->batches[date->batch_count - 1].to;
	char	  issued[24];

	if (fault == FAKE_RECORD_FAILS || fault == FAKE_RECORD_LOST || fault == FAKE_RECORD_NEVER)
		fake_fault = FAKE_FINE;
	if (ok && (fault == FAKE_FINE || fault == FAKE_RECORD_LOST))
		date->batches[date->batch_count++] = (FakeBatch){.from = from_number,
														 .to = to_number,
														 .admitted = admitted,
														 .issued_at_ms = fake_clock_ms()};
	else if (!ok)
		date->stale++;
	if (fault != FAKE_FINE)
	{
		PQclear(res);
		res = NULL;
	}
	else
	{
		fake_text(issued, fake_clock_ms());
		fake_rows_add(res, ok ? "t" : "f", ok ? NULL : "stale_fence", ok ? issued : NULL);
	}
	if (fault == FAKE_RECORD_LOST || fault == FAKE_RECORD_NEVER)
		flight_later(fake_base, fake_lose_session, db);
	fake_rows_send(fake_base, res, done, arg);
	return true;
}

bool
sql_admission_state(Db *db, const char *concert_date_id, DbDone done, void *arg)
{
	FakeDate *date = fake_date(concert_date_id);
	PGresult *res = fake_fault == FAKE_AWAY ? NULL : fake_rows(3);
	char	 *batches = malloc((size_t) (date->batch_count + 1) * 256);
	char	 *at = stpcpy(batches, "[");
	char	  leased[24];
	char	  served[24];

	(void) db;
	for (int i = 0; i < date->batch_count; i++)
	{
		const FakeBatch *batch = &date->batches[i];
		int64_t left_ms = batch->issued_at_ms + date->pass_seconds * 1000 - fake_clock_ms();

		if (left_ms > 0)
			at += sprintf(at,
						  "%s{\"from\":%" PRId64 ",\"to\":%" PRId64
						  ",\"admitted\":%d,\"issued_at_ms\":%" PRId64
						  ",\"pass_remaining_ms\":%" PRId64 ",\"claim_remaining_ms\":0}",
						  at[-1] == '[' ? "" : ",", batch->from, batch->to, batch->admitted,
						  batch->issued_at_ms, left_ms);
	}
	strcpy(at, "]");
	fake_text(leased, date->leased_to);
	fake_text(served, date->batch_count > 0 ? date->batches[date->batch_count - 1].to : 0);
	if (res != NULL)
		fake_rows_add(res, leased, served, batches);
	free(batches);
	fake_rows_send(fake_base, res, done, arg);
	return true;
}

#endif
