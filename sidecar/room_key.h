/* SPDX-License-Identifier: PostgreSQL */
/*
 * What room.c and batch.c share: the names of a date's waiting room in Redis and the shape of
 * what its scripts answer: an array of words, the first of which says what it is.
 */
#ifndef CONCERT_ROOM_KEY_H
#define CONCERT_ROOM_KEY_H

#include <stdint.h>

#include <hiredis/hiredis.h>

#define ROOM_LIFE_MS "172800000" /* keys of a date go two days after their last use */
#define ROOM_NUMBER_BYTES 24
#define ROOM_KEY_BYTES 96

typedef struct RoomKeys
{
	char tag[ROOM_KEY_BYTES]; /* {date} */
	char room[ROOM_KEY_BYTES];
	char bucket[ROOM_KEY_BYTES]; /* of the user; "" without one */
} RoomKeys;

void room_keys(RoomKeys *ret_keys, const char *date_id, const char *user_id);

/* The answer's first word; NULL when there is none, which is logged under the script's name. */
const char *room_word(const redisReply *reply, const char *errstr, const char *script);

/* The i-th word as a number, 0 where there is none. */
int64_t room_int(const redisReply *reply, size_t i);

#endif
