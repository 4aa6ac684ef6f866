/* SPDX-License-Identifier: PostgreSQL */
/*
 * Differences between PostgreSQL majors, in one place: the code says what it means, this file
 * says how a major spells it. A function is named compat_ and what it does; a macro that a major
 * lacks gets the name that the others give it. By subject, the newest major first within each.
 */
#ifndef CONCERT_COMPAT_H
#define CONCERT_COMPAT_H

#include "access/genam.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "nodes/tidbitmap.h"
#include "parser/parse_relation.h"
#include "storage/bufmgr.h"
#include "storage/lock.h"
#include "utils/rel.h"

#if PG_VERSION_NUM < 150000
#error "concert needs PostgreSQL 15 or later"
#endif

/* Declarations */

#if PG_VERSION_NUM >= 180000
#define pg_attribute_noreturn() __attribute__((noreturn))
#endif

/* Locks */

static inline bool
compat_lock_held_by_me(const LOCKTAG *tag, LOCKMODE mode)
{
#if PG_VERSION_NUM >= 170000
	return LockHeldByMe(tag, mode, false);
#else
	return LockHeldByMe(tag, mode);
#endif
}

/* Tables and indexes */

static inline IndexScanDesc
compat_index_beginscan(Relation table, Relation index, Snapshot snapshot, int key_count)
{
#if PG_VERSION_NUM >= 180000
	return index_beginscan(table, index, snapshot, NULL, key_count, 0);
#else
	return index_beginscan(table, index, snapshot, key_count, 0);
#endif
}

/* Pins the buffer if it holds this block of the table. */
static inline bool
compat_read_recent_buffer(Relation table, BlockNumber block, Buffer buffer)
{
#if PG_VERSION_NUM >= 160000
	return ReadRecentBuffer(table->rd_locator, MAIN_FORKNUM, block, buffer);
#else
	return ReadRecentBuffer(table->rd_node, MAIN_FORKNUM, block, buffer);
#endif
}

/* The pages of a bitmap, ascending. */
#if PG_VERSION_NUM >= 180000
typedef TBMPrivateIterator CompatBitmapIterator;
#else
typedef TBMIterator CompatBitmapIterator;
#endif

static inline CompatBitmapIterator *
compat_bitmap_begin(TIDBitmap *bitmap)
{
#if PG_VERSION_NUM >= 180000
	return tbm_begin_private_iterate(bitmap);
#else
	return tbm_begin_iterate(bitmap);
#endif
}

static inline bool
compat_bitmap_next(CompatBitmapIterator *iterator, BlockNumber *ret_block)
{
#if PG_VERSION_NUM >= 180000
	TBMIterateResult page;

	if (!tbm_private_iterate(iterator, &page))
		return false;
	*ret_block = page.blockno;
#else
	const TBMIterateResult *page = tbm_iterate(iterator);

	if (page == NULL)
		return false;
	*ret_block = page->blockno;
#endif
	return true;
}

static inline void
compat_bitmap_end(CompatBitmapIterator *iterator)
{
#if PG_VERSION_NUM >= 180000
	tbm_end_private_iterate(iterator);
#else
	tbm_end_iterate(iterator);
#endif
}

/* Gives an executor state its one relation, which error messages and constraints look up. */
static inline void
compat_init_range_table(EState *estate, Relation table)
{
	RangeTblEntry *entry = makeNode(RangeTblEntry);
#if PG_VERSION_NUM >= 160000
	List *permissions = NIL;
#endif

	entry->rtekind = RTE_RELATION;
	entry->relid = RelationGetRelid(table);
	entry->relkind = table->rd_rel->relkind;
	entry->rellockmode = RowExclusiveLock;
#if PG_VERSION_NUM >= 180000
	addRTEPermissionInfo(&permissions, entry);
	ExecInitRangeTable(estate, list_make1(entry), permissions, bms_make_singleton(1));
#elif PG_VERSION_NUM >= 160000
	addRTEPermissionInfo(&permissions, entry);
	ExecInitRangeTable(estate, list_make1(entry), permissions);
#else
	ExecInitRangeTable(estate, list_make1(entry));
#endif
}

/* Adds a stored row to all indexes of its table; a duplicate raises 23505. */
static inline void
compat_insert_index_tuples(ResultRelInfo *result, TupleTableSlot *slot, EState *estate)
{
#if PG_VERSION_NUM >= 160000
	(void) ExecInsertIndexTuples(result, slot, estate, false, false, NULL, NIL, false);
#else
	(void) ExecInsertIndexTuples(result, slot, estate, false, false, NULL, NIL);
#endif
}

/*
 * Replaces a row by the slot's, which gets into those indexes that need it; false when somebody
 * else, or a snapshot to be checked against, has another version of it.
 */
static inline bool
compat_update_tuple(ResultRelInfo *result, EState *estate, ItemPointer place, TupleTableSlot *slot,
					Snapshot snapshot, Snapshot crosscheck)
{
	TM_FailureData failure;
	LockTupleMode  mode;
	CommandId	   command = GetCurrentCommandId(true);
#if PG_VERSION_NUM >= 160000
	TU_UpdateIndexes indexes;
#else
	bool indexes;
#endif

	if (table_tuple_update(result->ri_RelationDesc, place, slot, command, snapshot, crosscheck,
						   true, &failure, &mode, &indexes) != TM_Ok)
		return false;
#if PG_VERSION_NUM >= 160000
	if (indexes != TU_None)
		(void) ExecInsertIndexTuples(result, slot, estate, false, false, NULL, NIL,
									 indexes == TU_Summarizing);
#else
	if (indexes)
		compat_insert_index_tuples(result, slot, estate);
#endif
	return true;
}

static inline void
compat_index_insert_cleanup(ResultRelInfo *result, int index)
{
#if PG_VERSION_NUM >= 170000
	index_insert_cleanup(result->ri_IndexRelationDescs[index], result->ri_IndexRelationInfo[index]);
#endif
}

#endif /* CONCERT_COMPAT_H */
