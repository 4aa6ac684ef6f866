/* SPDX-License-Identifier: PostgreSQL */
/*
 * Guards: a wrong config file is refused with file:line, value and what was expected, and changes
 * nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "options.h"

#ifndef SAMPLE_PATH
#define SAMPLE_PATH "concertd.conf.sample"
#endif

static char path[] = "/tmp/unit_options_XXXXXX";

static void
write_config(const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void
expect_refused(const char *text, const char *part)
{
	char errstr[OPTIONS_ERROR_BYTES] = "";
	int	 before = options_current()->db_pool_size;

	write_config(text);
	assert_false(options_load(path, errstr, sizeof(errstr)));
	if (strstr(errstr, part) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", part, errstr);
	assert_int_equal(options_current()->db_pool_size, before);
}

static void
expect_taken(const char *text)
{
	char errstr[OPTIONS_ERROR_BYTES] = "";

	write_config(text);
	if (!options_load(path, errstr, sizeof(errstr)))
		fail_msg("%s", errstr);
}

static int
set_up(void **state)
{
	int fd = mkstemp(path);

	(void) state;
	return fd < 0 || close(fd) != 0;
}

static int
tear_down(void **state)
{
	(void) state;
	return unlink(path);
}

static void
defaults_are_in_force_without_a_file(void **state)
{
	char errstr[OPTIONS_ERROR_BYTES];

	(void) state;
	assert_true(options_load(NULL, errstr, sizeof(errstr)));
	assert_int_equal(options_current()->hold_hold_seconds, 60);
	assert_string_equal(options_current()->api_listen, "127.0.0.1:8080");
	assert_int_equal(options_current()->roles,
					 ROLE_API | ROLE_ADMISSION | ROLE_RELAY | ROLE_CONSUMER | ROLE_REAPER |
						 ROLE_PROVIDER);
	assert_int_equal(options_current()->redis_loss_policy, LOSS_DATABASE);
}

static void
good_values_are_taken(void **state)
{
	(void) state;
	expect_taken("roles = relay, reaper\n"
				 "# a comment\n"
				 "[db]\n"
				 "conninfo = host=db.example\n"
				 "  dbname=tickets\n"
				 "pool_size=3\n"
				 "[redis]\n"
				 "loss_policy = stop\n"
				 "[log]\n"
				 "level = warn\n");
	assert_int_equal(options_current()->roles, ROLE_RELAY | ROLE_REAPER);
	assert_string_equal(options_current()->db_conninfo, "host=db.example dbname=tickets");
	assert_int_equal(options_current()->db_pool_size, 3);
	assert_int_equal(options_current()->redis_loss_policy, LOSS_STOP);
	assert_int_equal(options_current()->log_level, 2);
}

static void
wrong_lines_are_named(void **state)
{
	(void) state;
	expect_refused("[db]\npool_size = 0\n", ":2: ");
	expect_refused("[db]\npool_size = 0\n", "\"0\" is not a number from 1 to 64");
	expect_refused("[db]\npool_size = -1\n", "\"-1\"");
	expect_refused("[db]\npool_size = 99999999999999999999\n", "is not a number from 1 to 64");
	expect_refused("[db]\npool_size = 3x\n", "\"3x\"");
	expect_refused("[db]\npool_size =\n", "\"\" is not a number");
	expect_refused("[db]\n\nnonsense = 1\n", ":3: unknown option \"nonsense\" in section \"db\"");
	expect_refused("[nonsense]\nlisten = x\n", "unknown option \"listen\" in section \"nonsense\"");
	expect_refused("[db]\npool_size = 3\npool_size = 4\n", "stands in line 2 already");
	expect_refused("[redis]\nloss_policy = maybe\n", "is not one of database|stop");
	expect_refused("roles = api, cook\n", "\"api, cook\" is not a comma-separated list of api|");
	expect_refused("roles =\n", "\"roles\" is empty");
	expect_refused("[db]\nthis is no setting\n", ":2: neither");
	expect_refused("[db\npool_size = 3\n", ":1: neither");
	expect_refused("[log]\nlevel = INFO\n", "is not one of debug|info|warn|error");
}

static void
what_no_single_line_can_say_is_checked(void **state)
{
	(void) state;
	expect_refused("[db]\nconninfo = host=x password=hunter2\n", "contains a password");
	expect_refused("[db]\nconninfo = postgresql://u:hunter2@x/d\n", "contains a password");
	expect_refused("[db]\nconninfo = nonsense=x\n", "db.conninfo: ");
	expect_refused("[api]\ntrusted = 10.0.0.0/8, 10.0.0.0/33\n", "\"10.0.0.0/33\" is neither");
	expect_refused("[api]\nlisten = 127.0.0.1\n", "api.listen: \"127.0.0.1\" is not host:port");
	expect_refused("[api]\nlisten = ::1:\n", "api.listen: \"::1:\" is not host:port");
	expect_refused("[redis]\nnodes = a:6379, b:65536\n",
				   "redis.nodes: \"b:65536\" is not host:port");
	expect_refused("[redis]\nnodes = a:63x, b:1\n", "redis.nodes: \"a:63x\" is not host:port");
	expect_refused("[relay]\npoll_min_ms = 60\npoll_max_ms = 50\n", "more than relay.poll_max_ms");
	expect_refused("[provider]\nname = Pay/Me\n", "provider.name: \"Pay/Me\"");
	expect_refused("[provider]\nurl = https://pay.example\n", "but not provider.name");
	expect_refused("[provider]\nlease_seconds = 10\n", "more than provider.timeout_ms, 10000");
}

static void
over_long_lines_are_refused(void **state)
{
	char text[4096] = "[redis]\nnodes = ";

	(void) state;
	memset(text + strlen(text), 'a', 3000);
	text[3100] = '\0';
	expect_refused(text, ":2: longer than");
}

static void
a_missing_file_is_refused(void **state)
{
	char errstr[OPTIONS_ERROR_BYTES];

	(void) state;
	assert_false(options_load("/nonexistent/concertd.conf", errstr, sizeof(errstr)));
	assert_non_null(strstr(errstr, "could not open \"/nonexistent/concertd.conf\""));
}

static void
the_environment_overrides_secret_files_only(void **state)
{
	(void) state;
	setenv("CONCERTD_KEYS_PASS_FILE", "/run/secrets/pass", 1);
	setenv("CONCERTD_DB_POOL_SIZE", "9", 1);
	expect_taken("[keys]\npass_file = /etc/pass\n[db]\npool_size = 4\n");
	assert_string_equal(options_current()->keys_pass_file, "/run/secrets/pass");
	assert_int_equal(options_current()->db_pool_size, 4);
	unsetenv("CONCERTD_KEYS_PASS_FILE");
	unsetenv("CONCERTD_DB_POOL_SIZE");
}

static void
a_reload_changes_reloadable_options_only(void **state)
{
	char errstr[OPTIONS_ERROR_BYTES];

	(void) state;
	expect_taken("[db]\npool_size = 4\n[hold]\nhold_seconds = 50\n");
	write_config("[db]\npool_size = 5\n[hold]\nhold_seconds = 40\n");
	assert_true(options_reload(path, errstr, sizeof(errstr)));
	assert_int_equal(options_current()->db_pool_size, 4);
	assert_int_equal(options_current()->hold_hold_seconds, 40);
	write_config("[hold]\nhold_seconds = 0\n");
	assert_false(options_reload(path, errstr, sizeof(errstr)));
	assert_int_equal(options_current()->hold_hold_seconds, 40);
}

static void
what_is_printed_can_be_read_back(void **state)
{
	FILE *out;

	(void) state;
	expect_taken("roles = api, relay\n[db]\npool_size = 7\n[redis]\nloss_policy = stop\n");
	out = fopen(path, "w");
	assert_non_null(out);
	options_print_config(out);
	fclose(out);
	{
		char errstr[OPTIONS_ERROR_BYTES] = "";

		if (!options_load(path, errstr, sizeof(errstr)))
			fail_msg("%s", errstr);
	}
	assert_int_equal(options_current()->db_pool_size, 7);
	assert_int_equal(options_current()->redis_loss_policy, LOSS_STOP);
	assert_int_equal(options_current()->roles, ROLE_API | ROLE_RELAY);
}

/* The sample file shows every option with its default: `concertd --print-config` makes it. */
static void
the_sample_is_what_is_printed(void **state)
{
	static char sample[65536];
	char		errstr[OPTIONS_ERROR_BYTES];
	char	   *printed = NULL;
	size_t		len = 0;
	FILE	   *file = fopen(SAMPLE_PATH, "r");
	FILE	   *out = open_memstream(&printed, &len);

	(void) state;
	assert_non_null(file);
	assert_non_null(out);
	sample[fread(sample, 1, sizeof(sample) - 1, file)] = '\0';
	fclose(file);
	assert_true(options_load(NULL, errstr, sizeof(errstr)));
	options_print_config(out);
	fclose(out);
	if (strstr(sample, printed) == NULL)
		fail_msg("%s is out of date: make -C sidecar sample", SAMPLE_PATH);
	free(printed);
	if (!options_load(SAMPLE_PATH, errstr, sizeof(errstr)))
		fail_msg("%s", errstr);
}

