/* SPDX-License-Identifier: PostgreSQL */
/*
 * Holds and marks against a real Redis in cluster mode; the database is a table in this file. Two
 * users never hold one seat; a refusal names every seat; an old mark never undoes a newer one;
 * nothing that Redis forgets or remembers too long outlives a rebuild or a sweep.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <uuid/uuid.h>

#include "fake_rows.h"
#include "hold.h"
#include "loop.h"
#include "redis_server.h"
#include "sql.h"

#define REDIS_TIMEOUT_MS 3000
#define SEATS 600
#define STORM_USERS 40
#define STORM_TAKES 6000
#define STORM_SEATS 25
#define ANN "00000000-0000-4000-8000-00000000000a"
#define BOB "00000000-0000-4000-8000-00000000000b"

typedef struct Truth
{
	char		seat_id[37];
	const char *state; /* NULL: no such seat */
	char		user_id[37];
	int64_t		fence;
	int64_t		remaining_ms;
} Truth;

typedef struct Answer
{
	int		   answers;
	int		   wanted;
	HoldStatus status;
	int64_t	   fence;
	int		   refusal_count;
	char	   seats[8][37];
	char	   reasons[8][16];
	int64_t	   remaining_ms[8];
	bool	   ok;
	HoldSweep  sweep;
} Answer;

typedef struct Storm Storm;
typedef struct StormTake
{
	Storm  *storm;
	int		user;
	int		seats[4];
	int		count;
	int64_t fence;
} StormTake;

struct Storm
{
	int		  owner[STORM_SEATS]; /* user + 1, or 0 */
	int64_t	  fence[STORM_SEATS];
	char	  users[STORM_USERS][37];
	int		  answers;
	int		  wanted;
	int		  begun;
	int		  won;
	StormTake won_takes[64];
	int		  won_count;
};

static struct event_base *base;
static RedisServer		  server;
static Redis			 *redis;
static Hold				 *hold;
static char				  date_id[37];
static Truth			  truth[SEATS];
static bool				  database_away;
static int				  database_reads;

/* The fake of sql.c. */
bool
sql_seat_states(Db *db, const char *concert_date_id, const char *seat_ids, DbDone done, void *arg)
{
	PGresult *res = database_away ? NULL : fake_rows(5);
	char	  fence[24];
	char	  remaining_ms[24];

	(void) db;
	assert_string_equal(concert_date_id, date_id);
	database_reads++;
	for (int i = 0; i < SEATS && res != NULL; i++)
	{
		const Truth *seat = &truth[i];

		if (seat->state == NULL || (seat_ids == NULL && strcmp(seat->state, "free") == 0) ||
			(seat_ids != NULL && strstr(seat_ids, seat->seat_id) == NULL))
			continue;
		snprintf(fence, sizeof(fence), "%lld", (long long) seat->fence);
		snprintf(remaining_ms, sizeof(remaining_ms), "%lld", (long long) seat->remaining_ms);
		fake_rows_add(res, seat->seat_id, seat->state,
					  seat->user_id[0] != '\0' ? seat->user_id : NULL, fence,
					  strcmp(seat->state, "pending") == 0 ? remaining_ms : NULL);
	}
	fake_rows_send(base, res, done, arg);
	return true;
}

static void
set_truth(int seat, const char *state, const char *user_id, int64_t fence, int64_t remaining_ms)
{
	truth[seat].state = state;
	snprintf(truth[seat].user_id, sizeof(truth[seat].user_id), "%s", user_id);
	truth[seat].fence = fence;
	truth[seat].remaining_ms = remaining_ms;
}

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
wait_answer(Answer *answer)
{
	assert_true(loop_until(base, loop_int_reached, answer, LOOP_WAIT_MS));
	assert_int_equal(answer->answers, answer->wanted);
}

static void
taken(void *arg, HoldStatus status, int64_t fence, const HoldRefusal *refusals, int refusal_count)
{
	Answer *answer = arg;

	answer->answers++;
	answer->status = status;
	answer->fence = fence;
	answer->refusal_count = refusal_count;
	for (int i = 0; i < refusal_count && i < 8; i++)
	{
		snprintf(answer->seats[i], sizeof(answer->seats[i]), "%s", refusals[i].seat_id);
		snprintf(answer->reasons[i], sizeof(answer->reasons[i]), "%s", refusals[i].reason);
		answer->remaining_ms[i] = refusals[i].remaining_ms;
	}
}

