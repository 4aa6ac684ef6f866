/* SPDX-License-Identifier: PostgreSQL */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "caller.h"
#include "http.h"
#include "log.h"
#include "message.h"
#include "metrics.h"
#include "options.h"
#include "sql.h"

#define LABEL_BYTES 96

#define TEXT_BYTES_MAX 200 /* of what the extension takes */
#define NO_CAUSE "no cause was given"

typedef struct MessageKind
{
	const char *type;
	const char *subject; /* the member that says what the message is about */
	bool		has_amount;
	bool (*send)(Db *db, const SqlMessage *message, DbDone done, void *arg);
} MessageKind;

static const MessageKind kinds[] = {
	{"payment.authorized", "payment_id", false, sql_payment_authorized},
	{"payment.captured", "payment_id", true, sql_payment_captured},
	{"payment.failed", "payment_id", false, sql_payment_failed},
	{"refund.settled", "refund_id", false, sql_refund_settled},
	{"refund.failed", "refund_id", false, sql_refund_failed},
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

typedef struct Message
{
	const MessageKind *kind;
	char			   subject_id[ID_BYTES];
	char			   correlation_id[HTTP_CORRELATION_ID_BYTES];
	DbDone			   done;
	void			  *arg;
} Message;

static const MessageKind *message_kind(const json_t *body);
static bool				  message_text(const json_t *body, const char *name, const char **ret_text);
static void				  message_cause(const json_t *body, char ret_cause[TEXT_BYTES_MAX + 1]);
static void				  message_answered(void *arg, const PGresult *res, const char *errstr);

MessageFate
message_send(Db *db, const json_t *body, const char *correlation_id, DbDone done, void *arg,
			 const char **ret_why)
{
	const MessageKind *kind = message_kind(body);
	const json_t	  *amount = json_object_get(body, "amount");
	const char		  *subject;
	SqlMessage		   call = {.correlation_id = correlation_id,
							   .provider = options_current()->provider_name};
	Message			  *message;
	char			   id[ID_BYTES];
	char			   cause[TEXT_BYTES_MAX + 1];

	*ret_why = NULL;
	if (kind == NULL)
		*ret_why = "\"type\" is no message of a payment or refund.";
	else if ((subject = json_string_value(json_object_get(body, kind->subject))) == NULL ||
			 !id_parse(subject, id))
		*ret_why = "What the message is about is not named by a UUID.";
	else if (!message_text(body, "message_id", &call.message_id) || call.message_id == NULL)
		*ret_why = "\"message_id\" is not a text of 1 to 200 bytes.";
	else if (!message_text(body, "provider_ref", &call.provider_ref) ||
			 !message_text(body, "currency", &call.currency))
		*ret_why = "\"provider_ref\" or \"currency\" is no text of at most 200 bytes.";
	else if (kind->has_amount &&
			 (!json_is_integer(amount) || json_integer_value(amount) <= 0 || call.currency == NULL))
		*ret_why = "\"amount\" is not a whole number above 0, or \"currency\" is missing.";
	if (*ret_why != NULL)
		return MESSAGE_INVALID;
	message = calloc(1, sizeof(Message));
	if (message == NULL)
		return MESSAGE_OVERLOADED;
	*message = (Message){.kind = kind, .done = done, .arg = arg};
	memcpy(message->subject_id, id, ID_BYTES);
	snprintf(message->correlation_id, sizeof(message->correlation_id), "%s", correlation_id);
	call.subject_id = message->subject_id;
	message_cause(body, cause);
	call.cause = cause;
	call.amount = kind->has_amount ? json_integer_value(amount) : 0;
	if (kind->send(db, &call, message_answered, message))
		return MESSAGE_SENT;
	free(message);
	return MESSAGE_OVERLOADED;
}

bool
message_is_about(const json_t *body, const char *payment_id, const char *refund_id)
{
	const MessageKind *kind = message_kind(body);
	const char		  *wanted = refund_id[0] != '\0' ? "refund_id" : "payment_id";
	const char		  *subject = json_string_value(json_object_get(body, wanted));
	char			   id[ID_BYTES];

	return kind != NULL && strcmp(kind->subject, wanted) == 0 && subject != NULL &&
		id_parse(subject, id) && strcmp(id, refund_id[0] != '\0' ? refund_id : payment_id) == 0;
}

static const MessageKind *
message_kind(const json_t *body)
{
	const char *type = json_string_value(json_object_get(body, "type"));

	for (size_t i = 0; type != NULL && i < KINDS; i++)
		if (strcmp(kinds[i].type, type) == 0)
			return &kinds[i];
	return NULL;
}

/* What is absent, null or empty is no text, which is well here. */
static bool
message_text(const json_t *body, const char *name, const char **ret_text)
{
	const json_t *value = json_object_get(body, name);
	const char	 *text = json_string_value(value);

	if (value == NULL || json_is_null(value) || (text != NULL && text[0] == '\0'))
		return true;
	*ret_text = text;
	return text != NULL && json_string_length(value) <= TEXT_BYTES_MAX;
}

/* It is for people; so a message is not turned away for it. Cut between two characters. */
static void
message_cause(const json_t *body, char ret_cause[TEXT_BYTES_MAX + 1])
{
	const char *cause = json_string_value(json_object_get(body, "cause"));
	size_t		len;

	if (cause == NULL || cause[0] == '\0')
		cause = NO_CAUSE;
	len = strnlen(cause, TEXT_BYTES_MAX + 1);
	if (len > TEXT_BYTES_MAX)
		for (len = TEXT_BYTES_MAX; ((unsigned char) cause[len] & 0xc0) == 0x80;)
			len--;
	memcpy(ret_cause, cause, len);
	ret_cause[len] = '\0';
}

static void
message_answered(void *arg, const PGresult *res, const char *errstr)
{
	Message	   *message = arg;
	bool		taken = errstr == NULL && strcmp(PQgetvalue(res, 0, SQL_OK), "t") == 0;
	const char *outcome = errstr != NULL ? "not_saved"
		: taken							 ? "taken"
										 : PQgetvalue(res, 0, SQL_REASON);
	char		label[LABEL_BYTES];

	snprintf(label, sizeof(label), "%s,%s", message->kind->type, outcome);
	metric_add(METRIC_PROVIDER_MESSAGES, label, 1);
	log_event(taken ? LOG_INFO_LEVEL : LOG_WARN_LEVEL, "provider_message", message->correlation_id,
			  "{s:s, s:s, s:s, s:s*, s:s*, s:s*}", "type", message->kind->type,
			  message->kind->subject, message->subject_id, "outcome", outcome, "status",
			  taken ? PQgetvalue(res, 0, MESSAGE_STATUS) : NULL, "sqlstate",
			  res != NULL && errstr != NULL ? db_sqlstate(res) : NULL, "why", errstr);
	message->done(message->arg, res, errstr);
	free(message);
}
