/* SPDX-License-Identifier: PostgreSQL */
/*
 * The index from user to number is cut into buckets by the last three hex digits of the user's
 * id, which are random in every version of UUID that is in use. 4096 buckets stay listpacks (128
 * entries) up to half a million people: about 24 bytes each, and 8 more for the buckets
 * themselves at a hundred thousand.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "room_key.h"

#define BUCKET_DIGITS 3

void
room_keys(RoomKeys *ret_keys, const char *date_id, const char *user_id)
{
	size_t len = user_id != NULL ? strlen(user_id) : 0;

	snprintf(ret_keys->tag, sizeof(ret_keys->tag), "{%.36s}", date_id);
	snprintf(ret_keys->room, sizeof(ret_keys->room), "{%.36s}:room", date_id);
	ret_keys->bucket[0] = '\0';
	if (len >= BUCKET_DIGITS)
		snprintf(ret_keys->bucket, sizeof(ret_keys->bucket), "{%.36s}:places:%.3s", date_id,
				 user_id + len - BUCKET_DIGITS);
}

const char *
room_word(const redisReply *reply, const char *errstr, const char *script)
{
	if (errstr == NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
		reply->element[0]->type == REDIS_REPLY_STRING)
		return reply->element[0]->str;
	if (reply != NULL)
		log_event(LOG_ERROR_LEVEL, "script_failed", NULL, "{s:s, s:s?}", "script", script, "error",
				  errstr);
	return NULL;
}

int64_t
room_int(const redisReply *reply, size_t i)
{
	return i < reply->elements && reply->element[i]->type == REDIS_REPLY_STRING
		? strtoll(reply->element[i]->str, NULL, 10)
		: 0;
}
