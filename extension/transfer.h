/* SPDX-License-Identifier: PostgreSQL */
/* Moving money between locked accounts; see transfer.c. */
#ifndef CONCERT_TRANSFER_H
#define CONCERT_TRANSFER_H

#include "account.h"
#include "request.h"

typedef struct Transfer
{
	pg_uuid_t		   id; /* set by transfer_insert() */
	pg_uuid_t		   debit_id;
	pg_uuid_t		   credit_id;
	int64			   amount;
	const char		  *kind;	   /* charge, payment, transfer, posting, reversal */
	const pg_uuid_t	  *payment_id; /* what follows may be NULL */
	const pg_uuid_t	  *reverses_id;
	const pg_uuid_t	  *pending_id;
	const pg_uuid_t	  *journal_id;
	const char		  *external_ref;
	const char		  *description;
	const char		  *correlation_id;
	const TimestampTz *effective_at; /* NULL: when it is recorded */
} Transfer;

/* May it be done? unknown, wrong_currency, frozen, insufficient_funds. */
extern Reason transfer_judge(const Accounts *accounts, const Transfer *transfer);

/* Changes the accounts as they are held; transfer_insert() writes the row, accounts_save() theirs. */
extern void transfer_apply(const Accounts *accounts, const Transfer *transfer);
extern void transfer_insert(const Accounts *accounts, Transfer *transfer);

/* All three for one transfer. */
extern Reason transfer_do(const Accounts *accounts, Transfer *transfer);

/* The accounts that one transfer is between. */
extern Accounts transfer_lock(const pg_uuid_t *debit_id, const pg_uuid_t *credit_id);

/* One reference of a source or account is used once: takes its lock. */
extern void external_ref_lock(const char *scope, const char *external_ref);
extern bool external_ref_is_used(const pg_uuid_t *debit_id, const char *external_ref);

/* An id changed between reading and locking. */
extern void transfer_error_moved(const pg_uuid_t *id) pg_attribute_noreturn();

/* What callers of the ledger name: a positive amount, two accounts that differ. */
extern int64 argument_amount(FunctionCallInfo fcinfo, int n, const char *name);
extern void	 transfer_check_pair(const pg_uuid_t *debit_id, const pg_uuid_t *credit_id);

/* A text of a request's content, or none, told apart from what follows it. */
extern char *content_text(const char *text);

/*
 * One call that moves money: replayed under its key, or done and recorded. The key is the
 * user's; without one, it is the operation's, whoever calls.
 */
typedef struct MoneyCall
{
	const char		*operation;
	SavedPlan		*replay;
	const char		*key;
	const pg_uuid_t *user_id; /* may be NULL */
	const char		*content;
	Reason (*act)(void *state);
	Datum (*answer)(FunctionCallInfo fcinfo, const void *state, Reason reason);
} MoneyCall;

extern Datum money_call(FunctionCallInfo fcinfo, const MoneyCall *call, void *state);

/* The answer with the transfer's id: NULL when there is none. */
extern Datum transfer_answer(FunctionCallInfo fcinfo, const pg_uuid_t *transfer_id, Reason reason);
extern SavedPlan replay_transfer;

#endif /* CONCERT_TRANSFER_H */
