/* SPDX-License-Identifier: PostgreSQL */
/*
 * Each date has a line with at most one step under way: settle (if its state is in doubt), or
 * plan → record → commit. Any answer that is missing or not the expected one leaves the line
 * unsettled, and the next step then settles it from the database. A line begins unsettled
 * whenever this copy begins to lead.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <jansson.h>

#include "admission.h"
#include "batch.h"
#include "clock.h"
#include "date.h"
#include "log.h"
#include "metrics.h"
#include "options.h"
#include "sql.h"

#define LOCK_RETRY_MS 1000

typedef struct Line
{
	LIST_ENTRY(Line) link;
	Admission *admission;
	SaleDate   date;
	Batch	   batch;
	bool	   busy;
	bool	   unsettled;
	int		   term; /* in which its step began */
} Line;

struct Admission
{
	struct event_base *base;
	Room			  *room;
	Db				  *session;
	struct event	  *timer;
	bool			   leads;
	bool			   locking;
	bool			   closing;
	int				   term;			/* grows each time that this copy begins to lead */
	int64_t			   lock_at_ms;		/* not sooner */
	int				   steps_under_way; /* answers that are still owed to us */
	LIST_HEAD(, Line) lines;
};

static void	 admission_timer(evutil_socket_t fd, short what, void *arg);
static void	 admission_arm(Admission *admission);
static void	 admission_seek(Admission *admission);
static void	 admission_locked(void *arg, const PGresult *res, const char *errstr);
static void	 admission_session(void *arg, bool connected);
static void	 admission_stand_down(Admission *admission, const char *why);
static void	 admission_work(Admission *admission);
static void	 admission_forget(Admission *admission);
static bool	 admission_answered(Admission *admission);
static Line *line_get(Admission *admission, const SaleDate *date);
static void	 line_free(Line *line);
static void	 line_step(Line *line);
static void	 line_planned(void *arg, BatchStatus status, const Batch *batch, const BatchView *view);
static void	 line_show(const Line *line, const BatchView *view);
static void	 line_recorded(void *arg, const PGresult *res, const char *errstr);
static void	 line_committed(void *arg, BatchStatus status);
static void	 line_settled(void *arg, bool ok);
static void	 line_rest(Line *line, bool settled);

Admission *
admission_open(struct event_base *base, Room *room, Db *session)
{
	Admission *admission = calloc(1, sizeof(Admission));

	admission->base = base;
	admission->room = room;
	admission->session = session;
	admission->timer = evtimer_new(base, admission_timer, admission);
	LIST_INIT(&admission->lines);
	db_on_state(session, admission_session, admission);
	admission_arm(admission);
	return admission;
}

void
admission_close(Admission *admission)
{
	if (admission == NULL)
		return;
	db_on_state(admission->session, NULL, NULL);
	event_del(admission->timer);
	admission->closing = true;
	admission->steps_under_way++;
	admission_answered(admission);
}

bool
admission_leads(const Admission *admission)
{
	return admission->leads;
}

static void
admission_timer(evutil_socket_t fd, short what, void *arg)
{
	Admission *admission = arg;

	(void) fd;
	(void) what;
	admission_arm(admission);
	if (admission->leads)
		admission_work(admission);
	else
		admission_seek(admission);
}

static void
admission_arm(Admission *admission)
{
	clock_wait_ms(admission->timer, options_current()->admission_interval_ms);
}

/* Asks for the lock, now and then. */
static void
admission_seek(Admission *admission)
{
	if (admission->locking || db_connected(admission->session) == 0 ||
		clock_ms() < admission->lock_at_ms)
		return;
	admission->lock_at_ms = clock_ms() + LOCK_RETRY_MS;
	if (!sql_admission_lock(admission->session, admission_locked, admission))
		return;
	admission->locking = true;
	admission->steps_under_way++;
}

/* The session is served in order: what was sent through it before is decided by now. */
static void
admission_locked(void *arg, const PGresult *res, const char *errstr)
{
	Admission *admission = arg;
	Line	  *line;

	admission->locking = false;
	if (!admission_answered(admission) || errstr != NULL || strcmp(PQgetvalue(res, 0, 0), "t") != 0)
		return;
	admission->leads = true;
	admission->term++;
	LIST_FOREACH(line, &admission->lines, link)
	line->unsettled = true;
	log_event(LOG_INFO_LEVEL, "admission_leads", NULL, NULL);
}

static void
admission_session(void *arg, bool connected)
{
	if (!connected)
		admission_stand_down(arg, "the session with the lock is lost");
}

static void
admission_stand_down(Admission *admission, const char *why)
{
	if (admission->leads)
		log_event(LOG_WARN_LEVEL, "admission_stands_down", NULL, "{s:s}", "why", why);
	admission->leads = false;
	admission->lock_at_ms = 0;
}

static void
admission_work(Admission *admission)
{
	DateBook	   *dates = room_dates(admission->room);
	const SaleDate *date;

	for (int i = 0; (date = date_at(dates, i)) != NULL; i++)
	{
		Line *line;

		if (!date->admission_required || date_phase(date) != DATE_OPEN)
			continue;
		line = line_get(admission, date);
		if (!line->busy)
			line_step(line);
	}
	admission_forget(admission);
}

