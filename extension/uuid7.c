/* SPDX-License-Identifier: PostgreSQL */
/*
 * Version 7 UUIDs (RFC 9562 section 5.7): 48 bits of Unix milliseconds, 12 bits of the
 * fraction of the millisecond (method 3 of section 6.2), 62 random bits.
 *
 * Within a backend they never go backwards, also when the clock does.
 */
#include "concert.h"

#include <time.h>

#define RANDOM_BYTES 8
#define POOL_IDS 64
#define NS_PER_MS INT64CONST(1000000)
#define NS_PER_STEP (NS_PER_MS / 4096 + 1) /* the least that 12 bits of fraction can show */

PG_FUNCTION_INFO_V1(concert_uuid7);

static int64
uuid7_now_ns(void)
{
	static int64	last_ns = 0;
	struct timespec now;
	int64			now_ns;

	clock_gettime(CLOCK_REALTIME, &now);
	now_ns = (int64) now.tv_sec * INT64CONST(1000000000) + now.tv_nsec;
	last_ns = Max(now_ns, last_ns + NS_PER_STEP);
	return last_ns;
}

/* Random bytes are drawn for many ids at once: each draw is a system call. */
static void
uuid7_random(unsigned char *ret_bytes)
{
	static unsigned char pool[RANDOM_BYTES * POOL_IDS];
	static int			 left = 0;

	if (left == 0)
	{
		if (!pg_strong_random(pool, sizeof(pool)))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
		left = POOL_IDS;
	}
	left--;
	memcpy(ret_bytes, pool + RANDOM_BYTES * left, RANDOM_BYTES);
}

pg_uuid_t
uuid7_next(void)
{
	pg_uuid_t id;
	int64	  now_ns = uuid7_now_ns();
	int64	  ms = now_ns / NS_PER_MS;
	int		  fraction = (int) (now_ns % NS_PER_MS * 4096 / NS_PER_MS);

	uuid7_random(id.data + UUID_LEN - RANDOM_BYTES);
	for (int i = 0; i < 6; i++)
		id.data[i] = (unsigned char) (ms >> (40 - 8 * i));
	id.data[6] = (unsigned char) (0x70 | fraction >> 8);
	id.data[7] = (unsigned char) fraction;
	id.data[8] = (unsigned char) ((id.data[8] & 0x3f) | 0x80);
	return id;
}

Datum
concert_uuid7(PG_FUNCTION_ARGS)
{
	pg_uuid_t *id = palloc(sizeof(pg_uuid_t));

	*id = uuid7_next();
	PG_RETURN_UUID_P(id);
}
