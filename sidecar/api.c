/* SPDX-License-Identifier: PostgreSQL */
/* Every handler answers its request exactly once, at once or when what it asked comes back. */
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "body.h"
#include "booking.h"
#include "caller.h"
#include "http.h"
#include "metrics.h"
#include "options.h"
#include "payment.h"
#include "problem.h"
#include "seatmap.h"
#include "sql.h"
#include "web.h"
#include "webhook.h"

#define DEFAULT_CURRENCY "PTS"
#define BALANCE_COLUMN (SQL_REST + 2)

struct Api
{
	Http		  *http;
	Room		  *room;
	BookingDesk	   desk;
	SeatMap		  *seatmap;
	Web			  *web;
	const Secrets *provider_secrets; /* NULL: messages of a provider do not come in here */
};

static void api_join_queue(HttpRequest *request, void *arg);
static void api_joined(void *arg, RoomStatus status, const RoomPlace *place);
static void api_check_place(HttpRequest *request, void *arg);
static void api_checked(void *arg, const RoomCheck *check);
static void api_list_concerts(HttpRequest *request, void *arg);
static void api_list_dates(HttpRequest *request, void *arg);
static void api_listed(void *arg, const PGresult *res, const char *errstr);
static void api_show_seats(HttpRequest *request, void *arg);
static void api_make_booking(HttpRequest *request, void *arg);
static void api_pay_booking(HttpRequest *request, void *arg);
static void api_cancel_booking(HttpRequest *request, void *arg);
static void api_begin_payment(HttpRequest *request, void *arg);
static void api_show_payment(HttpRequest *request, void *arg);
static void api_refund_booking(HttpRequest *request, void *arg);
static void api_take_message(HttpRequest *request, void *arg);
static void api_charge_points(HttpRequest *request, void *arg);
static void api_charged(void *arg, const PGresult *res, const char *errstr);
static void api_show_points(HttpRequest *request, void *arg);
static void api_points_read(void *arg, const PGresult *res, const char *errstr);
static void api_show_metrics(HttpRequest *request, void *arg);
static void api_show_health(HttpRequest *request, void *arg);
static void api_show_readiness(HttpRequest *request, void *arg);
static void api_show_file(HttpRequest *request, void *arg);

/* The first three are all that a process without the role "api" answers. */
static const HttpRoute routes[] = {
	{"GET", "/metrics", "metrics", api_show_metrics, HTTP_NO_LIMIT},
	{"GET", "/healthz", "healthz", api_show_health, HTTP_NO_LIMIT},
	{"GET", "/readyz", "readyz", api_show_readiness, HTTP_NO_LIMIT},
	{"POST", "/v1/dates/{id}/queue", "queue_join", api_join_queue, HTTP_NEEDS_KEY},
	{"GET", "/v1/queue", "queue_check", api_check_place, 0},
	{"GET", "/v1/concerts", "concerts", api_list_concerts, 0},
	{"GET", "/v1/concerts/{id}/dates", "dates", api_list_dates, 0},
	{"GET", "/v1/dates/{id}/seats", "seats", api_show_seats, 0},
	{"POST", "/v1/dates/{id}/bookings", "booking_make", api_make_booking, HTTP_NEEDS_KEY},
	{"POST", "/v1/bookings/{id}/payment", "booking_pay", api_pay_booking, HTTP_NEEDS_KEY},
	{"DELETE", "/v1/bookings/{id}", "booking_cancel", api_cancel_booking, 0},
	{"POST", "/v1/bookings/{id}/payments", "payment_begin", api_begin_payment, HTTP_NEEDS_KEY},
	{"GET", "/v1/payments/{id}", "payment", api_show_payment, 0},
	{"POST", "/v1/bookings/{id}/refund", "booking_refund", api_refund_booking, HTTP_NEEDS_KEY},
	{"POST", "/v1/provider/{name}/messages", "provider_message", api_take_message, 0},
	{"POST", "/v1/users/{id}/points", "points_charge", api_charge_points, HTTP_NEEDS_KEY},
	{"GET", "/v1/users/{id}/points", "points", api_show_points, 0},
	{"GET", "/*", "web", api_show_file, 0},
};

#define ROUTE_COUNT ((int) (sizeof(routes) / sizeof(routes[0])))
#define OPERATION_ROUTE_COUNT 3

Api *
api_open(struct event_base *base, const ApiParts *parts)
{
	const char *web_dir = options_current()->api_web_dir;
	Api		   *api = calloc(1, sizeof(Api));

	if (api == NULL)
		return NULL;
	api->room = parts->room;
	api->desk.db = parts->db;
	api->desk.hold = parts->hold;
	api->provider_secrets = parts->provider_secrets;
	api->seatmap = seatmap_open(parts->db);
	api->web = web_open(parts->db == NULL ? "" : web_dir[0] != '\0' ? web_dir : CONCERT_WEB_DIR);
	if (api->seatmap != NULL && api->web != NULL)
		api->http =
			http_open(base, routes, parts->db != NULL ? ROUTE_COUNT : OPERATION_ROUTE_COUNT, api);
	if (api->http != NULL)
		return api;
	api_close(api);
	return NULL;
}

