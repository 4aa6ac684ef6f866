/* SPDX-License-Identifier: PostgreSQL */
/*
 * A pass is a walk over the table of steps; the answer to one begins the next. A step that fails is
 * counted and logged, and left to the next pass.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "db.h"
#include "log.h"
#include "metrics.h"
#include "options.h"
#include "reaper.h"
#include "sql.h"

#define REAPER_DB_QUEUE_MAX 8
#define REAPER_DB_TIMEOUT_MS 30000
#define REAPER_APPLICATION "concertd-reaper"
#define EXPIRE_ROWS 1000
#define EXPIRE_ROUNDS_MAX 100
#define LAPSE_ACCOUNTS 1000
#define CHECKPOINTS 100
#define SWEEP_DATES_MAX 1000
#define DATE_ID_BYTES 37

/* Columns of sql_outbox_stats(), sql_lag() and sql_sale_dates(). */
enum
{
	STATS_LANE,
	STATS_EPOCH,
	STATS_N,
	STATS_SEQ,
	STATS_UNACKED,
	STATS_OLDEST_SECONDS
};
enum
{
	LAG_NAME,
	LAG_VALUE
};
enum
{
	SALE_DATE_ID
};

typedef enum Pace
{
	EVERY_PASS,
	EVERY_SWEEP,
	EVERY_CHECKPOINT,
	EVERY_ROTATE,
	EVERY_OUTBOX_ROTATE,
	PACES
} Pace;

/* read takes what the database said, and is not called for an error. */
typedef struct Step
{
	const char *name;
	Pace		pace;
	bool (*send)(Db *db, DbDone done, void *arg);
	void (*read)(Reaper *reaper, const PGresult *res);
} Step;

/* Outlives the reaper if need be, because its answer comes from Redis. */
typedef struct Sweep
{
	Reaper *reaper;
} Sweep;

#define STEPS_MAX 16

struct Reaper
{
	Hold		 *hold;
	Db			 *db;
	struct event *timer;
	int			  step;
	int			  expire_rounds; /* of this pass */
	double		  due_at[PACES];
	bool		  due[PACES];		  /* in this pass */
	bool		  missing[STEPS_MAX]; /* steps that the extension's version does not know */
	char		  dates[SWEEP_DATES_MAX][DATE_ID_BYTES];
	int			  date_count;
	Sweep		 *sweep; /* under way */
};

static void reaper_pass(evutil_socket_t fd, short what, void *arg);
static void reaper_next(Reaper *reaper);
static bool reaper_may_take(const Reaper *reaper);
static void reaper_step_failed(Reaper *reaper, const PGresult *res, const char *errstr);
static void reaper_answered(void *arg, const PGresult *res, const char *errstr);
static bool send_expire(Db *db, DbDone done, void *arg);
static void read_expired(Reaper *reaper, const PGresult *res);
static bool send_lapse_transfers(Db *db, DbDone done, void *arg);
static bool send_checkpoint_accounts(Db *db, DbDone done, void *arg);
static void read_nothing(Reaper *reaper, const PGresult *res);
static void read_outbox_stats(Reaper *reaper, const PGresult *res);
static void read_lag(Reaper *reaper, const PGresult *res);
static void read_sale_dates(Reaper *reaper, const PGresult *res);
static bool sweep_next(Reaper *reaper);
static void sweep_done(void *arg, const HoldSweep *seen);

static const Step steps[] = {
	{"expire", EVERY_PASS, send_expire, read_expired},
	{"outbox_stats", EVERY_PASS, sql_outbox_stats, read_outbox_stats},
	{"lag", EVERY_PASS, sql_lag, read_lag},
	{"lapse_transfers", EVERY_CHECKPOINT, send_lapse_transfers, read_nothing},
	{"checkpoint_accounts", EVERY_CHECKPOINT, send_checkpoint_accounts, read_nothing},
	{"request_rotate", EVERY_ROTATE, sql_request_rotate, read_nothing},
	{"inbox_rotate", EVERY_ROTATE, sql_inbox_rotate, read_nothing},
	{"outbox_rotate", EVERY_OUTBOX_ROTATE, sql_outbox_rotate, read_nothing},
	{"sweep", EVERY_SWEEP, sql_sale_dates, read_sale_dates},
};

