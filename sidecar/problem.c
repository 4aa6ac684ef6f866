/* SPDX-License-Identifier: PostgreSQL */
/* The tables, and the three ways to answer from them. */
#include <stdio.h>
#include <string.h>

#include "../extension/reason.h"
#include "../extension/sqlstate.h"
#include "db.h"
#include "log.h"
#include "metrics.h"
#include "problem.h"

#define BUSY_RETRY_SECONDS "1"

typedef struct ProblemRow
{
	const char *code;
	int			status;
	int			retry_after_seconds;
	const char *title;
} ProblemRow;

static const ProblemRow problems[PROBLEM_COUNT] = {
#define PROBLEM_ROW(name, code, status, retry_after, title) {code, status, retry_after, title},
	PROBLEMS(PROBLEM_ROW)
#undef PROBLEM_ROW
};

/* The HTTP status of every reason: a new one in reason.h does not compile without its line here. */
enum
{
	STATUS_OF_SOLD = 409,
	STATUS_OF_HELD = 409,
	STATUS_OF_BUSY = 409,
	STATUS_OF_BLOCKED = 409,
	STATUS_OF_UNKNOWN = 404,
	STATUS_OF_OTHER_DATE = 409,
	STATUS_OF_ORPHAN = 409,
	STATUS_OF_LIMIT = 409,
	STATUS_OF_NOT_ON_SALE = 409,
	STATUS_OF_NO_PASS = 403,
	STATUS_OF_STALE_FENCE = 409,
	STATUS_OF_INSUFFICIENT_FUNDS = 402,
	STATUS_OF_WRONG_CURRENCY = 409,
	STATUS_OF_FROZEN = 409,
	STATUS_OF_EXPIRED = 409,
	STATUS_OF_ALREADY_PAID = 409,
	STATUS_OF_ALREADY_RESOLVED = 409,
	STATUS_OF_NOT_OWNER = 403,
	STATUS_OF_TOO_LATE = 409
};

static const ProblemRow reasons[] = {
#define REASON_ROW(name, text, what, ...) {text, STATUS_OF_##name, 0, what},
	CONCERT_REASONS(REASON_ROW)
#undef REASON_ROW
};

#define REASON_COUNT ((int) (sizeof(reasons) / sizeof(reasons[0])))

/* What each SQLSTATE of our own is to an HTTP caller; those that no route can cause are faults. */
enum
{
	PROBLEM_OF_UNKNOWN_OBJECT = PROBLEM_NOT_FOUND,
	PROBLEM_OF_KEY_REUSED = PROBLEM_KEY_REUSED,
	PROBLEM_OF_TOO_MANY_SEATS = PROBLEM_TOO_MANY_SEATS,
	PROBLEM_OF_DUPLICATE_SEAT = PROBLEM_DUPLICATE_SEAT,
	PROBLEM_OF_DELETE_REFUSED = PROBLEM_INTERNAL,
	PROBLEM_OF_HISTORY_REFUSED = PROBLEM_INTERNAL,
	PROBLEM_OF_STILL_IN_USE = PROBLEM_INTERNAL,
	PROBLEM_OF_OUTBOX_RESET_NEEDED = PROBLEM_INTERNAL,
	PROBLEM_OF_EVENT_REFUSED = PROBLEM_INVALID,
	PROBLEM_OF_KEY_FILE_UNUSABLE = PROBLEM_INTERNAL,
	PROBLEM_OF_EVENT_ID_REFUSED = PROBLEM_INVALID,
	PROBLEM_OF_CURSOR_BACKWARDS = PROBLEM_INTERNAL,
	PROBLEM_OF_SNAPSHOT_TOO_OLD = PROBLEM_INTERNAL,
	PROBLEM_OF_LAYOUT_REFUSED = PROBLEM_INTERNAL,
	PROBLEM_OF_RESTORE_REFUSED = PROBLEM_INTERNAL,
	PROBLEM_OF_UPDATE_NEEDED = PROBLEM_VERSION_MISMATCH
};

