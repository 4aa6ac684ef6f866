/* SPDX-License-Identifier: PostgreSQL */
/*
 * IDLE → BEFORE (what comes before the statements) → WRITING (the transaction) → IDLE. A failure
 * belongs to the batch until a message fails alone; then it is its partition's, which is tried
 * again by itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "group.h"
#include "intake.h"
#include "log.h"
#include "metrics.h"
#include "options.h"
#include "partition.h"
#include "sql.h"

#define GROUP_BATCHES_AHEAD 2 /* the next one is at hand while one is being written */
#define GROUP_READY_RETRY_MS 250
#define GROUP_LABEL_BYTES 64

typedef enum GroupState
{
	GROUP_STARTING, /* the topics do not exist yet */
	GROUP_IDLE,
	GROUP_BEFORE,
	GROUP_WRITING
} GroupState;

struct Group
{
	Intake			   intake;
	const Effect	  *effect;
	const EffectTools *tools;
	DeadLetters		  *letters;
	Kafka			  *kafka;
	struct event	  *timer;
	GroupState		   state;
	bool			   draining;
	void (*settled)(void *arg);
	void	  *settled_arg;
	EffectJob *job; /* in BEFORE */
	Message	  *batch[DB_BATCH_MAX];
	int		   batch_count;
	int		   alone;	 /* this many messages go one by one, because a batch failed */
	int		   failures; /* of whole batches, in a row */
	double	   retry_at;
	double	   began_at;
	double	   failing_since; /* 0: the last batch went well */
	char	   why[MESSAGE_WHY_BYTES];
};

static void	  group_woken(void *arg);
static void	  group_timer(evutil_socket_t fd, short what, void *arg);
static void	  group_work(Group *group);
static double group_choose(Group *group);
static void	  group_choose_from(Group *group, Partition *partition, int limit);
static void	  group_before(Group *group);
static void	  group_before_done(void *arg, const char *sqlstate, const char *errstr);
static void	  group_write(Group *group);
static void	  group_each(void *arg, int i, const PGresult *res);
static void	  group_written(void *arg, const PGresult *res, const char *errstr);
static void	  group_committed(Group *group);
static void	  group_failed(Group *group, const char *sqlstate, const char *errstr);
static void	  group_blame(Group *group, Message *message, const char *sqlstate, const char *errstr);
static void	  group_failure(Group *group, Partition *partition);
static void	  group_recovered(Group *group, Partition *partition);
static void	  group_batch_over(Group *group);
static void	  group_settle(Group *group, Partition *partition);
static void	  group_bury(Group *group, Message *message);
static void	  group_buried(void *arg, bool ok);
static void	  group_metric(const Group *group, const char *outcome, int count);

Group *
group_open(struct event_base *base, Kafka *kafka, const Effect *effect, const EffectTools *tools,
		   DeadLetters *letters, void (*settled)(void *arg), void *arg)
{
	Group *group = calloc(1, sizeof(Group));

	if (group == NULL)
		return NULL;
	group->effect = effect;
	group->tools = tools;
	group->letters = letters;
	group->kafka = kafka;
	group->settled = settled;
	group->settled_arg = arg;
	group->timer = evtimer_new(base, group_timer, group);
	if (group->timer == NULL || !intake_open(&group->intake, kafka, effect, group_woken, group))
	{
		group_close(group);
		return NULL;
	}
	clock_wait(group->timer, 0);
	return group;
}

void
group_drain(Group *group)
{
	group->draining = true;
}

bool
group_settled(const Group *group)
{
	return group->state <= GROUP_IDLE;
}

KafkaClient *
group_client(Group *group)
{
	return group->intake.client;
}

void
group_stop(Group *group)
{
	group->draining = true;
	group->settled = NULL;
	intake_lose(&group->intake);
	if (group->job != NULL)
		effect_forget(group->job);
	group->job = NULL;
}

void
group_close(Group *group)
{
	if (group == NULL)
		return;
	intake_close(&group->intake);
	if (group->timer != NULL)
		event_free(group->timer);
	free(group);
}

