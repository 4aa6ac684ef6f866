/* SPDX-License-Identifier: PostgreSQL */
/*
 * Guards: what is no event of ours is told apart; an offset moves only over settled messages, and
 * never for a partition that was lost; which failures are final, and how long the others wait; a
 * dead letter is the message as it was, with the reason beside it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cloudevent.h"
#include "deadletter.h"
#include "effect.h"
#include "fake_kafka.h"
#include "group.h"
#include "log.h"
#include "loop.h"
#include "partition.h"

#define EVENT_ID "01a20aad-0265-7076-84d9-bed762645b47"
#define DATE_ID "01a20aad-0265-7076-84d9-000000000001"
#define SEAT_ID "01a20aad-0265-7076-84d9-000000000002"
#define READ_MAX 8

/* The rows of the table that the tests need. */
#define TICKET (&effects[0])
#define SEAT_MAP (&effects[2])

typedef struct Reader
{
	KafkaClient		   *client;
	rd_kafka_message_t *read[READ_MAX];
	int					count;
	int					expected;
} Reader;

static struct event_base *base;
static FakeKafka		  fake;
static KafkaClient		 *producer;

static void
poll_producer(void *arg)
{
	(void) arg;
	kafka_poll(producer);
}

static void
no_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err, rd_kafka_topic_partition_list_t *partitions,
			 void *arg)
{
	(void) rk;
	(void) err;
	(void) partitions;
	(void) arg;
}

static void
take_messages(void *arg)
{
	Reader			   *reader = arg;
	rd_kafka_message_t *message;

	while (reader->count < reader->expected && (message = kafka_take(reader->client)) != NULL)
		reader->read[reader->count++] = message;
}

static bool
all_read(const void *arg)
{
	const Reader *reader = arg;

	return reader->count == reader->expected;
}

static void
reader_open(Reader *reader, const char *topic, int expected)
{
	*reader = (Reader){.expected = expected};
	reader->client = kafka_consumer(fake.kafka, "test", no_rebalance, take_messages, reader);
	assert_non_null(reader->client);
	fake_kafka_assign(reader->client, topic);
	assert_true(loop_until(base, all_read, reader, LOOP_WAIT_MS));
}

static rd_kafka_headers_t *
headers_with(const char *id)
{
	return cloudevent_headers(id, "point.charged", "2026-01-02T03:04:05Z",
							  "{\"correlation_id\": \"abc\"}");
}

static void
what_is_no_event_is_told_apart(void **state)
{
	static const struct
	{
		const char *id;
		const char *why;
	} cases[] = {
		{EVENT_ID, NULL},
		{NULL, "no ce_id"},
		{"", "ce_id is not a UUID"},
		{EVENT_ID "0", "no ce_id"},
		{"01a20aad-0265-4076-84d9-bed762645b47", "ce_id is not a version 7 UUID"},
	};
	const int count = sizeof(cases) / sizeof(cases[0]);
	Reader	  reader;

	(void) state;
	for (int i = 0; i < count; i++)
		fake_kafka_send(producer, "key", "{}",
						cases[i].id == NULL ? rd_kafka_headers_new(1) : headers_with(cases[i].id),
						NULL);
	reader_open(&reader, FAKE_TOPIC, count);
	for (int i = 0; i < count; i++)
	{
		CloudEvent	event;
		const char *why = NULL;

		assert_int_equal(cloudevent_read(reader.read[i], &event, &why), cases[i].why == NULL);
		if (cases[i].why != NULL)
			assert_string_equal(why, cases[i].why);
		else
			assert_string_equal(event.correlation_id, "abc");
		rd_kafka_message_destroy(reader.read[i]);
	}
	kafka_client_close(reader.client);
}