/* Lines of dates that are no longer sold. */
static void
admission_forget(Admission *admission)
{
	Line *line = LIST_FIRST(&admission->lines);

	while (line != NULL)
	{
		Line		   *next = LIST_NEXT(line, link);
		const SaleDate *date = date_find(room_dates(admission->room), line->date.id);

		if (!line->busy && (date_phase(date) != DATE_OPEN || !date->admission_required))
			line_free(line);
		line = next;
	}
}

/*
 * Every answer passes here first. false: this was the last one of a closed admission, which is
 * gone now.
 */
static bool
admission_answered(Admission *admission)
{
	admission->steps_under_way--;
	if (!admission->closing)
		return true;
	if (admission->steps_under_way > 0)
		return false;
	while (!LIST_EMPTY(&admission->lines))
		line_free(LIST_FIRST(&admission->lines));
	event_free(admission->timer);
	free(admission);
	return false;
}

static Line *
line_get(Admission *admission, const SaleDate *date)
{
	Line *line;

	LIST_FOREACH(line, &admission->lines, link)
	if (strcmp(line->date.id, date->id) == 0)
		break;
	if (line == NULL)
	{
		line = calloc(1, sizeof(Line));
		line->admission = admission;
		line->unsettled = true;
		LIST_INSERT_HEAD(&admission->lines, line, link);
	}
	if (!line->busy)
		line->date = *date;
	return line;
}

static void
line_free(Line *line)
{
	metric_set(METRIC_ROOM_WAITING, line->date.id, 0);
	metric_set(METRIC_ROOM_ACTIVE, line->date.id, 0);
	LIST_REMOVE(line, link);
	free(line);
}

static void
line_step(Line *line)
{
	Admission *admission = line->admission;
	BatchDesk *batches = room_batches(admission->room);

	line->busy = true;
	line->term = admission->term;
	admission->steps_under_way++;
	if (line->unsettled)
		batch_settle(batches, admission->session, &line->date, true, line_settled, line);
	else
		batch_plan(batches, &line->date, line_planned, line);
}

static void
line_planned(void *arg, BatchStatus status, const Batch *batch, const BatchView *view)
{
	Line	  *line = arg;
	Admission *admission = line->admission;

	if (!admission_answered(admission))
		return;
	if (view != NULL)
		line_show(line, view);
	if (status != BATCH_OK || !admission->leads || line->term != admission->term)
	{
		line_rest(line, status == BATCH_NONE);
		return;
	}
	line->batch = *batch;
	if (sql_record_admission(admission->session, line->date.id, batch->from, batch->to,
							 batch->admitted, line_recorded, line))
		admission->steps_under_way++;
	else
		line_rest(line, false);
}

static void
line_show(const Line *line, const BatchView *view)
{
	metric_set(METRIC_ROOM_WAITING, line->date.id, (double) view->waiting);
	metric_set(METRIC_ROOM_ACTIVE, line->date.id, (double) view->active);
	if (view->lost > 0)
		metric_add(METRIC_ROOM_LOST, NULL, (double) view->lost);
}

/*
 * Without an answer the row may be written yet: only the session's next lock says that it is
 * decided.
 */
static void
line_recorded(void *arg, const PGresult *res, const char *errstr)
{
	Line	  *line = arg;
	Admission *admission = line->admission;

	if (!admission_answered(admission))
		return;
	if (res == NULL)
		admission_stand_down(admission, "a batch may or may not be on record");
	if (errstr != NULL || strcmp(PQgetvalue(res, 0, SQL_OK), "t") != 0)
	{
		log_event(LOG_WARN_LEVEL, "admission_not_recorded", NULL, "{s:s, s:I, s:I, s:s}", "date",
				  line->date.id, "from", (json_int_t) line->batch.from, "to",
				  (json_int_t) line->batch.to, "why",
				  errstr != NULL ? errstr : PQgetvalue(res, 0, SQL_REASON));
		line_rest(line, false);
		return;
	}
	admission->steps_under_way++;
	batch_commit(room_batches(admission->room), &line->date, &line->batch,
				 strtoll(PQgetvalue(res, 0, SQL_REST), NULL, 10), line_committed, line);
}

static void
line_committed(void *arg, BatchStatus status)
{
	Line *line = arg;

	if (!admission_answered(line->admission))
		return;
	if (status == BATCH_OK)
		metric_add(METRIC_ROOM_ADMITTED, NULL, line->batch.admitted);
	line_rest(line, status == BATCH_OK);
}

static void
line_settled(void *arg, bool ok)
{
	Line *line = arg;

	if (!admission_answered(line->admission))
		return;
	line_rest(line, ok);
}

/* What began in an earlier term says nothing about this one. */
static void
line_rest(Line *line, bool settled)
{
	line->busy = false;
	line->unsettled = !settled || line->term != line->admission->term;
}
