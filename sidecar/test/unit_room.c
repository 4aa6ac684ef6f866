/* SPDX-License-Identifier: PostgreSQL */
/*
 * Places: one per user and only the user's own, no number twice, and what becomes of who is absent,
 * too late or gone. The database is fake_admission.h, Redis is a real one.
 */
#include "room_fixture.h"

#define STORM_USERS 3000

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
	char   forged[TOKEN_TEXT_MAX];

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
	char   nobody[37];

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

/* Half of them click twice at once. */
static void
a_storm_of_joins_gives_dense_unique_numbers(void **state)
{
	Joined *storm = calloc(2 * STORM_USERS, sizeof(Joined));
	bool   *given = calloc(STORM_USERS + 1, sizeof(bool));
	char	user_id[37];
	struct
	{
		int answers;
		int wanted;
	} all = {0, 2 * STORM_USERS};

	(void) state;
	for (int i = 0; i < STORM_USERS; i++)
	{
		new_id(user_id);
		room_join(room, date->id, user_id, took_place, &storm[2 * i]);
		room_join(room, date->id, user_id, took_place, &storm[2 * i + 1]);
	}
	for (int64_t deadline_ms = clock_ms() + LOOP_WAIT_MS;
		 all.answers < all.wanted && clock_ms() < deadline_ms;)
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
	Room   *other = room_open(fake_base, redis, NULL, keys, &room_config);
	Joined *joined = calloc(STORM_USERS, sizeof(Joined));
	bool   *given = calloc(10 * STORM_USERS, sizeof(bool));
	char	user_id[37];

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
asking_again_gives_the_same_pass(void **state)
{
	Joined	ann = join(ANN);
	Checked first;
	Checked again;
	Pass	pass;

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_joins_twice_gets_the_same_place, setup, teardown),
		cmocka_unit_test_setup_teardown(only_the_users_own_unchanged_place_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(a_date_is_open_closed_or_unknown, setup, teardown),
		cmocka_unit_test_setup_teardown(a_storm_of_joins_gives_dense_unique_numbers, setup,
										teardown),
		cmocka_unit_test_setup_teardown(two_copies_never_give_one_number_twice, setup, teardown),
		cmocka_unit_test_setup_teardown(asking_again_gives_the_same_pass, setup, teardown),
		cmocka_unit_test_setup_teardown(the_absent_are_walked_past_and_may_join_again, setup,
										teardown),
		cmocka_unit_test_setup_teardown(who_does_not_claim_in_time_loses_the_place, setup,
										teardown),
		cmocka_unit_test_setup_teardown(
			a_place_given_up_frees_its_seat_in_the_room_unless_a_pass_is_out, setup, teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
