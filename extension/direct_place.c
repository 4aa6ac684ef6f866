/* SPDX-License-Identifier: PostgreSQL */
/*
 * A row where it was last seen: what a thousand sessions ask for at once is read without a walk
 * through the index. The place is no more than a guess. The buffer must still hold that very page of
 * the table, and whatever row now stands there goes by the caller's snapshot and judgement.
 */
#include "direct_place.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/xact.h"
#include "compat.h"
#include "utils/rel.h"

DirectPlace
direct_place(const DirectScan *scan)
{
	if (!TTS_IS_BUFFERTUPLE(scan->slot))
		return (DirectPlace){.buffer = InvalidBuffer};
	return (DirectPlace){.buffer = ((BufferHeapTupleTableSlot *) scan->slot)->buffer,
						 .tid = scan->slot->tts_tid};
}

/* Stores the row that the snapshot shows at this place, with a pin of the slot's own. */
static bool
place_fetch(DirectScan *scan, const DirectPlace *place, Snapshot snapshot)
{
	ItemPointerData tid = place->tid;
	HeapTuple		tuple = &((BufferHeapTupleTableSlot *) scan->slot)->base.tupdata;
	bool			found;

	if (!compat_read_recent_buffer(scan->table, ItemPointerGetBlockNumber(&tid), place->buffer))
		return false;
	LockBuffer(place->buffer, BUFFER_LOCK_SHARE);
	found = heap_hot_search_buffer(&tid, scan->table, place->buffer, snapshot, tuple, NULL, true);
	LockBuffer(place->buffer, BUFFER_LOCK_UNLOCK);
	if (!found)
	{
		ReleaseBuffer(place->buffer);
		return false;
	}
	tuple->t_tableOid = RelationGetRelid(scan->table);
	ExecStorePinnedBufferHeapTuple(tuple, scan->slot, place->buffer);
	return true;
}

bool
direct_place_begin(DirectScan *ret_scan, DirectTable table, const DirectPlace *place,
				   Snapshot snapshot)
{
	if (!BufferIsValid(place->buffer) || IsolationIsSerializable())
		return false;
	*ret_scan = (DirectScan){.table = table_open(direct_table_oid(table), AccessShareLock)};
	ret_scan->slot = table_slot_create(ret_scan->table, NULL);
	if (TTS_IS_BUFFERTUPLE(ret_scan->slot) && place_fetch(ret_scan, place, snapshot))
		return true;
	direct_place_end(ret_scan);
	return false;
}

void
direct_place_end(DirectScan *scan)
{
	ExecDropSingleTupleTableSlot(scan->slot);
	table_close(scan->table, AccessShareLock);
}
