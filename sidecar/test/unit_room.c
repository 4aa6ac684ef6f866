/* SPDX-License-Identifier: PostgreSQL */
/*
 * The waiting room and admission against a real Redis in cluster mode; the database is fake_admission.h. P7: never
 * above the cap, never twice on one place, never out of turn among those present; one place per user, no
 * number twice, whatever is lost on the way.
 */
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

#define REDIS_TIMEOUT_MS 1000
#define SLOT_SECONDS 1
#define LEASE 100
#define STORM_USERS 3000
#define CROWD 260
#define CROWD_MS 12000
#define ANN "00000000-0000-4000-8000-00000000000a"
#define BOB "00000000-0000-4000-8000-00000000000b"

typedef struct Joined
{
	int answers;
	int wanted;
	RoomStatus status;
	bool created;
	int64_t number;
	int64_t position;
	RoomState state;
	int refresh_after_ms;
	char place[TOKEN_TEXT_MAX];
} Joined;

typedef struct Checked
{
	int answers;
	int wanted;
	RoomState state;
	int64_t number;
	int64_t position;
	int refresh_after_ms;
	char pass[TOKEN_TEXT_MAX];
	int64_t pass_expires_in_ms;
} Checked;

typedef struct Fan
{
	char user_id[37];
	char place[TOKEN_TEXT_MAX];
	int64_t number;
	bool joining;
	bool checking;
	int64_t ask_at_ms;	   /* when it asks next */
	int64_t pass_ends_ms;  /* by loop_now_ms(); 0: never had one */
	char pass[TOKEN_TEXT_MAX];
} Fan;

static RedisServer server;
static Redis *redis;
static TokenKeys *keys;
static Room *room;
static Admission *admission;
static FakeDate *date;
static Fan crowd[CROWD];

static const RoomConfig room_config = {.slot_seconds = SLOT_SECONDS, .lease_places = LEASE};

static void
new_id(char *ret_id)
{
	uuid_t id;

	uuid_generate(id);
	uuid_unparse_lower(id, ret_id);
}

static bool
redis_is_up(const void *arg)
{
	return redis_up(arg);
}

static void
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

static Joined
join(const char *user_id)
{
	Joined joined = {.wanted = 1};

	room_join(room, date->id, user_id, took_place, &joined);
	assert_int_equal(joined.answers, 0);
	assert_true(loop_until(fake_base, loop_int_reached, &joined, LOOP_WAIT_MS));
	return joined;
}

static void
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

static Checked
check(const char *place, const char *user_id)
{
	Checked checked = {.wanted = 1};

	room_check(room, place, user_id, took_check, &checked);
	assert_int_equal(checked.answers, 0);
	assert_true(loop_until(fake_base, loop_int_reached, &checked, LOOP_WAIT_MS));
	return checked;
}

/* Keeps a place present until its state is another one. */
static Checked
wait_state(const char *place, RoomState state)
{
	int64_t deadline_ms = loop_now_ms() + LOOP_WAIT_MS;
	Checked checked;

	while ((checked = check(place, NULL)).state != state)
	{
		if (loop_now_ms() > deadline_ms)
			fail_msg("state is %d, not %d", checked.state, state);
		loop_run(fake_base, 20);
	}
	return checked;
}

static TokenKeys *
make_keys(void)
{
	char path[] = "/tmp/concert-unit-keys-XXXXXX";
	int fd = mkstemp(path);
	char errstr[256];
	TokenKeys *made;

	dprintf(fd, "7 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n");
	close(fd);
	made = token_open(path, errstr, sizeof(errstr));
	unlink(path);
	return made;
}

static int
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

static int
group_teardown(void **state)
{
	(void) state;
	redis_close(redis);
	redis_server_stop(&server);
	token_close(keys);
	event_base_free(fake_base);
	return 0;
}

static FakeDate *
new_date(void)
{
	FakeDate *made = &fake_dates[fake_date_count++];

	*made = (FakeDate){.required = true, .cap = 10, .rate = 1000, .claim_seconds = 2,
					   .pass_seconds = 60, .opens_at_ms = fake_clock_ms() - 1000,
					   .closes_at_ms = fake_clock_ms() + 3600000};
	new_id(made->id);
	return made;
}

/* A date of its own for each test; nobody is admitted before start_admission(). */
static int
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

static int
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

static void
start_admission(void)
{
	admission = admission_open(fake_base, room, fake_session(0));
}

