/* SPDX-License-Identifier: PostgreSQL */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "message.h"
#include "metrics.h"
#include "options.h"
#include "problem.h"
#include "signature.h"
#include "sql.h"
#include "webhook.h"

static bool webhook_signed(const Secrets *secrets, HttpRequest *request);
static void webhook_taken(void *arg, const PGresult *res, const char *errstr);

void
webhook_take(Db *db, const Secrets *secrets, HttpRequest *request)
{
	const char *why = NULL;
	json_t	   *body;

	if (secrets == NULL ||
		strcmp(http_path_param(request, 0), options_current()->provider_name) != 0)
	{
		problem_reply(request, PROBLEM_NOT_FOUND, NULL);
		return;
	}
	if (!webhook_signed(secrets, request) || (body = http_body_object(request)) == NULL)
		return;
	switch (message_send(db, body, http_correlation_id(request), webhook_taken, request, &why))
	{
		case MESSAGE_SENT:
			break;
		case MESSAGE_INVALID:
			problem_reply(request, PROBLEM_INVALID, why);
			break;
		case MESSAGE_OVERLOADED:
			problem_reply(request, PROBLEM_OVERLOADED, NULL);
			break;
	}
	json_decref(body);
}

/* The caller is not told what is wrong with a signature; the log has it. */
static bool
webhook_signed(const Secrets *secrets, HttpRequest *request)
{
	size_t			 len;
	const char		*body = http_body(request, &len);
	SignatureVerdict verdict =
		signature_check(secrets, http_header(request, "Provider-Signature"), body, len,
						(int64_t) time(NULL), options_current()->provider_signature_seconds);

	metric_add(METRIC_PROVIDER_SIGNATURES, signature_verdict(verdict), 1);
	if (verdict == SIGNATURE_GOOD)
		return true;
	log_event(LOG_WARN_LEVEL, "signature_refused", http_correlation_id(request), "{s:s}", "verdict",
			  signature_verdict(verdict));
	problem_reply(request, PROBLEM_CALLER_UNKNOWN,
				  "Provider-Signature is missing, wrong or too old.");
	return false;
}

static void
webhook_taken(void *arg, const PGresult *res, const char *errstr)
{
	HttpRequest *request = arg;

	if (errstr != NULL)
		problem_database(request, res, errstr);
	else if (strcmp(PQgetvalue(res, 0, SQL_OK), "t") == 0)
		http_reply_json(request, 200,
						json_pack("{s:s, s:s}", "payment_id",
								  PQgetvalue(res, 0, MESSAGE_PAYMENT_ID), "status",
								  PQgetvalue(res, 0, MESSAGE_STATUS)));
	else if (strcmp(PQgetvalue(res, 0, SQL_REASON), "unknown") == 0)
		problem_refuse(request, "unknown", NULL, NULL);
	else
		problem_reply(request, PROBLEM_CONTENTION, NULL);
}
