/* SPDX-License-Identifier: PostgreSQL */
/*
 * Redis Cluster's arithmetic and texts, without any connection: the slot of a key, the reply of
 * CLUSTER SLOTS, the target of a redirection, a list of nodes. Pure functions.
 */
#ifndef CONCERT_SLOTMAP_H
#define CONCERT_SLOTMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

#define SLOTMAP_SLOTS 16384
#define SLOTMAP_HOST_BYTES 256

typedef struct SlotAddress
{
	char host[SLOTMAP_HOST_BYTES];
	int	 port;
} SlotAddress;

/* CRC16 (XMODEM) of the hash tag, or of the whole key where there is none, modulo the slots. */
uint16_t slotmap_slot(const char *key, size_t len);

/* "host:port" or "[v6]:port"; a port may be followed by "@cluster-bus-port". */
bool slotmap_address(const char *text, size_t len, SlotAddress *ret_address);

/* "MOVED 42 host:port" or "ASK 42 host:port"; an empty host stands for the node that answered. */
bool slotmap_redirect(const char *error, const char *answering_host, int *ret_slot,
					  SlotAddress *ret_address);

/*
 * Calls range() for each range of CLUSTER SLOTS and its master. Returns the number of slots
 * covered, or -1, before any call, when the reply has another shape.
 */
int slotmap_parse(const redisReply *reply, const char *answering_host,
				  void (*range)(void *arg, int first, int last, const SlotAddress *master),
				  void *arg);

#endif
