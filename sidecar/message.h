/* SPDX-License-Identifier: PostgreSQL */
/*
 * What a provider says about a payment or a refund, however it came here: as a signed message or as
 * the answer to a question. One JSON object with "type", "message_id" and what the type wants; it
 * is checked and handed to the function of the extension that takes it, which counts a message once
 * however often it comes.
 */
#ifndef CONCERTD_MESSAGE_H
#define CONCERTD_MESSAGE_H

#include <jansson.h>

#include "db.h"

typedef enum MessageFate
{
	MESSAGE_SENT,	   /* done follows */
	MESSAGE_INVALID,   /* done is never called, and why says what is wrong */
	MESSAGE_OVERLOADED /* done is never called; the message may come again */
} MessageFate;

/* Columns of the answer after (ok, reason). */
enum
{
	MESSAGE_PAYMENT_ID = 2,
	MESSAGE_STATUS
};

MessageFate message_send(Db *db, const json_t *body, const char *correlation_id, DbDone done,
						 void *arg, const char **ret_why) __attribute__((warn_unused_result));

/* Whether it speaks of this payment or, if refund_id is not "", of this refund. */
bool message_is_about(const json_t *body, const char *payment_id, const char *refund_id);

#endif
