/* SPDX-License-Identifier: PostgreSQL */
/*
 * Calls the hold_*.lua scripts and turns their answers into results. A cold date is rebuilt in
 * one flight: all seats that are not free are marked in chunks, then hold_warm.lua sets the
 * generation; marks carry their fences, so that rebuilding beside live traffic, or twice at once,
 * changes nothing that is newer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "flight.h"
#include "hold_private.h"
#include "log.h"
#include "metrics.h"
#include "sql.h"

#include "lua_hold_entry.h"
#include "lua_hold_mark.h"
#include "lua_hold_release.h"
#include "lua_hold_sweep.h"
#include "lua_hold_take.h"
#include "lua_hold_warm.h"

#define COLD_WAIT_MS 1000 /* how long a call waits for a rebuild */
#define CHUNK_SEATS 200	  /* seats of one script call */
#define MARK_ARGS 5		  /* seat, state, user, fence, ms */
#define DIGEST_CHARS 32

/* One hold_take(). */
typedef struct Take
{
	Hold		*hold;
	HoldTaken	 done;
	void		*arg;
	bool		 waited; /* for a rebuild, which is done once */
	char		 date_id[UUID_BYTES];
	char		 seats_key[KEY_BYTES];
	char		 memory_key[KEY_BYTES]; /* "" without an idempotency key */
	char		 user_id[UUID_BYTES];
	char		 digest[DIGEST_CHARS + 1];
	int			 seat_count;
	const char **seat_ids; /* array and text follow in the same allocation */
} Take;

/* Marks under way in several chunks. */
typedef struct MarkJob
{
	void (*done)(void *arg, bool ok);
	void *arg;
	int	  chunks_left;
	bool  ok;
} MarkJob;

typedef struct Rebuild
{
	Hold *hold;
	char  date_id[UUID_BYTES];
} Rebuild;

static void	 digest_hex(const char *bytes, size_t len, char *ret_hex);
static Take *take_new(Hold *hold, const char *date_id, const char *user_id, int seat_count,
					  const char *const *seat_ids);
static void	 take_digest(Take *take);
static int	 compare_ids(const void *left, const void *right);
static void	 take_send(Take *take);
static void	 take_replied(void *arg, const redisReply *reply, const char *errstr);
static void	 take_refused(Take *take, const redisReply *reply);
static void	 take_warm(void *arg, bool ok);
static void	 take_fail(void *arg);
static void	 take_finish(Take *take, HoldStatus status, int64_t fence, const HoldRefusal *refusals,
						 int refusal_count);
static void	 release_replied(void *arg, const redisReply *reply, const char *errstr);
static bool	 mark_send(Hold *hold, const char *seats_key, int count, const SeatMark *marks,
					   MarkJob *job);
static void	 mark_replied(void *arg, const redisReply *reply, const char *errstr);
static void	 mark_settled(void *arg);
static bool	 rebuild_start(void *owner, const char *date_id);
static void	 rebuild_read(void *arg, const PGresult *res, const char *errstr);
static void	 rebuild_marked(void *arg, bool ok);
static void	 rebuild_warm(void *arg, const redisReply *reply, const char *errstr);
static void	 rebuild_finish(Rebuild *rebuild, bool ok);

Hold *
hold_open(struct event_base *base, Redis *redis, Db *db, const HoldConfig *config)
{
	Hold *hold = calloc(1, sizeof(Hold));

	hold->base = base;
	hold->redis = redis;
	hold->db = db;
	hold->config = *config;
	hold->rebuilds = flight_open(base, COLD_WAIT_MS, rebuild_start, hold);
	hold->take = redis_script_join("hold_take", lua_hold_entry, lua_hold_take);
	hold->release = redis_script_join("hold_release", lua_hold_entry, lua_hold_release);
	hold->mark = redis_script_join("hold_mark", lua_hold_entry, lua_hold_mark);
	hold->warm = redis_script_join("hold_warm", lua_hold_entry, lua_hold_warm);
	hold->sweep = redis_script_join("hold_sweep", lua_hold_entry, lua_hold_sweep);
	return hold;
}

