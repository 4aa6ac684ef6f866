/* SPDX-License-Identifier: PostgreSQL */
/*
 * Guards: a lane's session can be dropped when it goes silent; an event's headers are the
 * CloudEvents that consumers read, whatever its own headers say; a producer of a lane stops at the
 * first message that is refused, and heals what heals by itself.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <libpq-fe.h>

#include "cloudevent.h"
#include "fake_kafka.h"
#include "log.h"
#include "loop.h"
#include "relay.h"

#define EVENT_ID "01a20aad-0265-7076-84d9-bed762645b47"
#define SENT_MAX 8

typedef struct Deliveries
{
	KafkaClient		   *producer;
	int					reported;
	int					expected;
	rd_kafka_resp_err_t err[SENT_MAX];
} Deliveries;

static struct event_base *base;

static const char *
option_of(PQconninfoOption *options, const char *keyword)
{
	for (; options->keyword != NULL; options++)
		if (strcmp(options->keyword, keyword) == 0)
			return options->val;
	return NULL;
}

static void
a_session_that_goes_silent_is_dropped(void **state)
{
	char *text =
		relay_conninfo("postgresql://us%27er@host/data?options=-c%20idle_session_timeout%3D9s");
	PQconninfoOption *options = PQconninfoParse(text, NULL);

	(void) state;
	assert_non_null(options);
	assert_string_equal(option_of(options, "user"), "us'er");
	assert_string_equal(option_of(options, "dbname"), "data");
	assert_string_equal(option_of(options, "tcp_user_timeout"), "5000");
	assert_non_null(strstr(option_of(options, "options"), "-c idle_session_timeout=5000 "));
	assert_non_null(strstr(option_of(options, "options"), "tcp_keepalives_idle=2"));
	/* What the operator says comes last, and so counts. */
	assert_string_equal(strstr(option_of(options, "options"), "-c idle_session_timeout=9"),
						"-c idle_session_timeout=9s");
	PQconninfoFree(options);
	free(text);
}

static void
a_malformed_conninfo_is_refused(void **state)
{
	(void) state;
	assert_null(relay_conninfo("dbname"));
}

static const char *
header_of(rd_kafka_headers_t *headers, const char *name)
{
	const void *value;
	size_t		len;

	return rd_kafka_header_get_last(headers, name, &value, &len) == RD_KAFKA_RESP_ERR_NO_ERROR
		? value
		: NULL;
}

static void
an_event_becomes_a_cloudevent(void **state)
{
	rd_kafka_headers_t *headers = cloudevent_headers(
		EVENT_ID, "mail.wanted", "2026-01-02T03:04:05.678900Z",
		"{\"correlation_id\": \"abc\", \"traceparent\": \"00-1-2-01\", \"ce_id\": \"forged\", \"n\": 1}");
	char correlation_id[CLOUDEVENT_CORRELATION_BYTES];

	(void) state;
	assert_string_equal(header_of(headers, "ce_specversion"), "1.0");
	assert_string_equal(header_of(headers, "ce_id"), EVENT_ID);
	assert_string_equal(header_of(headers, "ce_type"), "mail.wanted");
	assert_string_equal(header_of(headers, "ce_source"), "/concert");
	assert_string_equal(header_of(headers, "ce_time"), "2026-01-02T03:04:05.678900Z");
	assert_string_equal(header_of(headers, "content-type"), "application/json");
	assert_string_equal(header_of(headers, "traceparent"), "00-1-2-01");
	assert_null(header_of(headers, "correlation_id"));
	assert_null(header_of(headers, "n"));
	cloudevent_correlation(headers, correlation_id, sizeof(correlation_id));
	assert_string_equal(correlation_id, "abc");
	rd_kafka_headers_destroy(headers);
}

static void
note_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *arg)
{
	Deliveries *deliveries = arg;

	(void) rk;
	deliveries->err[(intptr_t) message->_private] = message->err;
	deliveries->reported++;
}

