/* SPDX-License-Identifier: PostgreSQL */
/* Calls the batch_*.lua scripts; what they mean stands there and in room_common.lua. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "flight.h"
#include "log.h"
#include "room_key.h"
#include "sql.h"

#include "lua_batch_commit.h"
#include "lua_batch_plan.h"
#include "lua_batch_settle.h"
#include "lua_room_common.h"

#define ARGS_MAX 9

typedef enum StateColumn
{
	COLUMN_LEASED_TO,
	COLUMN_SERVED_TO,
	COLUMN_BATCHES
} StateColumn;

/* What the plan script says after its first word. */
typedef enum PlanWord
{
	WORD_WAITING = 1,
	WORD_PRESENT,
	WORD_ACTIVE,
	WORD_LOST,
	WORD_FROM,
	WORD_TO,
	WORD_ADMITTED
} PlanWord;

struct BatchDesk
{
	struct event_base *base;
	Redis			  *redis;
	int				   slot_ms;
	RedisScript		   plan;
	RedisScript		   commit;
	RedisScript		   settle;
};

/* One call of any of the three. */
typedef struct BatchCall
{
	BatchDesk	*desk;
	SaleDate	 date;
	bool		 lead;
	BatchPlanned planned;
	void (*committed)(void *arg, BatchStatus status);
	void (*settled)(void *arg, bool ok);
	void *arg;
} BatchCall;

static BatchCall *call_new(BatchDesk *desk, const SaleDate *date, void *arg);
static bool		  call_script(BatchCall *call, const RedisScript *script, int nargs,
							  const char *const *args, RedisDone done);
static void		  plan_unknown(void *arg);
static void		  plan_replied(void *arg, const redisReply *reply, const char *errstr);
static void		  plan_finish(BatchCall *call, BatchStatus status, const Batch *batch,
							  const BatchView *view);
static void		  commit_unknown(void *arg);
static void		  commit_replied(void *arg, const redisReply *reply, const char *errstr);
static void		  settle_failed(void *arg);
static void		  settle_read(void *arg, const PGresult *res, const char *errstr);
static void		  settle_replied(void *arg, const redisReply *reply, const char *errstr);
static void		  settle_finish(BatchCall *call, bool ok);

BatchDesk *
batch_open(struct event_base *base, Redis *redis, int slot_seconds)
{
	BatchDesk *desk = calloc(1, sizeof(BatchDesk));

	desk->base = base;
	desk->redis = redis;
	desk->slot_ms = slot_seconds * 1000;
	desk->plan = redis_script_join("batch_plan", lua_room_common, lua_batch_plan);
	desk->commit = redis_script_join("batch_commit", lua_room_common, lua_batch_commit);
	desk->settle = redis_script_join("batch_settle", lua_room_common, lua_batch_settle);
	return desk;
}

void
batch_close(BatchDesk *desk)
{
	if (desk == NULL)
		return;
	redis_script_free(&desk->plan);
	redis_script_free(&desk->commit);
	redis_script_free(&desk->settle);
	free(desk);
}

void
batch_plan(BatchDesk *desk, const SaleDate *date, BatchPlanned done, void *arg)
{
	BatchCall		 *call = call_new(desk, date, arg);
	char			  cap[ROOM_NUMBER_BYTES];
	char			  rate[ROOM_NUMBER_BYTES];
	char			  claim_ms[ROOM_NUMBER_BYTES];
	const char *const args[] = {cap, rate, claim_ms};

	call->planned = done;
	snprintf(cap, sizeof(cap), "%d", date->admission_cap);
	snprintf(rate, sizeof(rate), "%d", date->admission_rate);
	snprintf(claim_ms, sizeof(claim_ms), "%" PRId64, (int64_t) date->claim_seconds * 1000);
	if (!call_script(call, &desk->plan, 3, args, plan_replied))
		flight_later(desk->base, plan_unknown, call);
}

void
batch_commit(BatchDesk *desk, const SaleDate *date, const Batch *batch, int64_t issued_at_ms,
			 void (*done)(void *arg, BatchStatus status), void *arg)
{
	BatchCall		 *call = call_new(desk, date, arg);
	char			  from[ROOM_NUMBER_BYTES];
	char			  to[ROOM_NUMBER_BYTES];
	char			  issued[ROOM_NUMBER_BYTES];
	char			  claim_ms[ROOM_NUMBER_BYTES];
	char			  pass_seconds[ROOM_NUMBER_BYTES];
	const char *const args[] = {from, to, issued, claim_ms, pass_seconds};

	call->committed = done;
	snprintf(from, sizeof(from), "%" PRId64, batch->from);
	snprintf(to, sizeof(to), "%" PRId64, batch->to);
	snprintf(issued, sizeof(issued), "%" PRId64, issued_at_ms);
	snprintf(claim_ms, sizeof(claim_ms), "%" PRId64, (int64_t) date->claim_seconds * 1000);
	snprintf(pass_seconds, sizeof(pass_seconds), "%d", date->pass_seconds);
	if (!call_script(call, &desk->commit, 5, args, commit_replied))
		flight_later(desk->base, commit_unknown, call);
}

