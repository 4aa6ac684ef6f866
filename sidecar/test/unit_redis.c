/* SPDX-License-Identifier: PostgreSQL */
/*
 * What redis.c and cluster.c promise: every operation is answered exactly once and in time; what
 * a server cannot have executed is tried again where the cluster says, what it may have executed
 * never is. Nodes are scripted fakes, except where a real Redis is killed and two real nodes move
 * a slot.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cluster.h"
#include "fake_redis.h"
#include "loop.h"
#include "redis.h"
#include "redis_server.h"
#include "slotmap.h"

#define TIMEOUT_MS 400
#define STORM_OPS 20000

typedef struct Fixture
{
	struct event_base *base;
	FakeRedis		  *first;
	FakeRedis		  *second;
	Redis			  *redis;
} Fixture;

typedef struct Answer
{
	int	 answers;
	int	 wanted; /* answers to wait for */
	int	 type;	 /* of the reply; 0 when it was NULL */
	char text[256];
	char error[256];
} Answer;

static const RedisScript script = {"one", "return 1"};

static void
take_answer(void *arg, const redisReply *reply, const char *errstr)
{
	Answer *answer = arg;

	answer->answers++;
	answer->type = reply != NULL ? reply->type : 0;
	snprintf(answer->text, sizeof(answer->text), "%s",
			 reply != NULL && reply->str != NULL ? reply->str : "");
	snprintf(answer->error, sizeof(answer->error), "%s", errstr != NULL ? errstr : "");
}

static void
send_get(Fixture *f, const char *key, Answer *answer)
{
	const char *const argv[] = {"GET", key};

	answer->wanted++;
	assert_true(redis_command(f->redis, key, 2, argv, NULL, take_answer, answer));
}

static void
send_script(Fixture *f, Answer *answer)
{
	const char *const keys[] = {"{a}k"};
	const char *const args[] = {"x"};

	answer->wanted++;
	assert_true(redis_script(f->redis, &script, 1, keys, 1, args, take_answer, answer));
}

static void
wait_answer(Fixture *f, Answer *answer)
{
	assert_true(loop_until(f->base, loop_int_reached, answer, LOOP_WAIT_MS));
	assert_int_equal(answer->answers, answer->wanted);
}

static bool
redis_is_up(const void *arg)
{
	return redis_up(arg);
}

static int
setup(void **state)
{
	Fixture *f = calloc(1, sizeof(Fixture));
	char	 nodes[64];

	f->base = event_base_new();
	f->first = fake_start(f->base);
	f->second = fake_start(f->base);
	snprintf(nodes, sizeof(nodes), "127.0.0.1:%d", f->first->port);
	f->redis = redis_open(f->base, nodes, TIMEOUT_MS);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	Fixture *f = *state;
	bool	 wrong = f->first->wrong[0] != '\0' || f->second->wrong[0] != '\0';

	if (wrong)
		print_error("first: %s\nsecond: %s\n", f->first->wrong, f->second->wrong);
	redis_close(f->redis);
	fake_stop(f->first);
	fake_stop(f->second);
	event_base_free(f->base);
	free(f);
	return wrong ? -1 : 0;
}

static void
the_slot_is_that_of_the_hash_tag(void **state)
{
	(void) state;
	assert_int_equal(slotmap_slot("123456789", 9), 0x31c3 % SLOTMAP_SLOTS);
	assert_int_equal(slotmap_slot("{user1000}.following", 20), slotmap_slot("user1000", 8));
	assert_int_equal(slotmap_slot("foo{{bar}}zap", 13), slotmap_slot("{bar", 4));
	assert_int_equal(slotmap_slot("foo{bar}{zap}", 13), slotmap_slot("bar", 3));
	assert_int_not_equal(slotmap_slot("foo{}{bar}", 10), slotmap_slot("bar", 3));
	assert_int_equal(slotmap_slot("open{only", 9), slotmap_slot("open{only", 9));
	assert_int_equal(slotmap_slot("", 0), 0);
}

