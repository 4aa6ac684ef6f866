/* SPDX-License-Identifier: PostgreSQL */
/*
 * The triggers that keep rows which must never go, for every role including their owner, and the
 * one that stands for what reserving does not lock. What the definition of one of the former passes
 * is its error's hint: what to do with the rows of that table instead.
 *
 * Reserving locks the seat's name (lock.h), reads the seat under it and, on its direct way, takes
 * no row lock that the foreign key would have taken. So whoever changes an id, a seat's date or
 * deleted_at takes that same lock first, by whatever statement, of the old and of the new id.
 * That is all: section, date and concert are read without any lock, and hold because a reservation
 * hangs on a live seat, and each of the others cannot be deleted while something live hangs on it
 * (deletable.h). Their ids reach reservations only through the seat's own id and date. An account
 * takes the lock under which it is read before money moves. What is reserved stays so: the id
 * cascades into the reservation, which is committed or gone by then.
 *
 * Not covered: a row that somebody INSERTs by hand under a deleted parent (check_integrity()
 * reports it), and rows that carry ids without a key and keep those of their time: history,
 * events, a payment's booking, a ticket's seat and date.
 *
 * The row is locked by its UPDATE before the trigger is called, and the lock of the name is waited
 * for under it. Who has the name's lock and then wants the row (the foreign key on the SPI way, a
 * block, a transfer) can meet that as a deadlock, which is 40P01 for one of the two.
 */
#include "guard.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "commands/trigger.h"
#include "deletable.h"
#include "direct.h"
#include "errors.h"
#include "history.h"
#include "lock.h"
#include "miscadmin.h"
#include "seat.h"
#include "storage/lmgr.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(concert_refuse_delete);
PG_FUNCTION_INFO_V1(concert_refuse_change);
PG_FUNCTION_INFO_V1(concert_outbox_refuse_truncate);
PG_FUNCTION_INFO_V1(concert_forget_kept);
PG_FUNCTION_INFO_V1(concert_guard_change);

/*
 * The statement of ours that the triggers let through: its operation on its table, and not what a
 * trigger that it fires does there. No table while there is none.
 */
typedef struct LetStatement
{
	const char	*table;
	TriggerEvent operation;
	int			 depth;
} LetStatement;

static LetStatement guard_let = {NULL};

/* What is known of one transaction; it goes with it. */
typedef struct TransactionTable
{
	HTAB			 *entries;
	FullTransactionId of;
} TransactionTable;

static SavedPlan find_account = PLAN("SELECT 1 FROM concert.account WHERE id = $1", UUIDOID);

/*
 * An owner is a user or a concert, so no key cascades a concert's id to its accounts. Who opens one keeps
 * a date of the concert from this (FOR KEY SHARE).
 */
static SavedPlan lock_dates = PLAN(
	"SELECT 1 FROM concert.concert_date WHERE concert_id = $1 ORDER BY id FOR UPDATE", UUIDOID);

static SavedPlan move_accounts = PLAN("UPDATE concert.account SET owner_id = $2"
									  " WHERE owner_id = $1 AND kind IN ('revenue', 'fees')",
									  UUIDOID, UUIDOID);

#define RENAMES_AT_FIRST 16 /* room; it grows */

typedef struct Rename
{
	pg_uuid_t old_id;
	pg_uuid_t new_id;
} Rename;

/* What of a row the guard is about. */
typedef struct GuardedRow
{
	pg_uuid_t id;
	bool	  is_deleted;
} GuardedRow;

static TriggerData *
guard_trigger(FunctionCallInfo fcinfo)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function was not called by the trigger manager")));
	return (TriggerData *) fcinfo->context;
}

static const char *
guard_operation(const TriggerData *trigger)
{
	if (TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
		return "truncate";
	return TRIGGER_FIRED_BY_DELETE(trigger->tg_event) ? "delete from" : "update";
}

static const char *
guard_hint(const TriggerData *trigger)
{
	return trigger->tg_trigger->tgnargs > 0 ? trigger->tg_trigger->tgargs[0] : NULL;
}

static int
guard_depth(void)
{
	return DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, (Datum) 0));
}

