/* SPDX-License-Identifier: PostgreSQL */
/*
 * The table of effects. seat-map takes an event only as the news that its seats changed: it asks
 * the database what they are now and mirrors that in Redis, so that old, repeated and reordered
 * events do no harm.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <uuid/uuid.h>

#include "effect.h"
#include "kafka.h"
#include "log.h"
#include "sql.h"

#define UUID_BYTES 37

/* Columns of sql_seat_states(). */
enum
{
	STATE_SEAT_ID,
	STATE_STATE,
	STATE_USER_ID,
	STATE_FENCE,
	STATE_REMAINING_MS
};

/* The seats of one date that a batch speaks of, as a uuid[] literal. */
typedef struct DateSeats
{
	struct EffectJob *job;
	char			  date_id[UUID_BYTES];
	char			 *seat_ids;
	size_t			  len;
	size_t			  size;
} DateSeats;

struct EffectJob
{
	const EffectTools *tools;
	EffectDone		   done; /* NULL: forgotten */
	void			  *arg;
	int				   waiting; /* answers that have not come */
	char			   sqlstate[6];
	char			   errstr[256]; /* of the first failure */
	int				   date_count;
	DateSeats		   dates[];
};

static const char *seats_defect(const EffectEvent *event);
static EffectStart seats_mark(const EffectTools *tools, const EffectEvent *const *events, int count,
							  EffectDone done, void *arg, EffectJob **ret_job);
static EffectStart notice_log(const EffectTools *tools, const EffectEvent *const *events, int count,
							  EffectDone done, void *arg, EffectJob **ret_job);
static DbStatement ticket_statement(const EffectEvent *event);
static DbStatement point_charge_statement(const EffectEvent *event);
static DbStatement seats_statement(const EffectEvent *event);
static DbStatement notice_statement(const EffectEvent *event);
static bool		   job_add(EffectJob *job, const EffectEvent *event);
static DateSeats  *job_date(EffectJob *job, const char *date_id);
static bool		   date_add_seat(DateSeats *date, const char *seat_id);
static void		   date_states(void *arg, const PGresult *res, const char *errstr);
static void		   date_marked(void *arg, bool ok);
static void		   job_failed(EffectJob *job, const char *sqlstate, const char *errstr);
static void		   job_answered(EffectJob *job);
static void		   job_free(EffectJob *job);

const Effect effects[EFFECT_GROUPS] = {
	{"ticket", {TOPIC_RESERVATION}, NULL, NULL, ticket_statement},
	{"point-charge", {TOPIC_POINT}, NULL, NULL, point_charge_statement},
	{"seat-map", {TOPIC_RESERVATION}, seats_defect, seats_mark, seats_statement},
	{"notification",
	 {TOPIC_RESERVATION, TOPIC_PAYMENT, TOPIC_POINT, TOPIC_NOTIFICATION},
	 NULL,
	 notice_log,
	 notice_statement},
};

void
effect_forget(EffectJob *job)
{
	job->done = NULL;
}

static DbStatement
ticket_statement(const EffectEvent *event)
{
	return sql_issue_tickets(event->head.id, event->head.type, event->payload);
}

static DbStatement
point_charge_statement(const EffectEvent *event)
{
	return sql_record_point_charge(event->head.id, event->head.type, event->payload);
}

static DbStatement
seats_statement(const EffectEvent *event)
{
	return sql_inbox_accept("seat-map", event->head.id);
}

static DbStatement
notice_statement(const EffectEvent *event)
{
	return sql_inbox_accept("notification", event->head.id);
}

/* The log is this version's sink of notifications. */
static EffectStart
notice_log(const EffectTools *tools, const EffectEvent *const *events, int count, EffectDone done,
		   void *arg, EffectJob **ret_job)
{
	(void) ret_job;
	(void) tools;
	(void) done;
	(void) arg;
	for (int i = 0; i < count; i++)
		log_event(LOG_INFO_LEVEL, "notification", events[i]->head.correlation_id, "{s:s, s:s, s:s}",
				  "id", events[i]->head.id, "type", events[i]->head.type, "key", events[i]->key);
	return EFFECT_DONE;
}

static const char *
seats_defect(const EffectEvent *event)
{
	json_t	   *payload = json_loads(event->payload, 0, NULL);
	const char *date_id = json_string_value(json_object_get(payload, "concert_date_id"));
	json_t	   *seats = json_object_get(payload, "seats");
	const char *defect = NULL;
	size_t		i;
	json_t	   *seat;
	uuid_t		id;

	if (payload == NULL)
		defect = "the payload is not JSON";
	else if (date_id == NULL || uuid_parse(date_id, id) != 0)
		defect = "the payload has no concert_date_id";
	else if (!json_is_array(seats))
		defect = "the payload has no seats";
	else
		json_array_foreach(seats, i, seat)
		{
			const char *seat_id = json_string_value(json_object_get(seat, "seat_id"));

			if (seat_id == NULL || uuid_parse(seat_id, id) != 0)
				defect = "the payload has a seat without seat_id";
		}
	json_decref(payload);
	return defect;
}