void
hold_configure(Hold *hold, const HoldConfig *config)
{
	hold->config = *config;
}

void
hold_close(Hold *hold)
{
	if (hold == NULL)
		return;
	flight_close(hold->rebuilds);
	redis_script_free(&hold->take);
	redis_script_free(&hold->release);
	redis_script_free(&hold->mark);
	redis_script_free(&hold->warm);
	redis_script_free(&hold->sweep);
	free(hold);
}

void
hold_take(Hold *hold, const char *date_id, const char *user_id, const char *idempotency_key,
		  int seat_count, const char *const *seat_ids, HoldTaken done, void *arg)
{
	Take *take = take_new(hold, date_id, user_id, seat_count, seat_ids);
	char  key_hash[DIGEST_CHARS + 1];

	take->done = done;
	take->arg = arg;
	if (idempotency_key != NULL)
	{
		digest_hex(idempotency_key, strlen(idempotency_key), key_hash);
		snprintf(take->memory_key, sizeof(take->memory_key), "{%s}:refused:%s:%s", take->date_id,
				 take->user_id, key_hash);
	}
	take_digest(take);
	if (seat_count < 1 || seat_count > HOLD_SEATS_MAX)
		flight_later(hold->base, take_fail, take);
	else
		take_send(take);
}

void
hold_release(Hold *hold, const char *date_id, const char *user_id, int64_t fence, int seat_count,
			 const char *const *seat_ids)
{
	const char		 *args[2 + HOLD_SEATS_MAX];
	char			  fence_text[NUMBER_BYTES];
	char			  key[KEY_BYTES];
	const char *const keys[] = {key};

	if (seat_count < 1 || seat_count > HOLD_SEATS_MAX)
		return;
	snprintf(key, sizeof(key), "{%s}:seats", date_id);
	snprintf(fence_text, sizeof(fence_text), "%" PRId64, fence);
	args[0] = user_id;
	args[1] = fence_text;
	memcpy(args + 2, seat_ids, (size_t) seat_count * sizeof(*seat_ids));
	if (!redis_script(hold->redis, &hold->release, 1, keys, 2 + seat_count, args, release_replied,
					  NULL))
		log_event(LOG_WARN_LEVEL, "hold_release_dropped", NULL, "{s:s}", "date", date_id);
}

void
hold_mark(Hold *hold, const char *date_id, int count, const SeatMark *marks,
		  void (*done)(void *arg, bool ok), void *arg)
{
	MarkJob *job = calloc(1, sizeof(MarkJob));
	char	 key[KEY_BYTES];

	snprintf(key, sizeof(key), "{%s}:seats", date_id);
	*job = (MarkJob){.done = done, .arg = arg, .chunks_left = 1, .ok = true};
	for (int at = 0; at < count && job->ok; at += CHUNK_SEATS)
	{
		job->chunks_left++;
		if (!mark_send(hold, key, count - at < CHUNK_SEATS ? count - at : CHUNK_SEATS, marks + at,
					   job))
		{
			job->chunks_left--;
			job->ok = false;
		}
	}
	flight_later(hold->base, mark_settled, job);
}

/* The first half of a SHA-256. */
static void
digest_hex(const char *bytes, size_t len, char *ret_hex)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int  digest_len = 0;

	EVP_Digest(bytes, len, digest, &digest_len, EVP_sha256(), NULL);
	for (int i = 0; i < DIGEST_CHARS / 2; i++)
		snprintf(ret_hex + (size_t) 2 * i, 3, "%02x", digest[i]);
}