#define STEPS ((int) (sizeof(steps) / sizeof(steps[0])))
_Static_assert(STEPS <= STEPS_MAX, "every step has its place in Reaper.missing");

Reaper *
reaper_open(struct event_base *base, Hold *hold)
{
	Reaper *reaper = calloc(1, sizeof(Reaper));

	if (reaper == NULL)
		return NULL;
	reaper->hold = hold;
	reaper->timer = evtimer_new(base, reaper_pass, reaper);
	reaper->db = db_open(base, options_current()->db_conninfo, 1, REAPER_DB_QUEUE_MAX,
						 REAPER_DB_TIMEOUT_MS, REAPER_APPLICATION);
	if (reaper->timer == NULL || reaper->db == NULL)
	{
		reaper_close(reaper);
		return NULL;
	}
	/* Whatever restarts often must not empty the outbox sooner. */
	reaper->due_at[EVERY_OUTBOX_ROTATE] =
		clock_seconds() + options_current()->reaper_outbox_rotate_ms / 1000.0;
	clock_wait(reaper->timer, 0);
	return reaper;
}

void
reaper_close(Reaper *reaper)
{
	if (reaper == NULL)
		return;
	if (reaper->sweep != NULL)
		reaper->sweep->reaper = NULL;
	reaper->step = STEPS;
	if (reaper->db != NULL)
		db_close(reaper->db);
	if (reaper->timer != NULL)
		event_free(reaper->timer);
	free(reaper);
}

static void
reaper_pass(evutil_socket_t fd, short what, void *arg)
{
	Reaper		  *reaper = arg;
	const Options *options = options_current();
	const double   every_seconds[PACES] = {
		  0, options->reaper_sweep_ms / 1000.0, options->reaper_checkpoint_ms / 1000.0,
		  options->reaper_rotate_ms / 1000.0, options->reaper_outbox_rotate_ms / 1000.0};
	double now = clock_seconds();

	(void) fd;
	(void) what;
	for (int pace = 0; pace < PACES; pace++)
	{
		reaper->due[pace] = now >= reaper->due_at[pace];
		if (reaper->due[pace])
			reaper->due_at[pace] = now + every_seconds[pace];
	}
	reaper->step = -1;
	reaper->expire_rounds = 0;
	reaper_next(reaper);
}

static void
reaper_next(Reaper *reaper)
{
	while (++reaper->step < STEPS)
		if (reaper_may_take(reaper))
		{
			if (steps[reaper->step].send(reaper->db, reaper_answered, reaper))
				return;
			metric_add(METRIC_REAPER_ERRORS, steps[reaper->step].name, 1);
		}
	clock_wait(reaper->timer, options_current()->reaper_interval_ms / 1000.0);
}

/* A step that is missing is tried when the rings are turned: the extension may be newer by then. */
static bool
reaper_may_take(const Reaper *reaper)
{
	return reaper->due[steps[reaper->step].pace] &&
		(!reaper->missing[reaper->step] || reaper->due[EVERY_ROTATE]);
}

static void
reaper_answered(void *arg, const PGresult *res, const char *errstr)
{
	Reaper *reaper = arg;

	if (reaper->step == STEPS)
		return;
	if (errstr != NULL)
		reaper_step_failed(reaper, res, errstr);
	else
	{
		reaper->missing[reaper->step] = false;
		steps[reaper->step].read(reaper, res);
	}
	if (reaper->sweep == NULL)
		reaper_next(reaper);
}