bool
group_ready(const Group *group, char *detail, size_t size)
{
	double		since = group->failing_since;
	const char *why = group->why;

	for (const Partition *partition = group->intake.partitions; partition != NULL;
		 partition = partition->next)
		if (partition->failures > 0 && !partition->lost &&
			(since == 0 || partition->failing_since < since))
		{
			since = partition->failing_since;
			why = partition->head->why;
		}
	if (since == 0 || clock_seconds() - since <= options_current()->relay_lag_seconds_max)
		return true;
	snprintf(detail, size, "group %s has not got on for %.0f s: %s", group->effect->group,
			 clock_seconds() - since, why);
	return false;
}

bool
group_failure_is_final(const char *sqlstate)
{
	static const char *const final_classes[] = {"22", "23", "TK"};

	for (size_t i = 0; i < sizeof(final_classes) / sizeof(final_classes[0]); i++)
		if (strncmp(sqlstate, final_classes[i], 2) == 0)
			return true;
	return false;
}

int
group_retry_ms(int failures)
{
	const Options *options = options_current();
	int			   wait_ms = options->consumer_retry_min_ms;

	while (--failures > 0 && wait_ms < options->consumer_retry_max_ms)
		wait_ms *= 2;
	return wait_ms < options->consumer_retry_max_ms ? wait_ms : options->consumer_retry_max_ms;
}

static void
group_woken(void *arg)
{
	Group *group = arg;

	if (group->state == GROUP_STARTING)
		kafka_poll(group->intake.client);
	else
		group_work(group);
}

static void
group_timer(evutil_socket_t fd, short what, void *arg)
{
	Group *group = arg;

	(void) fd;
	(void) what;
	if (group->state != GROUP_STARTING)
		group_work(group);
	else if (kafka_ready(group->kafka) && intake_subscribe(&group->intake))
		group->state = GROUP_IDLE;
	else
		clock_wait(group->timer, GROUP_READY_RETRY_MS / 1000.0);
}

static void
group_work(Group *group)
{
	double next_at;

	intake_fill(&group->intake, options_current()->consumer_batch_rows * GROUP_BATCHES_AHEAD);
	intake_lag(&group->intake);
	if (group->state != GROUP_IDLE || group->draining)
		return;
	next_at = group_choose(group);
	if (group->batch_count > 0)
		group_before(group);
	else if (next_at > 0)
		clock_wait(group->timer, next_at - clock_seconds());
}

/* Fills the batch. Returns when to look again if it stays empty; 0: when something arrives. */
static double
group_choose(Group *group)
{
	int	   limit = group->alone > 0 ? 1 : options_current()->consumer_batch_rows;
	double now = clock_seconds();
	double next_at = 0;

	if (group->retry_at > now)
		return group->retry_at;
	partition_rotate(&group->intake.partitions);
	for (Partition *partition = group->intake.partitions; partition != NULL;
		 partition = partition->next)
	{
		if (partition->lost || partition->head == NULL || group->batch_count == limit)
			continue;
		if (partition->retry_at > now)
		{
			if (next_at == 0 || partition->retry_at < next_at)
				next_at = partition->retry_at;
		}
		else if (partition->head->state == MESSAGE_DEAD)
			group_settle(group, partition);
		else if (partition->failures == 0)
			group_choose_from(group, partition, limit);
		else if (group->batch_count == 0)
		{
			group_choose_from(group, partition, 1);
			break;
		}
	}
	return next_at;
}

static void
group_choose_from(Group *group, Partition *partition, int limit)
{
	for (Message *message = partition->head;
		 message != NULL && message->state == MESSAGE_QUEUED && group->batch_count < limit;
		 message = message->next)
	{
		message->state = MESSAGE_WORKING;
		partition->busy++;
		group->batch[group->batch_count++] = message;
	}
}

