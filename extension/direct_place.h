/* SPDX-License-Identifier: PostgreSQL */
/* A row where it was last seen; see direct_place.c. */
#ifndef CONCERT_DIRECT_PLACE_H
#define CONCERT_DIRECT_PLACE_H

#include "direct.h"

#include "storage/bufmgr.h"

/* Good for nothing but a look there. All zero: no place. */
typedef struct DirectPlace
{
	Buffer			buffer;
	ItemPointerData tid;
} DirectPlace;

/* The place of the scan's current row. */
extern DirectPlace direct_place(const DirectScan *scan);

/*
 * The row that the snapshot, which may be a dirty one, shows at that place: any row of the table.
 * False, and nothing to end, when there is none, at SERIALIZABLE, and when the page is not in that buffer any more.
 */
extern bool direct_place_begin(DirectScan *ret_scan, DirectTable table, const DirectPlace *place,
							   Snapshot snapshot);
extern void direct_place_end(DirectScan *scan);

#endif /* CONCERT_DIRECT_PLACE_H */
