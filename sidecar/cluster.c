/* SPDX-License-Identifier: PostgreSQL */
/*
 * Connections and the map. hiredis 0.14 has no time-outs of its own: connecting and reading the
 * map have timers here, and the caller reports late calls. A lost connection is opened again at
 * once, then with a growing delay; a node that could not be reached is down until the next
 * attempt, so that callers need not wait for it. Nodes that are neither named by the
 * configuration nor masters are forgotten when nothing is under way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <hiredis/async.h>
#include <hiredis/adapters/libevent.h>

#include "cluster.h"
#include "clock.h"
#include "log.h"
#include "metrics.h"

#define MAP_REFRESH_MS 5000 /* how often the map is read when nothing happens */
#define MAP_RETRY_MS 100	/* after a failure; also the least time between two readings */
#define RECONNECT_MIN_MS 50
#define RECONNECT_MAX_MS 1000
#define ERRSTR_BYTES 256

struct ClusterNode
{
	Cluster			  *cluster;
	SlotAddress		   address;
	redisAsyncContext *context; /* NULL while there is no connection, not even a beginning one */
	bool			   connected;
	bool			   down;
	bool			   seed;	/* named by the configuration */
	bool			   owner;	/* masters some slots in the newest map */
	uint32_t		   scripts; /* see cluster_scripts() */
	int				   pending; /* replies that hiredis owes */
	int64_t			   heard_ms;
	int				   delay_ms;
	struct event	  *timer; /* the deadline of connecting, or the next attempt */
};

struct Cluster
{
	struct event_base *base;
	int				   timeout_ms;
	bool			   closing;
	ClusterNode		  *nodes[CLUSTER_NODES_MAX];
	int				   node_count;
	ClusterNode		  *masters[SLOTMAP_SLOTS];
	int				   slots_covered;
	ClusterNode		  *map_source; /* the node that is being asked for the map */
	int				   map_next;   /* where the search for a node to ask goes on */
	int64_t			   map_asked_ms;
	struct event	  *map_timer; /* the next reading, or the deadline of this one */
};

typedef struct MapDraft
{
	Cluster		*cluster;
	ClusterNode *masters[SLOTMAP_SLOTS];
} MapDraft;

static bool			cluster_add_seeds(Cluster *cluster, const char *nodes);
static void			call_reply(redisAsyncContext *context, void *reply, void *arg);
static void			node_free(ClusterNode *node);
static void			node_connect(ClusterNode *node);
static void			node_connected(const redisAsyncContext *context, int status);
static void			node_disconnected(const redisAsyncContext *context, int status);
static void			node_gone(ClusterNode *node, const redisAsyncContext *context);
static void			node_failed(ClusterNode *node, const char *why);
static void			node_timer(evutil_socket_t fd, short what, void *arg);
static void			node_drop(ClusterNode *node, const char *why);
static void			map_timer(evutil_socket_t fd, short what, void *arg);
static ClusterNode *map_choose(Cluster *cluster);
static void			map_reply(redisAsyncContext *context, void *reply, void *arg);
static bool			map_read(Cluster *cluster, ClusterNode *source, const redisReply *reply);
static void			map_range(void *arg, int first, int last, const SlotAddress *master);
static void			map_install(MapDraft *draft, int covered);

Cluster *
cluster_open(struct event_base *base, const char *nodes, int timeout_ms)
{
	Cluster *cluster = calloc(1, sizeof(Cluster));

	cluster->base = base;
	cluster->timeout_ms = timeout_ms;
	cluster->map_timer = evtimer_new(base, map_timer, cluster);
	if (!cluster_add_seeds(cluster, nodes))
	{
		cluster_close(cluster);
		return NULL;
	}
	clock_wait_ms(cluster->map_timer, 0);
	return cluster;
}

void
cluster_close(Cluster *cluster)
{
	if (cluster == NULL)
		return;
	cluster->closing = true;
	while (cluster->node_count > 0)
		node_free(cluster->nodes[cluster->node_count - 1]);
	event_free(cluster->map_timer);
	free(cluster);
}

