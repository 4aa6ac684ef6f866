/* SPDX-License-Identifier: PostgreSQL */
/*
 * Direct access to our own tables; see direct.h.
 *
 * What the server's catalogs say of a table is looked up once and forgotten when its relcache
 * entry (or an index's) is invalidated; relations are opened and closed in each call, so that nothing
 * is held over transactions but memory. Here are the tables and the scans, in direct_write.c what
 * writes.
 */
#include "direct.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

typedef struct TableEntry
{
	bool   known;
	uint64 generation;
	Oid	   oid;
	bool   readable;
	bool   insertable;
	bool   updatable;
	bool   tells; /* of every change of its rows: forget_kept() stands on it, ALWAYS */
	Oid	   user;  /* whose rights these are; InvalidOid: nobody has been asked about */
	bool   may_read;
	bool   may_insert;
	bool   may_update;
} TableEntry;

static const struct
{
	const char *name;
	int			columns;
} table_names[DIRECT_TABLES] = {
	[DIRECT_CONCERT_DATE] = {"concert_date", 18},
	[DIRECT_SECTION] = {"section", 10},
	[DIRECT_SEAT] = {"seat", 11},
	[DIRECT_RESERVATION] = {"reservation", 15},
	[DIRECT_HISTORY] = {"history", 10},
	[DIRECT_EVENT_0] = {"outbox_event_0", 10},
	[DIRECT_EVENT_1] = {"outbox_event_1", 10},
	[DIRECT_EVENT_2] = {"outbox_event_2", 10},
	[DIRECT_EVENT_3] = {"outbox_event_3", 10},
	[DIRECT_REQUEST_0] = {"request_0", 6},
	[DIRECT_REQUEST_1] = {"request_1", 6},
	[DIRECT_REQUEST_2] = {"request_2", 6},
	[DIRECT_REQUEST_3] = {"request_3", 6},
	[DIRECT_OUTBOX_STATE] = {"outbox_state", 5},
	[DIRECT_CONCESSION] = {"concession", 7},
	[DIRECT_TRANSFER] = {"transfer", 16},
	[DIRECT_ACCOUNT] = {"account", 9},
	[DIRECT_ACCOUNT_BALANCE] = {"account_balance", 6},
};