static void
send_take(Answer *answer, const char *user_id, const char *key, int count, const int *seats)
{
	const char *seat_ids[8];

	for (int i = 0; i < count; i++)
		seat_ids[i] = truth[seats[i]].seat_id;
	answer->wanted++;
	hold_take(hold, date_id, user_id, key, count, seat_ids, taken, answer);
}

#define TAKE(user, key, ...) \
	take(user, key, (int) (sizeof((int[]){__VA_ARGS__}) / sizeof(int)), (int[]){__VA_ARGS__})

static Answer
take(const char *user_id, const char *key, int count, const int *seats)
{
	Answer answer = {0};

	send_take(&answer, user_id, key, count, seats);
	assert_int_equal(answer.answers, 0);
	wait_answer(&answer);
	return answer;
}

static void
marked(void *arg, bool ok)
{
	Answer *answer = arg;

	answer->answers++;
	answer->ok = ok;
}

static bool
mark(int seat, const char *state, const char *user_id, int64_t fence, int64_t remaining_ms)
{
	const SeatMark mark = {truth[seat].seat_id, state, user_id, fence, remaining_ms};
	Answer		   answer = {.wanted = 1};

	hold_mark(hold, date_id, 1, &mark, marked, &answer);
	wait_answer(&answer);
	return answer.ok;
}

static void
release(const char *user_id, int64_t fence, int seat)
{
	const char *const seat_ids[] = {truth[seat].seat_id};

	hold_release(hold, date_id, user_id, fence, 1, seat_ids);
}

static void
swept(void *arg, const HoldSweep *sweep)
{
	Answer *answer = arg;

	answer->answers++;
	answer->sweep = *sweep;
}

static HoldSweep
sweep_date(void)
{
	Answer answer = {.wanted = 1};

	hold_sweep(hold, date_id, swept, &answer);
	wait_answer(&answer);
	return answer.sweep;
}

static int
group_setup(void **state)
{
	const HoldConfig config = {
		.hold_seconds = 30, .sold_mark_seconds = 60, .blocked_mark_seconds = 10};

	(void) state;
	base = event_base_new();
	if (!redis_server_start(&server))
		return -1;
	redis = redis_open(base, server.nodes, REDIS_TIMEOUT_MS);
	hold = hold_open(base, redis, NULL, &config);
	return loop_until(base, redis_is_up, redis, LOOP_WAIT_MS) ? 0 : -1;
}

static int
group_teardown(void **state)
{
	(void) state;
	redis_close(redis);
	hold_close(hold);
	redis_server_stop(&server);
	event_base_free(base);
	return 0;
}

/* A date of its own for each test, with SEATS free seats. */
static int
setup(void **state)
{
	const HoldConfig config = {
		.hold_seconds = 30, .sold_mark_seconds = 60, .blocked_mark_seconds = 10};

	(void) state;
	hold_configure(hold, &config);
	database_away = false;
	database_reads = 0;
	new_id(date_id);
	for (int i = 0; i < SEATS; i++)
	{
		new_id(truth[i].seat_id);
		set_truth(i, "free", "", 0, 0);
	}
	return 0;
}

static void
a_booking_holds_all_its_seats_or_none(void **state)
{
	Answer ann = TAKE(ANN, "k1", 1, 2);
	Answer bob;

	(void) state;
	assert_int_equal(ann.status, HOLD_OK);
	assert_true(ann.fence > 1600000000000000);
	set_truth(3, "sold", ANN, 7, 0);
	assert_true(mark(3, "sold", ANN, 7, 0));
	assert_true(mark(4, "blocked", "", 0, 0));
	bob = TAKE(BOB, "k2", 0, 1, 3, 2, 4);
	assert_int_equal(bob.status, HOLD_REFUSED);
	assert_int_equal(bob.refusal_count, 4);
	assert_string_equal(bob.seats[0], truth[1].seat_id);
	assert_string_equal(bob.reasons[0], "held");
	assert_in_range(bob.remaining_ms[0], 25000, 30000);
	assert_string_equal(bob.seats[1], truth[3].seat_id);
	assert_string_equal(bob.reasons[1], "sold");
	assert_int_equal(bob.remaining_ms[1], 0);
	assert_string_equal(bob.reasons[2], "held");
	assert_string_equal(bob.reasons[3], "blocked");
	assert_int_equal(TAKE(BOB, "k3", 0).status, HOLD_OK);
}