void
batch_settle(BatchDesk *desk, Db *db, const SaleDate *date, bool lead,
			 void (*done)(void *arg, bool ok), void *arg)
{
	BatchCall *call = call_new(desk, date, arg);

	call->settled = done;
	call->lead = lead;
	if (!sql_admission_state(db, date->id, settle_read, call))
		flight_later(desk->base, settle_failed, call);
}

static BatchCall *
call_new(BatchDesk *desk, const SaleDate *date, void *arg)
{
	BatchCall *call = calloc(1, sizeof(BatchCall));

	call->desk = desk;
	call->date = *date;
	call->arg = arg;
	return call;
}

/* Puts what every script begins with before its own arguments. */
static bool
call_script(BatchCall *call, const RedisScript *script, int nargs, const char *const *args,
			RedisDone done)
{
	RoomKeys		  names;
	const char *const keys[] = {names.room};
	const char		 *all[2 + ARGS_MAX];

	room_keys(&names, call->date.id, NULL);
	all[0] = names.tag;
	all[1] = ROOM_LIFE_MS;
	memcpy(all + 2, args, (size_t) nargs * sizeof(*args));
	return redis_script(call->desk->redis, script, 1, keys, 2 + nargs, all, done, call);
}

static void
plan_unknown(void *arg)
{
	plan_finish(arg, BATCH_UNKNOWN, NULL, NULL);
}

static void
plan_replied(void *arg, const redisReply *reply, const char *errstr)
{
	Batch		batch = {0};
	BatchView	view = {0};
	const char *word = room_word(reply, errstr, "batch_plan");

	if (word == NULL)
	{
		plan_finish(arg, BATCH_UNKNOWN, NULL, NULL);
		return;
	}
	if (strcmp(word, "plan") != 0 && strcmp(word, "none") != 0)
	{
		plan_finish(arg, BATCH_UNSETTLED, NULL, NULL);
		return;
	}
	view.waiting = room_int(reply, WORD_WAITING);
	view.present = room_int(reply, WORD_PRESENT);
	view.active = room_int(reply, WORD_ACTIVE);
	view.lost = room_int(reply, WORD_LOST);
	batch.from = room_int(reply, WORD_FROM);
	batch.to = room_int(reply, WORD_TO);
	batch.admitted = (int) room_int(reply, WORD_ADMITTED);
	plan_finish(arg, strcmp(word, "plan") == 0 ? BATCH_OK : BATCH_NONE, &batch, &view);
}

static void
plan_finish(BatchCall *call, BatchStatus status, const Batch *batch, const BatchView *view)
{
	call->planned(call->arg, status, batch, view);
	free(call);
}

static void
commit_unknown(void *arg)
{
	BatchCall *call = arg;

	call->committed(call->arg, BATCH_UNKNOWN);
	free(call);
}

static void
commit_replied(void *arg, const redisReply *reply, const char *errstr)
{
	BatchCall  *call = arg;
	const char *word = room_word(reply, errstr, "batch_commit");

	call->committed(call->arg,
					word == NULL				  ? BATCH_UNKNOWN
						: strcmp(word, "ok") == 0 ? BATCH_OK
												  : BATCH_UNSETTLED);
	free(call);
}

static void
settle_failed(void *arg)
{
	settle_finish(arg, false);
}

static void
settle_read(void *arg, const PGresult *res, const char *errstr)
{
	BatchCall  *call = arg;
	char		slot_ms[ROOM_NUMBER_BYTES];
	char		claim_ms[ROOM_NUMBER_BYTES];
	char		pass_seconds[ROOM_NUMBER_BYTES];
	const char *args[] = {
		call->lead ? "1" : "0", slot_ms, NULL, NULL, NULL, claim_ms, pass_seconds};

	if (errstr != NULL || PQntuples(res) != 1)
	{
		log_event(LOG_WARN_LEVEL, "admission_not_read", NULL, "{s:s, s:s?}", "date", call->date.id,
				  "error", errstr);
		settle_finish(call, false);
		return;
	}
	snprintf(slot_ms, sizeof(slot_ms), "%d", call->desk->slot_ms);
	snprintf(claim_ms, sizeof(claim_ms), "%" PRId64, (int64_t) call->date.claim_seconds * 1000);
	snprintf(pass_seconds, sizeof(pass_seconds), "%d", call->date.pass_seconds);
	args[2] = PQgetvalue(res, 0, COLUMN_LEASED_TO);
	args[3] = PQgetvalue(res, 0, COLUMN_SERVED_TO);
	args[4] = PQgetvalue(res, 0, COLUMN_BATCHES);
	if (!call_script(call, &call->desk->settle, 7, args, settle_replied))
		settle_finish(call, false);
}

static void
settle_replied(void *arg, const redisReply *reply, const char *errstr)
{
	settle_finish(arg, room_word(reply, errstr, "batch_settle") != NULL);
}

static void
settle_finish(BatchCall *call, bool ok)
{
	call->settled(call->arg, ok);
	free(call);
}
