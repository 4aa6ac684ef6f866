/* SPDX-License-Identifier: PostgreSQL */
/*
 * Slots, ranges and addresses of a Redis Cluster. What a server sends is checked before it is
 * used.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "slotmap.h"

#define CRC16_XMODEM 0x1021

static bool slotmap_master(const redisReply *range, const char *answering_host,
						   SlotAddress *ret_master);

static uint16_t
slotmap_crc16(const char *bytes, size_t len)
{
	static uint16_t table[256];
	uint16_t		crc = 0;

	if (table[1] == 0)
		for (unsigned byte = 0; byte < 256; byte++)
		{
			unsigned value = byte << 8;

			for (int bit = 0; bit < 8; bit++)
				value = (value & 0x8000) != 0 ? value << 1 ^ CRC16_XMODEM : value << 1;
			table[byte] = (uint16_t) value;
		}
	for (size_t i = 0; i < len; i++)
		crc = (uint16_t) (crc << 8 ^ table[(crc >> 8 ^ (uint8_t) bytes[i]) & 0xff]);
	return crc;
}

uint16_t
slotmap_slot(const char *key, size_t len)
{
	const char *open = memchr(key, '{', len);

	if (open != NULL)
	{
		const char *tag = open + 1;
		const char *close = memchr(tag, '}', len - (size_t) (tag - key));

		if (close != NULL && close > tag)
			return slotmap_crc16(tag, (size_t) (close - tag)) % SLOTMAP_SLOTS;
	}
	return slotmap_crc16(key, len) % SLOTMAP_SLOTS;
}

bool
slotmap_address(const char *text, size_t len, SlotAddress *ret_address)
{
	const char *colon = memrchr(text, ':', len);
	size_t		host_len = colon != NULL ? (size_t) (colon - text) : 0;
	int			port = 0;

	if (colon == NULL)
		return false;
	for (const char *digit = colon + 1; digit < text + len && *digit != '@'; digit++)
	{
		if (*digit < '0' || *digit > '9' || port > 65535)
			return false;
		port = port * 10 + (*digit - '0');
	}
	if (port < 1 || port > 65535)
		return false;
	if (host_len >= 2 && text[0] == '[' && text[host_len - 1] == ']')
	{
		text++;
		host_len -= 2;
	}
	if (host_len >= SLOTMAP_HOST_BYTES)
		return false;
	memcpy(ret_address->host, text, host_len);
	ret_address->host[host_len] = '\0';
	ret_address->port = port;
	return true;
}

bool
slotmap_redirect(const char *error, const char *answering_host, int *ret_slot,
				 SlotAddress *ret_address)
{
	const char *slot_text = strchr(error, ' ');
	char	   *end;
	long		slot;
	SlotAddress address;

	if (slot_text == NULL)
		return false;
	slot = strtol(slot_text + 1, &end, 10);
	if (end == slot_text + 1 || *end != ' ' || slot < 0 || slot >= SLOTMAP_SLOTS)
		return false;
	end++;
	if (!slotmap_address(end, strcspn(end, " \r\n"), &address))
		return false;
	if (address.host[0] == '\0')
		snprintf(address.host, sizeof(address.host), "%s", answering_host);
	*ret_slot = (int) slot;
	*ret_address = address;
	return true;
}

int
slotmap_parse(const redisReply *reply, const char *answering_host,
			  void (*range)(void *arg, int first, int last, const SlotAddress *master), void *arg)
{
	SlotAddress master;
	int			covered = 0;

	if (reply->type != REDIS_REPLY_ARRAY)
		return -1;
	for (size_t i = 0; i < reply->elements; i++)
		if (!slotmap_master(reply->element[i], answering_host, &master))
			return -1;
	for (size_t i = 0; i < reply->elements; i++)
	{
		int first = (int) reply->element[i]->element[0]->integer;
		int last = (int) reply->element[i]->element[1]->integer;

		if (!slotmap_master(reply->element[i], answering_host, &master))
			return -1;
		range(arg, first, last, &master);
		covered += last - first + 1;
	}
	return covered;
}

/*
 * A range is [first, last, [host, port, …], replicas…]. A node that does not know its own name
 * says "", "?" or nil.
 */
static bool
slotmap_master(const redisReply *range, const char *answering_host, SlotAddress *ret_master)
{
	const redisReply *node;
	const char		 *host;

	if (range->type != REDIS_REPLY_ARRAY || range->elements < 3 ||
		range->element[0]->type != REDIS_REPLY_INTEGER ||
		range->element[1]->type != REDIS_REPLY_INTEGER ||
		range->element[2]->type != REDIS_REPLY_ARRAY)
		return false;
	if (range->element[0]->integer < 0 || range->element[1]->integer >= SLOTMAP_SLOTS ||
		range->element[0]->integer > range->element[1]->integer)
		return false;
	node = range->element[2];
	if (node->elements < 2 || node->element[1]->type != REDIS_REPLY_INTEGER ||
		node->element[1]->integer < 1 || node->element[1]->integer > 65535)
		return false;
	host = node->element[0]->type == REDIS_REPLY_STRING ? node->element[0]->str : "";
	if (host[0] == '\0' || strcmp(host, "?") == 0)
		host = answering_host;
	if (strlen(host) >= SLOTMAP_HOST_BYTES)
		return false;
	strcpy(ret_master->host, host);
	ret_master->port = (int) node->element[1]->integer;
	return true;
}