void
api_drain(Api *api, void (*drained)(void *arg), void *arg)
{
	http_drain(api->http, drained, arg);
}

void
api_close(Api *api)
{
	if (api == NULL)
		return;
	http_close(api->http);
	seatmap_close(api->seatmap);
	web_close(api->web);
	free(api);
}

static void
api_join_queue(HttpRequest *request, void *arg)
{
	Api *api = arg;
	char user_id[ID_BYTES];
	char date_id[ID_BYTES];

	if (!caller_user(request, user_id) || !caller_path_id(request, 0, date_id))
		return;
	if (api->room == NULL)
		problem_reply(request, PROBLEM_ROOM_OFF, NULL);
	else
		room_join(api->room, date_id, user_id, api_joined, request);
}

static void
api_joined(void *arg, RoomStatus status, const RoomPlace *place)
{
	HttpRequest *request = arg;

	switch (status)
	{
		case ROOM_OK:
			http_reply_json(request, place->created ? 201 : 200,
							json_pack("{s:s, s:I, s:I, s:s, s:i}", "place", place->place, "number",
									  (json_int_t) place->number, "position",
									  (json_int_t) place->position, "state",
									  place->state == ROOM_STATE_ADMITTED ? "admitted" : "waiting",
									  "refresh_after_ms", place->refresh_after_ms));
			break;
		case ROOM_CLOSED:
			problem_refuse(request, "not_on_sale", NULL, NULL);
			break;
		case ROOM_UNKNOWN_DATE:
			problem_refuse(request, "unknown", NULL, NULL);
			break;
		case ROOM_UNAVAILABLE:
			problem_reply(request, PROBLEM_REDIS_DOWN, NULL);
			break;
	}
}

static void
api_check_place(HttpRequest *request, void *arg)
{
	Api		   *api = arg;
	const char *place = http_header(request, "Concert-Place");
	char		user_id[ID_BYTES];

	if (api->room == NULL)
		problem_reply(request, PROBLEM_ROOM_OFF, NULL);
	else if (place == NULL)
		problem_reply(request, PROBLEM_BAD_REQUEST, "The header Concert-Place is missing.");
	else
		room_check(api->room, place, caller_known_user(request, user_id) ? user_id : NULL,
				   api_checked, request);
}

static void
api_checked(void *arg, const RoomCheck *check)
{
	static const char *const states[] = {[ROOM_STATE_WAITING] = "waiting",
										 [ROOM_STATE_ADMITTED] = "admitted",
										 [ROOM_STATE_LOST] = "lost",
										 [ROOM_STATE_CLOSED] = "closed"};
	HttpRequest				*request = arg;
	json_t					*body;

	if (check->state == ROOM_STATE_INVALID)
	{
		problem_reply(request, PROBLEM_PLACE_INVALID, NULL);
		return;
	}
	if (check->state == ROOM_STATE_UNAVAILABLE)
	{
		problem_reply(request, PROBLEM_REDIS_DOWN, NULL);
		return;
	}
	body = json_pack("{s:s?, s:s, s:I, s:I, s:i}", "concert_date_id", check->date_id, "state",
					 states[check->state], "number", (json_int_t) check->number, "position",
					 (json_int_t) check->position, "refresh_after_ms", check->refresh_after_ms);
	if (check->state == ROOM_STATE_ADMITTED && check->pass != NULL)
	{
		json_object_set_new(body, "pass", json_string(check->pass));
		json_object_set_new(body, "pass_expires_in_ms", json_integer(check->pass_expires_in_ms));
	}
	http_reply_json(request, 200, body);
}

static void
api_list_concerts(HttpRequest *request, void *arg)
{
	Api *api = arg;

	if (!sql_concerts_json(api->desk.db, api_listed, request))
		problem_reply(request, PROBLEM_OVERLOADED, NULL);
}

static void
api_list_dates(HttpRequest *request, void *arg)
{
	Api *api = arg;
	char concert_id[ID_BYTES];

	if (caller_path_id(request, 0, concert_id) &&
		!sql_concert_dates_json(api->desk.db, concert_id, api_listed, request))
		problem_reply(request, PROBLEM_OVERLOADED, NULL);
}

static void
api_listed(void *arg, const PGresult *res, const char *errstr)
{
	HttpRequest *request = arg;

	if (errstr != NULL)
		problem_database(request, res, errstr);
	else if (PQnfields(res) > 1 && strcmp(PQgetvalue(res, 0, 1), "t") != 0)
		problem_refuse(request, "unknown", NULL, NULL);
	else
		http_reply_text(request, 200, "application/json", PQgetvalue(res, 0, 0),
						(size_t) PQgetlength(res, 0, 0));
}

static void
api_show_seats(HttpRequest *request, void *arg)
{
	Api *api = arg;
	char date_id[ID_BYTES];

	if (caller_path_id(request, 0, date_id))
		seatmap_answer(api->seatmap, request, date_id);
}

static void
api_make_booking(HttpRequest *request, void *arg)
{
	booking_make(&((Api *) arg)->desk, request);
}

