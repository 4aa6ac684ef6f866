/* SPDX-License-Identifier: PostgreSQL */
/*
 * Idempotency: the same request under the same key gets the same answer for seven days.
 *
 * The key is scoped to (user, operation); the digest tells the same request from another. An
 * answer is recorded in the transaction that gives it, refusals too; misuse, faults and 'busy'
 * record nothing, so that the same key may try again.
 */
#ifndef CONCERT_REQUEST_H
#define CONCERT_REQUEST_H

#include "plan.h"

#include "common/sha2.h"

typedef struct Request
{
	const char *operation;
	const char *key; /* NULL: the caller brought none, nothing is kept */
	pg_uuid_t	user_id;
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	SavedPlan  *replay; /* jsonb -> the operation's answer */
} Request;

/* content is the request in one canonical text; what may differ in a retry is not in it. */
extern void request_init(Request *request, const char *operation, SavedPlan *replay,
						 const char *key, const pg_uuid_t *user_id, const char *content);

/*
 * Takes the key's lock (waiting) and looks for an answer given before. True: *ret_answer is
 * that answer, in the given context. Between plan_begin() and plan_end().
 */
extern bool request_replay(const Request *request, MemoryContext context, Datum *ret_answer);

/* Keeps the answer, a composite value. Between plan_begin() and plan_end(). */
extern void request_record(const Request *request, Datum answer);

#endif /* CONCERT_REQUEST_H */