static void
addresses_are_checked(void **state)
{
	struct event_base *base = event_base_new();
	SlotAddress		   address;
	int				   slot;

	(void) state;
	assert_true(slotmap_address("[::1]:7000@17000", 16, &address));
	assert_string_equal(address.host, "::1");
	assert_int_equal(address.port, 7000);
	assert_false(slotmap_address("host", 4, &address));
	assert_false(slotmap_address("host:", 5, &address));
	assert_false(slotmap_address("host:70000", 10, &address));
	assert_false(slotmap_address("host:7x", 7, &address));
	assert_true(slotmap_redirect("MOVED 42 :7001", "me", &slot, &address));
	assert_string_equal(address.host, "me");
	assert_int_equal(slot, 42);
	assert_false(slotmap_redirect("MOVED 16384 a:1", "me", &slot, &address));
	assert_false(slotmap_redirect("MOVED", "me", &slot, &address));
	assert_null(redis_open(base, "", TIMEOUT_MS));
	assert_null(redis_open(base, "nonsense", TIMEOUT_MS));
	event_base_free(base);
}

static void
an_operation_is_answered(void **state)
{
	Fixture *f = *state;
	Answer	 answer = {0};

	fake_step(f->first, "EXPECT GET {a}k");
	fake_step(f->first, "SEND +fine");
	send_get(f, "{a}k", &answer);
	assert_int_equal(answer.answers, 0);
	wait_answer(f, &answer);
	assert_string_equal(answer.text, "fine");
	assert_string_equal(answer.error, "");
	assert_true(redis_up(f->redis));
	assert_int_equal(redis_in_flight(f->redis), 0);
}

static void
an_error_of_the_server_is_an_answer(void **state)
{
	Fixture *f = *state;
	Answer	 answer = {0};

	fake_step(f->first, "EXPECT GET {a}k");
	fake_step(f->first, "SEND -WRONGTYPE not that kind");
	send_get(f, "{a}k", &answer);
	wait_answer(f, &answer);
	assert_int_equal(answer.type, REDIS_REPLY_ERROR);
	assert_string_equal(answer.error, "WRONGTYPE not that kind");
}

static void
moved_is_followed_remembered_and_the_map_read(void **state)
{
	Fixture *f = *state;
	Answer	 answer = {0};
	char	 moved[128];
	int		 maps = 0;

	snprintf(moved, sizeof(moved), "SEND -MOVED %d 127.0.0.1:%d", slotmap_slot("{a}k", 4),
			 f->second->port);
	fake_step(f->first, "EXPECT GET {a}k");
	fake_step(f->first, moved);
	fake_step(f->second, "EXPECT GET {a}k");
	fake_step(f->second, "SEND +there");
	fake_step(f->second, "EXPECT GET {a}l");
	fake_step(f->second, "SEND +again");
	send_get(f, "{a}k", &answer);
	wait_answer(f, &answer);
	assert_string_equal(answer.text, "there");
	maps = f->first->maps_sent + f->second->maps_sent;
	f->first->slots_port = f->second->slots_port = f->second->port;
	send_get(f, "{a}l", &answer);
	wait_answer(f, &answer);
	assert_string_equal(answer.text, "again");
	assert_int_equal(f->first->commands, 1);
	loop_run(f->base, 200);
	assert_true(f->first->maps_sent + f->second->maps_sent > maps);
}

static void
ask_is_followed_once_with_asking(void **state)
{
	Fixture *f = *state;
	Answer	 answer = {0};
	char	 ask[128];

	snprintf(ask, sizeof(ask), "SEND -ASK %d 127.0.0.1:%d", slotmap_slot("{a}k", 4),
			 f->second->port);
	fake_step(f->first, "EXPECT GET {a}k");
	fake_step(f->first, ask);
	fake_step(f->second, "EXPECT ASKING");
	fake_step(f->second, "SEND +OK");
	fake_step(f->second, "EXPECT GET {a}k");
	fake_step(f->second, "SEND +there");
	fake_step(f->first, "EXPECT GET {a}k");
	fake_step(f->first, "SEND +here");
	send_get(f, "{a}k", &answer);
	wait_answer(f, &answer);
	assert_string_equal(answer.text, "there");
	send_get(f, "{a}k", &answer);
	wait_answer(f, &answer);
	assert_string_equal(answer.text, "here");
}

