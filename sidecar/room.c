/* SPDX-License-Identifier: PostgreSQL */
/*
 * A call is looked at in the loop's next turn: its date first, then the room_*.lua script. When
 * Redis is cold, or has no number left to give, the call waits for one flight that fills it (at
 * most TRIES_MAX times), together with all others of that date.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "flight.h"
#include "log.h"
#include "metrics.h"
#include "room.h"
#include "room_key.h"
#include "sql.h"

#include "lua_room_check.h"
#include "lua_room_common.h"
#include "lua_room_join.h"
#include "lua_room_lease.h"
#include "lua_room_leave.h"

#define TRIES_MAX 10 /* of one call's script: cold, then a lease, both perhaps repeated */
#define WAIT_MS 2000 /* for a lease or for a cold room to be filled */
#define NEAR_MS 1000 /* how soon the people in front ask again */
#define FAR_MS 30000 /* how late the people far behind may; the presence slot bounds it too */
#define FAR_POSITION 5000
#define LEASE_MAX 100000
#define JITTER_PERCENT 20

typedef enum CallKind
{
	CALL_JOIN,
	CALL_CHECK
} CallKind;

typedef enum JoinWord
{
	JOIN_NUMBER = 1,
	JOIN_CREATED,
	JOIN_SERVING,
	JOIN_LEFT
} JoinWord;

typedef enum CheckWord
{
	CHECK_SERVING = 1,
	CHECK_ISSUED_MS = 1,
	CHECK_PASS_SECONDS,
	CHECK_LEFT_MS
} CheckWord;

struct Room
{
	struct event_base *base;
	Redis			  *redis;
	Db				  *db;
	const TokenKeys	  *keys;
	DateBook		  *dates;
	BatchDesk		  *batches;
	RoomConfig		   config;
	Flight			  *fillings; /* of cold rooms */
	Flight			  *leases;
	int				   lease_wanted; /* twice as many as waited for the last one */
	RedisScript		   join;
	RedisScript		   check;
	RedisScript		   lease;
	RedisScript		   leave;
};

/* One room_join() or room_check(). */
typedef struct RoomCall
{
	Room	   *room;
	CallKind	kind;
	bool		valid; /* of a check: a place of ours, and the caller's own */
	bool		refreshed;
	int			tries;
	Place		place; /* date and user; the number once it is known */
	RoomJoined	joined;
	RoomChecked checked;
	void	   *arg;
} RoomCall;

typedef struct Lease
{
	Room *room;
	char  date_id[DATE_ID_BYTES];
} Lease;

static RoomCall *call_new(Room *room, CallKind kind, void *arg);
static void		 call_begin(void *arg);
static void		 call_refreshed(void *arg, bool ok);
static void		 call_need_no_admission(RoomCall *call);
static void		 call_send(RoomCall *call);
static void		 call_replied(void *arg, const redisReply *reply, const char *errstr);
static void		 call_wait(RoomCall *call, Flight *flight);
static void		 call_again(void *arg, bool ok);
static void		 call_unavailable(void *arg);
static void		 join_placed(RoomCall *call, const redisReply *reply, bool admitted);
static void		 join_finish(RoomCall *call, RoomStatus status, const RoomPlace *place);
static void		 check_admitted(RoomCall *call, const redisReply *reply);
static void		 check_finish(RoomCall *call, RoomCheck *check);
static void		 check_state(RoomCall *call, RoomState state);
static int		 room_refresh_ms(const Room *room, const char *date_id, int64_t position);
static bool		 filling_start(void *owner, const char *date_id);
static void		 filling_done(void *arg, bool ok);
static bool		 lease_start(void *owner, const char *date_id);
static void		 lease_got(void *arg, const PGresult *res, const char *errstr);
static void		 lease_put(void *arg, const redisReply *reply, const char *errstr);
static void		 lease_finish(Lease *lease, bool ok);
static void		 lease_ignored(void *arg, bool ok);
static void		 leave_replied(void *arg, const redisReply *reply, const char *errstr);

Room *
room_open(struct event_base *base, Redis *redis, Db *db, const TokenKeys *keys,
		  const RoomConfig *config)
{
	Room *room = calloc(1, sizeof(Room));

	room->base = base;
	room->redis = redis;
	room->db = db;
	room->keys = keys;
	room->dates = date_open(base, db);
	room->batches = batch_open(base, redis, config->slot_seconds);
	room->config = *config;
	room->fillings = flight_open(base, WAIT_MS, filling_start, room);
	room->leases = flight_open(base, WAIT_MS, lease_start, room);
	room->join = redis_script_join("room_join", lua_room_common, lua_room_join);
	room->check = redis_script_join("room_check", lua_room_common, lua_room_check);
	room->lease = redis_script_join("room_lease", lua_room_common, lua_room_lease);
	room->leave = redis_script_join("room_leave", lua_room_common, lua_room_leave);
	return room;
}

