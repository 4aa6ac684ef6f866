/* SPDX-License-Identifier: PostgreSQL */
/*
 * The reading half of a consumer group: its Kafka client, the partitions it was given and the
 * messages read from them. It reads ahead as far as there is room. While there is none for a second
 * it pauses the partitions but keeps polling, so that it stays a member of the group; a partition
 * with failures is paused until it has none.
 */
#ifndef CONCERTD_INTAKE_H
#define CONCERTD_INTAKE_H

#include "kafka.h"
#include "partition.h"

typedef struct Intake
{
	const Effect *effect;
	KafkaClient	 *client;
	Partition	 *partitions;
	void (*wake)(void *owner);
	void  *owner;	   /* of the partitions too */
	double full_since; /* 0: there is room */
	bool   paused;
	double lag_at;
} Intake;

bool intake_open(Intake *intake, Kafka *kafka, const Effect *effect, void (*wake)(void *owner),
				 void *owner);
bool intake_subscribe(Intake *intake);

/*
 * Its partitions are no longer ours; what is at work on their messages must be answered before
 * intake_close().
 */
void intake_lose(Intake *intake);
void intake_close(Intake *intake);

/*
 * Reads until room messages wait that are not behind a failure. Serves rebalances: partitions may
 * go.
 */
void intake_fill(Intake *intake, int room);

/* For a partition whose first failure came, or whose last one is over. */
void intake_pause(Intake *intake, const Partition *partition, bool pause);

/* Everything before offset is settled. */
void intake_store(Intake *intake, const Partition *partition, int64_t offset);

/* Sets the lag's gauge from what is known here of the topics' ends; asks nobody. */
void intake_lag(Intake *intake);

#endif