static void
errors_that_pass_are_waited_out(void **state)
{
	static const char *const errors[] = {
		"SEND -TRYAGAIN Multiple keys request during rehashing of slot",
		"SEND -CLUSTERDOWN Hash slot not served",
		"SEND -LOADING Redis is loading the dataset in memory",
		"SEND -READONLY You can't write against a read only replica.",
		"SEND -BUSY Redis is busy running a script."};
	Fixture *f = *state;
	Answer	 answer = {0};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
	{
		fake_step(f->first, "EXPECT GET {a}k");
		fake_step(f->first, errors[i]);
	}
	fake_step(f->first, "EXPECT GET {a}k");
	fake_step(f->first, "SEND +at last");
	send_get(f, "{a}k", &answer);
	wait_answer(f, &answer);
	assert_string_equal(answer.text, "at last");
	loop_run(f->base, 150);
	assert_true(f->first->maps_sent > 1);
}

static void
an_error_that_does_not_pass_ends_at_the_deadline(void **state)
{
	Fixture *f = *state;
	Answer	 answer = {0};
	int64_t	 started_ms = clock_ms();

	for (int i = 0; i < FAKE_STEPS_MAX / 2; i++)
	{
		fake_step(f->first, "EXPECT GET {a}k");
		fake_step(f->first, "SEND -LOADING still");
	}
	send_get(f, "{a}k", &answer);
	wait_answer(f, &answer);
	assert_int_equal(answer.type, 0);
	assert_in_range(clock_ms() - started_ms, TIMEOUT_MS - 50, TIMEOUT_MS + 300);
}

static void
redirections_in_a_circle_come_to_an_end(void **state)
{
	Fixture *f = *state;
	Answer	 answer = {0};
	char	 moved[128];

	snprintf(moved, sizeof(moved), "SEND -MOVED %d 127.0.0.1:%d", slotmap_slot("{a}k", 4),
			 f->first->port);
	for (int i = 0; i < FAKE_STEPS_MAX / 2; i++)
	{
		fake_step(f->first, "EXPECT GET {a}k");
		fake_step(f->first, moved);
	}
	send_get(f, "{a}k", &answer);
	wait_answer(f, &answer);
	assert_true(f->first->commands <= 40);
}

static void
a_script_is_sent_whole_once_and_again_when_forgotten(void **state)
{
	Fixture *f = *state;
	Answer	 answer = {0};

	fake_step(f->first, "EXPECT EVAL return 1 1 {a}k x");
	fake_step(f->first, "SEND :1");
	fake_step(f->first, "EXPECT EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 1 {a}k x");
	fake_step(f->first, "SEND :2");
	fake_step(f->first, "EXPECT EVALSHA *");
	fake_step(f->first, "SEND -NOSCRIPT No matching script. Please use EVAL.");
	fake_step(f->first, "EXPECT EVAL return 1 1 {a}k x");
	fake_step(f->first, "SEND :3");
	fake_step(f->first, "EXPECT EVALSHA *");
	fake_step(f->first, "SEND :4");
	for (int i = 0; i < 4; i++)
	{
		send_script(f, &answer);
		wait_answer(f, &answer);
		assert_int_equal(answer.type, REDIS_REPLY_INTEGER);
	}
	assert_true(fake_finished(f->first));
}

static void
what_was_in_flight_on_a_lost_connection_is_unknown_and_not_repeated(void **state)
{
	Fixture *f = *state;
	Answer	 answer = {0};

	fake_step(f->first, "EXPECT GET {a}k");
	fake_step(f->first, "DROP");
	fake_step(f->first, "EXPECT GET {a}l");
	fake_step(f->first, "SEND +new connection");
	send_get(f, "{a}k", &answer);
	wait_answer(f, &answer);
	assert_int_equal(answer.type, 0);
	assert_string_not_equal(answer.error, "");
	send_get(f, "{a}l", &answer);
	wait_answer(f, &answer);
	assert_string_equal(answer.text, "new connection");
	assert_int_equal(f->first->commands, 2);
}

static void
a_silent_node_costs_one_deadline_and_its_connection(void **state)
{
	Fixture *f = *state;
	Answer	 answer = {0};
	int		 connections;
	int64_t	 started_ms = clock_ms();

	fake_step(f->first, "EXPECT GET {a}k");
	send_get(f, "{a}k", &answer);
	wait_answer(f, &answer);
	assert_int_equal(answer.type, 0);
	assert_in_range(clock_ms() - started_ms, TIMEOUT_MS - 50, TIMEOUT_MS + 300);
	connections = f->first->connections_made;
	assert_true(loop_until(f->base, redis_is_up, f->redis, LOOP_WAIT_MS));
	assert_true(f->first->connections_made > connections);
	fake_step(f->first, "EXPECT GET {a}l");
	fake_step(f->first, "SEND +back");
	send_get(f, "{a}l", &answer);
	wait_answer(f, &answer);
	assert_string_equal(answer.text, "back");
}

