/* SPDX-License-Identifier: PostgreSQL */
/* What hold.c and hold_sweep.c share, and nobody else. */
#ifndef CONCERT_HOLD_PRIVATE_H
#define CONCERT_HOLD_PRIVATE_H

#include <inttypes.h>

#include <libpq-fe.h>

#include "flight.h"
#include "hold.h"

#define KEY_LIFE_MS 172800000 /* {date}:seats goes two days after its last use */
#define TOMBSTONE_MS 60000	  /* how long a freed seat's fence is remembered */
#define UUID_BYTES 37
#define KEY_BYTES 160
#define NUMBER_BYTES 24

struct Hold
{
	struct event_base *base;
	Redis			  *redis;
	Db				  *db;
	HoldConfig		   config;
	Flight			  *rebuilds;
	RedisScript		   take;
	RedisScript		   release;
	RedisScript		   mark;
	RedisScript		   warm;
	RedisScript		   sweep;
};

/* Columns of sql_seat_states(). */
typedef enum StateColumn
{
	STATE_SEAT_ID,
	STATE_STATE,
	STATE_USER_ID,
	STATE_FENCE,
	STATE_REMAINING_MS
} StateColumn;

/* P, S, B or F, as the scripts write it. */
char hold_letter(const char *state);

/* How long a mark is believed. */
int64_t hold_mark_life_ms(const Hold *hold, const SeatMark *mark);

/* The rows as marks whose strings are the result's; the caller frees the array. */
SeatMark *hold_marks_of(const PGresult *res, int *ret_count);

/* Counts what a script says that it found lapsed, as a number or as text. */
void hold_count_lapsed(const redisReply *reply);

#endif