static const struct
{
	const char	*name;
	DirectTable	 table;
	RegProcedure equals[DIRECT_KEYS_MAX];
	RegProcedure at_least; /* of the last of these columns */
} index_names[DIRECT_INDEXES] = {
	[DIRECT_CONCERT_DATE_ID] = {"concert_date_pkey", DIRECT_CONCERT_DATE, {F_UUID_EQ}},
	[DIRECT_SECTION_ID] = {"section_pkey", DIRECT_SECTION, {F_UUID_EQ}},
	[DIRECT_SECTION_NAME_PRICE] = {"section_name_price", DIRECT_SECTION, {F_UUID_EQ}},
	[DIRECT_SEAT_ID] = {"seat_pkey", DIRECT_SEAT, {F_UUID_EQ}},
	[DIRECT_SEAT_SECTION] = {"seat_section", DIRECT_SEAT, {F_UUID_EQ}},
	[DIRECT_RESERVATION_ID] = {"reservation_pkey", DIRECT_RESERVATION, {F_UUID_EQ}},
	[DIRECT_RESERVATION_LIVE_SEAT] = {"reservation_live_seat", DIRECT_RESERVATION, {F_UUID_EQ}},
	[DIRECT_RESERVATION_SEAT_FENCE] = {"reservation_seat_fence", DIRECT_RESERVATION, {F_UUID_EQ}},
	[DIRECT_RESERVATION_USER_DATE] = {"reservation_user_date",
									  DIRECT_RESERVATION,
									  {F_UUID_EQ, F_UUID_EQ}},
	[DIRECT_RESERVATION_PENDING_EXPIRY] = {"reservation_pending_expiry", DIRECT_RESERVATION, {0}},
	[DIRECT_REQUEST_0_KEY] = {"request_0_key", DIRECT_REQUEST_0, {F_UUID_EQ, F_TEXTEQ, F_TEXTEQ}},
	[DIRECT_REQUEST_1_KEY] = {"request_1_key", DIRECT_REQUEST_1, {F_UUID_EQ, F_TEXTEQ, F_TEXTEQ}},
	[DIRECT_REQUEST_2_KEY] = {"request_2_key", DIRECT_REQUEST_2, {F_UUID_EQ, F_TEXTEQ, F_TEXTEQ}},
	[DIRECT_REQUEST_3_KEY] = {"request_3_key", DIRECT_REQUEST_3, {F_UUID_EQ, F_TEXTEQ, F_TEXTEQ}},
	[DIRECT_OUTBOX_STATE_STAMP] = {"outbox_state_pkey", DIRECT_OUTBOX_STATE, {F_TEXTEQ}},
	[DIRECT_CONCESSION_LIVE_NAME] = {"concession_live_name",
									 DIRECT_CONCESSION,
									 {F_UUID_EQ, F_TEXTEQ}},
	[DIRECT_HISTORY_DATE_XID] = {"history_date_xid",
								 DIRECT_HISTORY,
								 {F_UUID_EQ, F_XID8EQ},
								 F_XID8GE},
	[DIRECT_ACCOUNT_ID] = {"account_pkey", DIRECT_ACCOUNT, {F_UUID_EQ}},
	[DIRECT_ACCOUNT_OF_OWNER] = {"account_of_owner",
								 DIRECT_ACCOUNT,
								 {F_UUID_EQ, F_TEXTEQ, F_TEXTEQ}},
	[DIRECT_ACCOUNT_BALANCE_ID] = {"account_balance_pkey", DIRECT_ACCOUNT_BALANCE, {F_UUID_EQ}},
};

static TableEntry tables[DIRECT_TABLES];
static Oid		  index_oids[DIRECT_INDEXES];

static void		   direct_forget(Datum arg, Oid relation);
static TableEntry *table_entry(DirectTable table);
static void		   direct_forget_rights(Datum arg, int cache, uint32 hash);
static void		   table_ask_rights(TableEntry *entry);
static Oid		   direct_oid(const char *name);
static void		   table_judge(TableEntry *entry, DirectTable table);
static bool		   triggers_are_ours(const TriggerDesc *triggers, DirectTable table);
static bool		   triggers_watch_keys(const TriggerDesc *triggers);
static bool		   triggers_tell(const TriggerDesc *triggers);
static bool		   checks_are_plain(const TupleConstr *constraints);
static bool		   expression_is_plain(Node *expression);
static bool		   indexes_are_plain(Relation table);

static void
direct_forget(Datum arg, Oid relation)
{
	for (int i = 0; i < DIRECT_TABLES; i++)
		if (relation == InvalidOid || relation == tables[i].oid)
		{
			tables[i].known = false;
			tables[i].generation++;
		}
	for (int i = 0; i < DIRECT_INDEXES; i++)
		if (relation == InvalidOid || relation == index_oids[i])
			index_oids[i] = InvalidOid;
}

/* Roles, or who is a member of which, have changed. */
static void
direct_forget_rights(Datum arg, int cache, uint32 hash)
{
	for (int i = 0; i < DIRECT_TABLES; i++)
		tables[i].user = InvalidOid;
}

/* As the executor would, for the owner of the function that runs. */
static void
table_ask_rights(TableEntry *entry)
{
	entry->user = GetUserId();
	entry->may_read = pg_class_aclcheck(entry->oid, entry->user, ACL_SELECT) == ACLCHECK_OK;
	entry->may_insert = pg_class_aclcheck(entry->oid, entry->user, ACL_INSERT) == ACLCHECK_OK;
	entry->may_update = pg_class_aclcheck(entry->oid, entry->user, ACL_UPDATE) == ACLCHECK_OK;
}

