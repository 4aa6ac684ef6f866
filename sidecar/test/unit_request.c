/* SPDX-License-Identifier: PostgreSQL */
/*
 * Guards what decides about a request before any handler: routes, trusted addresses, file names,
 * ids, problems.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "../../extension/reason.h"
#include "../../extension/sqlstate.h"
#include "caller.h"
#include "problem.h"
#include "route.h"
#include "trust.h"
#include "web.h"

static void
routes_match_whole_paths(void **state)
{
	RouteParams params;
	char		longest[ROUTE_PARAM_BYTES + 16] = "/v1/dates/";

	(void) state;
	assert_true(route_match("/v1/dates/{id}/seats", "/v1/dates/abc/seats", &params));
	assert_int_equal(params.count, 1);
	assert_string_equal(params.values[0], "abc");
	assert_true(route_match("/{a}/{b}", "/x/y", &params));
	assert_string_equal(params.values[1], "y");
	assert_false(route_match("/v1/dates/{id}/seats", "/v1/dates//seats", &params));
	assert_false(route_match("/v1/dates/{id}/seats", "/v1/dates/a/b/seats", &params));
	assert_false(route_match("/v1/dates/{id}/seats", "/v1/dates/abc/seats/", &params));
	assert_false(route_match("/v1/dates/{id}/seats", "/v1/dates/abc", &params));
	assert_false(route_match("/v1/concerts", "/v1/concertsx", &params));
	assert_false(route_match("/v1/concerts", "", &params));
	assert_false(route_match("/{a}/{b}/{c}", "/x/y/z", &params));
	assert_true(route_match("/*", "/", &params));
	assert_true(route_match("/*", "/a/b", &params));
	memset(longest + strlen(longest), 'a', ROUTE_PARAM_BYTES);
	assert_false(route_match("/v1/dates/{id}", longest, &params));
}

static bool
trusts(const char *list, const char *address)
{
	Trust				trust;
	char				errstr[128];
	struct sockaddr_in	v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

	assert_true(trust_parse(list, &trust, errstr, sizeof(errstr)));
	if (inet_pton(AF_INET, address, &v4.sin_addr) == 1)
		return trust_has(&trust, (struct sockaddr *) &v4);
	assert_int_equal(inet_pton(AF_INET6, address, &v6.sin6_addr), 1);
	return trust_has(&trust, (struct sockaddr *) &v6);
}

static void
only_listed_addresses_are_trusted(void **state)
{
	(void) state;
	assert_true(trusts("127.0.0.0/8, ::1", "127.1.2.3"));
	assert_true(trusts("127.0.0.0/8, ::1", "::1"));
	assert_true(trusts("127.0.0.0/8", "::ffff:127.0.0.1"));
	assert_false(trusts("127.0.0.0/8, ::1", "128.0.0.1"));
	assert_false(trusts("127.0.0.0/8, ::1", "::2"));
	assert_false(trusts("", "127.0.0.1"));
	assert_true(trusts("10.1.2.3", "10.1.2.3"));
	assert_false(trusts("10.1.2.3", "10.1.2.4"));
	assert_true(trusts("10.64.0.0/10", "10.127.0.1"));
	assert_false(trusts("10.64.0.0/10", "10.128.0.1"));
	assert_true(trusts("0.0.0.0/0", "8.8.8.8"));
	assert_false(trusts("0.0.0.0/0", "2001:db8::1"));
	assert_true(trusts("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(trusts("2001:db8::/33", "2001:db8:8000::1"));
}

static void
wrong_networks_are_named(void **state)
{
	static const char *const wrong[] = {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1",
										"10.0.0.0/8x", "10.0.0",	"localhost",
										"::1/129",	   "/8",		"999.0.0.1"};
	Trust					 trust;
	char					 errstr[128];

	(void) state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
	{
		assert_false(trust_parse(wrong[i], &trust, errstr, sizeof(errstr)));
		assert_non_null(strstr(errstr, wrong[i]));
	}
}

static void
file_names_cannot_leave_the_folder(void **state)
{
	static const char *const wrong[] = {"",		   "index.html",   "/..",		   "/../etc/passwd",
										"/a/../b", "/a/..",		   "//etc/passwd", "/a//b",
										"/a/",	   "/.git/config", "/a/.hidden",   "/./a"};
	const char				*name;

	(void) state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (web_file_name(wrong[i], &name))
			fail_msg("\"%s\" is let through", wrong[i]);
	assert_true(web_file_name("/", &name));
	assert_string_equal(name, "index.html");
	assert_true(web_file_name("/a/b.css", &name));
	assert_string_equal(name, "a/b.css");
}

static void
ids_are_uuids_in_lower_case(void **state)
{
	char id[ID_BYTES];

	(void) state;
	assert_true(id_parse("0197A1B2-C3D4-7E5F-8A9B-0C1D2E3F4A5B", id));
	assert_string_equal(id, "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b");
	assert_false(id_parse("", id));
	assert_false(id_parse("0197a1b2c3d47e5f8a9b0c1d2e3f4a5b", id));
	assert_false(id_parse("0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b ", id));
	assert_false(id_parse("{0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b}", id));
	assert_false(id_parse("0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5g", id));
}

static void
every_reason_and_sqlstate_has_its_problem(void **state)
{
	(void) state;
#define CHECK_REASON(name, text, ...) assert_in_range(problem_reason_status(text), 400, 499);
	CONCERT_REASONS(CHECK_REASON)
	assert_int_equal(problem_reason_status("sold"), 409);
	assert_int_equal(problem_reason_status("unknown"), 404);
	assert_int_equal(problem_reason_status("no_pass"), 403);
	assert_int_equal(problem_reason_status("insufficient_funds"), 402);
	assert_int_equal(problem_reason_status("nonsense"), 500);
	assert_int_equal(problem_reason_status(NULL), 500);
	assert_int_equal(problem_of_sqlstate("40001"), PROBLEM_CONTENTION);
	assert_int_equal(problem_of_sqlstate("40P01"), PROBLEM_CONTENTION);
	assert_int_equal(problem_of_sqlstate("55P03"), PROBLEM_CONTENTION);
	assert_int_equal(problem_of_sqlstate("57014"), PROBLEM_TIMEOUT);
	assert_int_equal(problem_of_sqlstate("57P01"), PROBLEM_DATABASE_DOWN);
	assert_int_equal(problem_of_sqlstate("22P02"), PROBLEM_INVALID);
	assert_int_equal(problem_of_sqlstate("TK002"), PROBLEM_KEY_REUSED);
	assert_int_equal(problem_of_sqlstate("XX000"), PROBLEM_INTERNAL);
	assert_int_equal(problem_of_sqlstate(""), PROBLEM_INTERNAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes_match_whole_paths),
		cmocka_unit_test(only_listed_addresses_are_trusted),
		cmocka_unit_test(wrong_networks_are_named),
		cmocka_unit_test(file_names_cannot_leave_the_folder),
		cmocka_unit_test(ids_are_uuids_in_lower_case),
		cmocka_unit_test(every_reason_and_sqlstate_has_its_problem),
	};

	return cmocka_run_group_tests_name("request", tests, NULL, NULL);
}