/* One that is missing is told once. */
static void
reaper_step_failed(Reaper *reaper, const PGresult *res, const char *errstr)
{
	const char *name = steps[reaper->step].name;
	bool		missing = strcmp(db_sqlstate(res), DB_UNDEFINED_FUNCTION) == 0;

	if (!missing)
	{
		metric_add(METRIC_REAPER_ERRORS, name, 1);
		log_event(LOG_WARN_LEVEL, "reaper_step_failed", NULL, "{s:s, s:s}", "step", name, "why",
				  errstr);
	}
	else if (!reaper->missing[reaper->step])
	{
		metric_add(METRIC_REAPER_MISSING, name, 1);
		log_event(LOG_INFO_LEVEL, "reaper_step_missing", NULL, "{s:s, s:s}", "step", name, "why",
				  errstr);
	}
	reaper->missing[reaper->step] = missing;
}

static bool
send_expire(Db *db, DbDone done, void *arg)
{
	return sql_expire(db, EXPIRE_ROWS, done, arg);
}

/* Until nothing is left, so that a great wave does not take as many passes as thousands. */
static void
read_expired(Reaper *reaper, const PGresult *res)
{
	int expired = atoi(PQgetvalue(res, 0, 0));

	metric_add(METRIC_REAPER_EXPIRED, NULL, expired);
	if (expired > 0 && ++reaper->expire_rounds < EXPIRE_ROUNDS_MAX)
		reaper->step--;
}

static bool
send_lapse_transfers(Db *db, DbDone done, void *arg)
{
	return sql_lapse_transfers(db, LAPSE_ACCOUNTS, done, arg);
}

static bool
send_checkpoint_accounts(Db *db, DbDone done, void *arg)
{
	return sql_checkpoint_accounts(db, CHECKPOINTS, done, arg);
}

static void
read_nothing(Reaper *reaper, const PGresult *res)
{
	(void) reaper;
	(void) res;
}

static void
read_outbox_stats(Reaper *reaper, const PGresult *res)
{
	(void) reaper;
	for (int i = 0; i < PQntuples(res); i++)
	{
		const char *lane = PQgetvalue(res, i, STATS_LANE);

		metric_set(METRIC_RELAY_UNACKED, lane, strtod(PQgetvalue(res, i, STATS_UNACKED), NULL));
		metric_set(METRIC_RELAY_LAG, lane, strtod(PQgetvalue(res, i, STATS_OLDEST_SECONDS), NULL));
	}
}

static void
read_lag(Reaper *reaper, const PGresult *res)
{
	(void) reaper;
	for (int i = 0; i < PQntuples(res); i++)
		metric_set(METRIC_LAG, PQgetvalue(res, i, LAG_NAME),
				   strtod(PQgetvalue(res, i, LAG_VALUE), NULL));
}

static void
read_sale_dates(Reaper *reaper, const PGresult *res)
{
	reaper->date_count = 0;
	for (int i = 0; i < PQntuples(res) && i < SWEEP_DATES_MAX; i++)
		snprintf(reaper->dates[reaper->date_count++], DATE_ID_BYTES, "%s",
				 PQgetvalue(res, i, SALE_DATE_ID));
	sweep_next(reaper);
}

/* One date after another, from the last to the first. false: none is left. */
static bool
sweep_next(Reaper *reaper)
{
	Sweep *sweep;

	reaper->sweep = NULL;
	if (reaper->date_count == 0 || (sweep = calloc(1, sizeof(Sweep))) == NULL)
		return false;
	sweep->reaper = reaper;
	reaper->sweep = sweep;
	hold_sweep(reaper->hold, reaper->dates[--reaper->date_count], sweep_done, sweep);
	return true;
}

static void
sweep_done(void *arg, const HoldSweep *seen)
{
	Sweep  *sweep = arg;
	Reaper *reaper = sweep->reaper;

	free(sweep);
	if (reaper == NULL)
		return;
	if (!seen->ok)
		metric_add(METRIC_REAPER_ERRORS, "sweep", 1);
	if (!sweep_next(reaper))
		reaper_next(reaper);
}