static void
a_double_click_takes_over_its_own_hold(void **state)
{
	Answer first = TAKE(ANN, "k1", 1, 2);
	Answer second = TAKE(ANN, "k1", 1, 2);
	Answer wider = TAKE(ANN, "k2", 1, 2, 3);

	(void) state;
	assert_int_equal(second.status, HOLD_OK);
	assert_int_equal(second.fence, first.fence);
	assert_int_equal(wider.status, HOLD_OK);
	assert_true(wider.fence > first.fence);
}

static void
the_users_own_reservation_passes_to_the_database(void **state)
{
	Answer ann = TAKE(ANN, "k1", 1);
	Answer again;

	(void) state;
	assert_true(mark(1, "pending", ANN, ann.fence, 300000));
	again = TAKE(ANN, "k1", 1);
	assert_int_equal(again.status, HOLD_OK);
	assert_int_equal(again.fence, ann.fence);
	assert_int_equal(TAKE(BOB, NULL, 1).status, HOLD_REFUSED);
	release(ANN, ann.fence, 1);
	assert_int_equal(TAKE(BOB, NULL, 1).status, HOLD_REFUSED);
	assert_true(mark(1, "sold", ANN, ann.fence, 0));
	assert_int_equal(TAKE(ANN, "k1", 1).status, HOLD_OK);
	assert_string_equal(TAKE(BOB, NULL, 1).reasons[0], "sold");
}

static void
a_refusal_is_remembered_under_its_key(void **state)
{
	Answer ann = TAKE(ANN, NULL, 1);
	Answer first = TAKE(BOB, "k1", 1, 2);
	Answer again;

	(void) state;
	assert_int_equal(first.status, HOLD_REFUSED);
	release(ANN, ann.fence, 1);
	again = TAKE(BOB, "k1", 2, 1);
	assert_int_equal(again.status, HOLD_REFUSED);
	assert_int_equal(again.refusal_count, 1);
	assert_string_equal(again.seats[0], truth[1].seat_id);
	assert_int_equal(again.remaining_ms[0], first.remaining_ms[0]);
	assert_int_equal(TAKE(BOB, "k1", 3).status, HOLD_KEY_MISMATCH);
	assert_int_equal(TAKE(ANN, "k1", 3).status, HOLD_OK);
	assert_int_equal(TAKE(BOB, "k2", 1, 2).status, HOLD_OK);
}

static void
only_the_holder_with_its_fence_releases(void **state)
{
	Answer ann = TAKE(ANN, NULL, 1);

	(void) state;
	release(BOB, ann.fence, 1);
	release(ANN, ann.fence + 1, 1);
	assert_int_equal(TAKE(BOB, NULL, 1).status, HOLD_REFUSED);
	release(ANN, ann.fence, 1);
	assert_int_equal(TAKE(BOB, NULL, 1).status, HOLD_OK);
}

static void
a_hold_lapses_by_itself_and_is_not_prolonged_by_clicking(void **state)
{
	const HoldConfig config = {
		.hold_seconds = 1, .sold_mark_seconds = 60, .blocked_mark_seconds = 10};
	Answer ann;
	Answer bob;

	(void) state;
	hold_configure(hold, &config);
	ann = TAKE(ANN, NULL, 1);
	loop_run(base, 700);
	assert_int_equal(TAKE(ANN, NULL, 1).fence, ann.fence);
	loop_run(base, 400);
	bob = TAKE(BOB, NULL, 1);
	assert_int_equal(bob.status, HOLD_OK);
	assert_true(bob.fence > ann.fence);
}