static Take *
take_new(Hold *hold, const char *date_id, const char *user_id, int seat_count,
		 const char *const *seat_ids)
{
	size_t count = seat_count < 0 ? 0 : (size_t) seat_count;
	Take  *take = calloc(1, sizeof(Take) + count * (sizeof(char *) + UUID_BYTES));
	char  *text = (char *) (take + 1) + count * sizeof(char *);

	take->hold = hold;
	take->seat_count = (int) count;
	take->seat_ids = (const char **) (take + 1);
	snprintf(take->date_id, sizeof(take->date_id), "%s", date_id);
	snprintf(take->user_id, sizeof(take->user_id), "%s", user_id);
	snprintf(take->seats_key, sizeof(take->seats_key), "{%s}:seats", take->date_id);
	for (size_t i = 0; i < count; i++, text += UUID_BYTES)
	{
		snprintf(text, UUID_BYTES, "%s", seat_ids[i]);
		take->seat_ids[i] = text;
	}
	return take;
}

/* Of the seats in id order: the same seats in another order are the same request. */
static void
take_digest(Take *take)
{
	size_t		 count = (size_t) take->seat_count;
	const char **sorted = malloc((count + 1) * sizeof(*sorted));
	char		*joined = malloc(count * UUID_BYTES + 1);
	char		*at = joined;

	memcpy(sorted, take->seat_ids, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), compare_ids);
	for (size_t i = 0; i < count; i++)
		at = stpcpy(at, sorted[i]);
	digest_hex(joined, (size_t) (at - joined), take->digest);
	free(joined);
	free(sorted);
}

static int
compare_ids(const void *left, const void *right)
{
	return strcmp(*(const char *const *) left, *(const char *const *) right);
}

static void
take_send(Take *take)
{
	Hold			 *hold = take->hold;
	const char		 *args[4 + HOLD_SEATS_MAX];
	const char *const keys[] = {take->seats_key, take->memory_key};
	char			  hold_ms[NUMBER_BYTES];
	char			  life_ms[NUMBER_BYTES];

	snprintf(hold_ms, sizeof(hold_ms), "%d", hold->config.hold_seconds * 1000);
	snprintf(life_ms, sizeof(life_ms), "%d", KEY_LIFE_MS);
	args[0] = take->user_id;
	args[1] = hold_ms;
	args[2] = life_ms;
	args[3] = take->digest;
	memcpy(args + 4, take->seat_ids, (size_t) take->seat_count * sizeof(*args));
	if (!redis_script(hold->redis, &hold->take, take->memory_key[0] != '\0' ? 2 : 1, keys,
					  4 + take->seat_count, args, take_replied, take))
		flight_later(hold->base, take_fail, take);
}

static void
take_replied(void *arg, const redisReply *reply, const char *errstr)
{
	Take	   *take = arg;
	const char *word;

	if (errstr != NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements < 1)
	{
		if (reply != NULL)
			log_event(LOG_ERROR_LEVEL, "hold_take_failed", NULL, "{s:s?}", "error", errstr);
		take_finish(take, HOLD_UNAVAILABLE, 0, NULL, 0);
		return;
	}
	word = reply->element[0]->str;
	if (strcmp(word, "ok") == 0)
	{
		hold_count_lapsed(reply->element[1]);
		metric_add(METRIC_HOLDS_TAKEN, NULL, take->seat_count);
		take_finish(take, HOLD_OK, strtoll(reply->element[2]->str, NULL, 10), NULL, 0);
	}
	else if (strcmp(word, "refused") == 0)
		take_refused(take, reply);
	else if (strcmp(word, "mismatch") == 0)
		take_finish(take, HOLD_KEY_MISMATCH, 0, NULL, 0);
	else if (take->waited)
		take_finish(take, HOLD_UNAVAILABLE, 0, NULL, 0);
	else
		flight_join(take->hold->rebuilds, take->date_id, take_warm, take);
}

