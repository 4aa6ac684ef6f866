/* SPDX-License-Identifier: PostgreSQL */
/*
 * Guards: a provider's message reaches the function of its type with what it said, once; what is
 * incomplete reaches none; a cause that is too long is cut, never a reason to lose the message; an
 * answer about something else is not taken for one about what was asked.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "fake_rows.h"
#include "loop.h"
#include "message.h"
#include "sql.h"

#define PAYMENT "018f0000-0000-7000-8000-000000000001"
#define REFUND "018f0000-0000-7000-8000-0000000000ff"
#define TEXT_BYTES 256

static struct event_base *base;
static char				  called[64];
static char				  subject[64];
static char				  message_id[TEXT_BYTES];
static char				  currency[TEXT_BYTES];
static char				  reference[TEXT_BYTES];
static char				  cause[TEXT_BYTES];
static int64_t			  amount;
static bool				  queue_full;
static int				  answers;

static bool
take(const char *name, const SqlMessage *message, DbDone done, void *arg)
{
	PGresult *res = fake_rows(4);

	if (queue_full)
	{
		PQclear(res);
		return false;
	}
	snprintf(called, sizeof(called), "%s", name);
	snprintf(subject, sizeof(subject), "%s", message->subject_id);
	snprintf(message_id, sizeof(message_id), "%s", message->message_id);
	snprintf(currency, sizeof(currency), "%s", message->currency ? message->currency : "none");
	snprintf(reference, sizeof(reference), "%s",
			 message->provider_ref ? message->provider_ref : "none");
	snprintf(cause, sizeof(cause), "%s", message->cause ? message->cause : "none");
	amount = message->amount;
	fake_rows_add(res, "t", NULL, PAYMENT, "captured");
	fake_rows_send(base, res, done, arg);
	return true;
}

#define FAKE(name)                                                             \
	bool sql_##name(Db *db, const SqlMessage *message, DbDone done, void *arg) \
	{                                                                          \
		(void) db;                                                             \
		return take(#name, message, done, arg);                                \
	}

FAKE(payment_authorized)
FAKE(payment_captured)
FAKE(payment_failed)
FAKE(refund_settled)
FAKE(refund_failed)

static void
answered(void *arg, const PGresult *res, const char *errstr)
{
	(void) arg;
	assert_null(errstr);
	assert_string_equal(PQgetvalue(res, 0, MESSAGE_STATUS), "captured");
	answers++;
}

static MessageFate
say(const char *text)
{
	const char *why = NULL;
	int			before[] = {answers, answers + 1};
	json_t	   *body = json_loads(text, 0, NULL);
	MessageFate fate;

	called[0] = '\0';
	assert_non_null(body);
	fate = message_send(NULL, body, "correlation", answered, NULL, &why);
	json_decref(body);
	assert_int_equal(fate == MESSAGE_INVALID, why != NULL);
	loop_run(base, 5);
	assert_int_equal(answers, before[fate == MESSAGE_SENT]);
	return fate;
}

static void
each_type_has_its_function(void **state)
{
	(void) state;
	assert_int_equal(
		say("{\"type\":\"payment.captured\",\"message_id\":\"m\",\"payment_id\":\"" PAYMENT
			"\",\"amount\":9223372036854775807,\"currency\":\"KRW\",\"provider_ref\":\"r\"}"),
		MESSAGE_SENT);
	assert_string_equal(called, "payment_captured");
	assert_string_equal(subject, PAYMENT);
	assert_string_equal(message_id, "m");
	assert_string_equal(currency, "KRW");
	assert_string_equal(reference, "r");
	assert_true(amount == INT64_MAX);
	say("{\"type\":\"payment.authorized\",\"message_id\":\"m\",\"payment_id\":\"" PAYMENT
		"\",\"provider_ref\":null}");
	assert_string_equal(called, "payment_authorized");
	assert_string_equal(reference, "none");
	say("{\"type\":\"payment.failed\",\"message_id\":\"m\",\"payment_id\":\"" PAYMENT "\"}");
	assert_string_equal(called, "payment_failed");
	assert_string_equal(cause, "no cause was given");
	say("{\"type\":\"refund.settled\",\"message_id\":\"m\",\"refund_id\":\"" REFUND
		"\",\"payment_id\":\"" PAYMENT "\"}");
	assert_string_equal(called, "refund_settled");
	assert_string_equal(subject, REFUND);
	say("{\"type\":\"refund.failed\",\"message_id\":\"m\",\"refund_id\":\"" REFUND
		"\",\"cause\":\"closed\"}");
	assert_string_equal(called, "refund_failed");
	assert_string_equal(cause, "closed");
}

static void
what_is_incomplete_reaches_none(void **state)
{
	const char *const bad[] = {
		"{}",
		"{\"type\":1}",
		"{\"type\":\"payment\",\"message_id\":\"m\",\"payment_id\":\"" PAYMENT "\"}",
		"{\"type\":\"payment.failed\",\"message_id\":\"m\"}",
		"{\"type\":\"payment.failed\",\"message_id\":\"m\",\"payment_id\":\"x\"}",
		"{\"type\":\"payment.failed\",\"message_id\":\"m\",\"payment_id\":7}",
		"{\"type\":\"payment.failed\",\"payment_id\":\"" PAYMENT "\"}",
		"{\"type\":\"payment.failed\",\"message_id\":\"\",\"payment_id\":\"" PAYMENT "\"}",
		"{\"type\":\"payment.failed\",\"message_id\":7,\"payment_id\":\"" PAYMENT "\"}",
		"{\"type\":\"refund.settled\",\"message_id\":\"m\",\"payment_id\":\"" PAYMENT "\"}",
		"{\"type\":\"payment.captured\",\"message_id\":\"m\",\"payment_id\":\"" PAYMENT
		"\",\"currency\":\"KRW\"}",
		"{\"type\":\"payment.captured\",\"message_id\":\"m\",\"payment_id\":\"" PAYMENT
		"\",\"amount\":0,\"currency\":\"KRW\"}",
		"{\"type\":\"payment.captured\",\"message_id\":\"m\",\"payment_id\":\"" PAYMENT
		"\",\"amount\":1.5,\"currency\":\"KRW\"}",
		"{\"type\":\"payment.captured\",\"message_id\":\"m\",\"payment_id\":\"" PAYMENT
		"\",\"amount\":1}",
		"{\"type\":\"payment.captured\",\"message_id\":\"m\",\"payment_id\":\"" PAYMENT
		"\",\"amount\":1,\"currency\":[]}",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		assert_int_equal(say(bad[i]), MESSAGE_INVALID);
		assert_string_equal(called, "");
	}
	queue_full = true;
	assert_int_equal(
		say("{\"type\":\"payment.failed\",\"message_id\":\"m\",\"payment_id\":\"" PAYMENT "\"}"),
		MESSAGE_OVERLOADED);
	queue_full = false;
}

/* 199 bytes and a character of two: cut before it. */
static void
a_long_cause_is_cut_between_characters(void **state)
{
	char text[1024];
	char long_cause[300];

	(void) state;
	memset(long_cause, 'x', 199);
	strcpy(long_cause + 199, "\xc3\xa4 and more");
	snprintf(text, sizeof(text),
			 "{\"type\":\"payment.failed\",\"message_id\":\"m\",\"payment_id\":\"" PAYMENT
			 "\",\"cause\":\"%s\"}",
			 long_cause);
	assert_int_equal(say(text), MESSAGE_SENT);
	assert_int_equal(strlen(cause), 199);
	memmove(long_cause + 198, long_cause + 199, strlen(long_cause + 199) + 1);
	snprintf(text, sizeof(text),
			 "{\"type\":\"payment.failed\",\"message_id\":\"m\",\"payment_id\":\"" PAYMENT
			 "\",\"cause\":\"%s\"}",
			 long_cause);
	assert_int_equal(say(text), MESSAGE_SENT);
	assert_int_equal(strlen(cause), 200);
	memset(text, 'x', 201);
	strcpy(text + 201, "");
	snprintf(long_cause, sizeof(long_cause), "%.201s", text);
	snprintf(text, sizeof(text),
			 "{\"type\":\"payment.failed\",\"message_id\":\"%s\",\"payment_id\":\"" PAYMENT "\"}",
			 long_cause);
	assert_int_equal(say(text), MESSAGE_INVALID);
}

