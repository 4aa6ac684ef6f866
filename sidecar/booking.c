/* SPDX-License-Identifier: PostgreSQL */
/*
 * One Booking is one POST under way: read from the request → hold_take() → sql_reserve() → answer.
 * It copies what it needs of the request's headers. Marks in Redis are a courtesy to the next
 * caller: nothing waits for them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "booking.h"
#include "caller.h"
#include "clock.h"
#include "log.h"
#include "metrics.h"
#include "options.h"
#include "problem.h"
#include "sql.h"

#define NO_FENCE (-1)
#define MESSAGE_BYTES 128

/* Columns of sql_reserve() and sql_pay() after (ok, reason). */
enum
{
	RESERVED_BOOKING_ID = SQL_REST,
	RESERVED_EXPIRES_AT,
	RESERVED_EXPIRES_IN_MS,
	RESERVED_SEATS
};
enum
{
	PAID_PAYMENT_ID = SQL_REST,
	PAID_AMOUNT,
	PAID_CURRENCY
};
/* The column of sql_cancel() after (ok, reason). */
#define CANCELLED_SEATS SQL_REST

typedef struct Booking
{
	const BookingDesk *desk;
	HttpRequest		  *request;
	double			   since_seconds;
	char			   date_id[ID_BYTES];
	char			   user_id[ID_BYTES];
	char			  *pass; /* NULL: none */
	char			  *key;
	char			  *concessions; /* a text[] literal, parallel to the seats; NULL: none */
	int64_t			   fence;		/* NO_FENCE: nothing is held */
	int				   seat_count;
	const char		 **seat_ids;
	char			   seats[][ID_BYTES];
} Booking;

static Booking *booking_read(const BookingDesk *desk, HttpRequest *request);
static json_t  *booking_read_body(HttpRequest *request);
static bool		booking_take_concessions(Booking *booking, const json_t *concessions);
static bool		booking_take_seats(Booking *booking, const json_t *seats);
static void		booking_free(Booking *booking);
static void booking_held(void *arg, HoldStatus status, int64_t fence, const HoldRefusal *refusals,
						 int refusal_count);
static void booking_reserve(Booking *booking);
static void booking_refused_by_redis(Booking *booking, const HoldRefusal *refusals,
									 int refusal_count);
static void booking_reserved(void *arg, const PGresult *res, const char *errstr);
static void booking_accept(Booking *booking, const PGresult *res, json_t *seats);
static void booking_refuse(Booking *booking, const PGresult *res, json_t *seats);
static void booking_mark_pending(const Booking *booking, const json_t *seats, int64_t remaining_ms);
static void booking_mark_refused(const Booking *booking, const json_t *seats);
static void booking_release(Booking *booking);
static void booking_observe(const Booking *booking);
static void booking_paid(void *arg, const PGresult *res, const char *errstr);
static void booking_cancelled(void *arg, const PGresult *res, const char *errstr);

static inline const char *
column(const PGresult *res, int i)
{
	return PQgetisnull(res, 0, i) ? NULL : PQgetvalue(res, 0, i);
}

void
booking_make(const BookingDesk *desk, HttpRequest *request)
{
	Booking *booking = booking_read(desk, request);

	if (booking != NULL)
		hold_take(desk->hold, booking->date_id, booking->user_id, booking->key, booking->seat_count,
				  booking->seat_ids, booking_held, booking);
}

void
booking_pay(const BookingDesk *desk, HttpRequest *request)
{
	char	booking_id[ID_BYTES];
	char	user_id[ID_BYTES];
	json_t *body;

	if (!caller_user(request, user_id) || !caller_path_id(request, 0, booking_id) ||
		(body = http_body_object(request)) == NULL)
		return;
	json_decref(body);
	if (!sql_pay(desk->db, booking_id, user_id, http_idempotency_key(request),
				 http_correlation_id(request), booking_paid, request))
		problem_reply(request, PROBLEM_OVERLOADED, NULL);
}

void
booking_cancel(const BookingDesk *desk, HttpRequest *request)
{
	char	booking_id[ID_BYTES];
	char	user_id[ID_BYTES];
	char   *seat_ids;
	json_t *body;

	if (!caller_user(request, user_id) || !caller_path_id(request, 0, booking_id) ||
		(body = http_body_object(request)) == NULL)
		return;
	if (body_ids(request, body, "seats", &seat_ids) &&
		!sql_cancel(desk->db, booking_id, user_id, http_idempotency_key(request),
					http_correlation_id(request), seat_ids, booking_cancelled, request))
		problem_reply(request, PROBLEM_OVERLOADED, NULL);
	free(seat_ids);
	json_decref(body);
}