static void
a_payload_without_its_seats_is_a_defect(void **state)
{
	static const struct
	{
		const char *payload;
		bool		good;
	} cases[] = {
		{"{\"concert_date_id\": \"" DATE_ID "\", \"seats\": [{\"seat_id\": \"" SEAT_ID "\"}]}",
		 true},
		{"{\"concert_date_id\": \"" DATE_ID "\", \"seats\": []}", true},
		{"", false},
		{"[]", false},
		{"{\"seats\": []}", false},
		{"{\"concert_date_id\": \"12\", \"seats\": []}", false},
		{"{\"concert_date_id\": \"" DATE_ID "\"}", false},
		{"{\"concert_date_id\": \"" DATE_ID "\", \"seats\": [{\"seat_id\": \"x\"}]}", false},
		{"{\"concert_date_id\": \"" DATE_ID "\", \"seats\": [\"" SEAT_ID "\"]}", false},
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		EffectEvent event = {.payload = cases[i].payload, .key = "", .topic = TOPIC_RESERVATION};

		assert_int_equal(SEAT_MAP->defect(&event) == NULL, cases[i].good);
	}
}

static void
offsets_move_only_over_settled_messages(void **state)
{
	Partition *partitions = NULL;
	Partition *partition;
	Message	  *messages[3];
	Reader	   reader;
	int64_t	   offset = -1;

	(void) state;
	for (int i = 0; i < 3; i++)
		fake_kafka_send(producer, "key", "{\"n\": 1}", headers_with(EVENT_ID), NULL);
	reader_open(&reader, FAKE_TOPIC, 3);
	partition = partition_of(&partitions, FAKE_TOPIC, 0, NULL);
	for (int i = 0; i < 3; i++)
		messages[i] = partition_push(partition, reader.read[i], TICKET);
	assert_string_equal(messages[0]->event.key, "key");
	assert_int_equal(partition->count, 3);

	messages[1]->state = MESSAGE_SETTLED;
	assert_int_equal(partition_pop(partition, &offset), 0);
	assert_int_equal(offset, -1);
	messages[0]->state = MESSAGE_SETTLED;
	assert_int_equal(partition_pop(partition, &offset), 2);
	assert_int_equal(offset, messages[2]->kafka->offset);
	assert_ptr_equal(partition->head, messages[2]);
	partition_free_all(&partitions);
	kafka_client_close(reader.client);
}

static void
a_lost_partition_lives_until_it_is_answered(void **state)
{
	Partition *partitions = NULL;
	Partition *lost;

	(void) state;
	lost = partition_of(&partitions, FAKE_TOPIC, 0, NULL);
	assert_ptr_equal(partition_of(&partitions, FAKE_TOPIC, 0, NULL), lost);
	lost->busy = 2;
	partition_of(&partitions, FAKE_TOPIC, 1, NULL);
	partition_lose(&partitions, FAKE_TOPIC, 0);
	partition_lose(&partitions, FAKE_TOPIC, 1);
	assert_ptr_equal(partitions, lost);
	assert_null(lost->next);
	assert_ptr_not_equal(partition_of(&partitions, FAKE_TOPIC, 0, NULL), lost);
	assert_false(partition_answered(&partitions, lost, 1));
	partition_rotate(&partitions);
	assert_ptr_equal(partitions, lost);
	assert_false(partition_answered(&partitions, lost, 1));
	assert_ptr_not_equal(partitions, lost);
	assert_true(partition_answered(&partitions, partitions, 0));
	partition_free_all(&partitions);
	assert_null(partitions);
}

static void
failures_are_final_or_wait_longer_and_longer(void **state)
{
	(void) state;
	assert_true(group_failure_is_final("22P02"));
	assert_true(group_failure_is_final("23503"));
	assert_true(group_failure_is_final("TK001"));
	assert_false(group_failure_is_final("40001"));
	assert_false(group_failure_is_final("57014"));
	assert_false(group_failure_is_final("42883"));
	assert_false(group_failure_is_final(""));
	assert_int_equal(group_retry_ms(1), 100);
	assert_int_equal(group_retry_ms(2), 200);
	assert_int_equal(group_retry_ms(4), 800);
	assert_int_equal(group_retry_ms(5), 1500);
	assert_int_equal(group_retry_ms(1000), 1500);
}

static void
note_sent(void *arg, bool ok)
{
	int *answers = arg;

	*answers = ok ? 1 : -1;
}

static bool
is_sent(const void *arg)
{
	return *(const int *) arg != 0;
}

static void
assert_header(const rd_kafka_message_t *message, const char *name, const char *expected)
{
	rd_kafka_headers_t *headers = NULL;
	const void		   *value = NULL;
	size_t				len;

	rd_kafka_message_headers(message, &headers);
	assert_non_null(headers);
	assert_int_equal(rd_kafka_header_get_last(headers, name, &value, &len),
					 RD_KAFKA_RESP_ERR_NO_ERROR);
	assert_string_equal(value, expected);
}