void
room_configure(Room *room, const RoomConfig *config)
{
	room->config.lease_places = config->lease_places;
}

void
room_close(Room *room)
{
	if (room == NULL)
		return;
	flight_close(room->fillings);
	flight_close(room->leases);
	date_close(room->dates);
	batch_close(room->batches);
	redis_script_free(&room->join);
	redis_script_free(&room->check);
	redis_script_free(&room->lease);
	redis_script_free(&room->leave);
	free(room);
}

void
room_join(Room *room, const char *date_id, const char *user_id, RoomJoined done, void *arg)
{
	RoomCall *call = call_new(room, CALL_JOIN, arg);

	call->joined = done;
	snprintf(call->place.date_id, sizeof(call->place.date_id), "%s", date_id);
	snprintf(call->place.user_id, sizeof(call->place.user_id), "%s", user_id);
	flight_later(room->base, call_begin, call);
}

void
room_check(Room *room, const char *place_token, const char *user_id, RoomChecked done, void *arg)
{
	RoomCall *call = call_new(room, CALL_CHECK, arg);

	call->checked = done;
	call->valid = token_read_place(room->keys, place_token, &call->place) &&
		(user_id == NULL || strcmp(user_id, call->place.user_id) == 0);
	flight_later(room->base, call_begin, call);
}

void
room_leave(Room *room, const char *date_id, const char *user_id)
{
	RoomKeys		  names;
	const char *const keys[] = {names.room, names.bucket};
	const char *const args[] = {names.tag, ROOM_LIFE_MS, user_id};

	room_keys(&names, date_id, user_id);
	if (!redis_script(room->redis, &room->leave, 2, keys, 3, args, leave_replied, NULL))
		log_event(LOG_WARN_LEVEL, "room_leave_dropped", NULL, "{s:s}", "date", date_id);
}

DateBook *
room_dates(Room *room)
{
	return room->dates;
}

BatchDesk *
room_batches(Room *room)
{
	return room->batches;
}

static RoomCall *
call_new(Room *room, CallKind kind, void *arg)
{
	RoomCall *call = calloc(1, sizeof(RoomCall));

	call->room = room;
	call->kind = kind;
	call->valid = true;
	call->arg = arg;
	return call;
}

/* A place of ours is of a date that there was: if it is not on sale now, its sale is over. */
static void
call_begin(void *arg)
{
	RoomCall	   *call = arg;
	const SaleDate *date = date_find(call->room->dates, call->place.date_id);
	DatePhase		phase = date_phase(date);

	if (!call->valid)
		check_state(call, ROOM_STATE_INVALID);
	else if (phase == DATE_UNKNOWN && !call->refreshed)
		date_refresh(call->room->dates, call_refreshed, call);
	else if (phase == DATE_UNKNOWN && call->kind == CALL_JOIN)
		join_finish(call, ROOM_UNKNOWN_DATE, NULL);
	else if ((phase == DATE_UNKNOWN || phase == DATE_CLOSED) && call->kind == CALL_CHECK)
		check_state(call, ROOM_STATE_CLOSED);
	else if (phase == DATE_CLOSED)
		join_finish(call, ROOM_CLOSED, NULL);
	else if (!date->admission_required)
		call_need_no_admission(call);
	else
		call_send(call);
}

static void
call_refreshed(void *arg, bool ok)
{
	RoomCall *call = arg;

	call->refreshed = true;
	if (ok)
		call_begin(call);
	else
		call_unavailable(call);
}

static void
call_need_no_admission(RoomCall *call)
{
	RoomPlace place = {.created = false, .state = ROOM_STATE_ADMITTED};
	char	  text[TOKEN_TEXT_MAX];

	if (call->kind == CALL_CHECK)
	{
		check_state(call, ROOM_STATE_ADMITTED);
		return;
	}
	call->place.number = 0;
	call->place.issued_seconds = time(NULL);
	if (!token_sign_place(call->room->keys, &call->place, text))
	{
		join_finish(call, ROOM_UNKNOWN_DATE, NULL);
		return;
	}
	place.place = text;
	place.refresh_after_ms = FAR_MS;
	join_finish(call, ROOM_OK, &place);
}

static void
call_send(RoomCall *call)
{
	Room			 *room = call->room;
	bool			  joins = call->kind == CALL_JOIN;
	char			  number[ROOM_NUMBER_BYTES];
	RoomKeys		  names;
	const char *const keys[] = {names.room, names.bucket};
	const char *const args[] = {names.tag, ROOM_LIFE_MS, call->place.user_id, number};

	room_keys(&names, call->place.date_id, call->place.user_id);
	snprintf(number, sizeof(number), "%" PRId64, call->place.number);
	call->tries++;
	if (!redis_script(room->redis, joins ? &room->join : &room->check, 2, keys, joins ? 3 : 4, args,
					  call_replied, call))
		flight_later(room->base, call_unavailable, call);
}