/* NULL: the request is answered. */
static Booking *
booking_read(const BookingDesk *desk, HttpRequest *request)
{
	char		date_id[ID_BYTES];
	char		user_id[ID_BYTES];
	const char *pass = http_header(request, "Concert-Pass");
	Booking	   *booking;
	json_t	   *body;
	json_t	   *seats;
	size_t		count;

	if (!caller_user(request, user_id) || !caller_path_id(request, 0, date_id) ||
		(body = booking_read_body(request)) == NULL)
		return NULL;
	seats = json_object_get(body, "seats");
	count = json_array_size(seats);
	booking = calloc(1, sizeof(Booking) + count * ID_BYTES);
	if (booking != NULL)
	{
		booking->desk = desk;
		booking->request = request;
		booking->fence = NO_FENCE;
		booking->since_seconds = clock_seconds();
		memcpy(booking->date_id, date_id, ID_BYTES);
		memcpy(booking->user_id, user_id, ID_BYTES);
		booking->seat_ids = calloc(count, sizeof(const char *));
		booking->key = strdup(http_idempotency_key(request));
		booking->pass = pass != NULL ? strdup(pass) : NULL;
	}
	if (booking == NULL || booking->seat_ids == NULL || booking->key == NULL ||
		(pass != NULL && booking->pass == NULL))
		problem_reply(request, PROBLEM_INTERNAL, NULL);
	else if (booking_take_seats(booking, seats) &&
			 booking_take_concessions(booking, json_object_get(body, "concessions")))
	{
		json_decref(body);
		return booking;
	}
	json_decref(body);
	booking_free(booking);
	return NULL;
}

/* The body, whose array of seats is of an allowed length. */
static json_t *
booking_read_body(HttpRequest *request)
{
	int		seats_max = options_current()->hold_seats_max;
	json_t *body = http_body_object(request);
	json_t *seats;

	if (body == NULL)
		return NULL;
	seats = json_object_get(body, "seats");
	if (!json_is_array(seats) || json_array_size(seats) == 0)
		problem_reply(request, PROBLEM_INVALID,
					  "\"seats\" is not an array of at least one seat id.");
	else if (json_array_size(seats) > (size_t) seats_max)
		problem_reply(request, PROBLEM_TOO_MANY_SEATS, NULL);
	else
		return body;
	json_decref(body);
	return NULL;
}

/* None are well, too; a name or null for each seat. */
static bool
booking_take_concessions(Booking *booking, const json_t *concessions)
{
	size_t		  i;
	const json_t *concession;
	bool		  valid = json_array_size(concessions) == (size_t) booking->seat_count;

	if (concessions == NULL)
		return true;
	json_array_foreach((json_t *) concessions, i, concession) valid =
		valid && (json_is_string(concession) || json_is_null(concession));
	if (!valid)
		problem_reply(booking->request, PROBLEM_INVALID,
					  "\"concessions\" has not a name or null for each seat.");
	else if ((booking->concessions = body_text_array(concessions)) == NULL)
		problem_reply(booking->request, PROBLEM_INTERNAL, NULL);
	return booking->concessions != NULL;
}

static bool
booking_take_seats(Booking *booking, const json_t *seats)
{
	size_t		  i;
	const json_t *seat;

	json_array_foreach((json_t *) seats, i, seat)
	{
		if (!json_is_string(seat) || !id_parse(json_string_value(seat), booking->seats[i]))
		{
			problem_reply(booking->request, PROBLEM_INVALID,
						  "\"seats\" has something that is not a UUID.");
			return false;
		}
		for (int other = 0; other < booking->seat_count; other++)
			if (strcmp(booking->seats[other], booking->seats[i]) == 0)
			{
				problem_reply(booking->request, PROBLEM_DUPLICATE_SEAT, NULL);
				return false;
			}
		booking->seat_ids[booking->seat_count++] = booking->seats[i];
	}
	return true;
}