static bool
guard_lets(const TriggerData *trigger)
{
	return guard_let.table != NULL &&
		(trigger->tg_event & TRIGGER_EVENT_OPMASK) == guard_let.operation &&
		guard_depth() == guard_let.depth + 1 &&
		strcmp(RelationGetRelationName(trigger->tg_relation), guard_let.table) == 0;
}

static int
guard_write(TriggerEvent operation, const char *table, SavedPlan *statement,
			const NullableDatum *args)
{
	LetStatement outer = guard_let;
	int			 rows;

	guard_let = (LetStatement){.table = table, .operation = operation, .depth = guard_depth()};
	PG_TRY();
	{
		rows = plan_write(statement, args);
	}
	PG_FINALLY();
	{
		guard_let = outer;
	}
	PG_END_TRY();
	return rows;
}

int
guard_purge(const char *table, SavedPlan *purge, const NullableDatum *args)
{
	return guard_write(TRIGGER_EVENT_DELETE, table, purge, args);
}

int
guard_update(const char *table, SavedPlan *update, const NullableDatum *args)
{
	return guard_write(TRIGGER_EVENT_UPDATE, table, update, args);
}

void
guard_truncate(const char *table, SavedPlan *empty)
{
	(void) guard_write(TRIGGER_EVENT_TRUNCATE, table, empty, NULL);
}

Datum
concert_refuse_delete(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = guard_trigger(fcinfo);

	if (guard_lets(trigger))
		return PointerGetDatum(NULL);
	error_delete_refused(guard_operation(trigger), RelationGetRelationName(trigger->tg_relation),
						 guard_hint(trigger));
}

static bool
guard_is_account_column(const char *name)
{
	return strcmp(name, "debit_account_id") == 0 || strcmp(name, "credit_account_id") == 0;
}

