/* SPDX-License-Identifier: PostgreSQL */
/*
 * Operations. One is PARKED (waits for the map or for a second try), SENT (cluster.c owes its
 * reply), REFUSED (answered in the next turn of the loop) or answered; one that was answered by
 * its deadline while SENT stays until its reply or its connection is gone. All have the same
 * timeout, so the oldest is always the first to be late and one timer serves all. Tried again is
 * only what no server can have executed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <openssl/evp.h>

#include "clock.h"
#include "cluster.h"
#include "metrics.h"
#include "redis.h"

#define SCRIPTS_MAX 32
#define OPS_MAX 32768		/* accepted and not yet answered */
#define TRIES_MAX 32		/* sends of one operation, redirections and retries together */
#define REDIRECTS_AT_ONCE 8 /* after each so many sends a redirected operation pauses */
#define RETRY_MS 20			/* pause before an operation is tried again */
#define SHA1_HEX_BYTES 41

TAILQ_HEAD(OpList, Op);

typedef struct Op
{
	ClusterCall call;	 /* first: a reply finds its operation by it */
	TAILQ_ENTRY(Op) age; /* in redis->ops until answered */
	TAILQ_ENTRY(Op) queue;
	struct OpList *queue_of; /* redis->parked, redis->refused or NULL */
	Redis		  *redis;
	RedisDone	   done;
	void		  *arg;
	const char	  *why; /* it is refused */
	bool		   answered;
	int64_t		   since_ms;
	int64_t		   retry_ms;
	int			   tries;
	int			   slot;
	int			   script; /* index, or -1 */
	int			   argc;
	const char	 **argv; /* both arrays and the text follow in the same allocation */
	size_t		  *lens;
} Op;

typedef struct Words
{
	int				   n;
	const char *const *values;
	const size_t	  *lens; /* NULL: C strings */
} Words;

typedef struct Script
{
	char *name;
	char *text;
	char  sha1[SHA1_HEX_BYTES];
} Script;

struct Redis
{
	Cluster		 *cluster;
	int			  timeout_ms;
	bool		  closing;
	Script		  scripts[SCRIPTS_MAX];
	int			  script_count;
	struct OpList ops;
	int			  op_count;
	struct event *late_timer;
	struct OpList parked;
	struct event *parked_timer;
	struct OpList refused;
	struct event *refused_timer;
};

static int	  redis_script_index(Redis *redis, const RedisScript *script);
static Op	 *op_new(Redis *redis, const Words *words, int words_count, RedisDone done, void *arg);
static size_t words_len(const Words *words, int i);
static void	  op_accept(Op *op);
static void	  op_send(Op *op);
static void	  op_send_to(Op *op, ClusterNode *node, bool asking);
static void	  op_use_script(Op *op, ClusterNode *node);
static void	  op_park(Op *op);
static void	  op_refuse(Op *op, const char *why);
static void	  op_replied(ClusterCall *call, const redisReply *reply, bool sent);
static void	  op_error(Op *op, ClusterNode *node, const redisReply *reply);
static bool	  op_may_pass(const char *error);
static void	  op_redirect(Op *op, ClusterNode *from, const redisReply *reply, bool asking);
static void	  op_answer(Op *op, const redisReply *reply, const char *errstr);
static void	  op_finish(Op *op, const redisReply *reply, const char *errstr);
static void	  ops_late(evutil_socket_t fd, short what, void *arg);
static void	  ops_retry(evutil_socket_t fd, short what, void *arg);
static void	  ops_refuse(evutil_socket_t fd, short what, void *arg);

Redis *
redis_open(struct event_base *base, const char *nodes, int timeout_ms)
{
	Cluster *cluster = cluster_open(base, nodes, timeout_ms);
	Redis	*redis;

	if (cluster == NULL)
		return NULL;
	redis = calloc(1, sizeof(Redis));
	redis->cluster = cluster;
	redis->timeout_ms = timeout_ms;
	TAILQ_INIT(&redis->ops);
	TAILQ_INIT(&redis->parked);
	TAILQ_INIT(&redis->refused);
	redis->late_timer = evtimer_new(base, ops_late, redis);
	redis->parked_timer = evtimer_new(base, ops_retry, redis);
	redis->refused_timer = evtimer_new(base, ops_refuse, redis);
	return redis;
}

