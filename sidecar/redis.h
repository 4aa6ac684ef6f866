/* SPDX-License-Identifier: PostgreSQL */
/*
 * A cluster-aware Redis client over hiredis' asynchronous API and libevent.
 *
 * One pipelined connection per master; commands go to the master that owns the slot of their key.
 * Redirections (MOVED, ASK), refusals that pass (TRYAGAIN, CLUSTERDOWN, LOADING, READONLY, BUSY)
 * and NOSCRIPT are handled here, within a bounded number of attempts and one deadline per
 * operation. What was written to a connection that then dropped has an unknown outcome and is
 * never repeated. One thread; callbacks run from the event loop, never from inside the call that
 * they belong to.
 */
#ifndef CONCERT_REDIS_H
#define CONCERT_REDIS_H

#include <stdbool.h>
#include <stddef.h>

#include <event2/event.h>
#include <hiredis/hiredis.h>

typedef struct Redis Redis;

/* A script: what makes it one is its name and its text. At most 32 are used with one Redis. */
typedef struct RedisScript
{
	const char *name;
	const char *text;
} RedisScript;

/* A script made of a common part and its own text, which redis_script_free() gives back. */
RedisScript redis_script_join(const char *name, const char *common, const char *text);
void		redis_script_free(RedisScript *script);

/*
 * reply is NULL when the outcome is unknown (deadline, lost connection) or no master could be
 * reached; errstr says which. Otherwise it is the server's reply, an error reply included (errstr
 * is then its text, else NULL). Both belong to the caller only during the callback.
 */
typedef void (*RedisDone)(void *arg, const redisReply *reply, const char *errstr);

/* nodes = "host:port,host:port,…", any of the cluster's. NULL when that cannot be parsed. */
Redis *redis_open(struct event_base *base, const char *nodes, int timeout_ms);

/* Completes everything under way with an unknown outcome, then frees. Not from a callback. */
void redis_close(Redis *redis);

/*
 * Both copy their arguments and answer false, without ever calling done, when too much is in
 * flight. lens may be NULL for C strings. key chooses the master. All keys of a script share one
 * hash tag.
 */
bool redis_command(Redis *redis, const char *key, int argc, const char *const *argv,
				   const size_t *lens, RedisDone done, void *arg);
bool redis_script(Redis *redis, const RedisScript *script, int nkeys, const char *const *keys,
				  int nargs, const char *const *args, RedisDone done, void *arg);

/* Every slot has a master and each of them is connected. */
bool redis_up(const Redis *redis);

/* Operations accepted and not yet answered. */
int redis_in_flight(const Redis *redis);

#endif