static void
an_old_mark_does_not_undo_a_newer_one(void **state)
{
	(void) state;
	TAKE(ANN, NULL, 0);
	assert_true(mark(1, "pending", ANN, 20, 300000));
	assert_true(mark(1, "free", "", 20, 0));
	assert_true(mark(1, "pending", ANN, 20, 300000));
	assert_int_equal(TAKE(BOB, NULL, 1).status, HOLD_OK);

	assert_true(mark(2, "sold", ANN, 20, 0));
	assert_true(mark(2, "pending", ANN, 20, 300000));
	assert_true(mark(2, "free", "", 19, 0));
	assert_string_equal(TAKE(BOB, NULL, 2).reasons[0], "sold");
	assert_true(mark(2, "free", "", 20, 0));
	assert_int_equal(TAKE(BOB, NULL, 2).status, HOLD_OK);

	assert_true(mark(3, "pending", ANN, 20, 200000));
	assert_true(mark(3, "pending", ANN, 20, 300000));
	assert_true(mark(3, "pending", ANN, 20, 100000));
	assert_in_range(TAKE(BOB, NULL, 3).remaining_ms[0], 290000, 300000);
}

static void
a_mark_without_a_fence_gives_way(void **state)
{
	Answer ann = TAKE(ANN, NULL, 1);

	(void) state;
	assert_true(mark(1, "sold", "", 0, 0));
	assert_int_equal(TAKE(ANN, NULL, 1).fence, ann.fence);
	release(ANN, ann.fence, 1);
	assert_true(mark(1, "sold", "", 0, 0));
	assert_string_equal(TAKE(BOB, NULL, 1).reasons[0], "sold");
	assert_true(mark(1, "free", "", 5, 0));
	assert_int_equal(TAKE(BOB, NULL, 1).status, HOLD_OK);
}

/* A database whose clock, or whose last Redis, was ahead. */
static void
a_hold_starts_above_every_fence_that_a_mark_told(void **state)
{
	const int64_t ahead = 4000000000000000;
	Answer		  ann;

	(void) state;
	TAKE(ANN, NULL, 0);
	assert_true(mark(1, "free", "", ahead, 0));
	ann = TAKE(ANN, NULL, 1);
	assert_int_equal(ann.status, HOLD_OK);
	assert_int_equal(ann.fence, ahead + 1);
}

static void
a_pending_mark_lives_as_long_as_the_reservation(void **state)
{
	(void) state;
	TAKE(ANN, NULL, 0);
	assert_true(mark(1, "pending", ANN, 20, 300));
	assert_int_equal(TAKE(BOB, NULL, 1).status, HOLD_REFUSED);
	loop_run(base, 400);
	assert_int_equal(TAKE(BOB, NULL, 1).status, HOLD_OK);
}

static void
a_cold_date_is_rebuilt_once_for_all_who_ask(void **state)
{
	Answer answer = {0};

	(void) state;
	for (int i = 0; i < SEATS; i++)
		set_truth(i, i % 3 == 0 ? "sold" : i % 3 == 1 ? "pending" : "free", ANN, 50 + i, 120000);
	for (int i = 0; i < 300; i++)
		send_take(&answer, BOB, NULL, 1, (int[]){2 + 3 * (i % 100)});
	wait_answer(&answer);
	assert_int_equal(answer.status, HOLD_OK);
	assert_int_equal(database_reads, 1);
	assert_string_equal(TAKE(BOB, NULL, 0).reasons[0], "sold");
	assert_in_range(TAKE(BOB, NULL, 1).remaining_ms[0], 110000, 120000);
	assert_string_equal(TAKE(BOB, NULL, SEATS - 3).reasons[0], "sold");
	assert_int_equal(database_reads, 1);
}

static void
a_cold_date_without_a_database_is_unavailable(void **state)
{
	Answer answer = {0};

	(void) state;
	database_away = true;
	for (int i = 0; i < 10; i++)
		send_take(&answer, ANN, NULL, 1, (int[]){1});
	wait_answer(&answer);
	assert_int_equal(answer.status, HOLD_UNAVAILABLE);
	database_away = false;
	assert_int_equal(TAKE(ANN, NULL, 1).status, HOLD_OK);
}