void
redis_close(Redis *redis)
{
	Op *op;

	if (redis == NULL)
		return;
	redis->closing = true;
	cluster_close(redis->cluster);
	while ((op = TAILQ_FIRST(&redis->ops)) != NULL)
		op_finish(op, NULL, "closing");
	for (int i = 0; i < redis->script_count; i++)
	{
		free(redis->scripts[i].name);
		free(redis->scripts[i].text);
	}
	event_free(redis->late_timer);
	event_free(redis->parked_timer);
	event_free(redis->refused_timer);
	free(redis);
}

bool
redis_command(Redis *redis, const char *key, int argc, const char *const *argv, const size_t *lens,
			  RedisDone done, void *arg)
{
	const Words words[] = {{argc, argv, lens}};
	Op		   *op = op_new(redis, words, 1, done, arg);

	if (op == NULL)
		return false;
	op->script = -1;
	op->slot = key != NULL ? slotmap_slot(key, strlen(key)) : 0;
	op_accept(op);
	return true;
}

bool
redis_script(Redis *redis, const RedisScript *script, int nkeys, const char *const *keys, int nargs,
			 const char *const *args, RedisDone done, void *arg)
{
	int				  index = redis_script_index(redis, script);
	char			  nkeys_text[16];
	const char *const head[] = {"", "", nkeys_text}; /* each sending sets the first two */
	const Words		  words[] = {{3, head, NULL}, {nkeys, keys, NULL}, {nargs, args, NULL}};
	Op				 *op;

	snprintf(nkeys_text, sizeof(nkeys_text), "%d", nkeys);
	if (index < 0 || nkeys < 1 || (op = op_new(redis, words, 3, done, arg)) == NULL)
		return false;
	op->script = index;
	op->slot = slotmap_slot(keys[0], strlen(keys[0]));
	op_accept(op);
	return true;
}

RedisScript
redis_script_join(const char *name, const char *common, const char *text)
{
	size_t size = strlen(common) + strlen(text) + 1;
	char  *whole = malloc(size);

	if (whole != NULL)
		snprintf(whole, size, "%s%s", common, text);
	return (RedisScript){name, whole};
}

void
redis_script_free(RedisScript *script)
{
	free((char *) script->text);
	script->text = NULL;
}

bool
redis_up(const Redis *redis)
{
	return cluster_up(redis->cluster);
}

int
redis_in_flight(const Redis *redis)
{
	return redis->op_count;
}

/* Known by what they are, not by where: scripts are few, and the caller's may come and go. */
static int
redis_script_index(Redis *redis, const RedisScript *script)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int  len = 0;
	Script		 *slot = &redis->scripts[redis->script_count];

	for (int i = 0; i < redis->script_count; i++)
		if (strcmp(redis->scripts[i].name, script->name) == 0 &&
			strcmp(redis->scripts[i].text, script->text) == 0)
			return i;
	if (redis->script_count == SCRIPTS_MAX ||
		EVP_Digest(script->text, strlen(script->text), digest, &len, EVP_sha1(), NULL) != 1)
		return -1;
	slot->name = strdup(script->name);
	slot->text = strdup(script->text);
	for (unsigned i = 0; i < len; i++)
		snprintf(slot->sha1 + (size_t) 2 * i, 3, "%02x", digest[i]);
	return redis->script_count++;
}

/* One allocation for an operation and copies of all its words. */
static Op *
op_new(Redis *redis, const Words *words, int words_count, RedisDone done, void *arg)
{
	size_t bytes = 0;
	int	   argc = 0;
	char  *text;
	Op	  *op;

	for (int w = 0; w < words_count; w++)
	{
		argc += words[w].n;
		for (int i = 0; i < words[w].n; i++)
			bytes += words_len(&words[w], i);
	}
	if (redis->closing || redis->op_count >= OPS_MAX || argc < 1)
		return NULL;
	op = calloc(1, sizeof(Op) + (size_t) argc * (sizeof(char *) + sizeof(size_t)) + bytes);
	if (op == NULL)
		return NULL;
	op->redis = redis;
	op->done = done;
	op->arg = arg;
	op->argv = (const char **) (op + 1);
	op->lens = (size_t *) (op->argv + argc);
	text = (char *) (op->lens + argc);
	for (int w = 0; w < words_count; w++)
		for (int i = 0; i < words[w].n; i++, op->argc++)
		{
			op->argv[op->argc] = text;
			op->lens[op->argc] = words_len(&words[w], i);
			memcpy(text, words[w].values[i], op->lens[op->argc]);
			text += op->lens[op->argc];
		}
	return op;
}