/* The first row whose state begins the SQLSTATE counts. */
static const struct
{
	const char *state;
	int			problem;
} states[] = {
#define STATE_ROW(name, state, what, ...) {state, PROBLEM_OF_##name},
	CONCERT_ERRORS(STATE_ROW)
#undef STATE_ROW
		{"40", PROBLEM_CONTENTION}, /* serialization failure, deadlock */
	{DB_UNDEFINED_FUNCTION, PROBLEM_VERSION_MISMATCH},
	{"55P03", PROBLEM_CONTENTION},	  /* lock not available */
	{"57014", PROBLEM_TIMEOUT},		  /* cancelled */
	{"57P", PROBLEM_DATABASE_DOWN},	  /* shutting down or starting */
	{"25006", PROBLEM_DATABASE_DOWN}, /* read only: the primary is elsewhere now */
	{"08", PROBLEM_DATABASE_DOWN},
	{"53", PROBLEM_DATABASE_DOWN}, /* out of a resource */
	{"22", PROBLEM_INVALID},
	{"23", PROBLEM_INVALID},
};

static const ProblemRow *problem_find_reason(const char *reason);
static void problem_answer(HttpRequest *request, const ProblemRow *row, const char *detail,
						   json_t *seats);

void
problem_reply(HttpRequest *request, ProblemCode problem, const char *detail)
{
	problem_answer(request, &problems[problem], detail, NULL);
}

void
problem_refuse(HttpRequest *request, const char *reason, const char *detail, json_t *seats)
{
	const ProblemRow *row = problem_find_reason(reason);

	metric_add(METRIC_REFUSALS, row != NULL ? reason : "other", 1);
	if (row != NULL && strcmp(reason, "busy") == 0)
		http_set_header(request, "Retry-After", BUSY_RETRY_SECONDS);
	if (row == NULL)
		log_event(LOG_ERROR_LEVEL, "reason_not_in_list", http_correlation_id(request), "{s:s?}",
				  "reason", reason);
	problem_answer(request, row != NULL ? row : &problems[PROBLEM_INTERNAL], detail,
				   seats != NULL ? seats : json_array());
}

void
problem_database(HttpRequest *request, const PGresult *res, const char *errstr)
{
	const char *sqlstate = db_sqlstate(res);
	const char *message = res != NULL ? PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) : errstr;
	ProblemCode problem = res == NULL ? PROBLEM_TIMEOUT : problem_of_sqlstate(sqlstate);

	if (problems[problem].status >= 500)
		log_event(LOG_WARN_LEVEL, "database_error", http_correlation_id(request), "{s:s, s:s?}",
				  "sqlstate", sqlstate, "message", message);
	problem_answer(request, &problems[problem], problems[problem].status < 500 ? message : NULL,
				   NULL);
}

ProblemCode
problem_of_sqlstate(const char *sqlstate)
{
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strncmp(states[i].state, sqlstate, strlen(states[i].state)) == 0)
			return (ProblemCode) states[i].problem;
	return PROBLEM_INTERNAL;
}

int
problem_reason_status(const char *reason)
{
	const ProblemRow *row = problem_find_reason(reason);

	return row != NULL ? row->status : 500;
}

static const ProblemRow *
problem_find_reason(const char *reason)
{
	for (int i = 0; reason != NULL && i < REASON_COUNT; i++)
		if (strcmp(reasons[i].code, reason) == 0)
			return &reasons[i];
	return NULL;
}

static void
problem_answer(HttpRequest *request, const ProblemRow *row, const char *detail, json_t *seats)
{
	char	type[96];
	char	retry_after[16];
	json_t *body;
	char   *text;

	snprintf(type, sizeof(type), "urn:concert:problem:%s", row->code);
	body = json_pack("{s:s, s:s, s:i, s:s*, s:s, s:o*}", "type", type, "title", row->title,
					 "status", row->status, "detail", detail, "code", row->code, "seats", seats);
	text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
	json_decref(body);
	if (row->retry_after_seconds > 0)
	{
		snprintf(retry_after, sizeof(retry_after), "%d", row->retry_after_seconds);
		http_set_header(request, "Retry-After", retry_after);
	}
	http_reply_text(request, row->status, "application/problem+json", text != NULL ? text : "{}",
					text != NULL ? strlen(text) : 2);
	free(text);
}