static void
a_dead_letter_is_the_message_with_its_reason(void **state)
{
	DeadLetters *letters = deadletter_open(fake.kafka);
	DeadLetter	 letter = {.group = "ticket", .reason = "too_late", .attempts = 3};
	Reader		 reader;
	Reader		 dead;
	int			 answer = 0;

	(void) state;
	fake_kafka_send(producer, "key", "{\"n\": 2}", headers_with(EVENT_ID), NULL);
	reader_open(&reader, FAKE_TOPIC, 1);
	letter.message = reader.read[0];
	assert_true(deadletter_send(letters, &letter, note_sent, &answer));
	assert_true(loop_until(base, is_sent, &answer, LOOP_WAIT_MS));
	assert_int_equal(answer, 1);

	reader_open(&dead, FAKE_TOPIC TOPIC_DLQ_SUFFIX, 1);
	assert_memory_equal(dead.read[0]->key, "key", 3);
	assert_int_equal(dead.read[0]->len, reader.read[0]->len);
	assert_memory_equal(dead.read[0]->payload, reader.read[0]->payload, reader.read[0]->len);
	assert_header(dead.read[0], CE_ID, EVENT_ID);
	assert_header(dead.read[0], CE_CORRELATION, "abc");
	assert_header(dead.read[0], DLQ_GROUP, "ticket");
	assert_header(dead.read[0], DLQ_REASON, "too_late");
	assert_header(dead.read[0], DLQ_ATTEMPTS, "3");
	assert_header(dead.read[0], DLQ_TOPIC, FAKE_TOPIC);
	rd_kafka_message_destroy(dead.read[0]);
	rd_kafka_message_destroy(reader.read[0]);
	kafka_client_close(dead.client);
	kafka_client_close(reader.client);
	deadletter_close(letters);
}

static void
a_letter_that_is_not_taken_is_told(void **state)
{
	DeadLetters *letters = deadletter_open(fake.kafka);
	DeadLetter	 letter = {.group = "ticket", .reason = "too_late", .attempts = 3};
	Reader		 reader;
	int			 answer = 0;

	(void) state;
	fake_kafka_send(producer, "key", "{}", headers_with(EVENT_ID), NULL);
	reader_open(&reader, FAKE_TOPIC, 1);
	letter.message = reader.read[0];
	rd_kafka_mock_push_request_errors(fake.cluster, FAKE_PRODUCE_REQUEST, 1,
									  RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
	assert_true(deadletter_send(letters, &letter, note_sent, &answer));
	assert_true(loop_until(base, is_sent, &answer, LOOP_WAIT_MS));
	assert_int_equal(answer, -1);
	rd_kafka_message_destroy(reader.read[0]);
	kafka_client_close(reader.client);
	deadletter_close(letters);
}

static int
set_up(void **state)
{
	(void) state;
	log_set_level(LOG_ERROR_LEVEL);
	base = event_base_new();
	if (base == NULL || !fake_kafka_open(&fake, base))
		return 1;
	producer = kafka_producer(fake.kafka, NULL, poll_producer, NULL);
	return producer == NULL;
}

static int
tear_down(void **state)
{
	(void) state;
	kafka_client_close(producer);
	fake_kafka_close(&fake);
	event_base_free(base);
	libevent_global_shutdown();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_no_event_is_told_apart, set_up, tear_down),
		cmocka_unit_test(a_payload_without_its_seats_is_a_defect),
		cmocka_unit_test_setup_teardown(offsets_move_only_over_settled_messages, set_up, tear_down),
		cmocka_unit_test(a_lost_partition_lives_until_it_is_answered),
		cmocka_unit_test_setup_teardown(failures_are_final_or_wait_longer_and_longer, set_up,
										tear_down),
		cmocka_unit_test_setup_teardown(a_dead_letter_is_the_message_with_its_reason, set_up,
										tear_down),
		cmocka_unit_test_setup_teardown(a_letter_that_is_not_taken_is_told, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("consumer", tests, NULL, NULL);
}
