/* SPDX-License-Identifier: PostgreSQL */
/*
 * Reads a date's hash page by page, asks the database for the seats of each page and repairs what
 * differs. An entry is repaired only if it still is what was read before the database was asked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hold_private.h"
#include "log.h"
#include "metrics.h"
#include "sql.h"

#define PAGE_COUNT "500"  /* a wish: Redis may send more, or all of a small hash */
#define PAGES_MAX 10000	  /* of one sweep */
#define CHUNK_ENTRIES 200 /* of one script call */
#define ENTRY_ARGS 6	  /* seat, entry seen, state, user, fence, ms */

typedef struct Entry
{
	const char *seat_id;
	const char *seen;
} Entry;

typedef struct Sweep
{
	Hold	 *hold;
	char	  date_id[UUID_BYTES];
	char	  key[KEY_BYTES];
	char	  cursor[NUMBER_BYTES];
	int		  pages;
	Entry	 *entries; /* of this page, sorted by seat; their text follows in the same allocation */
	int		  entry_count;
	int		  chunks_left;
	HoldSweep result;
	void (*done)(void *arg, const HoldSweep *sweep);
	void *arg;
} Sweep;

static void sweep_page(Sweep *sweep);
static void sweep_page_read(void *arg, const redisReply *reply, const char *errstr);
static void sweep_keep(Sweep *sweep, const redisReply *fields);
static int	compare_entries(const void *left, const void *right);
static void sweep_ask(Sweep *sweep);
static void sweep_compare(void *arg, const PGresult *res, const char *errstr);
static bool sweep_send(Sweep *sweep, const Entry *entries, int count, const SeatMark *marks,
					   int mark_count);
static const SeatMark *find_mark(const SeatMark *marks, int count, const char *seat_id);
static int			   compare_marks(const void *left, const void *right);
static void			   sweep_replied(void *arg, const redisReply *reply, const char *errstr);
static void			   sweep_chunk_end(void *arg);
static void			   sweep_fail(void *arg);
static void			   sweep_finish(Sweep *sweep, bool ok);

void
hold_sweep(Hold *hold, const char *date_id, void (*done)(void *arg, const HoldSweep *sweep),
		   void *arg)
{
	Sweep *sweep = calloc(1, sizeof(Sweep));

	sweep->hold = hold;
	sweep->result.ok = true;
	sweep->done = done;
	sweep->arg = arg;
	snprintf(sweep->date_id, sizeof(sweep->date_id), "%s", date_id);
	snprintf(sweep->key, sizeof(sweep->key), "{%s}:seats", sweep->date_id);
	strcpy(sweep->cursor, "0");
	sweep_page(sweep);
}

static void
sweep_page(Sweep *sweep)
{
	const char *const argv[] = {"HSCAN", sweep->key, sweep->cursor, "COUNT", PAGE_COUNT};

	if (++sweep->pages > PAGES_MAX ||
		!redis_command(sweep->hold->redis, sweep->key, 5, argv, NULL, sweep_page_read, sweep))
		flight_later(sweep->hold->base, sweep_fail, sweep);
}

static void
sweep_page_read(void *arg, const redisReply *reply, const char *errstr)
{
	Sweep *sweep = arg;

	if (errstr != NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
		reply->element[1]->type != REDIS_REPLY_ARRAY)
	{
		sweep_finish(sweep, false);
		return;
	}
	snprintf(sweep->cursor, sizeof(sweep->cursor), "%s", reply->element[0]->str);
	sweep_keep(sweep, reply->element[1]);
	sweep->result.seats_seen += sweep->entry_count;
	sweep->chunks_left = 1;
	if (sweep->entry_count > 0)
		sweep_ask(sweep);
	else
		sweep_chunk_end(sweep);
}

/* Fields that are no seats are shorter than an id. */
static void
sweep_keep(Sweep *sweep, const redisReply *fields)
{
	size_t bytes = 0;
	char  *text;

	for (size_t i = 0; i < fields->elements; i++)
		bytes += fields->element[i]->len + 1;
	sweep->entries = malloc(fields->elements / 2 * sizeof(Entry) + bytes + 1);
	sweep->entry_count = 0;
	text = (char *) (sweep->entries + fields->elements / 2);
	for (size_t i = 0; i + 1 < fields->elements; i += 2)
	{
		Entry *entry = &sweep->entries[sweep->entry_count];

		if (fields->element[i]->len != UUID_BYTES - 1)
			continue;
		entry->seat_id = text;
		text = stpcpy(text, fields->element[i]->str) + 1;
		entry->seen = text;
		text = stpcpy(text, fields->element[i + 1]->str) + 1;
		sweep->entry_count++;
	}
	qsort(sweep->entries, (size_t) sweep->entry_count, sizeof(Entry), compare_entries);
}

static int
compare_entries(const void *left, const void *right)
{
	return strcmp(((const Entry *) left)->seat_id, ((const Entry *) right)->seat_id);
}

