/* SPDX-License-Identifier: PostgreSQL */
/*
 * A turn: claim rows, one Question each → the provider → its message into the database → done. The
 * Question counts as in flight until the database has answered, so that a slow database slows the
 * asking too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "breaker.h"
#include "caller.h"
#include "clock.h"
#include "db.h"
#include "fetch.h"
#include "http.h"
#include "log.h"
#include "message.h"
#include "metrics.h"
#include "options.h"
#include "pace.h"
#include "provider.h"
#include "sql.h"

#define PROVIDER_DB_SESSIONS 2
#define PROVIDER_DB_QUEUE_MAX 2000
#define PROVIDER_APPLICATION "concertd-provider"
#define ROWS_MAX 100	   /* of one turn */
#define MISSING_SECONDS 30 /* until an extension that cannot be asked is asked again */
#define URL_BYTES 1200
#define HEADER_BYTES 320
#define LABEL_BYTES 64
#define TOO_MANY_REQUESTS 429

/* Columns of sql_payment_work(). */
enum
{
	WORK_KIND,
	WORK_PAYMENT_ID,
	WORK_REFUND_ID,
	WORK_PROVIDER_REF,
	WORK_AMOUNT,
	WORK_CURRENCY,
	WORK_BOOKING_ID,
	WORK_ATTEMPT,
	WORK_CORRELATION_ID
};

/* What the database wants to be asked, and where it is asked. */
typedef struct QuestionKind
{
	const char *name;
	const char *path;
	bool		posts; /* otherwise the payment's id ends the path */
} QuestionKind;

static const QuestionKind kinds[] = {
	{"payment", "/payments", true},
	{"refund", "/refunds", true},
	{"ask", "/payments/", false},
};

struct Provider
{
	Db			  *db;
	Fetch		  *fetch;
	const Secrets *keys;
	struct event  *timer;
	Breaker		   breaker;
	Pace		   pace;
	int			   wanted; /* rows of the claim under way, 0: none is */
	bool		   more;   /* the last claim may have left some */
	bool		   missing;
	bool		   closing;
	int			   in_flight;
	void (*drained)(void *arg);
	void *drained_arg;
};

typedef struct Question
{
	Provider		   *provider;
	const QuestionKind *kind;
	unsigned			ticket;
	double				since_seconds;
	char				payment_id[ID_BYTES];
	char				refund_id[ID_BYTES]; /* "": it is about the payment */
	char				correlation_id[HTTP_CORRELATION_ID_BYTES];
} Question;

static void		 provider_turn(evutil_socket_t fd, short what, void *arg);
static int		 provider_room(Provider *provider);
static void		 provider_wait(Provider *provider);
static void		 provider_claimed(void *arg, const PGresult *res, const char *errstr);
static void		 provider_not_claimed(Provider *provider, const PGresult *res, const char *errstr);
static void		 provider_show_breaker(const Provider *provider, bool changed);
static void		 question_ask(Provider *provider, const PGresult *res, int row);
static Question *question_new(Provider *provider, const PGresult *res, int row);
static char		*question_body(const QuestionKind *kind, const PGresult *res, int row);
static bool		 question_send(Question *question, const char *body);
static void		 question_answered(void *arg, const FetchReply *reply);
static const char *question_judge(const Question *question, const FetchReply *reply,
								  json_t **ret_message);
static void		   question_done(void *arg, const PGresult *res, const char *errstr);

static inline const char *
cell(const PGresult *res, int row, int column)
{
	return PQgetisnull(res, row, column) ? NULL : PQgetvalue(res, row, column);
}

Provider *
provider_open(struct event_base *base, const Secrets *keys)
{
	const Options *options = options_current();
	Provider	  *provider = calloc(1, sizeof(Provider));

	if (provider == NULL)
		return NULL;
	provider->keys = keys;
	provider->timer = evtimer_new(base, provider_turn, provider);
	provider->fetch = fetch_open(base, options->provider_ca_file, options->provider_in_flight_max);
	if (provider->fetch != NULL)
		provider->db = db_open(base, options->db_conninfo, PROVIDER_DB_SESSIONS,
							   PROVIDER_DB_QUEUE_MAX, options->db_timeout_ms, PROVIDER_APPLICATION);
	if (provider->timer == NULL || provider->db == NULL)
	{
		provider_close(provider);
		return NULL;
	}
	clock_wait(provider->timer, 0);
	return provider;
}