static bool
is_about(const char *text, const char *refund_id)
{
	json_t *body = json_loads(text, 0, NULL);
	bool	about = message_is_about(body, PAYMENT, refund_id);

	json_decref(body);
	return about;
}

static void
an_answer_is_about_what_was_asked(void **state)
{
	(void) state;
	assert_true(is_about("{\"type\":\"payment.captured\",\"payment_id\":\"" PAYMENT "\"}", ""));
	assert_true(is_about(
		"{\"type\":\"refund.settled\",\"refund_id\":\"018F0000-0000-7000-8000-0000000000FF\"}",
		REFUND));
	assert_false(is_about("{\"type\":\"payment.captured\",\"payment_id\":\"" REFUND "\"}", ""));
	assert_false(is_about("{\"type\":\"refund.settled\",\"refund_id\":\"" REFUND
						  "\",\"payment_id\":\"" PAYMENT "\"}",
						  ""));
	assert_false(is_about("{\"type\":\"payment.captured\",\"refund_id\":\"" REFUND
						  "\",\"payment_id\":\"" PAYMENT "\"}",
						  REFUND));
	assert_false(is_about("{\"payment_id\":\"" PAYMENT "\"}", ""));
	assert_false(is_about("[]", ""));
}

static int
set_up(void **state)
{
	(void) state;
	base = event_base_new();
	return base == NULL;
}

static int
tear_down(void **state)
{
	(void) state;
	event_base_free(base);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_type_has_its_function),
		cmocka_unit_test(what_is_incomplete_reaches_none),
		cmocka_unit_test(a_long_cause_is_cut_between_characters),
		cmocka_unit_test(an_answer_is_about_what_was_asked),
	};

	return cmocka_run_group_tests_name("message", tests, set_up, tear_down);
}
