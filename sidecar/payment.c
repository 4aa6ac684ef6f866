/* SPDX-License-Identifier: PostgreSQL */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "caller.h"
#include "options.h"
#include "payment.h"
#include "problem.h"
#include "sql.h"

#define DETAIL_BYTES 128
#define CAUSE_OWNER "given back by its owner"
#define CAUSE_OPERATOR "given back by the operator"

/* Columns of sql_payment_begin(), sql_payment_state() and sql_refund(). */
enum
{
	BEGUN_PAYMENT_ID = SQL_REST,
	BEGUN_AMOUNT,
	BEGUN_CURRENCY,
	BEGUN_POINTS,
	BEGUN_EXPIRES_AT
};
enum
{
	STATE_STATUS,
	STATE_AMOUNT,
	STATE_CURRENCY,
	STATE_BOOKING_STATUS,
	STATE_REFUNDED,
	STATE_REFUND_STATUS
};
enum
{
	REFUND_AMOUNT = SQL_REST,
	REFUND_FEE,
	REFUND_CURRENCY,
	REFUND_REFUNDS
};

static bool payment_provider_known(HttpRequest *request, const char *provider);
static void payment_begun(void *arg, const PGresult *res, const char *errstr);
static void payment_shown(void *arg, const PGresult *res, const char *errstr);
static void payment_refunded(void *arg, const PGresult *res, const char *errstr);

static inline json_int_t
column_number(const PGresult *res, int i)
{
	return (json_int_t) strtoll(PQgetvalue(res, 0, i), NULL, 10);
}

static inline const char *
column_text(const PGresult *res, int i)
{
	return PQgetisnull(res, 0, i) ? NULL : PQgetvalue(res, 0, i);
}

void
payment_begin(Db *db, HttpRequest *request)
{
	char			booking_id[ID_BYTES];
	char			user_id[ID_BYTES];
	SqlPaymentBegin call = {.booking_id = booking_id, .user_id = user_id};
	json_t		   *body;

	if (!caller_user(request, user_id) || !caller_path_id(request, 0, booking_id) ||
		(body = http_body_object(request)) == NULL)
		return;
	call.idempotency_key = http_idempotency_key(request);
	call.correlation_id = http_correlation_id(request);
	if (body_text(request, body, "provider", NULL, &call.provider) &&
		payment_provider_known(request, call.provider) &&
		body_number(request, body, "points", 0, 0, &call.points) &&
		!sql_payment_begin(db, &call, payment_begun, request))
		problem_reply(request, PROBLEM_OVERLOADED, NULL);
	json_decref(body);
}

void
payment_show(Db *db, HttpRequest *request)
{
	bool by_operator = caller_is_operator(request);
	char payment_id[ID_BYTES];
	char user_id[ID_BYTES];

	if ((!by_operator && !caller_user(request, user_id)) || !caller_path_id(request, 0, payment_id))
		return;
	if (!sql_payment_state(db, payment_id, by_operator ? NULL : user_id, payment_shown, request))
		problem_reply(request, PROBLEM_OVERLOADED, NULL);
}

/* What is kept of the money is not for the one who wants it back to say. */
void
payment_refund(Db *db, HttpRequest *request)
{
	bool	  by_operator = caller_is_operator(request);
	char	  booking_id[ID_BYTES];
	char	  user_id[ID_BYTES];
	SqlRefund call = {.booking_id = booking_id};
	char	 *seat_ids = NULL;
	json_t	 *body;

	if ((!by_operator && !caller_user(request, user_id)) ||
		!caller_path_id(request, 0, booking_id) || (body = http_body_object(request)) == NULL)
		return;
	call.user_id = by_operator ? NULL : user_id;
	call.cause = by_operator ? CAUSE_OPERATOR : CAUSE_OWNER;
	call.idempotency_key = http_idempotency_key(request);
	call.correlation_id = http_correlation_id(request);
	if (!by_operator && json_object_get(body, "fee") != NULL)
		problem_reply(request, PROBLEM_FORBIDDEN, "Only an operator says a fee.");
	else if (body_number(request, body, "fee", 0, 0, &call.fee) &&
			 body_ids(request, body, "seats", &seat_ids))
	{
		call.seat_ids = seat_ids;
		if (!sql_refund(db, &call, payment_refunded, request))
			problem_reply(request, PROBLEM_OVERLOADED, NULL);
	}
	free(seat_ids);
	json_decref(body);
}

/* Money that nobody would ever ask for must not be waited for. */
static bool
payment_provider_known(HttpRequest *request, const char *provider)
{
	if (provider[0] != '\0' && strcmp(provider, options_current()->provider_name) == 0)
		return true;
	problem_reply(request, PROBLEM_INVALID, "\"provider\" is not one that this server knows.");
	return false;
}

static void
payment_begun(void *arg, const PGresult *res, const char *errstr)
{
	HttpRequest *request = arg;
	char		 detail[DETAIL_BYTES];

	if (errstr != NULL)
		problem_database(request, res, errstr);
	else if (strcmp(PQgetvalue(res, 0, SQL_OK), "t") == 0)
		http_reply_json(request, 202,
						json_pack("{s:s?, s:s, s:I, s:s?, s:I, s:s?}", "payment_id",
								  column_text(res, BEGUN_PAYMENT_ID), "status", "begun", "amount",
								  column_number(res, BEGUN_AMOUNT), "currency",
								  column_text(res, BEGUN_CURRENCY), "points",
								  column_number(res, BEGUN_POINTS), "expires_at",
								  column_text(res, BEGUN_EXPIRES_AT)));
	else
	{
		snprintf(detail, sizeof(detail), "There would be %s %s to pay.",
				 PQgetvalue(res, 0, BEGUN_AMOUNT), PQgetvalue(res, 0, BEGUN_CURRENCY));
		problem_refuse(request, PQgetvalue(res, 0, SQL_REASON),
					   column_text(res, BEGUN_AMOUNT) != NULL ? detail : NULL, NULL);
	}
}

static void
payment_shown(void *arg, const PGresult *res, const char *errstr)
{
	HttpRequest *request = arg;

	if (errstr != NULL)
		problem_database(request, res, errstr);
	else if (PQntuples(res) == 0 || PQgetisnull(res, 0, STATE_STATUS))
		problem_refuse(request, "unknown", NULL, NULL);
	else
		http_reply_json(request, 200,
						json_pack("{s:s, s:I, s:s, s:s?, s:I, s:s?}", "status",
								  PQgetvalue(res, 0, STATE_STATUS), "amount",
								  column_number(res, STATE_AMOUNT), "currency",
								  PQgetvalue(res, 0, STATE_CURRENCY), "booking_status",
								  column_text(res, STATE_BOOKING_STATUS), "refunded",
								  column_number(res, STATE_REFUNDED), "refund_status",
								  column_text(res, STATE_REFUND_STATUS)));
}

static void
payment_refunded(void *arg, const PGresult *res, const char *errstr)
{
	HttpRequest *request = arg;

	if (errstr != NULL)
		problem_database(request, res, errstr);
	else if (strcmp(PQgetvalue(res, 0, SQL_OK), "t") != 0)
		problem_refuse(request, PQgetvalue(res, 0, SQL_REASON), NULL, NULL);
	else
		http_reply_json(
			request, 200,
			json_pack("{s:I, s:I, s:s?, s:o}", "amount", column_number(res, REFUND_AMOUNT), "fee",
					  column_number(res, REFUND_FEE), "currency", column_text(res, REFUND_CURRENCY),
					  "refunds", json_loads(PQgetvalue(res, 0, REFUND_REFUNDS), 0, NULL)));
}