static void
who_joins_twice_gets_the_same_place(void **state)
{
	Joined ann = join(ANN);
	Joined bob = join(BOB);
	Joined again = join(ANN);

	(void) state;
	assert_int_equal(ann.status, ROOM_OK);
	assert_true(ann.created);
	assert_int_equal(ann.number, 1);
	assert_int_equal(ann.position, 1);
	assert_int_equal(bob.number, 2);
	assert_int_equal(bob.position, 2);
	assert_false(again.created);
	assert_int_equal(again.number, 1);
	assert_int_equal(check(again.place, ANN).state, ROOM_STATE_WAITING);
}

static void
only_the_users_own_unchanged_place_counts(void **state)
{
	Joined ann = join(ANN);
	char forged[TOKEN_TEXT_MAX];

	(void) state;
	strcpy(forged, ann.place);
	forged[40] = forged[40] == 'A' ? 'B' : 'A';
	assert_int_equal(check(ann.place, BOB).state, ROOM_STATE_INVALID);
	assert_int_equal(check(forged, ANN).state, ROOM_STATE_INVALID);
	assert_int_equal(check("", NULL).state, ROOM_STATE_INVALID);
	assert_int_equal(check(ann.place, NULL).state, ROOM_STATE_WAITING);
}

static void
a_date_is_open_closed_or_unknown(void **state)
{
	Joined joined = {.wanted = 1};
	Joined ann = join(ANN);
	char nobody[37];

	(void) state;
	new_id(nobody);
	room_join(room, nobody, ANN, took_place, &joined);
	assert_true(loop_until(fake_base, loop_int_reached, &joined, LOOP_WAIT_MS));
	assert_int_equal(joined.status, ROOM_UNKNOWN_DATE);
	date->required = false;
	loop_run(fake_base, 1200);
	assert_int_equal(join(BOB).state, ROOM_STATE_ADMITTED);
	assert_int_equal(check(join(BOB).place, BOB).state, ROOM_STATE_ADMITTED);
	assert_string_equal(check(join(BOB).place, BOB).pass, "");
	date->required = true;
	date->closes_at_ms = fake_clock_ms();
	loop_run(fake_base, 1200);
	assert_int_equal(join(BOB).status, ROOM_CLOSED);
	assert_int_equal(check(ann.place, ANN).state, ROOM_STATE_CLOSED);
}

static void
nobody_is_admitted_before_the_sale_opens(void **state)
{
	Joined ann;

	(void) state;
	date->opens_at_ms = fake_clock_ms() + 1500;
	start_admission();
	ann = join(ANN);
	loop_run(fake_base, 1000);
	assert_int_equal(check(ann.place, ANN).state, ROOM_STATE_WAITING);
	wait_state(ann.place, ROOM_STATE_ADMITTED);
}

/* Half of them click twice at once. */
static void
a_storm_of_joins_gives_dense_unique_numbers(void **state)
{
	Joined *storm = calloc(2 * STORM_USERS, sizeof(Joined));
	bool *given = calloc(STORM_USERS + 1, sizeof(bool));
	char user_id[37];
	struct { int answers; int wanted; } all = {0, 2 * STORM_USERS};

	(void) state;
	for (int i = 0; i < STORM_USERS; i++)
	{
		new_id(user_id);
		room_join(room, date->id, user_id, took_place, &storm[2 * i]);
		room_join(room, date->id, user_id, took_place, &storm[2 * i + 1]);
	}
	for (int64_t deadline_ms = loop_now_ms() + LOOP_WAIT_MS;
		 all.answers < all.wanted && loop_now_ms() < deadline_ms;)
	{
		loop_run(fake_base, 10);
		all.answers = 0;
		for (int i = 0; i < 2 * STORM_USERS; i++)
			all.answers += storm[i].answers;
	}
	assert_int_equal(all.answers, all.wanted);
	for (int i = 0; i < STORM_USERS; i++)
	{
		assert_int_equal(storm[2 * i].status, ROOM_OK);
		assert_int_equal(storm[2 * i].number, storm[2 * i + 1].number);
		assert_int_equal(storm[2 * i].created + storm[2 * i + 1].created, 1);
		assert_in_range(storm[2 * i].number, 1, STORM_USERS);
		assert_false(given[storm[2 * i].number]);
		given[storm[2 * i].number] = true;
	}
	free(storm);
	free(given);
}

