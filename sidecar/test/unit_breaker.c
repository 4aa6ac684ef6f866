/* SPDX-License-Identifier: PostgreSQL */
/*
 * Guards: a provider that fails is left alone for a while and tried with one call; what began
 * before says nothing about now. And no more is asked in a second than may be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "breaker.h"
#include "pace.h"

#define FAILURES 3
#define OPEN_SECONDS 10.0
#define MOST 16

static bool
end_call(Breaker *breaker, unsigned ticket, bool good, double now)
{
	return breaker_end(breaker, ticket, good, now, FAILURES, OPEN_SECONDS);
}

static void
fail_calls(Breaker *breaker, int count, double now)
{
	for (int i = 0; i < count; i++)
		end_call(breaker, breaker_begin(breaker), false, now);
}

static void
only_failures_in_a_row_open_it(void **state)
{
	Breaker breaker = {0};

	(void) state;
	for (int i = 0; i < 5; i++)
	{
		fail_calls(&breaker, FAILURES - 1, 1);
		end_call(&breaker, breaker_begin(&breaker), true, 1);
	}
	assert_int_equal(breaker_allows(&breaker, 1, MOST), MOST);
	fail_calls(&breaker, FAILURES - 1, 1);
	assert_true(end_call(&breaker, breaker_begin(&breaker), false, 1));
	assert_int_equal(breaker.state, BREAKER_OPEN);
	assert_int_equal(breaker_allows(&breaker, 1 + OPEN_SECONDS / 2, MOST), 0);
}

static void
one_call_tries_it_then(void **state)
{
	Breaker	 breaker = {0};
	unsigned probe;

	(void) state;
	fail_calls(&breaker, FAILURES, 0);
	assert_int_equal(breaker_allows(&breaker, OPEN_SECONDS, 0), 0);
	assert_int_equal(breaker_allows(&breaker, OPEN_SECONDS, MOST), 1);
	probe = breaker_begin(&breaker);
	assert_int_equal(breaker_allows(&breaker, OPEN_SECONDS, MOST), 0);
	assert_true(end_call(&breaker, probe, false, 12));
	assert_int_equal(breaker_allows(&breaker, 11 + OPEN_SECONDS, MOST), 0);
	assert_int_equal(breaker_allows(&breaker, 12 + OPEN_SECONDS, MOST), 1);
	probe = breaker_begin(&breaker);
	assert_true(end_call(&breaker, probe, true, 23));
	assert_int_equal(breaker_allows(&breaker, 23, MOST), MOST);
	fail_calls(&breaker, FAILURES - 1, 24);
	assert_int_equal(breaker_allows(&breaker, 24, MOST), MOST);
}

static void
what_began_before_says_nothing(void **state)
{
	Breaker	 breaker = {0};
	unsigned early = breaker_begin(&breaker);
	unsigned probe;

	(void) state;
	fail_calls(&breaker, FAILURES, 0);
	assert_false(end_call(&breaker, early, true, 1));
	assert_int_equal(breaker_allows(&breaker, 1, MOST), 0);
	assert_int_equal(breaker_allows(&breaker, OPEN_SECONDS, MOST), 1);
	probe = breaker_begin(&breaker);
	assert_false(end_call(&breaker, early, false, OPEN_SECONDS));
	assert_int_equal(breaker.state, BREAKER_HALF_OPEN);
	assert_int_equal(breaker_allows(&breaker, OPEN_SECONDS, MOST), 0);
	assert_true(end_call(&breaker, probe, true, OPEN_SECONDS));
}

static void
the_rate_is_kept(void **state)
{
	const int rates[] = {1, 7, 50, 1000};

	(void) state;
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
	{
		Pace pace = {0};
		int	 spent = 0;

		for (int ms = 1000000; ms < 1010000; ms++)
		{
			int may = pace_allows(&pace, ms / 1000.0, rates[i]);

			pace_spend(&pace, may);
			spent += may;
		}
		assert_in_range(spent, rates[i] * 10 - 1, rates[i] * 10 + 1 + rates[i] / 10);
	}
}

/* However long nothing was asked. */
static void
nothing_is_saved_up(void **state)
{
	Pace pace = {0};

	(void) state;
	assert_int_equal(pace_allows(&pace, 1e6, 50), 5);
	pace_spend(&pace, 5);
	assert_int_equal(pace_allows(&pace, 1e6, 50), 0);
	assert_int_equal(pace_allows(&pace, 1e6 + 3600, 50), 5);
	assert_int_equal(pace_allows(&pace, 1e6 + 7200, 1), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_failures_in_a_row_open_it),
		cmocka_unit_test(one_call_tries_it_then),
		cmocka_unit_test(what_began_before_says_nothing),
		cmocka_unit_test(the_rate_is_kept),
		cmocka_unit_test(nothing_is_saved_up),
	};

	return cmocka_run_group_tests_name("breaker", tests, NULL, NULL);
}
