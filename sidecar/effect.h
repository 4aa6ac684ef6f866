/* SPDX-License-Identifier: PostgreSQL */
/*
 * What the consumer groups do with an event: one const table, one row a group. An effect has two
 * halves: what is done outside the database first (before: may be repeated, so it must bear that),
 * and one statement that writes the inbox row and the effect inside the database together, so that
 * it happens once.
 */
#ifndef CONCERTD_EFFECT_H
#define CONCERTD_EFFECT_H

#include <stdbool.h>

#include "cloudevent.h"
#include "db.h"
#include "hold.h"

#define EFFECT_GROUPS 4
#define EFFECT_TOPICS_MAX 4

typedef struct EffectEvent
{
	CloudEvent	head;
	const char *topic;
	const char *key; /* "" when the message has none */
	const char *payload;
} EffectEvent;

typedef struct EffectTools
{
	Db	 *db;
	Hold *hold;
} EffectTools;

typedef struct EffectJob EffectJob;

typedef enum EffectStart
{
	EFFECT_DONE,
	EFFECT_UNDER_WAY,
	EFFECT_NOT_BEGUN /* no room for it now */
} EffectStart;

/*
 * errstr NULL: done. sqlstate is "" unless the database gave one. Never called from inside the call
 * it answers.
 */
typedef void (*EffectDone)(void *arg, const char *sqlstate, const char *errstr);

typedef struct Effect
{
	const char *group;
	const char *topics[EFFECT_TOPICS_MAX]; /* NULL after the last */
	/* NULL, or what makes the event one that can never be applied, as a constant */
	const char *(*defect)(const EffectEvent *event);
	/* NULL: nothing to do first. done is called only for EFFECT_UNDER_WAY. */
	EffectStart (*before)(const EffectTools *tools, const EffectEvent *const *events, int count,
						  EffectDone done, void *arg, EffectJob **ret_job);
	DbStatement (*statement)(const EffectEvent *event);
} Effect;

extern const Effect effects[EFFECT_GROUPS];

/* done will not be called; what is under way runs out by itself. */
void effect_forget(EffectJob *job);

#endif