static void
a_redis_that_was_killed_is_rebuilt_from_the_database(void **state)
{
	int64_t asked_ms;
	Answer	ann = TAKE(ANN, NULL, 1);

	(void) state;
	set_truth(1, "pending", ANN, ann.fence, 200000);
	set_truth(2, "sold", ANN, 9, 0);
	assert_true(redis_server_kill(&server));
	loop_run(base, 100);
	asked_ms = clock_ms();
	assert_int_equal(TAKE(BOB, NULL, 1).status, HOLD_UNAVAILABLE);
	assert_true(clock_ms() - asked_ms < REDIS_TIMEOUT_MS);
	assert_false(mark(1, "pending", ANN, ann.fence, 200000));
	assert_true(redis_server_up(&server));
	assert_true(loop_until(base, redis_is_up, redis, LOOP_WAIT_MS));
	assert_in_range(TAKE(BOB, NULL, 1).remaining_ms[0], 190000, 200000);
	assert_string_equal(TAKE(BOB, NULL, 2).reasons[0], "sold");
	assert_true(TAKE(BOB, NULL, 3).fence > ann.fence);
}

static void
a_sweep_makes_marks_say_what_the_database_says(void **state)
{
	const HoldConfig brief = {
		.hold_seconds = 1, .sold_mark_seconds = 60, .blocked_mark_seconds = 10};
	HoldSweep sweep;

	(void) state;
	TAKE(BOB, NULL, 5);
	hold_configure(hold, &brief);
	TAKE(BOB, NULL, 6);
	loop_run(base, 1100);
	for (int i = 10; i < SEATS; i++)
	{
		assert_true(i % 50 != 0 || mark(i, "sold", ANN, 20, 0));
		set_truth(i, "free", "", 20, 0);
	}
	assert_true(mark(1, "sold", ANN, 20, 0));
	set_truth(1, "sold", BOB, 30, 0);
	assert_true(mark(2, "sold", ANN, 20, 0));
	set_truth(2, "sold", ANN, 20, 0);
	assert_true(mark(3, "sold", ANN, 20, 0));
	truth[3].state = NULL;
	sweep = sweep_date();
	assert_true(sweep.ok);
	assert_int_equal(sweep.marks_repaired, SEATS / 50 - 1 + 2);
	assert_int_equal(sweep.holds_lapsed, 1);
	assert_int_equal(TAKE(ANN, NULL, 50).status, HOLD_OK);
	assert_string_equal(TAKE(ANN, NULL, 5).reasons[0], "held");
	assert_string_equal(TAKE(ANN, NULL, 1).reasons[0], "sold");
	sweep = sweep_date();
	assert_true(sweep.ok);
	assert_int_equal(sweep.marks_repaired, 0);
}

static void
a_sweep_of_a_large_date_reads_every_page(void **state)
{
	SeatMark  marks[SEATS];
	Answer	  answer = {.wanted = 1};
	HoldSweep sweep;

	(void) state;
	TAKE(BOB, NULL, 0);
	for (int i = 0; i < SEATS; i++)
		marks[i] = (SeatMark){truth[i].seat_id, "sold", ANN, 20, 0};
	hold_mark(hold, date_id, SEATS, marks, marked, &answer);
	wait_answer(&answer);
	assert_true(answer.ok);
	sweep = sweep_date();
	assert_true(sweep.ok);
	assert_in_range(sweep.seats_seen, SEATS, SEATS + 100);
	assert_int_equal(sweep.marks_repaired, SEATS - 1);
	database_away = true;
	assert_false(sweep_date().ok);
}

static bool
storm_over(const void *arg)
{
	const Storm *storm = arg;

	return storm->answers == STORM_TAKES;
}

static void
storm_taken(void *arg, HoldStatus status, int64_t fence, const HoldRefusal *refusals,
			int refusal_count)
{
	StormTake *take = arg;
	Storm	  *storm = take->storm;

	(void) refusals;
	storm->answers++;
	assert_true(status == HOLD_OK || status == HOLD_REFUSED);
	if (status == HOLD_REFUSED)
	{
		assert_in_range(refusal_count, 1, take->count);
		free(take);
		return;
	}
	storm->won++;
	for (int i = 0; i < take->count; i++)
	{
		int seat = take->seats[i];

		if (storm->owner[seat] != 0 && storm->owner[seat] != take->user + 1)
			fail_msg("seat %d is held by two users", seat);
		assert_true(fence >= storm->fence[seat]);
		if (fence == storm->fence[seat])
			continue; /* its own hold taken over, and perhaps released since */
		storm->owner[seat] = take->user + 1;
		storm->fence[seat] = fence;
	}
	take->fence = fence;
	assert_true(storm->won_count < 64);
	storm->won_takes[storm->won_count++] = *take;
	free(take);
}

