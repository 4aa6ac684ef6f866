/* SPDX-License-Identifier: PostgreSQL */
/*
 * Direct inserts and updates; see direct.h.
 *
 * The executor state that they need, with its compiled constraints and index predicates, is kept as
 * long as what direct.c knows of the table.
 */
#include "direct.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* What an insert or an update needs of the executor; lives as long as what is known of the table. */
typedef struct Inserter
{
	MemoryContext	context;
	EState		   *estate;
	ResultRelInfo  *result;
	TupleTableSlot *slot;
	int				index_count;
	Oid			   *index_oids;
	Bitmapset *keys; /* columns of foreign keys, and those that others' foreign keys may be to */
} Inserter;

static Inserter	 *inserter_begin(DirectTable table, bool updates);
static void		  inserter_end(Inserter *inserter);
static Inserter	 *inserter_make(Relation table);
static void		  inserter_open(Inserter *inserter, Relation table);
static void		  inserter_close(Inserter *inserter);
static void		  inserter_fill(Inserter *inserter, const NullableDatum *columns);
static void		  inserter_put(Inserter *inserter);
static Bitmapset *table_keys(Relation table);
static bool		  inserter_keeps_keys(Inserter *inserter, const DirectScan *scan);
static bool		  inserter_replace(Inserter *inserter, const DirectScan *scan);

bool
direct_insert(DirectTable table, const NullableDatum *columns)
{
	Inserter *inserter = inserter_begin(table, false);

	if (inserter == NULL)
		return false;
	inserter_fill(inserter, columns);
	inserter_put(inserter);
	inserter_end(inserter);
	return true;
}

bool
direct_update(const DirectScan *scan, DirectTable table, const NullableDatum *columns)
{
	Inserter *inserter = inserter_begin(table, true);
	bool	  done;

	if (inserter == NULL)
		return false;
	CheckCmdReplicaIdentity(inserter->result->ri_RelationDesc, CMD_UPDATE);
	inserter_fill(inserter, columns);
	done = inserter_keeps_keys(inserter, scan) && inserter_replace(inserter, scan);
	inserter_end(inserter);
	return done;
}

/* NULL when the table may not be written so. */
static Inserter *
inserter_begin(DirectTable table, bool updates)
{
	static struct
	{
		uint64	  generation;
		Inserter *inserter; /* NULL: none, or the last one could not be made */
	} kept[DIRECT_TABLES];
	uint64	 generation;
	Relation relation;

	if (!direct_is_writable(table, updates, &generation))
		return NULL;
	PreventCommandIfReadOnly(updates ? "UPDATE" : "INSERT");
	relation = table_open(direct_table_oid(table), RowExclusiveLock);
	if (!direct_is_writable(table, updates, &generation))
	{
		table_close(relation, RowExclusiveLock);
		return NULL;
	}
	if (kept[table].inserter != NULL && kept[table].generation != generation)
	{
		MemoryContextDelete(kept[table].inserter->context);
		kept[table].inserter = NULL;
	}
	if (kept[table].inserter == NULL)
	{
		kept[table].inserter = inserter_make(relation);
		kept[table].generation = generation;
	}
	inserter_open(kept[table].inserter, relation);
	return kept[table].inserter;
}

static void
inserter_end(Inserter *inserter)
{
	Relation table = inserter->result->ri_RelationDesc;

	inserter_close(inserter);
	table_close(table, NoLock);
	CommandCounterIncrement();
}

/* It outlives the call when it is whole. */
static Inserter *
inserter_make(Relation table)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "concert inserter", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Inserter	 *inserter = palloc0(sizeof(Inserter));
	TupleDesc	  columns;

	inserter->context = context;
	inserter->estate = CreateExecutorState();
	MemoryContextSwitchTo(inserter->estate->es_query_cxt);
	compat_init_range_table(inserter->estate, table);
	inserter->result = makeNode(ResultRelInfo);
	InitResultRelInfo(inserter->result, table, 1, NULL, 0);
	ExecOpenIndices(inserter->result, false);
	inserter->index_count = inserter->result->ri_NumIndices;
	inserter->index_oids = palloc(sizeof(Oid) * Max(inserter->index_count, 1));
	for (int i = 0; i < inserter->index_count; i++)
		inserter->index_oids[i] = RelationGetRelid(inserter->result->ri_IndexRelationDescs[i]);
	ExecCloseIndices(inserter->result);
	inserter->keys = table_keys(table);
	columns = CreateTupleDescCopyConstr(RelationGetDescr(table));
	inserter->slot = MakeSingleTupleTableSlot(columns, table_slot_callbacks(table));
	MemoryContextSwitchTo(caller);
	MemoryContextSetParent(context, TopMemoryContext);
	return inserter;
}

