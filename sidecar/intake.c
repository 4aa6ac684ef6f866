/* SPDX-License-Identifier: PostgreSQL */
/* Reading, pausing, rebalancing and storing offsets of one group. */
#include <stdlib.h>

#include "clock.h"
#include "intake.h"
#include "log.h"
#include "metrics.h"

#define INTAKE_PAUSE_AFTER_SECONDS 1.0
#define INTAKE_LAG_EVERY_SECONDS 1.0

static void intake_woken(void *arg);
static int	intake_held(const Intake *intake);
static void intake_take(Intake *intake, rd_kafka_message_t *kafka);
static void intake_pause_all(Intake *intake, bool pause);
static void intake_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err,
							 rd_kafka_topic_partition_list_t *partitions, void *arg);

bool
intake_open(Intake *intake, Kafka *kafka, const Effect *effect, void (*wake)(void *owner),
			void *owner)
{
	intake->effect = effect;
	intake->wake = wake;
	intake->owner = owner;
	intake->client = kafka_consumer(kafka, effect->group, intake_rebalance, intake_woken, intake);
	return intake->client != NULL;
}

bool
intake_subscribe(Intake *intake)
{
	rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(EFFECT_TOPICS_MAX);
	rd_kafka_resp_err_t				 err;

	for (int i = 0; i < EFFECT_TOPICS_MAX && intake->effect->topics[i] != NULL; i++)
		rd_kafka_topic_partition_list_add(topics, intake->effect->topics[i], RD_KAFKA_PARTITION_UA);
	err = rd_kafka_subscribe(kafka_handle(intake->client), topics);
	rd_kafka_topic_partition_list_destroy(topics);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		return true;
	log_event(LOG_ERROR_LEVEL, "subscribe_failed", NULL, "{s:s, s:s}", "group",
			  intake->effect->group, "why", rd_kafka_err2str(err));
	return false;
}

void
intake_lose(Intake *intake)
{
	partition_lose(&intake->partitions, NULL, 0);
}

/* A client outlives the messages that came from it. */
void
intake_close(Intake *intake)
{
	partition_free_all(&intake->partitions);
	kafka_client_close(intake->client);
}

void
intake_fill(Intake *intake, int room)
{
	rd_kafka_message_t *kafka;

	while (intake_held(intake) < room && (kafka = kafka_take(intake->client)) != NULL)
		intake_take(intake, kafka);
	if (intake_held(intake) < room)
	{
		intake->full_since = 0;
		intake_pause_all(intake, false);
	}
	else if (intake->full_since == 0)
		intake->full_since = clock_seconds();
	else if (clock_seconds() - intake->full_since > INTAKE_PAUSE_AFTER_SECONDS)
	{
		/* A message that still comes was on its way when its partition was paused. */
		intake_pause_all(intake, true);
		kafka = kafka_take(intake->client);
		if (kafka != NULL)
			intake_take(intake, kafka);
	}
}

void
intake_pause(Intake *intake, const Partition *partition, bool pause)
{
	rd_kafka_topic_partition_list_t *one = rd_kafka_topic_partition_list_new(1);

	rd_kafka_topic_partition_list_add(one, partition->topic, partition->number);
	if (pause)
		rd_kafka_pause_partitions(kafka_handle(intake->client), one);
	else if (!intake->paused)
		rd_kafka_resume_partitions(kafka_handle(intake->client), one);
	rd_kafka_topic_partition_list_destroy(one);
}

/* A partition that was taken from us meanwhile refuses it, as it should. */
void
intake_store(Intake *intake, const Partition *partition, int64_t offset)
{
	rd_kafka_topic_partition_list_t *one = rd_kafka_topic_partition_list_new(1);

	rd_kafka_topic_partition_list_add(one, partition->topic, partition->number)->offset = offset;
	rd_kafka_offsets_store(kafka_handle(intake->client), one);
	rd_kafka_topic_partition_list_destroy(one);
}