static void
group_before(Group *group)
{
	const EffectEvent *events[DB_BATCH_MAX];
	int				   count = 0;

	group->began_at = clock_seconds();
	for (int i = 0; i < group->batch_count; i++)
		if (!group->batch[i]->begun)
			events[count++] = &group->batch[i]->event;
	if (group->effect->before == NULL || count == 0)
	{
		group_write(group);
		return;
	}
	group->state = GROUP_BEFORE;
	switch (
		group->effect->before(group->tools, events, count, group_before_done, group, &group->job))
	{
		case EFFECT_UNDER_WAY:
			break;
		case EFFECT_DONE:
			group_before_done(group, "", NULL);
			break;
		case EFFECT_NOT_BEGUN:
			group_before_done(group, "", "no room for it now");
			break;
	}
}

static void
group_before_done(void *arg, const char *sqlstate, const char *errstr)
{
	Group *group = arg;

	group->job = NULL;
	if (errstr != NULL)
	{
		group_failed(group, sqlstate, errstr);
		return;
	}
	for (int i = 0; i < group->batch_count; i++)
		group->batch[i]->begun = true;
	group_write(group);
}

static void
group_write(Group *group)
{
	DbStatement statements[DB_BATCH_MAX];

	group->state = GROUP_WRITING;
	for (int i = 0; i < group->batch_count; i++)
		statements[i] = group->effect->statement(&group->batch[i]->event);
	if (!db_batch(group->tools->db, statements, group->batch_count, group_each, group_written,
				  group))
		group_failed(group, "", "too many database calls are waiting");
}

/* A refusal is only noted: it counts when the transaction is committed. */
static void
group_each(void *arg, int i, const PGresult *res)
{
	Group	*group = arg;
	Message *message = group->batch[i];

	if (PQresultStatus(res) != PGRES_TUPLES_OK || PQntuples(res) != 1)
		return;
	if (strcmp(PQgetvalue(res, 0, SQL_OK), "t") == 0)
		message->why[0] = '\0';
	else
		snprintf(message->why, sizeof(message->why), "%s", PQgetvalue(res, 0, SQL_REASON));
}

static void
group_written(void *arg, const PGresult *res, const char *errstr)
{
	Group *group = arg;

	const char *primary = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

	if (errstr == NULL)
		group_committed(group);
	else
		group_failed(group, db_sqlstate(res), primary == NULL ? errstr : primary);
}

static void
group_committed(Group *group)
{
	int applied = 0;
	int duplicates = 0;

	for (int i = 0; i < group->batch_count; i++)
	{
		Message *message = group->batch[i];

		message->state = MESSAGE_SETTLED;
		if (message->why[0] == '\0')
			applied++;
		else if (strcmp(message->why, "already_resolved") == 0)
			duplicates++;
		else
		{
			message->attempts++;
			message->state = MESSAGE_DEAD;
		}
		if (message->partition->failures > 0)
			group_recovered(group, message->partition);
		log_event(LOG_DEBUG_LEVEL, "event_applied", message->event.head.correlation_id,
				  "{s:s, s:s, s:s}", "group", group->effect->group, "id", message->event.head.id,
				  "why", message->why);
	}
	group_metric(group, "applied", applied);
	group_metric(group, "duplicate", duplicates);
	metric_observe(METRIC_CONSUMER_SECONDS, group->effect->group,
				   clock_seconds() - group->began_at);
	group->alone = group->alone > group->batch_count ? group->alone - group->batch_count : 0;
	group->failures = 0;
	group->failing_since = 0;
	group->retry_at = 0;
	group_batch_over(group);
}

/* Of several messages none is to blame yet. */
static void
group_failed(Group *group, const char *sqlstate, const char *errstr)
{
	group_metric(group, "retried", group->batch_count);
	for (int i = 0; i < group->batch_count; i++)
		group->batch[i]->state = MESSAGE_QUEUED;
	if (group->batch_count == 1)
	{
		if (group->alone > 0)
			group->alone--;
		group_blame(group, group->batch[0], sqlstate, errstr);
	}
	else
	{
		group->alone = group->batch_count;
		if (!group_failure_is_final(sqlstate))
			group->retry_at = clock_seconds() + group_retry_ms(++group->failures) / 1000.0;
		if (group->failing_since == 0)
			group->failing_since = clock_seconds();
		snprintf(group->why, sizeof(group->why), "%s", errstr);
		log_event(LOG_WARN_LEVEL, "batch_failed", NULL, "{s:s, s:i, s:s, s:s}", "group",
				  group->effect->group, "events", group->batch_count, "sqlstate", sqlstate, "why",
				  errstr);
	}
	group_batch_over(group);
}

