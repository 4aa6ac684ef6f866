/* SPDX-License-Identifier: PostgreSQL */
/* Guards: the text format is Prometheus', and no caller can make a metric grow without bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics.h"

static void
expect_line(const char *line)
{
	size_t len;
	char  *text = metrics_text(&len);

	assert_non_null(text);
	assert_int_equal(strlen(text), len);
	if (strstr(text, line) == NULL)
		fail_msg("no line \"%s\"", line);
	free(text);
}

static void
values_add_up_by_label(void **state)
{
	(void) state;
	metric_add(METRIC_REFUSALS, "sold", 1);
	metric_add(METRIC_REFUSALS, "sold", 2);
	metric_add(METRIC_REFUSALS, "held", 1);
	metric_set(METRIC_HTTP_IN_FLIGHT, NULL, 5);
	metric_set(METRIC_HTTP_IN_FLIGHT, NULL, 4);
	metric_add(METRIC_HTTP_REQUESTS, "seats,200", 1);
	expect_line("# TYPE concert_refusals_total counter\n");
	expect_line("concert_refusals_total{reason=\"sold\"} 3\n");
	expect_line("concert_refusals_total{reason=\"held\"} 1\n");
	expect_line("concert_http_requests_in_flight 4\n");
	expect_line("concert_http_requests_total{route=\"seats\",status=\"200\"} 1\n");
}

static void
histograms_are_cumulative(void **state)
{
	(void) state;
	metric_observe(METRIC_RESERVE_SECONDS, NULL, 0.0004);
	metric_observe(METRIC_RESERVE_SECONDS, NULL, 0.001);
	metric_observe(METRIC_RESERVE_SECONDS, NULL, 99);
	expect_line("concert_reserve_seconds_bucket{le=\"0.0005\"} 1\n");
	expect_line("concert_reserve_seconds_bucket{le=\"0.001\"} 2\n");
	expect_line("concert_reserve_seconds_bucket{le=\"10\"} 2\n");
	expect_line("concert_reserve_seconds_bucket{le=\"+Inf\"} 3\n");
	expect_line("concert_reserve_seconds_count 3\n");
}

static void
labels_are_escaped(void **state)
{
	(void) state;
	metric_add(METRIC_REDIS_CALLS, "a\"b\\c\nd", 1);
	expect_line("concert_redis_calls_total{outcome=\"a\\\"b\\\\c d\"} 1\n");
}

static void
series_are_bounded(void **state)
{
	char   label[300];
	size_t len;
	char  *text;
	int	   lines = 0;

	(void) state;
	for (int i = 0; i < 3 * METRIC_SERIES_MAX; i++)
	{
		snprintf(label, sizeof(label), "group%d", i);
		metric_add(METRIC_CONSUMER_DLQ, label, 1);
	}
	memset(label, 'x', sizeof(label) - 1);
	label[sizeof(label) - 1] = '\0';
	metric_add(METRIC_CONSUMER_DLQ, label, 1);
	metric_add(METRIC_CONSUMER_DLQ, NULL, 1);
	expect_line("concert_consumer_dlq_total{group=\"other\"} 514\n");
	text = metrics_text(&len);
	for (char *at = text; (at = strstr(at, "concert_consumer_dlq_total{")) != NULL; at++)
		lines++;
	free(text);
	assert_int_equal(lines, METRIC_SERIES_MAX + 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_add_up_by_label),
		cmocka_unit_test(histograms_are_cumulative),
		cmocka_unit_test(labels_are_escaped),
		cmocka_unit_test(series_are_bounded),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