/* Empty when the transaction is another one than the last time. */
static HTAB *
transaction_table(TransactionTable *table, const char *name, Size key_bytes, Size entry_bytes,
				  int room)
{
	FullTransactionId xid = GetTopFullTransactionId();

	if (table->entries == NULL || !FullTransactionIdEquals(table->of, xid))
	{
		HASHCTL how = {
			.keysize = key_bytes, .entrysize = entry_bytes, .hcxt = TopTransactionContext};

		table->entries = hash_create(name, room, &how, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		table->of = xid;
	}
	return table->entries;
}

/*
 * The accounts whose ids this transaction changes, by the old ones: their cascades arrive when the
 * statement ends.
 */
static HTAB *
guard_renames(void)
{
	static TransactionTable renames;

	return transaction_table(&renames, "renamed accounts", sizeof(pg_uuid_t), sizeof(Rename),
							 RENAMES_AT_FIRST);
}

static void
guard_note_rename(const pg_uuid_t *old_id, const pg_uuid_t *new_id)
{
	Rename *rename = hash_search(guard_renames(), old_id, HASH_ENTER, NULL);

	rename->new_id = *new_id;
}

/*
 * Whether the one id is gone because this transaction made it the other. One that another account
 * has taken meanwhile, in the same statement, is not gone.
 */
static bool
guard_is_rename(const pg_uuid_t *old_id, const pg_uuid_t *new_id)
{
	const Rename *rename = hash_search(guard_renames(), old_id, HASH_FIND, NULL);
	bool		  is_gone;

	if (rename == NULL || uuid_compare(&rename->new_id, new_id) != 0)
		return false;
	plan_begin();
	is_gone = plan_read(&find_account, PLAN_ARGS(uuid_value(old_id))) == 0;
	plan_end();
	return is_gone;
}

/*
 * Whether the row stays as it is but for the id of an account of it, which is the same account's
 * under its new id: what the cascade does, and nothing else.
 */
static bool
guard_is_cascade(const TriggerData *trigger)
{
	TupleDesc tupdesc = RelationGetDescr(trigger->tg_relation);
	bool	  cascades = false;

	if (!TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		return false;
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(tupdesc, i);
		bool			  old_null;
		bool			  new_null;
		Datum old_value = heap_getattr(trigger->tg_trigtuple, i + 1, tupdesc, &old_null);
		Datum new_value = heap_getattr(trigger->tg_newtuple, i + 1, tupdesc, &new_null);

		if (column->attisdropped || (old_null && new_null) ||
			(!old_null && !new_null &&
			 datumIsEqual(old_value, new_value, column->attbyval, column->attlen)))
			continue;
		if (!guard_is_account_column(NameStr(column->attname)) || old_null || new_null ||
			!guard_is_rename(DatumGetUUIDP(old_value), DatumGetUUIDP(new_value)))
			return false;
		cascades = true;
	}
	return cascades;
}

Datum
concert_refuse_change(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = guard_trigger(fcinfo);

	if (!guard_lets(trigger) && !guard_is_cascade(trigger))
		error_history_refused(guard_operation(trigger),
							  RelationGetRelationName(trigger->tg_relation), guard_hint(trigger));
	return PointerGetDatum(trigger->tg_newtuple);
}

/* As the ring tables of 0.1.0 have it until ALTER EXTENSION UPDATE. */
Datum
concert_outbox_refuse_truncate(PG_FUNCTION_ARGS)
{
	return concert_refuse_change(fcinfo);
}

/* Every backend forgets what it keeps of the table's rows (direct.h) once this is committed. */
Datum
concert_forget_kept(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = guard_trigger(fcinfo);

	CacheInvalidateRelcache(trigger->tg_relation);
	return PointerGetDatum(NULL);
}

/* The names of the seats' locks that this transaction has taken here. */
static HTAB *
guard_locked_names(void)
{
	static TransactionTable names;

	return transaction_table(&names, "locked seats", sizeof(uint64), sizeof(uint64),
							 lock_batch_max());
}

/* Some of them may have gone with a savepoint. */
static void
guard_forget_released(HTAB *names)
{
	HASH_SEQ_STATUS scan;
	uint64		   *name;

	hash_seq_init(&scan, names);
	while ((name = hash_seq_search(&scan)) != NULL)
		if (!lock_session_held(LOCK_SEAT, *name))
			hash_search(names, name, HASH_REMOVE, NULL);
}

void
guard_lock_seat(const pg_uuid_t *seat_id)
{
	Oid	   table_oid = direct_table_oid(DIRECT_RESERVATION);
	HTAB  *names = guard_locked_names();
	uint64 name = lock_name_uuid(seat_id);

	/* Who has the table's lock needs none of a seat's. */
	if (lock_session_held(LOCK_SEAT, name) || lock_table_held(table_oid, ShareRowExclusiveLock))
		return;
	if (hash_get_num_entries(names) >= lock_batch_max())
		guard_forget_released(names);
	if (hash_get_num_entries(names) >= lock_batch_max())
	{
		LockRelationOid(table_oid, ShareRowExclusiveLock);
		return;
	}
	lock_wait(LOCK_SEAT, name);
	hash_search(names, &name, HASH_ENTER, NULL);
}

/* The lower id first, as reserving takes its seats. */
static void
guard_lock_seats(const pg_uuid_t *old_id, const pg_uuid_t *new_id)
{
	bool old_first = uuid_compare(old_id, new_id) <= 0;

	guard_lock_seat(old_first ? old_id : new_id);
	guard_lock_seat(old_first ? new_id : old_id);
}

static NullableDatum
guard_column(const TriggerData *trigger, HeapTuple tuple, const char *name)
{
	TupleDesc	  tupdesc = RelationGetDescr(trigger->tg_relation);
	NullableDatum column;

	column.value = heap_getattr(tuple, SPI_fnumber(tupdesc, name), tupdesc, &column.isnull);
	return column;
}

static GuardedRow
guard_row(const TriggerData *trigger, HeapTuple tuple)
{
	return (GuardedRow){
		.id = value_uuid(guard_column(trigger, tuple, "id")),
		.is_deleted = !guard_column(trigger, tuple, "deleted_at").isnull,
	};
}

static void
guard_judge(const TriggerData *trigger, Deletable *deletable, const GuardedRow *old,
			const GuardedRow *new)
{
	const char *parent_column = deletable_parent_column(deletable);

	if (old->is_deleted == new->is_deleted)
		return;
	if (new->is_deleted)
		deletable_judge_delete(deletable, &old->id);
	else
		deletable_judge_restore(
			deletable, &old->id,
			parent_column == NULL
				? NULL
				: DatumGetUUIDP(guard_column(trigger, trigger->tg_newtuple, parent_column).value));
	deletable_tell(deletable, &old->id, new->is_deleted ? "deleted" : "restored");
}

/*
 * A seat's change once, a date's under both ids: whoever keeps a map of the old one must read that anew,
 * and who reads the history finds the one from the other.
 */
static void
guard_tell_id(const TriggerData *trigger, const GuardedRow *old, const GuardedRow *new)
{
	pg_uuid_t	seat_ids[] = {old->id, new->id};
	TimestampTz now = GetCurrentTimestamp();
	Act			act = {
				.action = "renamed",
				.date_id = old->id,
				.actor = GetUserNameFromId(GetSessionUserId(), false),
				.detail = psprintf("%s was %s", uuid_text(&new->id), uuid_text(&old->id)),
	};

	if (uuid_compare(&old->id, &new->id) == 0)
		return;
	if (strcmp(RelationGetRelationName(trigger->tg_relation), "seat") != 0)
	{
		history_add(&act, now);
		act.date_id = new->id;
		history_add(&act, now);
		return;
	}
	act.date_id = value_uuid(guard_column(trigger, trigger->tg_trigtuple, "concert_date_id"));
	act.count = lengthof(seat_ids);
	act.seat_ids = seat_ids;
	seat_tell(&act);
}

/* What was taken under the old limit stays: check_integrity() reads here what it was. */
static void
guard_tell_limit(const TriggerData *trigger, const pg_uuid_t *date_id)
{
	int old =
		DatumGetInt32(guard_column(trigger, trigger->tg_trigtuple, "seats_per_user_max").value);
	int new =
		DatumGetInt32(guard_column(trigger, trigger->tg_newtuple, "seats_per_user_max").value);

	if (new < old)
		history_add(
			&(Act){
				.action = "limit_lowered",
				.date_id = *date_id,
				.actor = GetUserNameFromId(GetSessionUserId(), false),
				.detail = psprintf("seats_per_user_max was %d", old),
			},
			GetCurrentTimestamp());
}

Datum
concert_guard_change(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = guard_trigger(fcinfo);
	const char	*table = RelationGetRelationName(trigger->tg_relation);
	Deletable	*deletable = deletable_find(table);
	GuardedRow	 old;
	GuardedRow new;

	if (!TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function was not called for an updated row")));
	old = guard_row(trigger, trigger->tg_trigtuple);
	new = guard_row(trigger, trigger->tg_newtuple);
	plan_begin();
	if (strcmp(table, "seat") == 0)
	{
		guard_lock_seats(&old.id, &new.id);
		guard_tell_id(trigger, &old, &new);
	}
	else if (strcmp(table, "concert_date") == 0)
	{
		guard_tell_limit(trigger, &old.id);
		guard_tell_id(trigger, &old, &new);
	}
	else if (strcmp(table, "concert") == 0 && uuid_compare(&old.id, &new.id) != 0)
	{
		plan_write(&lock_dates, PLAN_ARGS(uuid_value(&old.id)));
		plan_write(&move_accounts, PLAN_ARGS(uuid_value(&old.id), uuid_value(&new.id)));
	}
	if (deletable != NULL)
		guard_judge(trigger, deletable, &old, &new);
	else
	{
		lock_wait(LOCK_ACCOUNT, lock_name_uuid(&old.id));
		lock_wait(LOCK_ACCOUNT, lock_name_uuid(&new.id));
		guard_note_rename(&old.id, &new.id);
	}
	plan_end();
	return PointerGetDatum(trigger->tg_newtuple);
}
