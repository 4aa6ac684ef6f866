/* SPDX-License-Identifier: PostgreSQL */
/*
 * P7: the waiting room never admits above its cap, never twice on one place, never out of turn
 * among those present, whatever is lost on the way: answers, sessions, the newest writes, all of
 * Redis.
 */
#include "room_fixture.h"

#define CROWD 260
#define CROWD_MS 8000
#define BATCH_MS 300 /* more than from a plan to its commit */

typedef struct Fan
{
	char	user_id[37];
	char	place[TOKEN_TEXT_MAX];
	int64_t number;
	bool	joining;
	bool	checking;
	int64_t ask_at_ms; /* when it asks next */
	int64_t asked_ms;  /* when it asked last */
	int64_t heard_ms;  /* not later than this it was heard last */
	int64_t present_since_ms;
	int64_t highest_seen; /* number admitted when it asked */
	int64_t pass_ends_ms; /* by clock_ms(); 0: never had one */
	char	pass[TOKEN_TEXT_MAX];
} Fan;

static int64_t highest_admitted;
static bool	   faults_happen;
static char	   violation[128];
static Fan	   crowd[CROWD];

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

static void
the_cap_is_filled_in_order_and_not_passed(void **state)
{
	Joined	fans[30];
	Checked checked;
	char	user_id[37];

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
	Joined	fans[14];
	Joined	late;
	Checked checked[14];
	char	users[15][37];

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
	char   carol_id[37];
	char   command[256];
	char   line[64];

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

/* Told by the test, not from inside the loop. */
static void
violated(const char *how, int64_t number)
{
	if (violation[0] == '\0')
		snprintf(violation, sizeof(violation), "number %" PRId64 " %s", number, how);
}

/* A gap of less than a presence slot is none. */
static void
fan_heard(Fan *fan)
{
	if (fan->asked_ms - fan->heard_ms >= 1000 * SLOT_SECONDS)
		fan->present_since_ms = fan->asked_ms;
	fan->heard_ms = fan->asked_ms;
}

static void
fan_joined(void *arg, RoomStatus status, const RoomPlace *place)
{
	Fan *fan = arg;

	fan->joining = false;
	if (status != ROOM_OK)
		return;
	if (place->created)
	{
		fan->pass[0] = '\0';
		fan->present_since_ms = fan->heard_ms = fan->asked_ms;
	}
	else if (place->state == ROOM_STATE_WAITING)
		fan_heard(fan);
	fan->number = place->number;
	snprintf(fan->place, sizeof(fan->place), "%s", place->place);
}

/*
 * At no moment are more passes alive than the cap; a place never gets two different passes; nobody
 * waits in front of somebody admitted; who was there all the time, longer than a batch takes from its
 * plan to its commit, and asks again within a presence slot (the time to claim is as long) has not
 * lost the place before having a pass.
 */
static void
fan_checked(void *arg, const RoomCheck *check)
{
	Fan	   *fan = arg;
	int64_t now_ms = clock_ms();

	fan->checking = false;
	if (check->state == ROOM_STATE_LOST)
	{
		if (!faults_happen && fan->pass[0] == '\0' &&
			now_ms - fan->heard_ms < 1000 * SLOT_SECONDS &&
			fan->heard_ms - fan->present_since_ms > BATCH_MS)
			violated("was present and lost its place", fan->number);
		fan->place[0] = '\0';
		fan->pass[0] = '\0';
	}
	if (check->state == ROOM_STATE_WAITING)
		fan_heard(fan);
	if (check->state == ROOM_STATE_WAITING && check->number <= fan->highest_seen)
		violated("waits, and one behind it was admitted", check->number);
	if (check->state != ROOM_STATE_ADMITTED)
		return;
	if (fan->pass[0] != '\0' && strcmp(fan->pass, check->pass) != 0)
		violated("has two different passes", check->number);
	strcpy(fan->pass, check->pass);
	fan->pass_ends_ms = now_ms + check->pass_expires_in_ms;
	if (check->number > highest_admitted)
		highest_admitted = check->number;
	if (live_passes(now_ms) > date->cap)
		violated("is one pass above the cap", check->number);
}

/* Asks, joins, doubles its clicks, stays away for a while: a fan at random. */
static void
fan_act(Fan *fan, int64_t now_ms)
{
	if (now_ms < fan->ask_at_ms || fan->joining || fan->checking)
		return;
	fan->ask_at_ms = now_ms + (rand() % 20 == 0 ? 3000 : 50 + rand() % 400);
	fan->asked_ms = now_ms;
	fan->highest_seen = highest_admitted;
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
	highest_admitted = 0;
	faults_happen = false;
	violation[0] = '\0';
	memset(crowd, 0, sizeof(crowd));
	for (int i = 0; i < CROWD; i++)
	{
		new_id(crowd[i].user_id);
		crowd[i].ask_at_ms = clock_ms() + rand() % 1000;
	}
}

/* One turn of everybody. */
static void
crowd_act(void)
{
	for (int i = 0; i < CROWD; i++)
		fan_act(&crowd[i], clock_ms());
	loop_run(fake_base, 5);
	if (violation[0] != '\0')
		fail_msg("%s", violation);
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
	int64_t until_ms = clock_ms() + CROWD_MS;

	(void) state;
	date->cap = 17;
	date->claim_seconds = 1;
	date->pass_seconds = 2;
	crowd_start();
	start_admission();
	while (clock_ms() < until_ms)
		crowd_act();
	crowd_settle();
	batches_follow_each_other();
	assert_int_equal(date->stale, 0);
}

static void
kill_redis(void)
{
	assert_true(redis_server_kill(&server));
	assert_true(redis_server_up(&server));
}

/* Redis killed, answers lost, sessions lost: the cap still holds, and people still get in. */
static void
a_crowd_keeps_to_the_cap_through_faults(void **state)
{
	static const FakeFault faults[] = {FAKE_RECORD_FAILS, FAKE_RECORD_LOST, FAKE_RECORD_NEVER};
	int64_t				   started_ms = clock_ms();
	int64_t				   fault_at_ms = started_ms + 1500;
	int					   batches_before = -1; /* the kill */

	(void) state;
	date->cap = 17;
	date->claim_seconds = 1;
	date->pass_seconds = 3;
	crowd_start();
	faults_happen = true;
	start_admission();
	while (batches_before < 0 || date->batch_count < batches_before + 3)
	{
		assert_true(clock_ms() < started_ms + 10 * CROWD_MS);
		crowd_act();
		if (clock_ms() > fault_at_ms)
		{
			fake_fault = faults[rand() % 3];
			fault_at_ms = clock_ms() + 1500;
		}
		if (batches_before < 0 && clock_ms() > started_ms + CROWD_MS)
		{
			batches_before = date->batch_count;
			kill_redis();
		}
	}
	fake_fault = FAKE_FINE;
	crowd_settle();
	for (int i = 1; i < date->batch_count; i++)
		assert_true(date->batches[i].from > date->batches[i - 1].to);
	assert_true(batches_before > 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nobody_is_admitted_before_the_sale_opens, setup, teardown),
		cmocka_unit_test_setup_teardown(the_cap_is_filled_in_order_and_not_passed, setup, teardown),
		cmocka_unit_test_setup_teardown(one_copy_admits_at_a_time, setup, teardown),
		cmocka_unit_test_setup_teardown(a_batch_that_could_not_be_recorded_is_planned_anew, setup,
										teardown),
		cmocka_unit_test_setup_teardown(a_batch_of_unknown_outcome_that_was_recorded_is_committed,
										setup, teardown),
		cmocka_unit_test_setup_teardown(a_batch_of_unknown_outcome_that_was_not_recorded_is_dropped,
										setup, teardown),
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