static void
group_blame(Group *group, Message *message, const char *sqlstate, const char *errstr)
{
	Partition *partition = message->partition;

	snprintf(message->why, sizeof(message->why), "%s%s%s", sqlstate, sqlstate[0] == '\0' ? "" : " ",
			 errstr);
	group_failure(group, partition);
	if (partition->failures == 1)
		log_event(LOG_WARN_LEVEL, "event_failed", message->event.head.correlation_id,
				  "{s:s, s:s, s:s}", "group", group->effect->group, "id", message->event.head.id,
				  "why", message->why);
	if (group_failure_is_final(sqlstate) &&
		++message->attempts >= options_current()->consumer_attempts_max)
	{
		message->state = MESSAGE_DEAD;
		partition->retry_at = 0;
	}
}

static void
group_failure(Group *group, Partition *partition)
{
	if (partition->failures++ == 0)
	{
		partition->failing_since = clock_seconds();
		if (!partition->lost)
			intake_pause(&group->intake, partition, true);
	}
	partition->retry_at = clock_seconds() + group_retry_ms(partition->failures) / 1000.0;
}

static void
group_recovered(Group *group, Partition *partition)
{
	partition->failures = 0;
	partition->retry_at = 0;
	if (!partition->lost)
		intake_pause(&group->intake, partition, false);
}

/* Messages of one partition stand together in a batch. */
static void
group_batch_over(Group *group)
{
	for (int i = 0, count; i < group->batch_count; i += count)
	{
		Partition *partition = group->batch[i]->partition;

		for (count = 1;
			 i + count < group->batch_count && group->batch[i + count]->partition == partition;
			 count++)
			;
		if (partition_answered(&group->intake.partitions, partition, count))
			group_settle(group, partition);
	}
	group->batch_count = 0;
	group->state = GROUP_IDLE;
	clock_wait(group->timer, 0);
	if (group->draining && group->settled != NULL)
		group->settled(group->settled_arg);
}

static void
group_settle(Group *group, Partition *partition)
{
	int64_t offset;

	if (partition_pop(partition, &offset) > 0)
		intake_store(&group->intake, partition, offset);
	if (partition->head != NULL && partition->head->state == MESSAGE_DEAD)
		group_bury(group, partition->head);
}

static void
group_bury(Group *group, Message *message)
{
	DeadLetter letter = {.message = message->kafka,
						 .group = group->effect->group,
						 .reason = message->why,
						 .attempts = message->attempts};
	Partition *partition = message->partition;

	if (deadletter_send(group->letters, &letter, group_buried, message))
	{
		message->state = MESSAGE_DYING;
		partition->busy++;
		return;
	}
	group_failure(group, partition);
}

static void
group_buried(void *arg, bool ok)
{
	Message	  *message = arg;
	Partition *partition = message->partition;
	Group	  *group = partition->owner;

	message->state = ok ? MESSAGE_SETTLED : MESSAGE_DEAD;
	if (ok)
	{
		log_event(LOG_ERROR_LEVEL, "event_dead", message->event.head.correlation_id,
				  "{s:s, s:s, s:s, s:i, s:s}", "group", group->effect->group, "id",
				  message->event.head.id, "type", message->event.head.type, "attempts",
				  message->attempts, "why", message->why);
		metric_add(METRIC_CONSUMER_DLQ, group->effect->group, 1);
		group_metric(group, "dead", 1);
		if (partition->failures > 0)
			group_recovered(group, partition);
	}
	else
		group_failure(group, partition);
	if (partition_answered(&group->intake.partitions, partition, 1) && ok)
		group_settle(group, partition);
	clock_wait(group->timer, 0);
}

static void
group_metric(const Group *group, const char *outcome, int count)
{
	char label[GROUP_LABEL_BYTES];

	if (count == 0)
		return;
	snprintf(label, sizeof(label), "%s,%s", group->effect->group, outcome);
	metric_add(METRIC_CONSUMER_EVENTS, label, count);
}