static void
poll_producer(void *arg)
{
	Deliveries *deliveries = arg;

	kafka_poll(deliveries->producer);
}

static bool
all_reported(const void *arg)
{
	const Deliveries *deliveries = arg;

	return deliveries->reported == deliveries->expected;
}

static rd_kafka_resp_err_t
send_event(Deliveries *deliveries, int i)
{
	deliveries->expected++;
	return fake_kafka_send(deliveries->producer, "key", "{}",
						   cloudevent_headers(EVENT_ID, "t", "", "{}"), (void *) (intptr_t) i);
}

static void
a_refused_message_ends_its_producer(void **state)
{
	FakeKafka  fake;
	Deliveries deliveries = {0};
	char	   errstr[256];

	(void) state;
	assert_true(fake_kafka_open(&fake, base));
	deliveries.producer =
		kafka_ordered_producer(fake.kafka, note_delivery, poll_producer, &deliveries);
	assert_int_equal(send_event(&deliveries, 0), RD_KAFKA_RESP_ERR_NO_ERROR);
	assert_true(loop_until(base, all_reported, &deliveries, LOOP_WAIT_MS));
	assert_int_equal(deliveries.err[0], RD_KAFKA_RESP_ERR_NO_ERROR);
	assert_false(kafka_fatal(deliveries.producer, errstr, sizeof(errstr)));

	rd_kafka_mock_push_request_errors(fake.cluster, FAKE_PRODUCE_REQUEST, 1,
									  RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
	assert_int_equal(send_event(&deliveries, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
	assert_true(loop_until(base, all_reported, &deliveries, LOOP_WAIT_MS));
	assert_int_equal(deliveries.err[1], RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
	assert_true(kafka_fatal(deliveries.producer, errstr, sizeof(errstr)));
	assert_int_equal(send_event(&deliveries, 2), RD_KAFKA_RESP_ERR__FATAL);
	kafka_client_close(deliveries.producer);
	fake_kafka_close(&fake);
}

static void
a_passing_fault_is_no_refusal(void **state)
{
	FakeKafka  fake;
	Deliveries deliveries = {0};
	char	   errstr[256];

	(void) state;
	assert_true(fake_kafka_open(&fake, base));
	deliveries.producer =
		kafka_ordered_producer(fake.kafka, note_delivery, poll_producer, &deliveries);
	rd_kafka_mock_push_request_errors(
		fake.cluster, FAKE_PRODUCE_REQUEST, 3, RD_KAFKA_RESP_ERR__TRANSPORT,
		RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS);
	for (int i = 0; i < 4; i++)
		assert_int_equal(send_event(&deliveries, i), RD_KAFKA_RESP_ERR_NO_ERROR);
	assert_true(loop_until(base, all_reported, &deliveries, LOOP_WAIT_MS));
	for (int i = 0; i < 4; i++)
		assert_int_equal(deliveries.err[i], RD_KAFKA_RESP_ERR_NO_ERROR);
	assert_false(kafka_fatal(deliveries.producer, errstr, sizeof(errstr)));
	kafka_client_close(deliveries.producer);
	fake_kafka_close(&fake);
}

static int
set_up(void **state)
{
	(void) state;
	log_set_level(LOG_ERROR_LEVEL);
	base = event_base_new();
	return base == NULL;
}

static int
tear_down(void **state)
{
	(void) state;
	event_base_free(base);
	libevent_global_shutdown();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_that_goes_silent_is_dropped),
		cmocka_unit_test(a_malformed_conninfo_is_refused),
		cmocka_unit_test(an_event_becomes_a_cloudevent),
		cmocka_unit_test(a_refused_message_ends_its_producer),
		cmocka_unit_test(a_passing_fault_is_no_refusal),
	};

	return cmocka_run_group_tests_name("relay", tests, set_up, tear_down);
}
