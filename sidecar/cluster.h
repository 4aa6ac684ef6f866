/* SPDX-License-Identifier: PostgreSQL */
/*
 * The nodes of a Redis Cluster and the map from slots to masters: one pipelined connection per
 * node, reopened by itself, and the map read again on a timer, on a redirection and on every lost
 * connection. It knows nothing of what the commands mean: redis.c decides what is tried again.
 */
#ifndef CONCERT_CLUSTER_H
#define CONCERT_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>
#include <hiredis/hiredis.h>

#include "slotmap.h"

#define CLUSTER_NODES_MAX 64

typedef struct Cluster	   Cluster;
typedef struct ClusterNode ClusterNode;
typedef struct ClusterCall ClusterCall;

/*
 * call->node is the node that was asked. reply NULL: the connection is gone; sent then says
 * whether the command may have been executed (the connection had been open) or cannot have been.
 */
typedef void (*ClusterReplied)(ClusterCall *call, const redisReply *reply, bool sent);

/* Embedded in the caller's own struct, which lives until replied() was called. */
struct ClusterCall
{
	ClusterNode	  *node; /* set by cluster_send(), and only by it */
	ClusterReplied replied;
	int64_t		   sent_ms;
};

Cluster *cluster_open(struct event_base *base, const char *nodes, int timeout_ms);

/* Every call under way is replied to (with NULL) before it returns. */
void cluster_close(Cluster *cluster);

/* Every slot has a master and each of them is connected. */
bool cluster_up(const Cluster *cluster);

/* The last attempt to reach each of the nodes failed. */
bool cluster_hopeless(const Cluster *cluster);

/* NULL while nobody is known to own the slot. */
ClusterNode *cluster_master(Cluster *cluster, int slot);
/* The node of that address, new if need be; NULL when there are too many. */
ClusterNode *cluster_node(Cluster *cluster, const SlotAddress *address);
const char	*cluster_host(const ClusterNode *node);

/* The last attempt to connect failed, and the next is not yet due. */
bool cluster_is_down(const ClusterNode *node);

/* A bit mask for the caller's use, cleared whenever the connection is a new one. */
uint32_t *cluster_scripts(ClusterNode *node);

/* Connects if need be. false: could not, and replied() is never called. */
bool cluster_send(ClusterNode *node, ClusterCall *call, bool asking, int argc, const char **argv,
				  const size_t *lens) __attribute__((warn_unused_result));

/* This master answered that the slot is another's: believed at once, and checked soon. */
void cluster_moved(Cluster *cluster, int slot, ClusterNode *node);

/* The map may be wrong: read it soon. */
void cluster_doubt(Cluster *cluster);

/* A call to this node is late: the connection is given up if it was silent ever since. */
void cluster_suspect(ClusterNode *node, int64_t sent_ms);

#endif