static void
call_replied(void *arg, const redisReply *reply, const char *errstr)
{
	RoomCall   *call = arg;
	Room	   *room = call->room;
	const char *word =
		room_word(reply, errstr, call->kind == CALL_JOIN ? "room_join" : "room_check");

	if (word == NULL)
		call_unavailable(call);
	else if (strcmp(word, "cold") == 0)
		call_wait(call, room->fillings);
	else if (strcmp(word, "lease") == 0)
		call_wait(call, room->leases);
	else if (call->kind == CALL_JOIN)
		join_placed(call, reply, strcmp(word, "admitted") == 0);
	else if (strcmp(word, "admitted") == 0)
		check_admitted(call, reply);
	else if (strcmp(word, "lost") == 0)
		check_state(call, ROOM_STATE_LOST);
	else
	{
		RoomCheck check = {.state = ROOM_STATE_WAITING};

		check.position = call->place.number - room_int(reply, CHECK_SERVING);
		check_finish(call, &check);
	}
}

static void
call_wait(RoomCall *call, Flight *flight)
{
	if (call->tries >= TRIES_MAX)
		call_unavailable(call);
	else
		flight_join(flight, call->place.date_id, call_again, call);
}

static void
call_again(void *arg, bool ok)
{
	if (ok)
		call_send(arg);
	else
		call_unavailable(arg);
}

static void
call_unavailable(void *arg)
{
	RoomCall *call = arg;

	if (call->kind == CALL_JOIN)
		join_finish(call, ROOM_UNAVAILABLE, NULL);
	else
		check_state(call, ROOM_STATE_UNAVAILABLE);
}

/* The next lease is fetched before this one ends, so that nobody need wait for it. */
static void
join_placed(RoomCall *call, const redisReply *reply, bool admitted)
{
	Room	 *room = call->room;
	RoomPlace place = {.state = admitted ? ROOM_STATE_ADMITTED : ROOM_STATE_WAITING};
	char	  text[TOKEN_TEXT_MAX];

	if (room_int(reply, JOIN_LEFT) < room->config.lease_places / 2)
		flight_join(room->leases, call->place.date_id, lease_ignored, NULL);
	place.number = room_int(reply, JOIN_NUMBER);
	place.created = room_int(reply, JOIN_CREATED) != 0;
	place.position = admitted ? 0 : place.number - room_int(reply, JOIN_SERVING);
	place.refresh_after_ms = room_refresh_ms(room, call->place.date_id, place.position);
	place.place = text;
	call->place.number = place.number;
	call->place.issued_seconds = time(NULL);
	if (place.created)
		metric_add(METRIC_ROOM_JOINED, NULL, 1);
	if (token_sign_place(room->keys, &call->place, text))
		join_finish(call, ROOM_OK, &place);
	else
		join_finish(call, ROOM_UNAVAILABLE, NULL);
}

static void
join_finish(RoomCall *call, RoomStatus status, const RoomPlace *place)
{
	call->joined(call->arg, status, place);
	free(call);
}

/* Issued and ending as the batch says: however often it is asked for, it is the same pass. */
static void
check_admitted(RoomCall *call, const redisReply *reply)
{
	int64_t	  issued_ms = room_int(reply, CHECK_ISSUED_MS);
	int64_t	  left_ms = room_int(reply, CHECK_LEFT_MS) - issued_ms % 1000;
	RoomCheck check = {.state = ROOM_STATE_ADMITTED};
	char	  text[TOKEN_TEXT_MAX];
	Pass	  pass = {.number = call->place.number, .issued_seconds = issued_ms / 1000};

	pass.expires_seconds = pass.issued_seconds + room_int(reply, CHECK_PASS_SECONDS);
	strcpy(pass.date_id, call->place.date_id);
	strcpy(pass.user_id, call->place.user_id);
	if (left_ms <= 0)
		check.state = ROOM_STATE_LOST;
	else if (!token_sign_pass(call->room->keys, &pass, text))
		check.state = ROOM_STATE_UNAVAILABLE;
	else
	{
		check.pass = text;
		check.pass_expires_in_ms = left_ms;
	}
	check_finish(call, &check);
}