static void
take_refused(Take *take, const redisReply *reply)
{
	HoldRefusal refusals[HOLD_SEATS_MAX];
	int			count = 0;

	hold_count_lapsed(reply->element[1]);
	for (size_t i = 2; i + 2 < reply->elements && count < HOLD_SEATS_MAX; i += 3)
	{
		refusals[count++] = (HoldRefusal){
			.seat_id = reply->element[i]->str,
			.reason = reply->element[i + 1]->str,
			.remaining_ms = strtoll(reply->element[i + 2]->str, NULL, 10),
		};
		metric_add(METRIC_HOLDS_REFUSED, reply->element[i + 1]->str, 1);
	}
	take_finish(take, HOLD_REFUSED, 0, refusals, count);
}

static void
take_warm(void *arg, bool ok)
{
	Take *take = arg;

	take->waited = true;
	if (ok)
		take_send(take);
	else
		take_finish(take, HOLD_UNAVAILABLE, 0, NULL, 0);
}

static void
take_fail(void *arg)
{
	take_finish(arg, HOLD_UNAVAILABLE, 0, NULL, 0);
}

static void
take_finish(Take *take, HoldStatus status, int64_t fence, const HoldRefusal *refusals,
			int refusal_count)
{
	take->done(take->arg, status, fence, refusals, refusal_count);
	free(take);
}

static void
release_replied(void *arg, const redisReply *reply, const char *errstr)
{
	(void) arg;
	if (errstr == NULL && reply->type == REDIS_REPLY_INTEGER)
		metric_add(METRIC_HOLDS_RELEASED, NULL, (double) reply->integer);
}

char
hold_letter(const char *state)
{
	if (strcmp(state, "pending") == 0)
		return 'P';
	if (strcmp(state, "sold") == 0)
		return 'S';
	return strcmp(state, "blocked") == 0 ? 'B' : 'F';
}

/* Only the database ends a pending reservation; all else is believed for a while. */
int64_t
hold_mark_life_ms(const Hold *hold, const SeatMark *mark)
{
	switch (hold_letter(mark->state))
	{
		case 'P':
			return mark->remaining_ms > 0 ? mark->remaining_ms : 0;
		case 'S':
			if (mark->fence > 0)
				return (int64_t) hold->config.sold_mark_seconds * 1000;
			return (int64_t) hold->config.blocked_mark_seconds * 1000;
		case 'B':
			return (int64_t) hold->config.blocked_mark_seconds * 1000;
		default:
			return TOMBSTONE_MS;
	}
}

/* At most CHUNK_SEATS of them. */
static bool
mark_send(Hold *hold, const char *seats_key, int count, const SeatMark *marks, MarkJob *job)
{
	const char *args[1 + CHUNK_SEATS * MARK_ARGS];
	char		letters[CHUNK_SEATS][2];
	char		fences[CHUNK_SEATS][NUMBER_BYTES];
	char		lives_ms[CHUNK_SEATS][NUMBER_BYTES];
	char		life_ms[NUMBER_BYTES];
	int			n = 0;

	snprintf(life_ms, sizeof(life_ms), "%d", KEY_LIFE_MS);
	args[n++] = life_ms;
	for (int i = 0; i < count; i++)
	{
		snprintf(letters[i], sizeof(letters[i]), "%c", hold_letter(marks[i].state));
		snprintf(fences[i], sizeof(fences[i]), "%" PRId64, marks[i].fence > 0 ? marks[i].fence : 0);
		snprintf(lives_ms[i], sizeof(lives_ms[i]), "%" PRId64, hold_mark_life_ms(hold, &marks[i]));
		args[n++] = marks[i].seat_id;
		args[n++] = letters[i];
		args[n++] = marks[i].user_id != NULL ? marks[i].user_id : "";
		args[n++] = fences[i];
		args[n++] = lives_ms[i];
	}
	return redis_script(hold->redis, &hold->mark, 1, &seats_key, n, args, mark_replied, job);
}

static void
mark_replied(void *arg, const redisReply *reply, const char *errstr)
{
	MarkJob *job = arg;

	if (errstr != NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)
	{
		if (reply != NULL)
			log_event(LOG_ERROR_LEVEL, "hold_mark_failed", NULL, "{s:s?}", "error", errstr);
		job->ok = false;
	}
	else
		hold_count_lapsed(reply->element[0]);
	mark_settled(job);
}

