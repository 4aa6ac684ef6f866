/* SPDX-License-Identifier: PostgreSQL */
/*
 * Rows of one of our own tables page by page, in the order in which they lie: whoever needs many
 * of a page's rows gets them at a tenth of what fetching each by its place costs. What else lies
 * on the pages comes along, and is the caller's to pass over. Built on a direct scan (direct.h),
 * whose eligibility rule holds for it too. Locks nothing beyond it; a transaction that is
 * SERIALIZABLE counts as having read the whole table.
 */
#ifndef CONCERT_PAGES_H
#define CONCERT_PAGES_H

#include "direct.h"

#include "storage/block.h"

typedef struct Pages
{
	Relation		   table;
	Snapshot		   snapshot;
	const BlockNumber *blocks;
	int				   count;
	int				   next;
	TableScanDesc	   scan; /* NULL before the first row */
} Pages;

/*
 * The pages on which the rows lie that a direct scan, just begun, would find, ascending; and how
 * many those may be at most. pages_of_keys() does the same for all rows of any of the keys.
 */
extern BlockNumber *pages_of_scan(DirectScan *scan, int *ret_count, int64 *ret_rows_max);
extern BlockNumber *pages_of_keys(DirectScan *scan, const pg_uuid_t *keys, int key_count,
								  int *ret_count, int64 *ret_rows_max);

/*
 * The blocks must be ascending and stay until the end, and so must the direct scan's table. A row
 * stays until the next one; NULL after the last.
 */
extern void		 pages_begin(Pages *ret_pages, Relation table, Snapshot snapshot,
							 const BlockNumber *blocks, int count);
extern HeapTuple pages_next(Pages *pages);
extern void		 pages_end(Pages *pages);

#endif /* CONCERT_PAGES_H */