static Oid
direct_oid(const char *name)
{
	Oid oid = relation_oid(name);

	if (!OidIsValid(oid))
		ereport(
			ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("relation \"concert.%s\" does not exist", name),
			 errhint(
				 "The library may be newer than the objects: run ALTER EXTENSION concert UPDATE.")));
	return oid;
}

static TableEntry *
table_entry(DirectTable table)
{
	static bool registered = false;
	TableEntry *entry = &tables[table];

	if (!registered)
	{
		CacheRegisterRelcacheCallback(direct_forget, (Datum) 0);
		CacheRegisterSyscacheCallback(AUTHOID, direct_forget_rights, (Datum) 0);
		CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, direct_forget_rights, (Datum) 0);
		registered = true;
	}
	if (!entry->known)
		table_judge(entry, table);
	if (entry->user != GetUserId())
		table_ask_rights(entry);
	return entry;
}

/*
 * Invalidations that arrive while the relation is opened are met before it is looked at; after one
 * that comes later, or an error, it is judged again by the next call.
 */
static void
table_judge(TableEntry *entry, DirectTable table)
{
	Relation		   relation;
	const TupleConstr *constraints;
	uint64			   generation;
	bool			   plain;
	bool			   writable;

	entry->readable = entry->insertable = entry->updatable = false;
	entry->user = InvalidOid;
	entry->oid = direct_oid(table_names[table].name);
	relation = table_open(entry->oid, AccessShareLock);
	generation = entry->generation;
	plain = relation->rd_rel->relkind == RELKIND_RELATION && !relation->rd_rel->relhassubclass &&
		relation->rd_tableam == GetHeapamTableAmRoutine() && !relation->rd_rel->relrowsecurity &&
		relation->rd_rules == NULL &&
		RelationGetNumberOfAttributes(relation) >= table_names[table].columns;
	constraints = RelationGetDescr(relation)->constr;
	entry->readable = plain;
	writable = plain && RelationGetNumberOfAttributes(relation) == table_names[table].columns &&
		(constraints == NULL || !constraints->has_generated_stored) &&
		checks_are_plain(constraints) && indexes_are_plain(relation);
	entry->insertable = writable && triggers_are_ours(relation->trigdesc, table);
	entry->updatable = writable && triggers_watch_keys(relation->trigdesc);
	entry->tells = triggers_tell(relation->trigdesc);
	entry->known = entry->generation == generation;
	table_close(relation, AccessShareLock);
}

/*
 * Of the triggers that an INSERT fires only foreign keys are ours: that of a reservation to its
 * seat, and those of a transfer, to accounts and to what it posts or reverses, for which the locks
 * stand under which these were read. A trigger that is switched off counts as well.
 */
static bool
key_is_ours(DirectTable table, Oid parent)
{
	if (table == DIRECT_RESERVATION)
		return parent == direct_oid(table_names[DIRECT_SEAT].name);
	return table == DIRECT_TRANSFER &&
		(parent == direct_oid("account") || parent == direct_oid("pending_transfer") ||
		 parent == direct_oid(table_names[DIRECT_TRANSFER].name));
}

static bool
triggers_are_ours(const TriggerDesc *triggers, DirectTable table)
{
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (!TRIGGER_FOR_INSERT(trigger->tgtype))
			continue;
		if (!trigger->tgisinternal || trigger->tgfoid != F_RI_FKEY_CHECK_INS ||
			!key_is_ours(table, trigger->tgconstrrelid))
			return false;
	}
	return true;
}

/* Of the triggers that an UPDATE fires a foreign key's do nothing while its columns stay. */
static bool
triggers_watch_keys(const TriggerDesc *triggers)
{
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (TRIGGER_FOR_UPDATE(trigger->tgtype) &&
			(!trigger->tgisinternal || trigger->tgdeferrable ||
			 RI_FKey_trigger_type(trigger->tgfoid) == RI_TRIGGER_NONE))
			return false;
	}
	return true;
}

/*
 * Whoever switches the trigger waits for those who are writing, and the other way round: what is
 * written while it stands otherwise is committed before this can be true.
 */