bool
cluster_up(const Cluster *cluster)
{
	if (cluster->slots_covered < SLOTMAP_SLOTS)
		return false;
	for (int i = 0; i < cluster->node_count; i++)
		if (cluster->nodes[i]->owner && !cluster->nodes[i]->connected)
			return false;
	return true;
}

bool
cluster_hopeless(const Cluster *cluster)
{
	for (int i = 0; i < cluster->node_count; i++)
		if (!cluster->nodes[i]->down)
			return false;
	return true;
}

ClusterNode *
cluster_master(Cluster *cluster, int slot)
{
	return cluster->masters[slot];
}

ClusterNode *
cluster_node(Cluster *cluster, const SlotAddress *address)
{
	ClusterNode *node;

	for (int i = 0; i < cluster->node_count; i++)
		if (cluster->nodes[i]->address.port == address->port &&
			strcasecmp(cluster->nodes[i]->address.host, address->host) == 0)
			return cluster->nodes[i];
	if (cluster->node_count == CLUSTER_NODES_MAX)
		return NULL;
	node = calloc(1, sizeof(ClusterNode));
	node->cluster = cluster;
	node->address = *address;
	node->delay_ms = RECONNECT_MIN_MS;
	node->timer = evtimer_new(cluster->base, node_timer, node);
	cluster->nodes[cluster->node_count++] = node;
	return node;
}

const char *
cluster_host(const ClusterNode *node)
{
	return node->address.host;
}

bool
cluster_is_down(const ClusterNode *node)
{
	return node->down;
}

uint32_t *
cluster_scripts(ClusterNode *node)
{
	return &node->scripts;
}

/* A connection that is only beginning keeps what is written to it. */
bool
cluster_send(ClusterNode *node, ClusterCall *call, bool asking, int argc, const char **argv,
			 const size_t *lens)
{
	if (node->context == NULL)
		node_connect(node);
	if (node->context == NULL)
		return false;
	if (asking && redisAsyncCommand(node->context, NULL, NULL, "ASKING") != REDIS_OK)
		return false;
	if (redisAsyncCommandArgv(node->context, call_reply, call, argc, argv, lens) != REDIS_OK)
		return false;
	call->node = node;
	call->sent_ms = clock_ms();
	node->pending++;
	return true;
}

void
cluster_moved(Cluster *cluster, int slot, ClusterNode *node)
{
	cluster->masters[slot] = node;
	node->owner = true;
	cluster_doubt(cluster);
}

/* Never more often than every MAP_RETRY_MS. */
void
cluster_doubt(Cluster *cluster)
{
	if (cluster->map_source == NULL && !cluster->closing)
		clock_wait_ms(cluster->map_timer, cluster->map_asked_ms + MAP_RETRY_MS - clock_ms());
}

void
cluster_suspect(ClusterNode *node, int64_t sent_ms)
{
	if (node->heard_ms < sent_ms)
		node_drop(node, "does not answer");
}

static bool
cluster_add_seeds(Cluster *cluster, const char *nodes)
{
	while (*(nodes += strspn(nodes, ", \t")) != '\0')
	{
		size_t		 len = strcspn(nodes, ", \t");
		SlotAddress	 address;
		ClusterNode *node;

		if (!slotmap_address(nodes, len, &address) || address.host[0] == '\0' ||
			(node = cluster_node(cluster, &address)) == NULL)
			return false;
		node->seed = true;
		nodes += len;
	}
	return cluster->node_count > 0;
}

static void
call_reply(redisAsyncContext *context, void *reply, void *arg)
{
	ClusterCall *call = arg;
	ClusterNode *node = call->node;

	node->pending--;
	if (reply != NULL)
		node->heard_ms = clock_ms();
	else
		node_gone(node, context);
	call->replied(call, reply, reply != NULL || (context->c.flags & REDIS_CONNECTED) != 0);
}