static void
two_copies_never_give_one_number_twice(void **state)
{
	Room *other = room_open(fake_base, redis, NULL, keys, &room_config);
	Joined *joined = calloc(STORM_USERS, sizeof(Joined));
	bool *given = calloc(10 * STORM_USERS, sizeof(bool));
	char user_id[37];

	(void) state;
	for (int i = 0; i < STORM_USERS; i++)
	{
		new_id(user_id);
		joined[i].wanted = 1;
		room_join(i % 2 == 0 ? room : other, date->id, user_id, took_place, &joined[i]);
		if (i % 100 == 0)
			loop_run(fake_base, 1);
	}
	for (int i = 0; i < STORM_USERS; i++)
	{
		assert_true(loop_until(fake_base, loop_int_reached, &joined[i], LOOP_WAIT_MS));
		assert_int_equal(joined[i].status, ROOM_OK);
		assert_in_range(joined[i].number, 1, 10 * STORM_USERS - 1);
		assert_false(given[joined[i].number]);
		given[joined[i].number] = true;
	}
	loop_run(fake_base, 50);
	room_close(other);
	free(joined);
	free(given);
}

static void
the_cap_is_filled_in_order_and_not_passed(void **state)
{
	Joined fans[30];
	Checked checked;
	char user_id[37];

	(void) state;
	for (int i = 0; i < 30; i++)
	{
		new_id(user_id);
		fans[i] = join(user_id);
	}
	start_admission();
	wait_state(fans[9].place, ROOM_STATE_ADMITTED);
	for (int round = 0; round < 10; round++)
	{
		for (int i = 0; i < 30; i++)
		{
			checked = check(fans[i].place, NULL);
			assert_int_equal(checked.state, i < 10 ? ROOM_STATE_ADMITTED : ROOM_STATE_WAITING);
			if (i >= 10)
				assert_int_equal(checked.position, i - 9);
		}
		loop_run(fake_base, 50);
	}
}

static void
asking_again_gives_the_same_pass(void **state)
{
	Joined ann = join(ANN);
	Checked first;
	Checked again;
	Pass pass;

	(void) state;
	start_admission();
	first = wait_state(ann.place, ROOM_STATE_ADMITTED);
	loop_run(fake_base, 2500); /* longer than the time to claim */
	again = check(ann.place, ANN);
	assert_int_equal(again.state, ROOM_STATE_ADMITTED);
	assert_string_equal(again.pass, first.pass);
	assert_true(again.pass_expires_in_ms < first.pass_expires_in_ms - 2000);
	assert_true(token_read_pass(keys, first.pass, &pass));
	assert_string_equal(pass.user_id, ANN);
	assert_string_equal(pass.date_id, date->id);
	assert_int_equal(pass.number, ann.number);
	assert_int_equal(pass.issued_seconds, date->batches[0].issued_at_ms / 1000);
	assert_int_equal(pass.expires_seconds - pass.issued_seconds, date->pass_seconds);
	assert_int_equal(join(ANN).state, ROOM_STATE_ADMITTED);
	assert_int_equal(join(ANN).number, ann.number);
}

static void
the_absent_are_walked_past_and_may_join_again(void **state)
{
	Joined ann = join(ANN);
	Joined bob;
	Joined again;

	(void) state;
	loop_run(fake_base, 2100 * SLOT_SECONDS);
	bob = join(BOB);
	start_admission();
	wait_state(bob.place, ROOM_STATE_ADMITTED);
	assert_int_equal(check(ann.place, ANN).state, ROOM_STATE_LOST);
	again = join(ANN);
	assert_true(again.created);
	assert_true(again.number > bob.number);
	assert_int_equal(check(ann.place, ANN).state, ROOM_STATE_LOST);
	wait_state(again.place, ROOM_STATE_ADMITTED);
}

static void
who_does_not_claim_in_time_loses_the_place(void **state)
{
	Joined ann;
	Joined bob;

	(void) state;
	date->cap = 1;
	date->claim_seconds = 1;
	ann = join(ANN);
	bob = join(BOB);
	start_admission();
	wait_state(bob.place, ROOM_STATE_ADMITTED);
	assert_int_equal(check(ann.place, ANN).state, ROOM_STATE_LOST);
	assert_int_equal(date->batch_count, 2);
}