void
provider_drain(Provider *provider, void (*drained)(void *arg), void *arg)
{
	provider->drained = drained;
	provider->drained_arg = arg;
	event_del(provider->timer);
	if (provider->in_flight == 0 && provider->wanted == 0)
		drained(arg);
}

void
provider_close(Provider *provider)
{
	if (provider == NULL)
		return;
	provider->closing = true;
	fetch_close(provider->fetch);
	if (provider->db != NULL)
		db_close(provider->db);
	if (provider->timer != NULL)
		event_free(provider->timer);
	free(provider);
}

static void
provider_turn(evutil_socket_t fd, short what, void *arg)
{
	Provider *provider = arg;
	int		  room = provider_room(provider);

	(void) fd;
	(void) what;
	if (provider->wanted > 0)
		return;
	if (room > 0 &&
		sql_payment_work(provider->db, room, options_current()->provider_lease_seconds,
						 options_current()->provider_name, provider_claimed, provider))
		provider->wanted = room;
	else
		provider_wait(provider);
}

/* How many questions may begin now. */
static int
provider_room(Provider *provider)
{
	const Options *options = options_current();
	double		   now = clock_seconds();
	int			   room = options->provider_in_flight_max - provider->in_flight;
	int			   paced = pace_allows(&provider->pace, now, options->provider_rate);

	if (room > paced)
		room = paced;
	if (room > ROWS_MAX)
		room = ROWS_MAX;
	room = breaker_allows(&provider->breaker, now, room);
	provider_show_breaker(provider, false);
	return room;
}

static void
provider_wait(Provider *provider)
{
	const Options *options = options_current();
	double		   seconds = options->provider_poll_ms / 1000.0;

	if (provider->drained != NULL || provider->closing)
		return;
	if (provider->missing)
		seconds = MISSING_SECONDS;
	else if (provider->more && provider->breaker.state == BREAKER_CLOSED &&
			 provider->in_flight < options->provider_in_flight_max &&
			 1.0 / options->provider_rate < seconds)
		seconds = 1.0 / options->provider_rate;
	clock_wait(provider->timer, seconds);
}

static void
provider_claimed(void *arg, const PGresult *res, const char *errstr)
{
	Provider *provider = arg;
	int		  wanted = provider->wanted;

	provider->wanted = 0;
	if (errstr != NULL)
		provider_not_claimed(provider, res, errstr);
	else
	{
		provider->missing = false;
		provider->more = PQntuples(res) >= wanted;
		pace_spend(&provider->pace, PQntuples(res));
		for (int row = 0; row < PQntuples(res); row++)
			question_ask(provider, res, row);
	}
	if (provider->drained != NULL && provider->in_flight == 0 && !provider->closing)
		provider->drained(provider->drained_arg);
	else
		provider_wait(provider);
}

/* An extension of the version before this one has no payments to ask for. */
static void
provider_not_claimed(Provider *provider, const PGresult *res, const char *errstr)
{
	bool missing = strcmp(db_sqlstate(res), DB_UNDEFINED_FUNCTION) == 0;

	if (!provider->closing && (!missing || !provider->missing))
		log_event(LOG_WARN_LEVEL, missing ? "provider_waits_for_update" : "provider_claim_failed",
				  NULL, "{s:s, s:s}", "sqlstate", db_sqlstate(res), "why", errstr);
	provider->missing = missing;
	provider->more = false;
}

static void
provider_show_breaker(const Provider *provider, bool changed)
{
	static const char *const states[] = {
		[BREAKER_CLOSED] = "closed", [BREAKER_HALF_OPEN] = "half_open", [BREAKER_OPEN] = "open"};

	metric_set(METRIC_PROVIDER_BREAKER, NULL, provider->breaker.state);
	if (changed)
		log_event(LOG_WARN_LEVEL, "provider_breaker", NULL, "{s:s}", "state",
				  states[provider->breaker.state]);
}