static bool
triggers_tell(const TriggerDesc *triggers)
{
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
		if (strcmp(triggers->triggers[i].tgname, "forget_kept") == 0)
			return triggers->triggers[i].tgenabled == TRIGGER_FIRES_ALWAYS;
	return false;
}

static bool
function_is_foreign(Oid function, void *context)
{
	return function >= FirstNormalObjectId;
}

static bool
expression_is_foreign(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return IsA(node, CoerceToDomain) ||
		check_functions_in_node(node, function_is_foreign, context) ||
		expression_tree_walker(node, expression_is_foreign, context);
}

/*
 * An app's own function may run any statement, and those are to run under a pinned search path
 * (plan.h): so what calls one, or may by a domain, is left to SPI.
 */
static bool
expression_is_plain(Node *expression)
{
	return !expression_is_foreign(expression, NULL);
}

static bool
checks_are_plain(const TupleConstr *constraints)
{
	for (int i = 0; constraints != NULL && i < constraints->num_check; i++)
		if (!expression_is_plain(stringToNode(constraints->check[i].ccbin)))
			return false;
	return true;
}

/* A deferred unique constraint is checked by a trigger of its own. */
static bool
indexes_are_plain(Relation table)
{
	List	 *oids = RelationGetIndexList(table);
	ListCell *cell;
	bool	  plain = true;

	foreach(cell, oids)
	{
		Relation index = index_open(lfirst_oid(cell), AccessShareLock);

		plain = plain && index->rd_index->indimmediate &&
			expression_is_plain((Node *) RelationGetIndexExpressions(index)) &&
			expression_is_plain((Node *) RelationGetIndexPredicate(index));
		index_close(index, AccessShareLock);
	}
	list_free(oids);
	return plain;
}

Oid
direct_table_oid(DirectTable table)
{
	return table_entry(table)->oid;
}

bool
direct_is_readable(DirectTable table)
{
	const TableEntry *entry = table_entry(table);

	return settings_direct_access && entry->readable && entry->may_read;
}

uint64
direct_generation(DirectTable table)
{
	TableEntry *entry;

	AcceptInvalidationMessages();
	entry = table_entry(table);
	if (!entry->tells)
		entry->generation++;
	return entry->generation;
}

Snapshot
direct_snapshot(void)
{
	CommandCounterIncrement();
	return RegisterSnapshot(GetLatestSnapshot());
}

static Oid
index_oid(DirectIndex index)
{
	if (!OidIsValid(index_oids[index]))
		index_oids[index] = direct_oid(index_names[index].name);
	return index_oids[index];
}

static void
scan_open(DirectScan *ret_scan, DirectIndex index, Snapshot snapshot, int key_count)
{
	ret_scan->table = table_open(table_entry(index_names[index].table)->oid, AccessShareLock);
	ret_scan->index = index_open(index_oid(index), AccessShareLock);
	ret_scan->slot = table_slot_create(ret_scan->table, NULL);
	ret_scan->scan = compat_index_beginscan(ret_scan->table, ret_scan->index, snapshot, key_count);
}

static void
scan_position(DirectScan *scan, const pg_uuid_t *key, StrategyNumber strategy,
			  RegProcedure compares)
{
	ScanKeyData scan_key;

	ScanKeyInit(&scan_key, 1, strategy, compares, UUIDPGetDatum(key));
	index_rescan(scan->scan, &scan_key, 1, NULL, 0);
}

static void
scan_begin(DirectScan *ret_scan, DirectIndex index, Snapshot snapshot, const Datum *keys,
		   int key_count, int equal_count)
{
	ScanKeyData scan_keys[DIRECT_KEYS_MAX];

	Assert(key_count <= DIRECT_KEYS_MAX);
	scan_open(ret_scan, index, snapshot, key_count);
	for (int i = 0; i < key_count; i++)
	{
		bool is_equal = i < equal_count;

		ScanKeyEntryInitialize(
			&scan_keys[i], 0, i + 1,
			is_equal ? BTEqualStrategyNumber : BTGreaterEqualStrategyNumber, InvalidOid,
			ret_scan->index->rd_indcollation[i],
			is_equal ? index_names[index].equals[i] : index_names[index].at_least, keys[i]);
	}
	index_rescan(ret_scan->scan, scan_keys, key_count, NULL, 0);
}