static void
booking_free(Booking *booking)
{
	if (booking == NULL)
		return;
	free(booking->seat_ids);
	free(booking->pass);
	free(booking->key);
	free(booking->concessions);
	free(booking);
}

static void
booking_held(void *arg, HoldStatus status, int64_t fence, const HoldRefusal *refusals,
			 int refusal_count)
{
	Booking *booking = arg;

	switch (status)
	{
		case HOLD_OK:
			booking->fence = fence;
			booking_reserve(booking);
			return;
		case HOLD_UNAVAILABLE:
			if (options_current()->redis_loss_policy == LOSS_DATABASE)
			{
				booking_reserve(booking);
				return;
			}
			problem_reply(booking->request, PROBLEM_REDIS_DOWN, NULL);
			break;
		case HOLD_REFUSED:
			booking_refused_by_redis(booking, refusals, refusal_count);
			break;
		case HOLD_KEY_MISMATCH:
			problem_reply(booking->request, PROBLEM_KEY_REUSED, NULL);
			break;
	}
	booking_observe(booking);
	booking_free(booking);
}

static void
booking_reserve(Booking *booking)
{
	size_t	   size = (size_t) booking->seat_count * ID_BYTES + 2;
	char	  *seat_ids = malloc(size);
	SqlReserve call = {.concert_date_id = booking->date_id,
					   .seat_ids = seat_ids,
					   .user_id = booking->user_id,
					   .pass = booking->pass,
					   .fence = booking->fence,
					   .idempotency_key = booking->key,
					   .correlation_id = http_correlation_id(booking->request),
					   .concessions = booking->concessions};
	bool	   sent = seat_ids != NULL;
	char	  *at = seat_ids;

	for (int i = 0; sent && i < booking->seat_count; i++)
		at += sprintf(at, "%c%s", i == 0 ? '{' : ',', booking->seats[i]);
	if (sent)
		sprintf(at, "}");
	sent = sent && sql_reserve(booking->desk->db, &call, booking_reserved, booking);
	free(seat_ids);
	if (sent)
		return;
	booking_release(booking);
	problem_reply(booking->request, PROBLEM_OVERLOADED, NULL);
	booking_free(booking);
}

static void
booking_refused_by_redis(Booking *booking, const HoldRefusal *refusals, int refusal_count)
{
	json_t *seats = json_array();

	for (int i = 0; i < refusal_count; i++)
	{
		json_t *seat =
			json_pack("{s:s, s:s}", "seat_id", refusals[i].seat_id, "reason", refusals[i].reason);

		if (refusals[i].remaining_ms > 0)
			json_object_set_new(seat, "remaining_ms", json_integer(refusals[i].remaining_ms));
		json_array_append_new(seats, seat);
	}
	problem_refuse(booking->request, refusal_count > 0 ? refusals[0].reason : "held", NULL, seats);
}

/*
 * Without an answer the reservation may have been made: the hold stays until it lapses, and the
 * caller's retry under the same key learns what became of it.
 */
static void
booking_reserved(void *arg, const PGresult *res, const char *errstr)
{
	Booking *booking = arg;
	json_t	*seats;

	if (errstr != NULL)
	{
		if (res != NULL)
			booking_release(booking);
		problem_database(booking->request, res, errstr);
	}
	else
	{
		seats = json_loads(PQgetvalue(res, 0, RESERVED_SEATS), 0, NULL);
		if (strcmp(PQgetvalue(res, 0, SQL_OK), "t") == 0)
			booking_accept(booking, res, seats);
		else
			booking_refuse(booking, res, seats);
	}
	booking_observe(booking);
	booking_free(booking);
}

static void
booking_accept(Booking *booking, const PGresult *res, json_t *seats)
{
	int64_t remaining_ms = strtoll(PQgetvalue(res, 0, RESERVED_EXPIRES_IN_MS), NULL, 10);

	booking_mark_pending(booking, seats, remaining_ms);
	http_reply_json(booking->request, 201,
					json_pack("{s:s, s:s, s:I, s:o}", "booking_id",
							  PQgetvalue(res, 0, RESERVED_BOOKING_ID), "expires_at",
							  PQgetvalue(res, 0, RESERVED_EXPIRES_AT), "expires_in_ms",
							  (json_int_t) remaining_ms, "seats", seats));
}