static void
node_free(ClusterNode *node)
{
	Cluster			  *cluster = node->cluster;
	redisAsyncContext *context = node->context;

	if (context != NULL)
	{
		context->data = NULL; /* hiredis may free it only later */
		redisAsyncFree(context);
	}
	for (int i = 0; i < cluster->node_count; i++)
		if (cluster->nodes[i] == node)
			cluster->nodes[i] = cluster->nodes[--cluster->node_count];
	event_free(node->timer);
	free(node);
}

static void
node_connect(ClusterNode *node)
{
	redisAsyncContext *context = redisAsyncConnect(node->address.host, node->address.port);

	node->down = false;
	if (context == NULL || context->err != 0 ||
		redisLibeventAttach(context, node->cluster->base) != REDIS_OK)
	{
		char why[ERRSTR_BYTES];

		snprintf(why, sizeof(why), "%s", context != NULL ? context->errstr : "out of memory");
		if (context != NULL)
			redisAsyncFree(context);
		node_failed(node, why);
		return;
	}
	context->data = node;
	node->context = context;
	node->scripts = 0;
	redisAsyncSetConnectCallback(context, node_connected);
	redisAsyncSetDisconnectCallback(context, node_disconnected);
	clock_wait_ms(node->timer, node->cluster->timeout_ms);
}

/* After a failure hiredis frees the context by itself. */
static void
node_connected(const redisAsyncContext *context, int status)
{
	ClusterNode *node = context->data;

	if (status != REDIS_OK)
	{
		node->context = NULL;
		node_failed(node, context->errstr);
		return;
	}
	event_del(node->timer);
	node->connected = true;
	node->delay_ms = RECONNECT_MIN_MS;
	metric_set(METRIC_REDIS_UP, NULL, cluster_up(node->cluster));
	log_event(LOG_INFO_LEVEL, "redis_connected", NULL, "{s:s, s:i}", "host", node->address.host,
			  "port", node->address.port);
}

static void
node_disconnected(const redisAsyncContext *context, int status)
{
	(void) status;
	if (context->data != NULL)
		node_gone(context->data, context);
}

/*
 * Comes once with each operation of the lost connection and once at its end; only the first
 * counts.
 */
static void
node_gone(ClusterNode *node, const redisAsyncContext *context)
{
	if (node->context != context)
		return;
	node->context = NULL;
	node->connected = false;
	if (node->cluster->closing)
		return;
	metric_set(METRIC_REDIS_UP, NULL, 0);
	log_event(LOG_WARN_LEVEL, "redis_connection_lost", NULL, "{s:s, s:i, s:s}", "host",
			  node->address.host, "port", node->address.port, "why",
			  context->err != 0 ? context->errstr : "closed here");
	clock_wait_ms(node->timer, 0);
	cluster_doubt(node->cluster);
}

static void
node_failed(ClusterNode *node, const char *why)
{
	if (node->delay_ms == RECONNECT_MIN_MS)
		log_event(LOG_WARN_LEVEL, "redis_connect_failed", NULL, "{s:s, s:i, s:s}", "host",
				  node->address.host, "port", node->address.port, "why", why);
	node->connected = false;
	node->down = true;
	clock_wait_ms(node->timer, node->delay_ms + rand() % node->delay_ms);
	node->delay_ms = node->delay_ms * 2 > RECONNECT_MAX_MS ? RECONNECT_MAX_MS : node->delay_ms * 2;
	metric_set(METRIC_REDIS_UP, NULL, 0);
	cluster_doubt(node->cluster);
}

static void
node_timer(evutil_socket_t fd, short what, void *arg)
{
	ClusterNode *node = arg;

	(void) fd;
	(void) what;
	if (node->context != NULL)
		node_drop(node, "connecting took too long");
	else if (node->owner || node->seed)
		node_connect(node);
	else
		node->down = false;
}

/* Its operations are answered before this returns. */
static void
node_drop(ClusterNode *node, const char *why)
{
	redisAsyncContext *context = node->context;

	if (context == NULL)
		return;
	node->context = NULL;
	node_failed(node, why);
	redisAsyncFree(context);
}