void
intake_lag(Intake *intake)
{
	rd_kafka_t						*rk = kafka_handle(intake->client);
	rd_kafka_topic_partition_list_t *assigned;
	int64_t							 behind = 0;

	if (clock_seconds() - intake->lag_at < INTAKE_LAG_EVERY_SECONDS ||
		rd_kafka_assignment(rk, &assigned) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	intake->lag_at = clock_seconds();
	rd_kafka_position(rk, assigned);
	for (int i = 0; i < assigned->cnt; i++)
	{
		const rd_kafka_topic_partition_t *at = &assigned->elems[i];
		int64_t							  low;
		int64_t							  high = 0;

		rd_kafka_get_watermark_offsets(rk, at->topic, at->partition, &low, &high);
		if (at->offset >= 0 && high > at->offset)
			behind += high - at->offset;
	}
	for (const Partition *partition = intake->partitions; partition != NULL;
		 partition = partition->next)
		behind += partition->lost ? 0 : partition->count;
	rd_kafka_topic_partition_list_destroy(assigned);
	metric_set(METRIC_CONSUMER_LAG, intake->effect->group, behind);
}

static void
intake_woken(void *arg)
{
	Intake *intake = arg;

	intake->wake(intake->owner);
}

/* What waits behind a failure is left out, or one such partition could stop all others. */
static int
intake_held(const Intake *intake)
{
	int held = 0;

	for (const Partition *partition = intake->partitions; partition != NULL;
		 partition = partition->next)
		if (partition->failures == 0)
			held += partition->count;
	return held;
}

static void
intake_take(Intake *intake, rd_kafka_message_t *kafka)
{
	Partition *partition = partition_of(&intake->partitions, rd_kafka_topic_name(kafka->rkt),
										kafka->partition, intake->owner);

	/* A message that is let go of here would be skipped, so without memory there is no going on. */
	if (partition == NULL || partition_push(partition, kafka, intake->effect) == NULL)
	{
		log_event(LOG_ERROR_LEVEL, "out_of_memory", NULL, NULL);
		abort();
	}
}

static void
intake_pause_all(Intake *intake, bool pause)
{
	rd_kafka_topic_partition_list_t *assigned;
	rd_kafka_t						*rk = kafka_handle(intake->client);

	if (intake->paused == pause || rd_kafka_assignment(rk, &assigned) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	intake->paused = pause;
	for (const Partition *partition = intake->partitions; !pause && partition != NULL;
		 partition = partition->next)
		if (partition->failures > 0 && !partition->lost)
			rd_kafka_topic_partition_list_del(assigned, partition->topic, partition->number);
	if (pause)
		rd_kafka_pause_partitions(rk, assigned);
	else
		rd_kafka_resume_partitions(rk, assigned);
	rd_kafka_topic_partition_list_destroy(assigned);
	log_event(LOG_DEBUG_LEVEL, pause ? "intake_paused" : "intake_resumed", NULL, "{s:s}", "group",
			  intake->effect->group);
}

static void
intake_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err,
				 rd_kafka_topic_partition_list_t *partitions, void *arg)
{
	Intake			 *intake = arg;
	bool			  assign = err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
	rd_kafka_error_t *error;

	log_event(LOG_INFO_LEVEL, assign ? "partitions_assigned" : "partitions_revoked", NULL,
			  "{s:s, s:i}", "group", intake->effect->group, "count", partitions->cnt);
	if (assign)
	{
		/* New ones are not paused: if there still is no room, all are paused again. */
		intake->paused = false;
		error = rd_kafka_incremental_assign(rk, partitions);
	}
	else
	{
		for (int i = 0; i < partitions->cnt; i++)
			partition_lose(&intake->partitions, partitions->elems[i].topic,
						   partitions->elems[i].partition);
		error = rd_kafka_incremental_unassign(rk, partitions);
	}
	if (error == NULL)
		return;
	log_event(LOG_ERROR_LEVEL, "rebalance_failed", NULL, "{s:s, s:s}", "group",
			  intake->effect->group, "why", rd_kafka_error_string(error));
	rd_kafka_error_destroy(error);
}