static size_t
words_len(const Words *words, int i)
{
	return words->lens != NULL ? words->lens[i] : strlen(words->values[i]);
}

static void
op_accept(Op *op)
{
	Redis *redis = op->redis;

	op->since_ms = clock_ms();
	TAILQ_INSERT_TAIL(&redis->ops, op, age);
	if (redis->op_count++ == 0)
		clock_wait_ms(redis->late_timer, redis->timeout_ms);
	op_send(op);
}

/* To the master of its slot, as far as one is known. */
static void
op_send(Op *op)
{
	Cluster		*cluster = op->redis->cluster;
	ClusterNode *node = cluster_master(cluster, op->slot);

	if (node != NULL && !cluster_is_down(node))
		op_send_to(op, node, false);
	else if (node != NULL || cluster_hopeless(cluster))
		op_refuse(op, "could not reach its master");
	else
		op_park(op);
}

static void
op_send_to(Op *op, ClusterNode *node, bool asking)
{
	if (op->tries++ >= TRIES_MAX)
	{
		op_refuse(op, "tried too often");
		return;
	}
	if (op->script >= 0)
		op_use_script(op, node);
	op->call.replied = op_replied;
	if (!cluster_send(node, &op->call, asking, op->argc, op->argv, op->lens))
		op_refuse(op, "could not connect");
}

/* A connection is served in order: the first EVAL has filled the cache for all that follow it. */
static void
op_use_script(Op *op, ClusterNode *node)
{
	const Script *script = &op->redis->scripts[op->script];
	uint32_t	 *cached = cluster_scripts(node);
	bool		  hit = (*cached & 1u << op->script) != 0;

	op->argv[0] = hit ? "EVALSHA" : "EVAL";
	op->argv[1] = hit ? script->sha1 : script->text;
	op->lens[0] = strlen(op->argv[0]);
	op->lens[1] = strlen(op->argv[1]);
	*cached |= 1u << op->script;
}

static void
op_park(Op *op)
{
	Redis *redis = op->redis;

	op->queue_of = &redis->parked;
	op->retry_ms = clock_ms() + RETRY_MS;
	TAILQ_INSERT_TAIL(&redis->parked, op, queue);
	if (TAILQ_FIRST(&redis->parked) == op)
		clock_wait_ms(redis->parked_timer, RETRY_MS);
}

/* Answered from the loop, because the caller may still be inside the call. */
static void
op_refuse(Op *op, const char *why)
{
	Redis *redis = op->redis;

	op->why = why;
	op->queue_of = &redis->refused;
	TAILQ_INSERT_TAIL(&redis->refused, op, queue);
	clock_wait_ms(redis->refused_timer, 0);
}

static void
op_replied(ClusterCall *call, const redisReply *reply, bool sent)
{
	Op			*op = (Op *) call;
	ClusterNode *node = call->node;

	call->node = NULL;
	if (op->answered)
		free(op);
	else if (reply == NULL && !sent && !op->redis->closing)
		op_park(op);
	else if (reply == NULL)
		op_finish(op, NULL, "connection lost");
	else if (reply->type == REDIS_REPLY_ERROR)
		op_error(op, node, reply);
	else
		op_finish(op, reply, NULL);
}

/* Nothing was executed where one of the errors handled here is the answer. */
static void
op_error(Op *op, ClusterNode *node, const redisReply *reply)
{
	bool again = op->tries < TRIES_MAX;

	if (again && strncmp(reply->str, "MOVED ", 6) == 0)
		op_redirect(op, node, reply, false);
	else if (again && strncmp(reply->str, "ASK ", 4) == 0)
		op_redirect(op, node, reply, true);
	else if (again && op->script >= 0 && strncmp(reply->str, "NOSCRIPT", 8) == 0)
	{
		*cluster_scripts(node) &= ~(1u << op->script);
		op_send_to(op, node, false);
	}
	else if (again && op_may_pass(reply->str))
	{
		cluster_doubt(op->redis->cluster);
		op_park(op);
	}
	else
		op_finish(op, reply, reply->str);
}

