/* SPDX-License-Identifier: PostgreSQL */
/* Rows page by page; see pages.h. */
#include "pages.h"

#include "access/heapam.h"
#include "miscadmin.h"
#include "nodes/tidbitmap.h"
#include "storage/predicate.h"

static TIDBitmap *
bitmap_create(void)
{
	return tbm_create(work_mem * INT64CONST(1024), NULL);
}

/* Frees the bitmap. */
static BlockNumber *
bitmap_pages(TIDBitmap *bitmap, int64 rows_max, int *ret_count)
{
	CompatBitmapIterator *iterator = compat_bitmap_begin(bitmap);
	BlockNumber *blocks = palloc_extended(sizeof(BlockNumber) * Max(rows_max, 1), MCXT_ALLOC_HUGE);

	*ret_count = 0;
	while (*ret_count < rows_max && compat_bitmap_next(iterator, &blocks[*ret_count]))
		(*ret_count)++;
	compat_bitmap_end(iterator);
	tbm_free(bitmap);
	return blocks;
}

BlockNumber *
pages_of_scan(DirectScan *scan, int *ret_count, int64 *ret_rows_max)
{
	TIDBitmap *bitmap = bitmap_create();

	*ret_rows_max = index_getbitmap(scan->scan, bitmap);
	return bitmap_pages(bitmap, *ret_rows_max, ret_count);
}

BlockNumber *
pages_of_keys(DirectScan *scan, const pg_uuid_t *keys, int key_count, int *ret_count,
			  int64 *ret_rows_max)
{
	TIDBitmap *bitmap = bitmap_create();

	*ret_rows_max = 0;
	for (int i = 0; i < key_count; i++)
	{
		direct_scan_at(scan, &keys[i]);
		*ret_rows_max += index_getbitmap(scan->scan, bitmap);
	}
	return bitmap_pages(bitmap, *ret_rows_max, ret_count);
}

void
pages_begin(Pages *ret_pages, Relation table, Snapshot snapshot, const BlockNumber *blocks,
			int count)
{
	*ret_pages = (Pages){.table = table, .snapshot = snapshot, .blocks = blocks, .count = count};
	PredicateLockRelation(table, snapshot);
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
		pages->scan = table_beginscan_tidrange(pages->table, pages->snapshot, &low, &high);
	else
		table_rescan_tidrange(pages->scan, &low, &high);
}

/* A range is of whole pages, so that no row of them need be compared with its ends. */
HeapTuple
pages_next(Pages *pages)
{
	HeapTuple row = NULL;

	while (pages->scan == NULL || (row = heap_getnext(pages->scan, ForwardScanDirection)) == NULL)
	{
		if (pages->next == pages->count)
			return NULL;
		pages_begin_range(pages);
	}
	return row;
}

void
pages_end(Pages *pages)
{
	if (pages->scan != NULL)
		table_endscan(pages->scan);
}
