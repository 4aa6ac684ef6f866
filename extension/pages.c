/* SPDX-License-Identifier: PostgreSQL */
/* Rows page by page; see pages.h. */
#include "pages.h"

#include "access/tableam.h"
#include "miscadmin.h"
#include "nodes/tidbitmap.h"
#include "storage/predicate.h"

BlockNumber *
pages_of_scan(DirectScan *scan, int *ret_count, int64 *ret_rows_max)
{
	TIDBitmap			 *bitmap = tbm_create(work_mem * INT64CONST(1024), NULL);
	CompatBitmapIterator *iterator;
	BlockNumber			 *blocks;

	*ret_rows_max = index_getbitmap(scan->scan, bitmap);
	blocks = palloc_extended(sizeof(BlockNumber) * Max(*ret_rows_max, 1), MCXT_ALLOC_HUGE);
	*ret_count = 0;
	iterator = compat_bitmap_begin(bitmap);
	while (*ret_count < *ret_rows_max && compat_bitmap_next(iterator, &blocks[*ret_count]))
		(*ret_count)++;
	compat_bitmap_end(iterator);
	tbm_free(bitmap);
	return blocks;
}

void
pages_begin(Pages *ret_pages, DirectScan *rows, Snapshot snapshot, const BlockNumber *blocks,
			int count)
{
	*ret_pages = (Pages){.rows = rows, .snapshot = snapshot, .blocks = blocks, .count = count};
	PredicateLockRelation(rows->table, snapshot);
}

/* Pages that follow each other are one range. */
static void
pages_begin_range(Pages *pages)
{
	BlockNumber		first = pages->blocks[pages->next];
	BlockNumber		last = first;
	ItemPointerData low;
	ItemPointerData high;

	while (++pages->next < pages->count && pages->blocks[pages->next] == last + 1)
		last++;
	ItemPointerSet(&low, first, FirstOffsetNumber);
	ItemPointerSet(&high, last, MaxOffsetNumber);
	if (pages->scan == NULL)
		pages->scan = table_beginscan_tidrange(pages->rows->table, pages->snapshot, &low, &high);
	else
		table_rescan_tidrange(pages->scan, &low, &high);
}

bool
pages_next(Pages *pages)
{
	while (pages->scan == NULL ||
		   !table_scan_getnextslot_tidrange(pages->scan, ForwardScanDirection, pages->rows->slot))
	{
		if (pages->next == pages->count)
			return false;
		pages_begin_range(pages);
	}
	return true;
}

void
pages_end(Pages *pages)
{
	if (pages->scan != NULL)
		table_endscan(pages->scan);
}