static Bitmapset *
table_keys(Relation table)
{
	Bitmapset *keys = RelationGetIndexAttrBitmap(table, INDEX_ATTR_BITMAP_KEY);
	ListCell  *cell;

	foreach(cell, RelationGetFKeyList(table))
	{
		const ForeignKeyCacheInfo *key = lfirst_node(ForeignKeyCacheInfo, cell);

		for (int i = 0; i < key->nkeys; i++)
			keys = bms_add_member(keys, key->conkey[i] - FirstLowInvalidHeapAttributeNumber);
	}
	return keys;
}

/* An index AM's own cache may name relations of an earlier call, so it is not carried over. */
static void
inserter_open(Inserter *inserter, Relation table)
{
	ResultRelInfo *result = inserter->result;

	result->ri_RelationDesc = table;
	for (int i = 0; i < inserter->index_count; i++)
	{
		result->ri_IndexRelationDescs[i] = index_open(inserter->index_oids[i], RowExclusiveLock);
		result->ri_IndexRelationInfo[i]->ii_AmCache = NULL;
		result->ri_IndexRelationInfo[i]->ii_Context = GetPerTupleMemoryContext(inserter->estate);
	}
}

/* An index AM cleans up what it cached before the memory of that is gone. */
static void
inserter_close(Inserter *inserter)
{
	for (int i = 0; i < inserter->index_count; i++)
	{
		compat_index_insert_cleanup(inserter->result, i);
		index_close(inserter->result->ri_IndexRelationDescs[i], RowExclusiveLock);
	}
	ResetPerTupleExprContext(inserter->estate);
	ExecClearTuple(inserter->slot);
}

static void
inserter_fill(Inserter *inserter, const NullableDatum *columns)
{
	TupleTableSlot *slot = inserter->slot;
	Relation		table = inserter->result->ri_RelationDesc;
	MemoryContext	caller;

	ResetPerTupleExprContext(inserter->estate);
	caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(inserter->estate));
	ExecClearTuple(slot);
	for (int i = 0; i < slot->tts_tupleDescriptor->natts; i++)
	{
		slot->tts_values[i] = columns[i].value;
		slot->tts_isnull[i] = columns[i].isnull;
	}
	ExecStoreVirtualTuple(slot);
	slot->tts_tableOid = RelationGetRelid(table);
	if (RelationGetDescr(table)->constr != NULL)
		ExecConstraints(inserter->result, slot, inserter->estate);
	MemoryContextSwitchTo(caller);
}

static void
inserter_put(Inserter *inserter)
{
	MemoryContext caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(inserter->estate));

	table_tuple_insert(inserter->result->ri_RelationDesc, inserter->slot, GetCurrentCommandId(true),
					   0, NULL);
	if (inserter->index_count > 0)
		compat_insert_index_tuples(inserter->result, inserter->slot, inserter->estate);
	MemoryContextSwitchTo(caller);
}

/* Where a key changes, the triggers of foreign keys have work to do, which only the executor gives them. */
static bool
inserter_keeps_keys(Inserter *inserter, const DirectScan *scan)
{
	int key = -1;

	while ((key = bms_next_member(inserter->keys, key)) >= 0)
	{
		AttrNumber					 column = key + FirstLowInvalidHeapAttributeNumber;
		const FormData_pg_attribute *attribute =
			TupleDescAttr(inserter->slot->tts_tupleDescriptor, column - 1);
		bool  old_isnull;
		Datum old = slot_getattr(scan->slot, column, &old_isnull);
		bool  isnull;
		Datum new = slot_getattr(inserter->slot, column, &isnull);

		if (isnull != old_isnull ||
			(!isnull && !datum_image_eq(old, new, attribute->attbyval, attribute->attlen)))
			return false;
	}
	return true;
}

/* A transaction that keeps one snapshot may not change what this one does not show. */
static bool
inserter_replace(Inserter *inserter, const DirectScan *scan)
{
	MemoryContext caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(inserter->estate));
	bool done = compat_update_tuple(inserter->result, inserter->estate, &scan->slot->tts_tid,
									inserter->slot, scan->scan->xs_snapshot,
									IsolationUsesXactSnapshot() ? GetTransactionSnapshot()
																: InvalidSnapshot);

	MemoryContextSwitchTo(caller);
	return done;
}
