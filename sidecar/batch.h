/* SPDX-License-Identifier: PostgreSQL */
/*
 * Batches of admitted numbers in Redis: plan one, commit it once it is on record, settle what is
 * not known. A batch is planned (its presence frozen), recorded in PostgreSQL by the caller, then
 * committed; between the steps nobody can claim from it, and whatever stops there is settled from
 * the record. The cap counts everyone who has a pass that may still live, and everyone who may
 * still claim one.
 */
#ifndef CONCERT_BATCH_H
#define CONCERT_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>

#include "date.h"
#include "db.h"
#include "redis.h"

typedef struct BatchDesk BatchDesk;

typedef struct Batch
{
	int64_t from;
	int64_t to;
	int		admitted; /* the present ones among them */
} Batch;

typedef enum BatchStatus
{
	BATCH_OK,		 /* planned, or committed */
	BATCH_NONE,		 /* nobody to admit now */
	BATCH_UNSETTLED, /* Redis is cold, or does not know what became of a plan: settle first */
	BATCH_UNKNOWN	 /* no answer: settle first */
} BatchStatus;

/* What the plan saw; valid with BATCH_OK and BATCH_NONE. */
typedef struct BatchView
{
	int64_t waiting; /* numbers given out and not decided on, absent people included */
	int64_t present;
	int64_t active; /* sessions, and people who may still claim */
	int64_t lost;	/* admitted people whose time to claim has just run out */
} BatchView;

typedef void (*BatchPlanned)(void *arg, BatchStatus status, const Batch *batch,
							 const BatchView *view);

BatchDesk *batch_open(struct event_base *base, Redis *redis, int slot_seconds);
void	   batch_close(BatchDesk *desk);

void batch_plan(BatchDesk *desk, const SaleDate *date, BatchPlanned done, void *arg);
void batch_commit(BatchDesk *desk, const SaleDate *date, const Batch *batch, int64_t issued_at_ms,
				  void (*done)(void *arg, BatchStatus status), void *arg);

/*
 * Fills a cold room from the record. lead: also ends a plan of unknown outcome; only for the copy
 * that admits, through the session that records, so that nothing it sent before can still be
 * under way.
 */
void batch_settle(BatchDesk *desk, Db *db, const SaleDate *date, bool lead,
				  void (*done)(void *arg, bool ok), void *arg);

#endif