static void
check_finish(RoomCall *call, RoomCheck *check)
{
	static const char *const labels[] = {
		[ROOM_STATE_WAITING] = "waiting", [ROOM_STATE_ADMITTED] = "admitted",
		[ROOM_STATE_LOST] = "lost",		  [ROOM_STATE_CLOSED] = "closed",
		[ROOM_STATE_INVALID] = "invalid", [ROOM_STATE_UNAVAILABLE] = "unavailable",
	};

	metric_add(METRIC_ROOM_CHECKS, labels[check->state], 1);
	if (check->state != ROOM_STATE_INVALID)
	{
		check->date_id = call->place.date_id;
		check->number = call->place.number;
	}
	check->refresh_after_ms =
		room_refresh_ms(call->room, call->place.date_id,
						check->state == ROOM_STATE_WAITING ? check->position : FAR_POSITION);
	call->checked(call->arg, check);
	free(call);
}

static void
check_state(RoomCall *call, RoomState state)
{
	RoomCheck check = {.state = state};

	check_finish(call, &check);
}

/*
 * Growing with the position, with jitter downwards so that a crowd spreads out. Never so late
 * that a presence slot passes unheard, nor that half the time to claim is over before an admitted
 * person asks.
 */
static int
room_refresh_ms(const Room *room, const char *date_id, int64_t position)
{
	const SaleDate *date = date_find(room->dates, date_id);
	int				far_ms = room->config.slot_seconds * 800;
	int				near_ms;
	int				ms;

	if (far_ms > FAR_MS)
		far_ms = FAR_MS;
	if (date != NULL && date->claim_seconds * 500 < far_ms)
		far_ms = date->claim_seconds * 500;
	near_ms = far_ms < NEAR_MS ? far_ms : NEAR_MS;
	if (position > FAR_POSITION)
		position = FAR_POSITION;
	ms = near_ms + (int) ((far_ms - near_ms) * position / FAR_POSITION);
	return ms - ms * (rand() % (JITTER_PERCENT + 1)) / 100;
}

static bool
filling_start(void *owner, const char *date_id)
{
	Room		   *room = owner;
	const SaleDate *date = date_find(room->dates, date_id);
	Lease		   *filling;

	if (date == NULL)
		return false;
	filling = calloc(1, sizeof(Lease));
	filling->room = room;
	snprintf(filling->date_id, sizeof(filling->date_id), "%s", date_id);
	batch_settle(room->batches, room->db, date, false, filling_done, filling);
	return true;
}

static void
filling_done(void *arg, bool ok)
{
	Lease *filling = arg;

	flight_land(filling->room->fillings, filling->date_id, ok);
	free(filling);
}

static bool
lease_start(void *owner, const char *date_id)
{
	Room  *room = owner;
	Lease *lease = calloc(1, sizeof(Lease));
	int	   places = room->config.lease_places;

	if (places < room->lease_wanted)
		places = room->lease_wanted < LEASE_MAX ? room->lease_wanted : LEASE_MAX;
	lease->room = room;
	snprintf(lease->date_id, sizeof(lease->date_id), "%s", date_id);
	if (sql_lease_places(room->db, date_id, places, lease_got, lease))
		return true;
	free(lease);
	return false;
}

static void
lease_got(void *arg, const PGresult *res, const char *errstr)
{
	Lease			 *lease = arg;
	RoomKeys		  names;
	const char *const keys[] = {names.room};
	const char		 *args[] = {names.tag, ROOM_LIFE_MS, NULL, NULL};

	if (errstr != NULL || PQntuples(res) != 1)
	{
		log_event(LOG_WARN_LEVEL, "places_not_leased", NULL, "{s:s, s:s?}", "date", lease->date_id,
				  "error", errstr);
		lease_finish(lease, false);
		return;
	}
	room_keys(&names, lease->date_id, NULL);
	args[2] = PQgetvalue(res, 0, 0);
	args[3] = PQgetvalue(res, 0, 1);
	if (!redis_script(lease->room->redis, &lease->room->lease, 1, keys, 4, args, lease_put, lease))
		lease_finish(lease, false);
}

static void
lease_put(void *arg, const redisReply *reply, const char *errstr)
{
	lease_finish(arg, room_word(reply, errstr, "room_lease") != NULL);
}

static void
lease_finish(Lease *lease, bool ok)
{
	Room *room = lease->room;

	room->lease_wanted = 2 * flight_waiting(room->leases, lease->date_id);
	flight_land(room->leases, lease->date_id, ok);
	free(lease);
}

static void
lease_ignored(void *arg, bool ok)
{
	(void) arg;
	(void) ok;
}

static void
leave_replied(void *arg, const redisReply *reply, const char *errstr)
{
	(void) arg;
	if (errstr != NULL && reply != NULL)
		log_event(LOG_ERROR_LEVEL, "script_failed", NULL, "{s:s, s:s}", "script", "room_leave",
				  "error", errstr);
}
