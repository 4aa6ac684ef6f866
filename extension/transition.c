/* SPDX-License-Identifier: PostgreSQL */
/* The table of a payment's transitions; see transition.h. */
#include "transition.h"

#include "funcapi.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(concert_payment_transitions);

#define TRANSITION_COLUMNS 4

static const char *const statuses[PAYMENT_STATUSES] = {
	[PAYMENT_BEGUN] = "begun",		 [PAYMENT_AUTHORIZED] = "authorized",
	[PAYMENT_CAPTURED] = "captured", [PAYMENT_REFUNDED] = "refunded",
	[PAYMENT_FAILED] = "failed",
};

static const char *const messages[PAYMENT_MESSAGES] = {
	[MESSAGE_AUTHORIZED] = "authorized", [MESSAGE_CAPTURED] = "captured",
	[MESSAGE_FAILED] = "failed",		 [MESSAGE_CAPTURED_AGAIN] = "captured_again",
	[MESSAGE_GAVE_UP] = "gave_up",		 [MESSAGE_REFUNDED] = "refunded",
};

static const char *const actions[PAYMENT_ACTIONS] = {
	[ACTION_MISSING] = "",
	[ACTION_NOTHING] = "nothing",
	[ACTION_NOTE] = "note it",
	[ACTION_SETTLE] = "confirm, take again or refund",
	[ACTION_LET_GO] = "let the points go",
	[ACTION_RETURN] = "refund",
};

/* What is behind a message that comes too late is kept as it is; money that comes is never lost. */
static const Transition transitions[PAYMENT_STATUSES][PAYMENT_MESSAGES] = {
	[PAYMENT_BEGUN] =
		{
			[MESSAGE_AUTHORIZED] = {PAYMENT_AUTHORIZED, ACTION_NOTE},
			[MESSAGE_CAPTURED] = {PAYMENT_CAPTURED, ACTION_SETTLE},
			[MESSAGE_FAILED] = {PAYMENT_FAILED, ACTION_LET_GO},
			[MESSAGE_CAPTURED_AGAIN] = {PAYMENT_CAPTURED, ACTION_SETTLE},
			[MESSAGE_GAVE_UP] = {PAYMENT_FAILED, ACTION_LET_GO},
			[MESSAGE_REFUNDED] = {PAYMENT_BEGUN, ACTION_NOTHING},
		},
	[PAYMENT_AUTHORIZED] =
		{
			[MESSAGE_AUTHORIZED] = {PAYMENT_AUTHORIZED, ACTION_NOTHING},
			[MESSAGE_CAPTURED] = {PAYMENT_CAPTURED, ACTION_SETTLE},
			[MESSAGE_FAILED] = {PAYMENT_FAILED, ACTION_LET_GO},
			[MESSAGE_CAPTURED_AGAIN] = {PAYMENT_CAPTURED, ACTION_SETTLE},
			[MESSAGE_GAVE_UP] = {PAYMENT_FAILED, ACTION_LET_GO},
			[MESSAGE_REFUNDED] = {PAYMENT_AUTHORIZED, ACTION_NOTHING},
		},
	[PAYMENT_CAPTURED] =
		{
			[MESSAGE_AUTHORIZED] = {PAYMENT_CAPTURED, ACTION_NOTHING},
			[MESSAGE_CAPTURED] = {PAYMENT_CAPTURED, ACTION_NOTHING},
			[MESSAGE_FAILED] = {PAYMENT_CAPTURED, ACTION_NOTHING},
			[MESSAGE_CAPTURED_AGAIN] = {PAYMENT_CAPTURED, ACTION_RETURN},
			[MESSAGE_GAVE_UP] = {PAYMENT_CAPTURED, ACTION_NOTHING},
			[MESSAGE_REFUNDED] = {PAYMENT_REFUNDED, ACTION_NOTE},
		},
	[PAYMENT_REFUNDED] =
		{
			[MESSAGE_AUTHORIZED] = {PAYMENT_REFUNDED, ACTION_NOTHING},
			[MESSAGE_CAPTURED] = {PAYMENT_REFUNDED, ACTION_NOTHING},
			[MESSAGE_FAILED] = {PAYMENT_REFUNDED, ACTION_NOTHING},
			[MESSAGE_CAPTURED_AGAIN] = {PAYMENT_CAPTURED, ACTION_RETURN},
			[MESSAGE_GAVE_UP] = {PAYMENT_REFUNDED, ACTION_NOTHING},
			[MESSAGE_REFUNDED] = {PAYMENT_REFUNDED, ACTION_NOTHING},
		},
	[PAYMENT_FAILED] =
		{
			[MESSAGE_AUTHORIZED] = {PAYMENT_FAILED, ACTION_NOTHING},
			[MESSAGE_CAPTURED] = {PAYMENT_CAPTURED, ACTION_SETTLE},
			[MESSAGE_FAILED] = {PAYMENT_FAILED, ACTION_NOTHING},
			[MESSAGE_CAPTURED_AGAIN] = {PAYMENT_CAPTURED, ACTION_SETTLE},
			[MESSAGE_GAVE_UP] = {PAYMENT_FAILED, ACTION_NOTHING},
			[MESSAGE_REFUNDED] = {PAYMENT_FAILED, ACTION_NOTHING},
		},
};