static EffectStart
seats_mark(const EffectTools *tools, const EffectEvent *const *events, int count, EffectDone done,
		   void *arg, EffectJob **ret_job)
{
	EffectJob *job = calloc(1, sizeof(EffectJob) + count * sizeof(DateSeats));
	bool	   sent = job != NULL;

	if (sent)
		*job = (EffectJob){.tools = tools, .done = done, .arg = arg};
	for (int i = 0; sent && i < count; i++)
		sent = job_add(job, events[i]);
	for (int i = 0; sent && i < job->date_count; i++)
	{
		DateSeats *date = &job->dates[i];

		if (date->seat_ids == NULL)
			continue;
		sent = sql_seat_states(tools->db, date->date_id, date->seat_ids, date_states, date);
		job->waiting += sent;
	}
	if (sent && job->waiting > 0)
	{
		*ret_job = job;
		return EFFECT_UNDER_WAY;
	}
	/* What was sent runs out by itself. */
	if (job != NULL && job->waiting > 0)
		effect_forget(job);
	else if (job != NULL)
		job_free(job);
	return sent ? EFFECT_DONE : EFFECT_NOT_BEGUN;
}

static bool
job_add(EffectJob *job, const EffectEvent *event)
{
	json_t	  *payload = json_loads(event->payload, 0, NULL);
	DateSeats *date = job_date(job, json_string_value(json_object_get(payload, "concert_date_id")));
	size_t	   i;
	json_t	  *seat;
	bool	   ok = true;

	json_array_foreach(json_object_get(payload, "seats"), i, seat) ok =
		ok && date_add_seat(date, json_string_value(json_object_get(seat, "seat_id")));
	json_decref(payload);
	return ok;
}

/* There is room: a job has as many places as it was given events. */
static DateSeats *
job_date(EffectJob *job, const char *date_id)
{
	DateSeats *date;

	for (int i = 0; i < job->date_count; i++)
		if (strcmp(job->dates[i].date_id, date_id) == 0)
			return &job->dates[i];
	date = &job->dates[job->date_count++];
	date->job = job;
	snprintf(date->date_id, sizeof(date->date_id), "%s", date_id);
	return date;
}

/* A seat that several events name is asked for as often: the database and Redis do not mind. */
static bool
date_add_seat(DateSeats *date, const char *seat_id)
{
	if (date->len + UUID_BYTES + 2 > date->size)
	{
		size_t size = date->size == 0 ? 1024 : date->size * 2;
		char  *grown = realloc(date->seat_ids, size);

		if (grown == NULL)
			return false;
		date->seat_ids = grown;
		date->size = size;
	}
	if (date->len > 0)
		date->len--; /* over the closing brace */
	date->len +=
		sprintf(date->seat_ids + date->len, "%c%.36s}", date->len == 0 ? '{' : ',', seat_id);
	return true;
}

static void
date_states(void *arg, const PGresult *res, const char *errstr)
{
	DateSeats *date = arg;
	EffectJob *job = date->job;
	int		   count = errstr != NULL || job->done == NULL ? 0 : PQntuples(res);
	SeatMark  *marks = count > 0 ? calloc(count, sizeof(SeatMark)) : NULL;

	if (errstr != NULL)
		job_failed(job, res == NULL ? "" : db_sqlstate(res), errstr);
	else if (marks == NULL && count > 0)
		job_failed(job, "", "out of memory");
	if (marks == NULL)
	{
		job_answered(job);
		return;
	}
	for (int i = 0; i < count; i++)
		marks[i] =
			(SeatMark){.seat_id = PQgetvalue(res, i, STATE_SEAT_ID),
					   .state = PQgetvalue(res, i, STATE_STATE),
					   .user_id = PQgetvalue(res, i, STATE_USER_ID),
					   .fence = strtoll(PQgetvalue(res, i, STATE_FENCE), NULL, 10),
					   .remaining_ms = strtoll(PQgetvalue(res, i, STATE_REMAINING_MS), NULL, 10)};
	hold_mark(job->tools->hold, date->date_id, count, marks, date_marked, job);
	free(marks);
}

static void
date_marked(void *arg, bool ok)
{
	EffectJob *job = arg;

	if (!ok)
		job_failed(job, "", "Redis did not take the marks");
	job_answered(job);
}

static void
job_failed(EffectJob *job, const char *sqlstate, const char *errstr)
{
	if (job->errstr[0] != '\0')
		return;
	snprintf(job->sqlstate, sizeof(job->sqlstate), "%s", sqlstate);
	snprintf(job->errstr, sizeof(job->errstr), "%s", errstr);
}

static void
job_answered(EffectJob *job)
{
	if (--job->waiting > 0)
		return;
	if (job->done != NULL)
		job->done(job->arg, job->sqlstate, job->errstr[0] == '\0' ? NULL : job->errstr);
	job_free(job);
}

static void
job_free(EffectJob *job)
{
	for (int i = 0; i < job->date_count; i++)
		free(job->dates[i].seat_ids);
	free(job);
}