static void
a_place_given_up_frees_its_seat_in_the_room_unless_a_pass_is_out(void **state)
{
	Joined ann;
	Joined bob;

	(void) state;
	date->cap = 1;
	date->claim_seconds = 30;
	ann = join(ANN);
	bob = join(BOB);
	start_admission();
	loop_run(fake_base, 700);
	room_leave(room, date->id, ANN);
	assert_int_equal(wait_state(bob.place, ROOM_STATE_ADMITTED).state, ROOM_STATE_ADMITTED);
	assert_int_equal(check(ann.place, ANN).state, ROOM_STATE_LOST);
	ann = join(ANN);
	room_leave(room, date->id, BOB);
	loop_run(fake_base, 700);
	assert_int_equal(check(bob.place, BOB).state, ROOM_STATE_ADMITTED);
	assert_int_equal(check(ann.place, ANN).state, ROOM_STATE_WAITING);
}

static void
one_copy_admits_at_a_time(void **state)
{
	Admission *other = admission_open(fake_base, room, fake_session(1));

	(void) state;
	start_admission();
	loop_run(fake_base, 1500);
	assert_int_equal(admission_leads(admission) + admission_leads(other), 1);
	if (admission_leads(other))
		fake_lose_session(fake_session(1));
	else
		fake_lose_session(fake_session(0));
	assert_int_equal(admission_leads(admission) + admission_leads(other), 0);
	loop_run(fake_base, 2500);
	assert_int_equal(admission_leads(admission) + admission_leads(other), 1);
	admission_close(other);
}

static void
fault_at_the_record(FakeFault fault)
{
	Joined ann = join(ANN);
	Joined bob;

	fake_fault = fault;
	start_admission();
	wait_state(ann.place, ROOM_STATE_ADMITTED);
	assert_int_equal(fake_fault, FAKE_FINE);
	assert_int_equal(date->batch_count, 1);
	assert_int_equal(date->stale, 0);
	bob = join(BOB);
	wait_state(bob.place, ROOM_STATE_ADMITTED);
	assert_int_equal(date->batch_count, 2);
	assert_int_equal(check(ann.place, ANN).state, ROOM_STATE_ADMITTED);
}

static void
a_batch_that_could_not_be_recorded_is_planned_anew(void **state)
{
	(void) state;
	fault_at_the_record(FAKE_RECORD_FAILS);
}

static void
a_batch_of_unknown_outcome_that_was_recorded_is_committed(void **state)
{
	(void) state;
	fault_at_the_record(FAKE_RECORD_LOST);
}

static void
a_batch_of_unknown_outcome_that_was_not_recorded_is_dropped(void **state)
{
	(void) state;
	fault_at_the_record(FAKE_RECORD_NEVER);
}

static void
a_redis_that_was_killed_goes_on_where_the_database_says(void **state)
{
	Joined fans[14];
	Joined late;
	Checked checked[14];
	char users[15][37];

	(void) state;
	for (int i = 0; i < 14; i++)
	{
		new_id(users[i]);
		fans[i] = join(users[i]);
	}
	start_admission();
	for (int i = 0; i < 10; i++)
		checked[i] = wait_state(fans[i].place, ROOM_STATE_ADMITTED);
	assert_true(redis_server_kill(&server));
	loop_run(fake_base, 300);
	assert_int_equal(check(fans[12].place, NULL).state, ROOM_STATE_UNAVAILABLE);
	assert_true(redis_server_up(&server));
	assert_true(loop_until(fake_base, redis_is_up, redis, LOOP_WAIT_MS));
	loop_run(fake_base, 700);
	for (int i = 0; i < 14; i++)
	{
		Checked again = check(fans[i].place, users[i]);

		assert_int_equal(again.state, i < 10 ? ROOM_STATE_ADMITTED : ROOM_STATE_WAITING);
		if (i < 10)
			assert_string_equal(again.pass, checked[i].pass);
	}
	assert_int_equal(join(users[12]).number, fans[12].number);
	new_id(users[14]);
	late = join(users[14]);
	assert_true(late.number > fans[13].number);
	assert_in_range(late.number, LEASE + 1, 3 * LEASE);
	assert_int_equal(check(late.place, NULL).state, ROOM_STATE_WAITING);
	assert_int_equal(date->stale, 0);
}

