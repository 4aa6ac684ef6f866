/* SPDX-License-Identifier: PostgreSQL */
#include "tally.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Buckets grow by 5 % each, from 1 us to beyond an hour. */
#define BUCKETS 480
#define BUCKET_GROWTH 1.05

struct Tally
{
	long  values[TALLY_TOTAL];
	long  buckets[BUCKETS];
	long  measured;
	char *path;
	char *path_new;
};

static const char *const tally_names[TALLY_TOTAL] = {
#define TALLY_NAME(id, name) name,
	TALLY(TALLY_NAME)
#undef TALLY_NAME
};

Tally *
tally_open(const char *status_path)
{
	Tally *tally = calloc(1, sizeof(Tally));

	if (status_path == NULL)
		return tally;
	tally->path = strdup(status_path);
	if (asprintf(&tally->path_new, "%s.new", status_path) < 0)
		abort();
	return tally;
}

void
tally_close(Tally *tally)
{
	free(tally->path);
	free(tally->path_new);
	free(tally);
}

void
tally_add(Tally *tally, TallyId id, long count)
{
	tally->values[id] += count;
}

long
tally_value(const Tally *tally, TallyId id)
{
	return tally->values[id];
}

void
tally_reserve_took(Tally *tally, int64_t us)
{
	int bucket = us < 1 ? 0 : (int) (log((double) us) / log(BUCKET_GROWTH));

	tally->buckets[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
	tally->measured++;
}

/* The upper end of the bucket in which the percentile lies. */
double
tally_reserve_ms(const Tally *tally, double percentile)
{
	long wanted = (long) ceil((double) tally->measured * percentile / 100);
	long seen = 0;
	int	 bucket = 0;

	if (tally->measured == 0)
		return 0;
	while (bucket < BUCKETS - 1 && (seen += tally->buckets[bucket]) < wanted)
		bucket++;
	return pow(BUCKET_GROWTH, bucket + 1) / 1000;
}

bool
tally_publish(const Tally *tally, bool finished)
{
	FILE *file;

	if (tally->path == NULL)
		return true;
	file = fopen(tally->path_new, "w");
	if (file == NULL)
		return false;
	for (int i = 0; i < TALLY_TOTAL; i++)
		fprintf(file, "%s=%ld\n", tally_names[i], tally->values[i]);
	fprintf(file, "reserve_p50_ms=%.2f\nreserve_p95_ms=%.2f\nreserve_p99_ms=%.2f\n",
			tally_reserve_ms(tally, 50), tally_reserve_ms(tally, 95), tally_reserve_ms(tally, 99));
	fprintf(file, "finished=%d\n", finished ? 1 : 0);
	return fclose(file) == 0 && rename(tally->path_new, tally->path) == 0;
}