static void
api_pay_booking(HttpRequest *request, void *arg)
{
	booking_pay(&((Api *) arg)->desk, request);
}

static void
api_cancel_booking(HttpRequest *request, void *arg)
{
	booking_cancel(&((Api *) arg)->desk, request);
}

static void
api_begin_payment(HttpRequest *request, void *arg)
{
	payment_begin(((Api *) arg)->desk.db, request);
}

static void
api_show_payment(HttpRequest *request, void *arg)
{
	payment_show(((Api *) arg)->desk.db, request);
}

static void
api_refund_booking(HttpRequest *request, void *arg)
{
	payment_refund(((Api *) arg)->desk.db, request);
}

static void
api_take_message(HttpRequest *request, void *arg)
{
	Api *api = arg;

	webhook_take(api->desk.db, api->provider_secrets, request);
}

static void
api_charge_points(HttpRequest *request, void *arg)
{
	Api		 *api = arg;
	char	  user_id[ID_BYTES];
	SqlCharge call = {.user_id = user_id};
	json_t	 *body;

	if (!caller_operator(request) || !caller_path_id(request, 0, user_id) ||
		(body = http_body_object(request)) == NULL)
		return;
	if (body_number(request, body, "amount", 1, 0, &call.amount) &&
		body_text(request, body, "currency", DEFAULT_CURRENCY, &call.currency) &&
		body_text(request, body, "source", NULL, &call.source) &&
		body_text(request, body, "external_ref", NULL, &call.external_ref))
	{
		call.idempotency_key = http_idempotency_key(request);
		call.correlation_id = http_correlation_id(request);
		if (!sql_charge_points(api->desk.db, &call, api_charged, request))
			problem_reply(request, PROBLEM_OVERLOADED, NULL);
	}
	json_decref(body);
}

static void
api_charged(void *arg, const PGresult *res, const char *errstr)
{
	HttpRequest *request = arg;
	json_t		*body;
	const char	*currency = DEFAULT_CURRENCY;

	if (errstr != NULL)
	{
		problem_database(request, res, errstr);
		return;
	}
	if (strcmp(PQgetvalue(res, 0, SQL_OK), "t") != 0)
	{
		problem_refuse(request, PQgetvalue(res, 0, SQL_REASON), NULL, NULL);
		return;
	}
	body = http_body_object(request);
	if (body == NULL)
		return;
	if (json_is_string(json_object_get(body, "currency")))
		currency = json_string_value(json_object_get(body, "currency"));
	http_reply_json(request, 201,
					json_pack("{s:s, s:I, s:s}", "transfer_id", PQgetvalue(res, 0, SQL_REST),
							  "balance",
							  (json_int_t) strtoll(PQgetvalue(res, 0, BALANCE_COLUMN), NULL, 10),
							  "currency", currency));
	json_decref(body);
}

static void
api_show_points(HttpRequest *request, void *arg)
{
	Api		   *api = arg;
	char		user_id[ID_BYTES];
	char		caller_id[ID_BYTES];
	const char *currency = http_query(request, "currency");

	if (!caller_path_id(request, 0, user_id))
		return;
	if (!caller_is_operator(request))
	{
		if (!caller_user(request, caller_id))
			return;
		if (strcmp(user_id, caller_id) != 0)
		{
			problem_reply(request, PROBLEM_FORBIDDEN, "Points are shown to their owner only.");
			return;
		}
	}
	if (!sql_balance(api->desk.db, user_id, currency != NULL ? currency : DEFAULT_CURRENCY,
					 api_points_read, request))
		problem_reply(request, PROBLEM_OVERLOADED, NULL);
}

static void
api_points_read(void *arg, const PGresult *res, const char *errstr)
{
	HttpRequest *request = arg;
	const char	*currency = http_query(request, "currency");

	if (errstr != NULL)
		problem_database(request, res, errstr);
	else
		http_reply_json(request, 200,
						json_pack("{s:I, s:s}", "balance",
								  (json_int_t) strtoll(PQgetvalue(res, 0, 0), NULL, 10), "currency",
								  currency != NULL ? currency : DEFAULT_CURRENCY));
}

static void
api_show_metrics(HttpRequest *request, void *arg)
{
	size_t len;
	char  *text = metrics_text(&len);

	(void) arg;
	if (text == NULL)
	{
		problem_reply(request, PROBLEM_INTERNAL, NULL);
		return;
	}
	http_reply_text(request, 200, "text/plain; version=0.0.4; charset=utf-8", text, len);
	free(text);
}

/* That it is answered at all says that the loop turns. */
static void
api_show_health(HttpRequest *request, void *arg)
{
	(void) arg;
	http_reply_text(request, 200, "text/plain", "ok\n", 3);
}

static void
api_show_readiness(HttpRequest *request, void *arg)
{
	bool	ready;
	json_t *report = http_ready_report(&ready);

	(void) arg;
	http_reply_json(request, ready ? 200 : 503, report);
}

static void
api_show_file(HttpRequest *request, void *arg)
{
	web_answer(((Api *) arg)->web, request);
}