/* A replica that took over without the newest writes. */
static void
a_redis_that_forgot_the_newest_batches_learns_them_again(void **state)
{
	Joined ann = join(ANN);
	Joined bob;
	Joined carol;
	char carol_id[37];
	char command[256];
	char line[64];

	(void) state;
	start_admission();
	wait_state(ann.place, ROOM_STATE_ADMITTED);
	admission_close(admission);
	loop_run(fake_base, 100);
	memset(fake_sessions, 0, sizeof(fake_sessions));
	snprintf(command, sizeof(command), "hset '{%s}:room' serving 0 frozen 0 tail 0", date->id);
	assert_true(redis_server_cli(&server, line, sizeof(line), command));
	snprintf(command, sizeof(command), "del '{%s}:batches' '{%s}:active'", date->id, date->id);
	assert_true(redis_server_cli(&server, line, sizeof(line), command));
	assert_int_equal(check(ann.place, ANN).number, ann.number);
	bob = join(BOB);
	assert_true(bob.number > ann.number);
	start_admission();
	wait_state(bob.place, ROOM_STATE_ADMITTED);
	assert_int_equal(check(ann.place, ANN).state, ROOM_STATE_ADMITTED);
	new_id(carol_id);
	carol = join(carol_id);
	assert_true(carol.number > LEASE);
	assert_true(date->batches[1].from > date->batches[0].to);
}

static void
a_database_that_is_away_costs_nobody_the_place(void **state)
{
	Joined ann = join(ANN);
	Joined bob;

	(void) state;
	start_admission();
	wait_state(ann.place, ROOM_STATE_ADMITTED);
	bob = join(BOB);
	fake_fault = FAKE_AWAY;
	for (int i = 0; i < 20; i++)
	{
		RoomState seen = check(bob.place, NULL).state;

		assert_true(seen == ROOM_STATE_WAITING || seen == ROOM_STATE_ADMITTED);
		loop_run(fake_base, 50);
	}
	fake_fault = FAKE_FINE;
	wait_state(bob.place, ROOM_STATE_ADMITTED);
}

static int
live_passes(int64_t now_ms)
{
	int live = 0;

	for (int i = 0; i < CROWD; i++)
		live += crowd[i].pass_ends_ms > now_ms;
	return live;
}

static void
fan_joined(void *arg, RoomStatus status, const RoomPlace *place)
{
	Fan *fan = arg;

	fan->joining = false;
	if (status != ROOM_OK)
		return;
	fan->number = place->number;
	snprintf(fan->place, sizeof(fan->place), "%s", place->place);
}

/* The property: at no moment are more passes alive than the cap; a place never gets two different passes. */
static void
fan_checked(void *arg, const RoomCheck *check)
{
	Fan *fan = arg;
	int64_t now_ms = loop_now_ms();

	fan->checking = false;
	if (check->state == ROOM_STATE_LOST)
	{
		fan->place[0] = '\0';
		fan->pass[0] = '\0';
	}
	if (check->state != ROOM_STATE_ADMITTED)
		return;
	assert_true(fan->pass[0] == '\0' || strcmp(fan->pass, check->pass) == 0);
	strcpy(fan->pass, check->pass);
	fan->pass_ends_ms = now_ms + check->pass_expires_in_ms;
	if (live_passes(now_ms) > date->cap)
		fail_msg("%d passes are alive, the cap is %d", live_passes(now_ms), date->cap);
}

/* Asks, joins, doubles its clicks, stays away for a while: a fan at random. */
static void
fan_act(Fan *fan, int64_t now_ms)
{
	if (now_ms < fan->ask_at_ms || fan->joining || fan->checking)
		return;
	fan->ask_at_ms = now_ms + (rand() % 20 == 0 ? 3000 : 50 + rand() % 400);
	if (fan->place[0] == '\0' || rand() % 30 == 0)
	{
		fan->joining = true;
		room_join(room, date->id, fan->user_id, fan_joined, fan);
	}
	else
	{
		fan->checking = true;
		room_check(room, fan->place, fan->user_id, fan_checked, fan);
	}
}

static void
crowd_start(void)
{
	srand(11);
	memset(crowd, 0, sizeof(crowd));
	for (int i = 0; i < CROWD; i++)
	{
		new_id(crowd[i].user_id);
		crowd[i].ask_at_ms = loop_now_ms() + rand() % 1000;
	}
}

static void
crowd_settle(void)
{
	for (bool busy = true; busy;)
	{
		loop_run(fake_base, 50);
		busy = false;
		for (int i = 0; i < CROWD; i++)
			busy = busy || crowd[i].joining || crowd[i].checking;
	}
}