/* Gives back what is still held under that fence, before Redis is told. */
static void
storm_release(Storm *storm, int index)
{
	StormTake	take = storm->won_takes[index];
	const char *seat_ids[4];

	storm->won_takes[index] = storm->won_takes[--storm->won_count];
	for (int i = 0; i < take.count; i++)
	{
		seat_ids[i] = truth[take.seats[i]].seat_id;
		if (storm->owner[take.seats[i]] == take.user + 1 &&
			storm->fence[take.seats[i]] == take.fence)
			storm->owner[take.seats[i]] = 0;
	}
	hold_release(hold, date_id, storm->users[take.user], take.fence, take.count, seat_ids);
}

static void
storm_take(Storm *storm)
{
	StormTake  *take = calloc(1, sizeof(StormTake));
	const char *seat_ids[4];

	take->storm = storm;
	take->user = rand() % STORM_USERS;
	take->count = 1 + rand() % 4;
	for (int i = 0; i < take->count; i++)
	{
		take->seats[i] = i == 0 ? rand() % (STORM_SEATS - 4) : take->seats[i - 1] + 1;
		seat_ids[i] = truth[take->seats[i]].seat_id;
	}
	storm->begun++;
	hold_take(hold, date_id, storm->users[take->user], NULL, take->count, seat_ids, storm_taken,
			  take);
}

/* P1's first line: never two users on one seat, and a newer hold always has a newer fence. */
static void
two_users_never_hold_one_seat(void **state)
{
	Storm *storm = calloc(1, sizeof(Storm));

	(void) state;
	srand(7);
	for (int i = 0; i < STORM_USERS; i++)
		new_id(storm->users[i]);
	while (storm->begun < STORM_TAKES)
	{
		for (int i = 0; i < 20 && storm->begun < STORM_TAKES; i++)
			storm_take(storm);
		loop_run(base, 1);
		while (storm->won_count > 5)
			storm_release(storm, rand() % storm->won_count);
	}
	assert_true(loop_until(base, storm_over, storm, LOOP_WAIT_MS));
	assert_true(storm->won > STORM_TAKES / 50);
	free(storm);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_booking_holds_all_its_seats_or_none, setup),
		cmocka_unit_test_setup(a_double_click_takes_over_its_own_hold, setup),
		cmocka_unit_test_setup(the_users_own_reservation_passes_to_the_database, setup),
		cmocka_unit_test_setup(a_refusal_is_remembered_under_its_key, setup),
		cmocka_unit_test_setup(only_the_holder_with_its_fence_releases, setup),
		cmocka_unit_test_setup(a_hold_lapses_by_itself_and_is_not_prolonged_by_clicking, setup),
		cmocka_unit_test_setup(an_old_mark_does_not_undo_a_newer_one, setup),
		cmocka_unit_test_setup(a_mark_without_a_fence_gives_way, setup),
		cmocka_unit_test_setup(a_hold_starts_above_every_fence_that_a_mark_told, setup),
		cmocka_unit_test_setup(a_pending_mark_lives_as_long_as_the_reservation, setup),
		cmocka_unit_test_setup(a_cold_date_is_rebuilt_once_for_all_who_ask, setup),
		cmocka_unit_test_setup(a_cold_date_without_a_database_is_unavailable, setup),
		cmocka_unit_test_setup(a_redis_that_was_killed_is_rebuilt_from_the_database, setup),
		cmocka_unit_test_setup(a_sweep_makes_marks_say_what_the_database_says, setup),
		cmocka_unit_test_setup(a_sweep_of_a_large_date_reads_every_page, setup),
		cmocka_unit_test_setup(two_users_never_hold_one_seat, setup),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
