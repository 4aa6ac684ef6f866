/* SPDX-License-Identifier: PostgreSQL */
/*
 * Every answer that is not a success: RFC 9457 problems with type "urn:concert:problem:CODE",
 * title, status, detail and code. One table for the daemon's own problems, one made of reason.h for
 * refusals, one made of sqlstate.h and the standard's classes for errors of the database, which are
 * told apart by SQLSTATE alone.
 */
#ifndef CONCERTD_PROBLEM_H
#define CONCERTD_PROBLEM_H

#include <jansson.h>
#include <libpq-fe.h>

#include "http.h"

/* X(NAME, code, status, seconds of Retry-After or 0, title) */
#define PROBLEMS(X)                                                                              \
	X(BAD_REQUEST, "bad_request", 400, 0, "the request is malformed")                            \
	X(KEY_MISSING, "key_missing", 400, 0, "the header Idempotency-Key is missing or unusable")   \
	X(CALLER_UNKNOWN, "caller_unknown", 401, 0, "the request does not say who calls")            \
	X(FORBIDDEN, "forbidden", 403, 0, "the caller may not do this")                              \
	X(PLACE_INVALID, "place_invalid", 403, 0,                                                    \
	  "the place is none of this waiting room, or another user's")                               \
	X(NOT_FOUND, "not_found", 404, 0, "there is nothing at this address")                        \
	X(METHOD_NOT_ALLOWED, "method_not_allowed", 405, 0, "the address does not take this method") \
	X(TOO_LARGE, "too_large", 413, 0, "the request body is too large")                           \
	X(UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", 415, 0,                                  \
	  "the request body is not application/json")                                                \
	X(INVALID, "invalid", 422, 0, "a value of the request is not acceptable")                    \
	X(KEY_REUSED, "key_reused", 422, 0, "the key or message id came before with another body")   \
	X(TOO_MANY_SEATS, "too_many_seats", 422, 0, "more seats than one booking may have")          \
	X(DUPLICATE_SEAT, "duplicate_seat", 422, 0, "a seat is named twice")                         \
	X(INTERNAL, "internal", 500, 0, "the request failed; the log has the cause under its id")    \
	X(TIMEOUT, "timeout", 503, 1, "no answer in time; repeat with the same Idempotency-Key")     \
	X(CONTENTION, "contention", 503, 1, "the request met others; repeat it")                     \
	X(VERSION_MISMATCH, "version_mismatch", 503, 5,                                              \
	  "the database is of another version; repeat the request when it is updated")               \
	X(DATABASE_DOWN, "database_down", 503, 2, "the database does not answer")                    \
	X(REDIS_DOWN, "redis_down", 503, 2, "Redis does not answer")                                 \
	X(OVERLOADED, "overloaded", 503, 1, "too many requests are waiting")                         \
	X(ROOM_OFF, "room_off", 503, 5, "this server has no waiting room")

typedef enum ProblemCode
{
#define PROBLEM_ENUM(name, code, status, retry_after, title) PROBLEM_##name,
	PROBLEMS(PROBLEM_ENUM)
#undef PROBLEM_ENUM
		PROBLEM_COUNT
} ProblemCode;

/* Each answers the request. detail may be NULL. */
void problem_reply(HttpRequest *request, ProblemCode problem, const char *detail);

/* A refusal by its reason, which it counts; takes over seats. detail and seats may be NULL. */
void problem_refuse(HttpRequest *request, const char *reason, const char *detail, json_t *seats);

/* What a DbDone got when its errstr is not NULL. Faults are logged. */
void problem_database(HttpRequest *request, const PGresult *res, const char *errstr);

/* The problem that an SQLSTATE stands for; what is not foreseen is PROBLEM_INTERNAL. */
ProblemCode problem_of_sqlstate(const char *sqlstate);

/* The HTTP status of a reason; 500 for one that is not in the list. */
int problem_reason_status(const char *reason);

#endif