/* What cannot be asked now is asked when its lease is over. */
static void
question_ask(Provider *provider, const PGresult *res, int row)
{
	Question *question = question_new(provider, res, row);
	char	 *body;

	if (question == NULL)
		return;
	body = question_body(question->kind, res, row);
	question->ticket = breaker_begin(&provider->breaker);
	if ((body != NULL || !question->kind->posts) && question_send(question, body))
		metric_set(METRIC_PROVIDER_IN_FLIGHT, NULL, ++provider->in_flight);
	else
	{
		breaker_end(&provider->breaker, question->ticket, false, clock_seconds(),
					options_current()->provider_breaker_failures,
					options_current()->provider_breaker_seconds);
		free(question);
	}
	free(body);
}

static Question *
question_new(Provider *provider, const PGresult *res, int row)
{
	const char *name = PQgetvalue(res, row, WORK_KIND);
	const char *correlation_id = cell(res, row, WORK_CORRELATION_ID);
	Question   *question = calloc(1, sizeof(Question));

	for (size_t i = 0; question != NULL && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, name) == 0)
			question->kind = &kinds[i];
	if (question == NULL || question->kind == NULL)
	{
		log_event(LOG_ERROR_LEVEL, "provider_question_unknown", correlation_id, "{s:s}", "kind",
				  name);
		free(question);
		return NULL;
	}
	question->provider = provider;
	question->since_seconds = clock_seconds();
	snprintf(question->payment_id, ID_BYTES, "%s", PQgetvalue(res, row, WORK_PAYMENT_ID));
	snprintf(question->refund_id, ID_BYTES, "%s", PQgetvalue(res, row, WORK_REFUND_ID));
	snprintf(question->correlation_id, sizeof(question->correlation_id), "%s",
			 correlation_id != NULL ? correlation_id : question->payment_id);
	log_event(LOG_DEBUG_LEVEL, "provider_question", question->correlation_id, "{s:s, s:s, s:s}",
			  "kind", name, "payment_id", question->payment_id, "attempt",
			  PQgetvalue(res, row, WORK_ATTEMPT));
	return question;
}

/* NULL: no memory, or there is none to send. */
static char *
question_body(const QuestionKind *kind, const PGresult *res, int row)
{
	json_t *body;
	char   *text;

	if (!kind->posts)
		return NULL;
	body = json_pack("{s:s, s:s*, s:s*, s:s*, s:I, s:s}", "payment_id",
					 PQgetvalue(res, row, WORK_PAYMENT_ID), "refund_id",
					 cell(res, row, WORK_REFUND_ID), "booking_id", cell(res, row, WORK_BOOKING_ID),
					 "provider_ref", cell(res, row, WORK_PROVIDER_REF), "amount",
					 (json_int_t) strtoll(PQgetvalue(res, row, WORK_AMOUNT), NULL, 10), "currency",
					 PQgetvalue(res, row, WORK_CURRENCY));
	text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
	json_decref(body);
	return text;
}

static bool
question_send(Question *question, const char *body)
{
	const Options *options = options_current();
	const Secrets *keys = question->provider->keys;
	const char	  *id = question->refund_id[0] != '\0' ? question->refund_id : question->payment_id;
	char		   url[URL_BYTES];
	char		   key_header[HEADER_BYTES];
	char		   idempotency_header[HEADER_BYTES];
	char		   correlation_header[HEADER_BYTES];
	size_t		   url_len = strlen(options->provider_url);
	FetchRequest   request = {.url = url, .body = body, .timeout_ms = options->provider_timeout_ms};
	int			   n = 0;

	while (url_len > 0 && options->provider_url[url_len - 1] == '/')
		url_len--;
	snprintf(url, sizeof(url), "%.*s%s%s", (int) url_len, options->provider_url,
			 question->kind->path, question->kind->posts ? "" : question->payment_id);
	snprintf(idempotency_header, sizeof(idempotency_header), "Idempotency-Key: %s", id);
	snprintf(correlation_header, sizeof(correlation_header), "X-Request-Id: %s",
			 question->correlation_id);
	request.headers[n++] = "Content-Type: application/json";
	request.headers[n++] = idempotency_header;
	request.headers[n++] = correlation_header;
	if (keys != NULL)
	{
		snprintf(key_header, sizeof(key_header), "Authorization: Bearer %s", keys->text[0]);
		request.headers[n++] = key_header;
	}
	return fetch_send(question->provider->fetch, &request, question_answered, question);
}