/* READONLY: the master was demoted and the map is old. BUSY: somebody's script runs too long. */
static bool
op_may_pass(const char *error)
{
	static const char *const passing[] = {"TRYAGAIN ", "CLUSTERDOWN ", "LOADING ",
										  "READONLY ", "MASTERDOWN ",  "BUSY "};

	for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
		if (strncmp(error, passing[i], strlen(passing[i])) == 0)
			return true;
	return false;
}

/* MOVED corrects the map at once, ASK is for this operation alone. */
static void
op_redirect(Op *op, ClusterNode *from, const redisReply *reply, bool asking)
{
	Cluster		*cluster = op->redis->cluster;
	SlotAddress	 address;
	ClusterNode *node;
	int			 slot;

	if (!slotmap_redirect(reply->str, cluster_host(from), &slot, &address) ||
		(node = cluster_node(cluster, &address)) == NULL)
	{
		op_finish(op, reply, reply->str);
		return;
	}
	if (!asking)
		cluster_moved(cluster, slot, node);
	if (op->tries % REDIRECTS_AT_ONCE == 0)
		op_park(op);
	else
		op_send_to(op, node, asking);
}

static void
op_answer(Op *op, const redisReply *reply, const char *errstr)
{
	Redis	   *redis = op->redis;
	const char *outcome = reply == NULL ? "lost" : errstr != NULL ? "error" : "ok";

	op->answered = true;
	TAILQ_REMOVE(&redis->ops, op, age);
	redis->op_count--;
	if (op->queue_of != NULL)
		TAILQ_REMOVE(op->queue_of, op, queue);
	op->queue_of = NULL;
	metric_add(METRIC_REDIS_CALLS, outcome, 1);
	metric_observe(METRIC_REDIS_SECONDS, NULL, (double) (clock_ms() - op->since_ms) / 1000);
	if (op->done != NULL)
		op->done(op->arg, reply, errstr);
}

static void
op_finish(Op *op, const redisReply *reply, const char *errstr)
{
	op_answer(op, reply, errstr);
	free(op);
}

/* A node from which nothing came since the late operation was sent is taken for dead. */
static void
ops_late(evutil_socket_t fd, short what, void *arg)
{
	Redis  *redis = arg;
	int64_t now = clock_ms();
	Op	   *op;

	(void) fd;
	(void) what;
	while ((op = TAILQ_FIRST(&redis->ops)) != NULL && op->since_ms + redis->timeout_ms <= now)
	{
		ClusterNode *node = op->call.node;
		int64_t		 sent_ms = op->call.sent_ms;

		if (node == NULL)
			op_finish(op, NULL, "deadline passed");
		else
			op_answer(op, NULL, "deadline passed");
		if (node != NULL)
			cluster_suspect(node, sent_ms);
	}
	if (op != NULL)
		clock_wait_ms(redis->late_timer, op->since_ms + redis->timeout_ms - now);
}

static void
ops_retry(evutil_socket_t fd, short what, void *arg)
{
	Redis  *redis = arg;
	int64_t now = clock_ms();
	Op	   *op;

	(void) fd;
	(void) what;
	while ((op = TAILQ_FIRST(&redis->parked)) != NULL && op->retry_ms <= now)
	{
		TAILQ_REMOVE(&redis->parked, op, queue);
		op->queue_of = NULL;
		op_send(op);
	}
	if (op != NULL)
		clock_wait_ms(redis->parked_timer, op->retry_ms - now);
}

/* What is refused meanwhile waits for the next turn of the loop. */
static void
ops_refuse(evutil_socket_t fd, short what, void *arg)
{
	Redis *redis = arg;
	Op	  *last = TAILQ_LAST(&redis->refused, OpList);
	Op	  *op;

	(void) fd;
	(void) what;
	while (last != NULL && (op = TAILQ_FIRST(&redis->refused)) != NULL)
	{
		bool is_last = op == last;

		op_finish(op, NULL, op->why);
		if (is_last)
			break;
	}
}