static void
an_unreachable_cluster_refuses_at_once(void **state)
{
	Fixture	   f = {.base = event_base_new()};
	FakeRedis *gone = fake_start(f.base);
	Answer	   answer = {0};
	char	   nodes[64];
	int64_t	   started_ms;

	(void) state;
	snprintf(nodes, sizeof(nodes), "127.0.0.1:%d", gone->port);
	fake_stop(gone);
	f.redis = redis_open(f.base, nodes, TIMEOUT_MS);
	loop_run(f.base, 50);
	started_ms = clock_ms();
	for (int i = 0; i < 100; i++)
		send_get(&f, "{a}k", &answer);
	assert_int_equal(answer.answers, 0);
	wait_answer(&f, &answer);
	assert_int_equal(answer.type, 0);
	assert_true(clock_ms() - started_ms < TIMEOUT_MS);
	assert_false(redis_up(f.redis));
	redis_close(f.redis);
	event_base_free(f.base);
}

static void
closing_answers_what_is_under_way(void **state)
{
	Fixture f = {.base = event_base_new()};
	Answer	answer = {0};
	char	nodes[64];

	(void) state;
	f.first = fake_start(f.base);
	snprintf(nodes, sizeof(nodes), "127.0.0.1:%d", f.first->port);
	f.redis = redis_open(f.base, nodes, TIMEOUT_MS);
	send_get(&f, "{a}k", &answer);
	loop_run(f.base, 50);
	send_get(&f, "{b}k", &answer);
	redis_close(f.redis);
	assert_int_equal(answer.answers, 2);
	assert_int_equal(answer.type, 0);
	fake_stop(f.first);
	event_base_free(f.base);
}

static void
too_much_in_flight_is_not_accepted(void **state)
{
	const char *const argv[] = {"GET", "{a}k"};
	Fixture			 *f = *state;
	Answer			  answer = {0};

	while (redis_command(f->redis, argv[1], 2, argv, NULL, take_answer, &answer))
		answer.wanted++;
	assert_in_range(answer.wanted, 10000, 100000);
	assert_int_equal(redis_in_flight(f->redis), answer.wanted);
	wait_answer(f, &answer);
	assert_int_equal(redis_in_flight(f->redis), 0);
}

/* Every operation has one answer, whatever happens to the server. */
static void
a_real_server_that_is_killed_and_comes_back_is_used_again(void **state)
{
	Fixture		f = {.base = event_base_new()};
	RedisServer server;
	Answer		answer = {0};

	(void) state;
	assert_true(redis_server_start(&server));
	f.redis = redis_open(f.base, server.nodes, 2000);
	assert_true(loop_until(f.base, redis_is_up, f.redis, LOOP_WAIT_MS));
	for (int i = 0; i < STORM_OPS; i++)
		send_script(&f, &answer);
	wait_answer(&f, &answer);
	assert_int_equal(answer.type, REDIS_REPLY_INTEGER);
	for (int i = 0; i < STORM_OPS; i++)
		send_script(&f, &answer);
	event_base_loop(f.base, EVLOOP_ONCE);
	assert_true(redis_server_kill(&server));
	for (int i = 0; i < 100; i++)
		send_script(&f, &answer);
	wait_answer(&f, &answer);
	assert_int_equal(answer.type, 0);
	assert_true(redis_server_up(&server));
	assert_true(loop_until(f.base, redis_is_up, f.redis, LOOP_WAIT_MS));
	send_script(&f, &answer);
	wait_answer(&f, &answer);
	assert_int_equal(answer.type, REDIS_REPLY_INTEGER);
	redis_close(f.redis);
	redis_server_stop(&server);
	event_base_free(f.base);
}

static void
cli(const RedisServer *server, const char *command)
{
	char line[256];

	if (!redis_server_cli(server, line, sizeof(line), command) || strncmp(line, "OK", 2) != 0)
		fail_msg("%s: %s", command, line);
}