static void
batches_follow_each_other(void)
{
	int64_t people = 0;

	for (int i = 0; i < date->batch_count; i++)
	{
		people += date->batches[i].admitted;
		if (i > 0)
			assert_int_equal(date->batches[i].from, date->batches[i - 1].to + 1);
	}
	assert_true(people > date->cap);
}

static void
a_crowd_never_has_more_passes_than_the_cap(void **state)
{
	int64_t until_ms = loop_now_ms() + CROWD_MS;

	(void) state;
	date->cap = 17;
	date->claim_seconds = 1;
	date->pass_seconds = 2;
	crowd_start();
	start_admission();
	while (loop_now_ms() < until_ms)
	{
		for (int i = 0; i < CROWD; i++)
			fan_act(&crowd[i], loop_now_ms());
		loop_run(fake_base, 5);
	}
	crowd_settle();
	batches_follow_each_other();
	assert_int_equal(date->stale, 0);
}

/* Redis killed, answers lost, sessions lost: the cap still holds. */
static void
a_crowd_keeps_to_the_cap_through_faults(void **state)
{
	static const FakeFault faults[] = {FAKE_RECORD_FAILS, FAKE_RECORD_LOST, FAKE_RECORD_NEVER};
	int64_t started_ms = loop_now_ms();
	int64_t fault_at_ms = started_ms + 1500;
	bool killed = false;

	(void) state;
	date->cap = 17;
	date->claim_seconds = 1;
	date->pass_seconds = 3;
	crowd_start();
	start_admission();
	while (loop_now_ms() < started_ms + CROWD_MS)
	{
		for (int i = 0; i < CROWD; i++)
			fan_act(&crowd[i], loop_now_ms());
		loop_run(fake_base, 5);
		if (loop_now_ms() > fault_at_ms)
		{
			fake_fault = faults[rand() % 3];
			fault_at_ms = loop_now_ms() + 1500;
		}
		if (!killed && loop_now_ms() > started_ms + CROWD_MS / 2)
		{
			killed = true;
			assert_true(redis_server_kill(&server));
			assert_true(redis_server_up(&server));
		}
	}
	fake_fault = FAKE_FINE;
	crowd_settle();
	for (int i = 1; i < date->batch_count; i++)
		assert_true(date->batches[i].from > date->batches[i - 1].to);
	assert_true(killed && date->batch_count > 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_joins_twice_gets_the_same_place, setup, teardown),
		cmocka_unit_test_setup_teardown(only_the_users_own_unchanged_place_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(a_date_is_open_closed_or_unknown, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_is_admitted_before_the_sale_opens, setup, teardown),
		cmocka_unit_test_setup_teardown(a_storm_of_joins_gives_dense_unique_numbers, setup,
										teardown),
		cmocka_unit_test_setup_teardown(two_copies_never_give_one_number_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(the_cap_is_filled_in_order_and_not_passed, setup, teardown),
		cmocka_unit_test_setup_teardown(asking_again_gives_the_same_pass, setup, teardown),
		cmocka_unit_test_setup_teardown(the_absent_are_walked_past_and_may_join_again, setup,
										teardown),
		cmocka_unit_test_setup_teardown(who_does_not_claim_in_time_loses_the_place, setup,
										teardown),
		cmocka_unit_test_setup_teardown(
			a_place_given_up_frees_its_seat_in_the_room_unless_a_pass_is_out, setup, teardown),
		cmocka_unit_test_setup_teardown(one_copy_admits_at_a_time, setup, teardown),
		cmocka_unit_test_setup_teardown(a_batch_that_could_not_be_recorded_is_planned_anew, setup,
										teardown),
		cmocka_unit_test_setup_teardown(a_batch_of_unknown_outcome_that_was_recorded_is_committed,
										setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_batch_of_unknown_outcome_that_was_not_recorded_is_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(a_redis_that_was_killed_goes_on_where_the_database_says,
										setup, teardown),
		cmocka_unit_test_setup_teardown(a_redis_that_forgot_the_newest_batches_learns_them_again,
										setup, teardown),
		cmocka_unit_test_setup_teardown(a_database_that_is_away_costs_nobody_the_place, setup,
										teardown),
		cmocka_unit_test_setup_teardown(a_crowd_never_has_more_passes_than_the_cap, setup,
										teardown),
		cmocka_unit_test_setup_teardown(a_crowd_keeps_to_the_cap_through_faults, setup, teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
