/* SPDX-License-Identifier: PostgreSQL */
/*
 * What each message makes of a payment in each status: one table, checked when the library is
 * loaded, by which all messages are judged and which payment_transitions() prints.
 */
#ifndef CONCERT_TRANSITION_H
#define CONCERT_TRANSITION_H

#include "concert.h"

typedef enum PaymentStatus
{
	PAYMENT_BEGUN,
	PAYMENT_AUTHORIZED,
	PAYMENT_CAPTURED,
	PAYMENT_REFUNDED,
	PAYMENT_FAILED,
	PAYMENT_STATUSES
} PaymentStatus;

/*
 * The last three are our own: a capture that is another than those that were taken, payment_work()
 * gave up, the last refund is settled with nothing left.
 */
typedef enum PaymentMessage
{
	MESSAGE_AUTHORIZED,
	MESSAGE_CAPTURED,
	MESSAGE_FAILED,
	MESSAGE_CAPTURED_AGAIN,
	MESSAGE_GAVE_UP,
	MESSAGE_REFUNDED,
	PAYMENT_MESSAGES
} PaymentMessage;

typedef enum PaymentAction
{
	ACTION_MISSING,
	ACTION_NOTHING, /* it is kept as an act, and that is all */
	ACTION_NOTE,	/* the new status */
	ACTION_SETTLE,	/* money came: confirm, re-take or refund */
	ACTION_LET_GO,	/* of what was set aside beside it */
	ACTION_RETURN,	/* all of what came */
	PAYMENT_ACTIONS
} PaymentAction;

typedef struct Transition
{
	PaymentStatus becomes;
	PaymentAction action;
} Transition;

extern Transition transition_of(PaymentStatus status, PaymentMessage message);

extern const char	*transition_status_text(PaymentStatus status);
extern PaymentStatus transition_status(const char *text);
extern const char	*transition_message_text(PaymentMessage message);

/* Raises when the table has a gap or breaks a rule of its own. */
extern void transition_check(void);

#endif /* CONCERT_TRANSITION_H */