static void
wait_cli(const RedisServer *server, const char *command, const char *wanted)
{
	const struct timespec pause = {.tv_nsec = 20000000};
	int64_t				  deadline_ms = clock_ms() + 3 * LOOP_WAIT_MS;
	char				  line[256];

	while (!redis_server_cli(server, line, sizeof(line), command) || strstr(line, wanted) == NULL)
	{
		if (clock_ms() > deadline_ms)
			fail_msg("%s: %s", command, line);
		nanosleep(&pause, NULL);
	}
}

/* The key is not yet on the importing node (ASK), then the slot has moved for good (MOVED). */
static void
a_slot_that_moves_between_real_nodes_is_followed(void **state)
{
	Fixture		f = {.base = event_base_new()};
	RedisServer from = {0};
	RedisServer to = {0};
	Answer		answer = {0};
	char		from_id[64];
	char		to_id[64];
	char		command[256];
	int			slot = slotmap_slot("{a}k", 4);

	(void) state;
	assert_true(redis_server_start(&from) && redis_server_start(&to));
	cli(&to, "cluster delslotsrange 0 16383");
	cli(&to, "cluster reset hard");
	assert_true(redis_server_cli(&from, from_id, sizeof(from_id), "cluster myid"));
	assert_true(redis_server_cli(&to, to_id, sizeof(to_id), "cluster myid"));
	assert_true(redis_server_shell(command, sizeof(command),
								   "sed -n 's/^cluster-port //p' %s/redis/redis.conf", to.dir));
	snprintf(command + 64, sizeof(command) - 64, "cluster meet 127.0.0.1 %d %.32s", to.port,
			 command);
	cli(&from, command + 64);
	snprintf(command, sizeof(command), "cluster nodes | grep -c '%.48s.*connected'", from_id);
	wait_cli(&to, command, "1");
	snprintf(command, sizeof(command), "cluster nodes | grep -c '%.48s.*connected'", to_id);
	wait_cli(&from, command, "1");
	wait_cli(&to, "cluster info | grep state", "ok");
	f.redis = redis_open(f.base, from.nodes, 2000);
	snprintf(command, sizeof(command), "cluster setslot %d importing %.48s", slot, from_id);
	cli(&to, command);
	snprintf(command, sizeof(command), "cluster setslot %d migrating %.48s", slot, to_id);
	cli(&from, command);
	send_script(&f, &answer);
	wait_answer(&f, &answer);
	assert_int_equal(answer.type, REDIS_REPLY_INTEGER);
	snprintf(command, sizeof(command), "cluster setslot %d node %.48s", slot, to_id);
	cli(&to, command);
	cli(&from, command);
	for (int i = 0; i < 1000; i++)
		send_script(&f, &answer);
	wait_answer(&f, &answer);
	assert_int_equal(answer.type, REDIS_REPLY_INTEGER);
	redis_close(f.redis);
	redis_server_stop(&from);
	redis_server_stop(&to);
	event_base_free(f.base);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_slot_is_that_of_the_hash_tag),
		cmocka_unit_test(addresses_are_checked),
		cmocka_unit_test_setup_teardown(an_operation_is_answered, setup, teardown),
		cmocka_unit_test_setup_teardown(an_error_of_the_server_is_an_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(moved_is_followed_remembered_and_the_map_read, setup,
										teardown),
		cmocka_unit_test_setup_teardown(ask_is_followed_once_with_asking, setup, teardown),
		cmocka_unit_test_setup_teardown(errors_that_pass_are_waited_out, setup, teardown),
		cmocka_unit_test_setup_teardown(an_error_that_does_not_pass_ends_at_the_deadline, setup,
										teardown),
		cmocka_unit_test_setup_teardown(redirections_in_a_circle_come_to_an_end, setup, teardown),
		cmocka_unit_test_setup_teardown(a_script_is_sent_whole_once_and_again_when_forgotten, setup,
										teardown),
		cmocka_unit_test_setup_teardown(
			what_was_in_flight_on_a_lost_connection_is_unknown_and_not_repeated, setup, teardown),
		cmocka_unit_test_setup_teardown(a_silent_node_costs_one_deadline_and_its_connection, setup,
										teardown),
		cmocka_unit_test(an_unreachable_cluster_refuses_at_once),
		cmocka_unit_test(closing_answers_what_is_under_way),
		cmocka_unit_test_setup_teardown(too_much_in_flight_is_not_accepted, setup, teardown),
		cmocka_unit_test(a_real_server_that_is_killed_and_comes_back_is_used_again),
		cmocka_unit_test(a_slot_that_moves_between_real_nodes_is_followed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
