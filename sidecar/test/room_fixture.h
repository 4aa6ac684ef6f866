/* SPDX-License-Identifier: PostgreSQL */
/*
 * For the tests of the waiting room and of admission: a Redis in cluster mode for the program,
 * and for each test a room and a date of its own in fake_admission.h; verbs that wait for their
 * answer.
 */
#ifndef CONCERT_TEST_ROOM_FIXTURE_H
#define CONCERT_TEST_ROOM_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>
#include <uuid/uuid.h>

#include "admission.h"
#include "fake_admission.h"
#include "redis_server.h"
#include "room.h"

#define REDIS_TIMEOUT_MS 3000
#define SLOT_SECONDS 1
#define LEASE 100
#define ANN "00000000-0000-4000-8000-00000000000a"
#define BOB "00000000-0000-4000-8000-00000000000b"

typedef struct Joined
{
	int		   answers;
	int		   wanted;
	RoomStatus status;
	bool	   created;
	int64_t	   number;
	int64_t	   position;
	RoomState  state;
	int		   refresh_after_ms;
	char	   place[TOKEN_TEXT_MAX];
} Joined;

typedef struct Checked
{
	int		  answers;
	int		  wanted;
	RoomState state;
	int64_t	  number;
	int64_t	  position;
	int		  refresh_after_ms;
	char	  pass[TOKEN_TEXT_MAX];
	int64_t	  pass_expires_in_ms;
} Checked;

static RedisServer server;
static Redis	  *redis;
static TokenKeys  *keys;
static Room		  *room;
static Admission  *admission;
static FakeDate	  *date;

static const RoomConfig room_config = {.slot_seconds = SLOT_SECONDS, .lease_places = LEASE};

static inline void
new_id(char *ret_id)
{
	uuid_t id;

	uuid_generate(id);
	uuid_unparse_lower(id, ret_id);
}

static inline bool
redis_is_up(const void *arg)
{
	return redis_up(arg);
}

static inline void
took_place(void *arg, RoomStatus status, const RoomPlace *place)
{
	Joined *joined = arg;

	joined->answers++;
	joined->status = status;
	if (place == NULL)
		return;
	joined->created = place->created;
	joined->number = place->number;
	joined->position = place->position;
	joined->state = place->state;
	joined->refresh_after_ms = place->refresh_after_ms;
	snprintf(joined->place, sizeof(joined->place), "%s", place->place);
}

static inline Joined
join(const char *user_id)
{
	Joined joined = {.wanted = 1};

	room_join(room, date->id, user_id, took_place, &joined);
	assert_int_equal(joined.answers, 0);
	assert_true(loop_until(fake_base, loop_int_reached, &joined, LOOP_WAIT_MS));
	return joined;
}

static inline void
took_check(void *arg, const RoomCheck *check)
{
	Checked *checked = arg;

	checked->answers++;
	checked->state = check->state;
	checked->number = check->number;
	checked->position = check->position;
	checked->refresh_after_ms = check->refresh_after_ms;
	checked->pass_expires_in_ms = check->pass_expires_in_ms;
	snprintf(checked->pass, sizeof(checked->pass), "%s", check->pass != NULL ? check->pass : "");
	if (check->state == ROOM_STATE_INVALID)
		assert_null(check->date_id);
	else
		assert_string_equal(check->date_id, date->id);
}

static inline Checked
check(const char *place, const char *user_id)
{
	Checked checked = {.wanted = 1};

	room_check(room, place, user_id, took_check, &checked);
	assert_int_equal(checked.answers, 0);
	assert_true(loop_until(fake_base, loop_int_reached, &checked, LOOP_WAIT_MS));
	return checked;
}

/* Keeps a place present until its state is another one. */
static inline Checked
wait_state(const char *place, RoomState state)
{
	int64_t deadline_ms = clock_ms() + LOOP_WAIT_MS;
	Checked checked;

	while ((checked = check(place, NULL)).state != state)
	{
		if (clock_ms() > deadline_ms)
			fail_msg("state is %d, not %d", checked.state, state);
		loop_run(fake_base, 20);
	}
	return checked;
}

static inline TokenKeys *
make_keys(void)
{
	char	   path[] = "/tmp/concert-unit-keys-XXXXXX";
	int		   fd = mkstemp(path);
	char	   errstr[256];
	TokenKeys *made;

	dprintf(fd, "7 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n");
	close(fd);
	made = token_open(path, errstr, sizeof(errstr));
	unlink(path);
	return made;
}

static inline int
group_setup(void **state)
{
	(void) state;
	fake_base = event_base_new();
	keys = make_keys();
	if (keys == NULL || !redis_server_start(&server))
		return -1;
	redis = redis_open(fake_base, server.nodes, REDIS_TIMEOUT_MS);
	return loop_until(fake_base, redis_is_up, redis, LOOP_WAIT_MS) ? 0 : -1;
}

static inline int
group_teardown(void **state)
{
	(void) state;
	redis_close(redis);
	redis_server_stop(&server);
	token_close(keys);
	event_base_free(fake_base);
	return 0;
}

static inline FakeDate *
new_date(void)
{
	FakeDate *made = &fake_dates[fake_date_count++];

	*made = (FakeDate){.required = true,
					   .cap = 10,
					   .rate = 1000,
					   .claim_seconds = 2,
					   .pass_seconds = 60,
					   .opens_at_ms = fake_clock_ms() - 1000,
					   .closes_at_ms = fake_clock_ms() + 3600000};
	new_id(made->id);
	return made;
}

/* A date of its own for each test; nobody is admitted before start_admission(). */
static inline int
setup(void **state)
{
	(void) state;
	fake_fault = FAKE_FINE;
	fake_date_count = 0;
	memset(fake_sessions, 0, sizeof(fake_sessions));
	date = new_date();
	room = room_open(fake_base, redis, NULL, keys, &room_config);
	return 0;
}

static inline int
teardown(void **state)
{
	(void) state;
	fake_fault = FAKE_FINE;
	admission_close(admission);
	admission = NULL;
	loop_run(fake_base, 100);
	room_close(room);
	return 0;
}

static inline void
start_admission(void)
{
	admission = admission_open(fake_base, room, fake_session(0));
}

#endif