static void
booking_refuse(Booking *booking, const PGresult *res, json_t *seats)
{
	booking_release(booking);
	booking_mark_refused(booking, seats);
	problem_refuse(booking->request, column(res, SQL_REASON), NULL, seats);
}

static void
booking_mark_pending(const Booking *booking, const json_t *seats, int64_t remaining_ms)
{
	SeatMark	 *marks = calloc(json_array_size(seats) + 1, sizeof(SeatMark));
	int			  count = 0;
	size_t		  i;
	const json_t *seat;

	json_array_foreach((json_t *) seats, i, seat)
	{
		const char *seat_id = json_string_value(json_object_get(seat, "seat_id"));

		if (marks != NULL && seat_id != NULL)
			marks[count++] = (SeatMark){.seat_id = seat_id,
										.state = "pending",
										.user_id = booking->user_id,
										.fence = json_integer_value(json_object_get(seat, "fence")),
										.remaining_ms = remaining_ms};
	}
	if (count > 0 && remaining_ms > 0)
		hold_mark(booking->desk->hold, booking->date_id, count, marks, NULL, NULL);
	free(marks);
}

/*
 * A held seat gets no mark: the refusal does not say whose it is, and the event that follows does.
 */
static void
booking_mark_refused(const Booking *booking, const json_t *seats)
{
	SeatMark	 *marks = calloc(json_array_size(seats) + 1, sizeof(SeatMark));
	int			  count = 0;
	size_t		  i;
	const json_t *seat;

	json_array_foreach((json_t *) seats, i, seat)
	{
		const char *seat_id = json_string_value(json_object_get(seat, "seat_id"));
		const char *reason = json_string_value(json_object_get(seat, "reason"));

		if (marks == NULL || seat_id == NULL || reason == NULL ||
			(strcmp(reason, "sold") != 0 && strcmp(reason, "blocked") != 0))
			continue;
		marks[count++] = (SeatMark){.seat_id = seat_id, .state = reason};
	}
	if (count > 0)
		hold_mark(booking->desk->hold, booking->date_id, count, marks, NULL, NULL);
	free(marks);
}

static void
booking_release(Booking *booking)
{
	if (booking->fence == NO_FENCE)
		return;
	hold_release(booking->desk->hold, booking->date_id, booking->user_id, booking->fence,
				 booking->seat_count, booking->seat_ids);
	booking->fence = NO_FENCE;
}

static void
booking_observe(const Booking *booking)
{
	metric_observe(METRIC_RESERVE_SECONDS, NULL, clock_seconds() - booking->since_seconds);
}

static void
booking_paid(void *arg, const PGresult *res, const char *errstr)
{
	HttpRequest *request = arg;
	const char	*amount = errstr == NULL ? column(res, PAID_AMOUNT) : NULL;
	char		 detail[MESSAGE_BYTES];

	if (errstr != NULL)
	{
		problem_database(request, res, errstr);
		return;
	}
	if (strcmp(PQgetvalue(res, 0, SQL_OK), "t") == 0)
	{
		http_reply_json(request, 200,
						json_pack("{s:s?, s:I, s:s?}", "payment_id", column(res, PAID_PAYMENT_ID),
								  "amount", (json_int_t) strtoll(amount, NULL, 10), "currency",
								  column(res, PAID_CURRENCY)));
		return;
	}
	if (amount != NULL)
		snprintf(detail, sizeof(detail), "The booking costs %s %s.", amount,
				 PQgetvalue(res, 0, PAID_CURRENCY));
	problem_refuse(request, column(res, SQL_REASON), amount != NULL ? detail : NULL, NULL);
}

static void
booking_cancelled(void *arg, const PGresult *res, const char *errstr)
{
	HttpRequest *request = arg;
	char		 booking_id[ID_BYTES];
	json_t		*seats;

	if (errstr != NULL)
	{
		problem_database(request, res, errstr);
		return;
	}
	seats = json_loads(PQgetvalue(res, 0, CANCELLED_SEATS), 0, NULL);
	if (strcmp(PQgetvalue(res, 0, SQL_OK), "t") != 0)
		problem_refuse(request, column(res, SQL_REASON), NULL, seats);
	else if (caller_path_id(request, 0, booking_id))
		http_reply_json(request, 200,
						json_pack("{s:s, s:s, s:o}", "booking_id", booking_id, "status",
								  "cancelled", "seats", seats));
	else
		json_decref(seats);
}