static void
map_timer(evutil_socket_t fd, short what, void *arg)
{
	Cluster		*cluster = arg;
	ClusterNode *node;

	(void) fd;
	(void) what;
	if (cluster->map_source != NULL)
		node_drop(cluster->map_source, "does not answer");
	cluster->map_asked_ms = clock_ms();
	node = map_choose(cluster);
	if (node == NULL ||
		redisAsyncCommand(node->context, map_reply, node, "CLUSTER SLOTS") != REDIS_OK)
	{
		clock_wait_ms(cluster->map_timer, MAP_RETRY_MS);
		return;
	}
	cluster->map_source = node;
	node->pending++;
	clock_wait_ms(cluster->map_timer, cluster->timeout_ms);
}

/* The next connected node, or else the next that is not known to be down. */
static ClusterNode *
map_choose(Cluster *cluster)
{
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < cluster->node_count; i++)
		{
			int			 index = (cluster->map_next + i) % cluster->node_count;
			ClusterNode *node = cluster->nodes[index];

			if (round == 1 && node->context == NULL && !node->down)
				node_connect(node);
			if (node->context == NULL || (round == 0 && !node->connected))
				continue;
			cluster->map_next = index + 1;
			return node;
		}
	return NULL;
}

static void
map_reply(redisAsyncContext *context, void *reply, void *arg)
{
	ClusterNode *node = arg;
	Cluster		*cluster = node->cluster;

	node->pending--;
	cluster->map_source = NULL;
	if (reply == NULL)
		node_gone(node, context);
	else
		node->heard_ms = clock_ms();
	if (cluster->closing)
		return;
	clock_wait_ms(cluster->map_timer,
				  reply != NULL && map_read(cluster, node, reply) ? MAP_REFRESH_MS : MAP_RETRY_MS);
}

/* A server that is no cluster node has all slots. */
static bool
map_read(Cluster *cluster, ClusterNode *source, const redisReply *reply)
{
	MapDraft *draft = calloc(1, sizeof(MapDraft));
	int		  covered;

	draft->cluster = cluster;
	if (reply->type == REDIS_REPLY_ERROR && strstr(reply->str, "cluster support disabled") != NULL)
	{
		map_range(draft, 0, SLOTMAP_SLOTS - 1, &source->address);
		covered = SLOTMAP_SLOTS;
	}
	else
		covered = slotmap_parse(reply, source->address.host, map_range, draft);
	if (covered >= 0)
		map_install(draft, covered);
	free(draft);
	return covered == SLOTMAP_SLOTS;
}

static void
map_range(void *arg, int first, int last, const SlotAddress *master)
{
	MapDraft	*draft = arg;
	ClusterNode *node = cluster_node(draft->cluster, master);

	for (int slot = first; slot <= last; slot++)
		draft->masters[slot] = node;
}

/* Connects to every master, so that the first operation need not wait, and forgets who is none. */
static void
map_install(MapDraft *draft, int covered)
{
	Cluster *cluster = draft->cluster;

	if (covered != cluster->slots_covered)
		log_event(covered == SLOTMAP_SLOTS ? LOG_INFO_LEVEL : LOG_WARN_LEVEL, "redis_map", NULL,
				  "{s:i, s:i}", "slots", covered, "nodes", cluster->node_count);
	cluster->slots_covered = covered;
	for (int i = 0; i < cluster->node_count; i++)
		cluster->nodes[i]->owner = false;
	for (int slot = 0; slot < SLOTMAP_SLOTS; slot++)
	{
		cluster->masters[slot] = draft->masters[slot];
		if (draft->masters[slot] != NULL)
			draft->masters[slot]->owner = true;
	}
	for (int i = cluster->node_count - 1; i >= 0; i--)
	{
		ClusterNode *node = cluster->nodes[i];

		if (node->owner && node->context == NULL && !node->down)
			node_connect(node);
		else if (!node->owner && !node->seed && node->pending == 0)
			node_free(node);
	}
	metric_set(METRIC_REDIS_UP, NULL, cluster_up(cluster));
}