/* Neither our key nor an amount goes to another machine in the clear. */
static void
the_provider_is_reached_safely(void **state)
{
	const char *const bad[] = {"http://pay.example",
							   "http://127.0.0.1.pay.example",
							   "http://localhost@pay.example",
							   "https://user:key@pay.example",
							   "https://pay.example?key=x",
							   "https://",
							   "ftp://127.0.0.1",
							   "pay.example"};
	char			  text[256];

	(void) state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		snprintf(text, sizeof(text), "[provider]\nname = p\nurl = %s\n", bad[i]);
		expect_refused(text, "is neither https:// nor http:// on loopback");
	}
	expect_taken("[provider]\nname = p\nurl = https://pay.example/v2/\n");
	expect_taken("[provider]\nname = p\nurl = http://127.0.0.1:8081\n");
	expect_taken("[provider]\nname = p\nurl = http://[::1]:8081/api\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_in_force_without_a_file),
		cmocka_unit_test(good_values_are_taken),
		cmocka_unit_test(wrong_lines_are_named),
		cmocka_unit_test(what_no_single_line_can_say_is_checked),
		cmocka_unit_test(over_long_lines_are_refused),
		cmocka_unit_test(a_missing_file_is_refused),
		cmocka_unit_test(the_environment_overrides_secret_files_only),
		cmocka_unit_test(a_reload_changes_reloadable_options_only),
		cmocka_unit_test(what_is_printed_can_be_read_back),
		cmocka_unit_test(the_provider_is_reached_safely),
		cmocka_unit_test(the_sample_is_what_is_printed),
	};

	return cmocka_run_group_tests_name("options", tests, set_up, tear_down);
}