/* Comes once for every chunk and once for the call itself, so that done() never runs inside it. */
static void
mark_settled(void *arg)
{
	MarkJob *job = arg;

	if (--job->chunks_left > 0)
		return;
	if (job->done != NULL)
		job->done(job->arg, job->ok);
	free(job);
}

static bool
rebuild_start(void *owner, const char *date_id)
{
	Hold	*hold = owner;
	Rebuild *rebuild = calloc(1, sizeof(Rebuild));

	rebuild->hold = hold;
	snprintf(rebuild->date_id, sizeof(rebuild->date_id), "%s", date_id);
	if (sql_seat_states(hold->db, date_id, NULL, rebuild_read, rebuild))
		return true;
	free(rebuild);
	return false;
}

static void
rebuild_read(void *arg, const PGresult *res, const char *errstr)
{
	Rebuild	 *rebuild = arg;
	SeatMark *marks;
	int		  count;

	if (errstr != NULL)
	{
		log_event(LOG_WARN_LEVEL, "hold_rebuild_failed", NULL, "{s:s, s:s}", "date",
				  rebuild->date_id, "error", errstr);
		rebuild_finish(rebuild, false);
		return;
	}
	marks = hold_marks_of(res, &count);
	log_event(LOG_INFO_LEVEL, "hold_rebuild", NULL, "{s:s, s:i}", "date", rebuild->date_id, "seats",
			  count);
	hold_mark(rebuild->hold, rebuild->date_id, count, marks, rebuild_marked, rebuild);
	free(marks);
}

SeatMark *
hold_marks_of(const PGresult *res, int *ret_count)
{
	int		  count = PQntuples(res);
	SeatMark *marks = calloc((size_t) count + 1, sizeof(SeatMark));

	for (int i = 0; i < count; i++)
		marks[i] = (SeatMark){
			.seat_id = PQgetvalue(res, i, STATE_SEAT_ID),
			.state = PQgetvalue(res, i, STATE_STATE),
			.user_id = PQgetvalue(res, i, STATE_USER_ID),
			.fence = strtoll(PQgetvalue(res, i, STATE_FENCE), NULL, 10),
			.remaining_ms = strtoll(PQgetvalue(res, i, STATE_REMAINING_MS), NULL, 10),
		};
	*ret_count = count;
	return marks;
}

static void
rebuild_marked(void *arg, bool ok)
{
	Rebuild			 *rebuild = arg;
	char			  key[KEY_BYTES];
	char			  life_ms[NUMBER_BYTES];
	const char *const keys[] = {key};
	const char *const args[] = {life_ms};

	snprintf(key, sizeof(key), "{%s}:seats", rebuild->date_id);
	snprintf(life_ms, sizeof(life_ms), "%d", KEY_LIFE_MS);
	if (!ok ||
		!redis_script(rebuild->hold->redis, &rebuild->hold->warm, 1, keys, 1, args, rebuild_warm,
					  rebuild))
		rebuild_finish(rebuild, false);
}

static void
rebuild_warm(void *arg, const redisReply *reply, const char *errstr)
{
	(void) reply;
	if (errstr == NULL)
		metric_add(METRIC_HOLDS_REBUILT, NULL, 1);
	rebuild_finish(arg, errstr == NULL);
}

static void
rebuild_finish(Rebuild *rebuild, bool ok)
{
	flight_land(rebuild->hold->rebuilds, rebuild->date_id, ok);
	free(rebuild);
}

void
hold_count_lapsed(const redisReply *reply)
{
	int64_t lapsed =
		reply->type == REDIS_REPLY_INTEGER ? reply->integer : strtoll(reply->str, NULL, 10);

	if (lapsed > 0)
		metric_add(METRIC_HOLDS_EXPIRED, NULL, (double) lapsed);
}