Transition
transition_of(PaymentStatus status, PaymentMessage message)
{
	return transitions[status][message];
}

const char *
transition_status_text(PaymentStatus status)
{
	return statuses[status];
}

const char *
transition_message_text(PaymentMessage message)
{
	return messages[message];
}

PaymentStatus
transition_status(const char *text)
{
	for (int i = 0; i < PAYMENT_STATUSES; i++)
		if (strcmp(statuses[i], text) == 0)
			return (PaymentStatus) i;
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED), errmsg("payment has the status \"%s\"", text)));
}

static bool
status_has_money(PaymentStatus status)
{
	return status == PAYMENT_CAPTURED || status == PAYMENT_REFUNDED;
}

/*
 * Nothing is done where nothing changes and no money comes, and the other way round; money is settled
 * when it comes, whatever was before, and then once; what comes after it goes back; what has come
 * never goes back to not having come, nor, but for more that comes, what has gone back to being
 * there; what fails lets go.
 */
static bool
transition_is_sound(PaymentStatus status, PaymentMessage message)
{
	const Transition *transition = &transitions[status][message];
	PaymentStatus	  becomes = transition->becomes;
	bool			  changes = becomes != status;
	bool			  money_comes = !status_has_money(status) && status_has_money(becomes);
	bool			  is_capture = message == MESSAGE_CAPTURED || message == MESSAGE_CAPTURED_AGAIN;
	bool			  more_comes = status_has_money(status) && message == MESSAGE_CAPTURED_AGAIN;

	return transition->action != ACTION_MISSING &&
		(changes || more_comes) == (transition->action != ACTION_NOTHING) &&
		more_comes == (transition->action == ACTION_RETURN) &&
		money_comes == (transition->action == ACTION_SETTLE) &&
		money_comes == (is_capture && !status_has_money(status)) &&
		(!more_comes || becomes == PAYMENT_CAPTURED) &&
		(!status_has_money(status) || status_has_money(becomes)) &&
		(status != PAYMENT_REFUNDED || becomes == PAYMENT_REFUNDED || more_comes) &&
		(changes && becomes == PAYMENT_FAILED) == (transition->action == ACTION_LET_GO) &&
		(!changes || becomes != PAYMENT_BEGUN);
}

void
transition_check(void)
{
	for (int status = 0; status < PAYMENT_STATUSES; status++)
		for (int message = 0; message < PAYMENT_MESSAGES; message++)
			if (!transition_is_sound((PaymentStatus) status, (PaymentMessage) message))
				ereport(
					ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("the transition of a payment that is %s at the message %s is not sound",
							statuses[status], messages[message])));
}

Datum
concert_payment_transitions(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int status = 0; status < PAYMENT_STATUSES; status++)
		for (int message = 0; message < PAYMENT_MESSAGES; message++)
		{
			const Transition *transition = &transitions[status][message];
			Datum			  values[TRANSITION_COLUMNS] = {
							CStringGetTextDatum(statuses[status]),
							CStringGetTextDatum(messages[message]),
							CStringGetTextDatum(statuses[transition->becomes]),
							CStringGetTextDatum(actions[transition->action]),
			};
			bool nulls[TRANSITION_COLUMNS] = {false};

			tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		}
	return (Datum) 0;
}