void
direct_scan_begin(DirectScan *ret_scan, DirectIndex index, Snapshot snapshot, const Datum *keys,
				  int key_count)
{
	scan_begin(ret_scan, index, snapshot, keys, key_count, key_count);
}

void
direct_scan_begin_last_from(DirectScan *ret_scan, DirectIndex index, Snapshot snapshot,
							const Datum *keys, int key_count)
{
	scan_begin(ret_scan, index, snapshot, keys, key_count, key_count - 1);
}

void
direct_scan_open(DirectScan *ret_scan, DirectIndex index, Snapshot snapshot)
{
	scan_open(ret_scan, index, snapshot, 1);
}

void
direct_scan_at(DirectScan *scan, const pg_uuid_t *key)
{
	scan_position(scan, key, BTEqualStrategyNumber, F_UUID_EQ);
}

void
direct_scan_begin_from(DirectScan *ret_scan, DirectIndex index, Snapshot snapshot,
					   const pg_uuid_t *from)
{
	scan_open(ret_scan, index, snapshot, 1);
	ret_scan->scan->xs_want_itup = true;
	direct_scan_skip_to(ret_scan, from);
}

void
direct_scan_skip_to(DirectScan *scan, const pg_uuid_t *from)
{
	scan_position(scan, from, BTGreaterEqualStrategyNumber, F_UUID_GE);
}

bool
direct_scan_next_entry(DirectScan *scan, pg_uuid_t *ret_key, ItemPointer ret_place)
{
	ItemPointer	  place = index_getnext_tid(scan->scan, ForwardScanDirection);
	NullableDatum key;

	if (place == NULL)
		return false;
	*ret_place = *place;
	key.value = index_getattr(scan->scan->xs_itup, 1, scan->scan->xs_itupdesc, &key.isnull);
	*ret_key = value_uuid(key);
	return true;
}

bool
direct_scan_fetch(DirectScan *scan, ItemPointer place)
{
	scan->scan->xs_heaptid = *place;
	return index_fetch_heap(scan->scan, scan->slot);
}

bool
direct_scan_next(DirectScan *scan, ScanDirection direction)
{
	return index_getnext_slot(scan->scan, direction, scan->slot);
}

void
direct_scan_end(DirectScan *scan)
{
	index_endscan(scan->scan);
	ExecDropSingleTupleTableSlot(scan->slot);
	index_close(scan->index, AccessShareLock);
	table_close(scan->table, AccessShareLock);
}

pg_uuid_t
direct_uuid(const DirectScan *scan, int column)
{
	NullableDatum datum;

	datum.value = direct_datum(scan, column, &datum.isnull);
	return value_uuid(datum);
}

int64
direct_int64(const DirectScan *scan, int column)
{
	bool  isnull;
	Datum datum = direct_datum(scan, column, &isnull);

	return isnull ? 0 : DatumGetInt64(datum);
}

int
direct_int32(const DirectScan *scan, int column)
{
	bool  isnull;
	Datum datum = direct_datum(scan, column, &isnull);

	return isnull ? 0 : DatumGetInt32(datum);
}

bool
direct_is_null(const DirectScan *scan, int column)
{
	bool isnull;

	(void) direct_datum(scan, column, &isnull);
	return isnull;
}

bool
direct_text_is(const DirectScan *scan, int column, const char *word)
{
	bool  isnull;
	Datum datum = direct_datum(scan, column, &isnull);

	return !isnull && value_is_text(datum, word);
}

bool
direct_is_writable(DirectTable table, bool updates, uint64 *ret_generation)
{
	const TableEntry *entry = table_entry(table);

	*ret_generation = entry->generation;
	return settings_direct_access &&
		(updates ? entry->updatable && entry->may_update : entry->insertable && entry->may_insert);
}