static void
question_answered(void *arg, const FetchReply *reply)
{
	Question	  *question = arg;
	Provider	  *provider = question->provider;
	const Options *options = options_current();
	double		   now = clock_seconds();
	json_t		  *message = NULL;
	const char	  *outcome = question_judge(question, reply, &message);
	bool		   well = reply->outcome == FETCH_ANSWERED && reply->status < 500 &&
		reply->status != TOO_MANY_REQUESTS;
	const char *why = reply->errstr;
	MessageFate fate = MESSAGE_INVALID;
	char		label[LABEL_BYTES];

	if (!provider->closing &&
		breaker_end(&provider->breaker, question->ticket, well, now,
					options->provider_breaker_failures, options->provider_breaker_seconds))
		provider_show_breaker(provider, true);
	if (message != NULL && !provider->closing)
		fate = message_send(provider->db, message, question->correlation_id, question_done,
							question, &why);
	if (message != NULL && fate == MESSAGE_INVALID)
		outcome = "malformed";
	snprintf(label, sizeof(label), "%s,%s", question->kind->name, outcome);
	metric_add(METRIC_PROVIDER_CALLS, label, 1);
	metric_observe(METRIC_PROVIDER_SECONDS, question->kind->name, now - question->since_seconds);
	log_event(well ? LOG_INFO_LEVEL : LOG_WARN_LEVEL, "provider_answer", question->correlation_id,
			  "{s:s, s:s, s:s*, s:s, s:i, s:i, s:s*}", "kind", question->kind->name, "payment_id",
			  question->payment_id, "refund_id",
			  question->refund_id[0] != '\0' ? question->refund_id : NULL, "outcome", outcome,
			  "status", reply->status, "elapsed_us", (int) ((now - question->since_seconds) * 1e6),
			  "why", why);
	json_decref(message);
	if (fate != MESSAGE_SENT)
		question_done(question, NULL, NULL);
}

/*
 * What came of it, and the message that the answer is. An answer without one, {} say, is well: the
 * message will come by itself, or be asked for.
 */
static const char *
question_judge(const Question *question, const FetchReply *reply, json_t **ret_message)
{
	static const char *const outcomes[] = {[FETCH_ANSWERED] = "answered",
										   [FETCH_TIMEOUT] = "timeout",
										   [FETCH_BROKEN] = "broken",
										   [FETCH_UNREACHABLE] = "unreachable"};
	const char				*outcome = "malformed";
	json_t					*body;

	if (reply->outcome != FETCH_ANSWERED)
		return outcomes[reply->outcome];
	if (reply->status >= 500)
		return "provider_fault";
	if (reply->status == TOO_MANY_REQUESTS)
		return "too_many";
	body = json_loadb(reply->body, reply->body_len, JSON_REJECT_DUPLICATES, NULL);
	if (json_object_get(body, "type") != NULL)
	{
		if (message_is_about(body, question->payment_id, question->refund_id))
			*ret_message = json_incref(body);
		outcome = *ret_message != NULL ? "message" : "malformed";
	}
	else if (reply->status >= 400)
		outcome = reply->status == 404 && !question->kind->posts ? "unknown" : "refused";
	else if (json_is_object(body))
		outcome = "accepted";
	json_decref(body);
	return outcome;
}

/* What the database could not take is asked again when the lease is over. */
static void
question_done(void *arg, const PGresult *res, const char *errstr)
{
	Question *question = arg;
	Provider *provider = question->provider;

	(void) res;
	(void) errstr;
	free(question);
	metric_set(METRIC_PROVIDER_IN_FLIGHT, NULL, --provider->in_flight);
	if (provider->closing)
		return;
	if (provider->drained != NULL && provider->in_flight == 0 && provider->wanted == 0)
		provider->drained(provider->drained_arg);
	else if (provider->more && provider->wanted == 0 &&
			 provider->in_flight == options_current()->provider_in_flight_max - 1)
		provider_wait(provider);
}