static void
sweep_ask(Sweep *sweep)
{
	char *seat_ids = malloc((size_t) sweep->entry_count * UUID_BYTES + 3);
	char *at = seat_ids;
	bool  sent;

	for (int i = 0; i < sweep->entry_count; i++)
	{
		*at++ = i == 0 ? '{' : ',';
		at = stpcpy(at, sweep->entries[i].seat_id);
	}
	strcpy(at, "}");
	sent = sql_seat_states(sweep->hold->db, sweep->date_id, seat_ids, sweep_compare, sweep);
	free(seat_ids);
	if (!sent)
		flight_later(sweep->hold->base, sweep_fail, sweep);
}

static void
sweep_compare(void *arg, const PGresult *res, const char *errstr)
{
	Sweep	 *sweep = arg;
	SeatMark *marks;
	int		  mark_count;

	if (errstr != NULL)
	{
		sweep_finish(sweep, false);
		return;
	}
	marks = hold_marks_of(res, &mark_count);
	qsort(marks, (size_t) mark_count, sizeof(SeatMark), compare_marks);
	for (int at = 0; at < sweep->entry_count && sweep->result.ok; at += CHUNK_ENTRIES)
	{
		int left = sweep->entry_count - at;

		sweep->chunks_left++;
		sweep->result.ok =
			sweep_send(sweep, sweep->entries + at, left < CHUNK_ENTRIES ? left : CHUNK_ENTRIES,
					   marks, mark_count);
		if (!sweep->result.ok)
			sweep->chunks_left--;
	}
	free(marks);
	flight_later(sweep->hold->base, sweep_chunk_end, sweep);
}

/* A seat that the database does not have is "-". */
static bool
sweep_send(Sweep *sweep, const Entry *entries, int count, const SeatMark *marks, int mark_count)
{
	const char		 *args[CHUNK_ENTRIES * ENTRY_ARGS];
	char			  letters[CHUNK_ENTRIES][2];
	char			  fences[CHUNK_ENTRIES][NUMBER_BYTES];
	char			  lives_ms[CHUNK_ENTRIES][NUMBER_BYTES];
	const char *const keys[] = {sweep->key};
	int				  n = 0;

	for (int i = 0; i < count; i++)
	{
		const SeatMark *mark = find_mark(marks, mark_count, entries[i].seat_id);

		snprintf(letters[i], sizeof(letters[i]), "%c",
				 mark != NULL ? hold_letter(mark->state) : '-');
		snprintf(fences[i], sizeof(fences[i]), "%" PRId64, mark != NULL ? mark->fence : 0);
		snprintf(lives_ms[i], sizeof(lives_ms[i]), "%" PRId64,
				 mark != NULL ? hold_mark_life_ms(sweep->hold, mark) : 0);
		args[n++] = entries[i].seat_id;
		args[n++] = entries[i].seen;
		args[n++] = letters[i];
		args[n++] = mark != NULL ? mark->user_id : "";
		args[n++] = fences[i];
		args[n++] = lives_ms[i];
	}
	return redis_script(sweep->hold->redis, &sweep->hold->sweep, 1, keys, n, args, sweep_replied,
						sweep);
}

static const SeatMark *
find_mark(const SeatMark *marks, int count, const char *seat_id)
{
	const SeatMark wanted = {.seat_id = seat_id};

	return bsearch(&wanted, marks, (size_t) count, sizeof(SeatMark), compare_marks);
}

static int
compare_marks(const void *left, const void *right)
{
	return strcmp(((const SeatMark *) left)->seat_id, ((const SeatMark *) right)->seat_id);
}

static void
sweep_replied(void *arg, const redisReply *reply, const char *errstr)
{
	Sweep *sweep = arg;

	if (errstr != NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)
	{
		if (reply != NULL)
			log_event(LOG_ERROR_LEVEL, "hold_sweep_failed", NULL, "{s:s?}", "error", errstr);
		sweep->result.ok = false;
	}
	else
	{
		hold_count_lapsed(reply->element[0]);
		sweep->result.holds_lapsed += reply->element[0]->integer;
		sweep->result.marks_repaired += reply->element[1]->integer;
		metric_add(METRIC_HOLDS_REPAIRED, NULL, (double) reply->element[1]->integer);
	}
	sweep_chunk_end(sweep);
}

/* Comes once for each chunk and once for the page itself. */
static void
sweep_chunk_end(void *arg)
{
	Sweep *sweep = arg;

	if (--sweep->chunks_left > 0)
		return;
	free(sweep->entries);
	sweep->entries = NULL;
	if (sweep->result.ok && strcmp(sweep->cursor, "0") != 0)
		sweep_page(sweep);
	else
		sweep_finish(sweep, sweep->result.ok);
}

static void
sweep_fail(void *arg)
{
	sweep_finish(arg, false);
}

static void
sweep_finish(Sweep *sweep, bool ok)
{
	sweep->result.ok = ok;
	if (sweep->done != NULL)
		sweep->done(sweep->arg, &sweep->result);
	free(sweep->entries);
	free(sweep);
}
