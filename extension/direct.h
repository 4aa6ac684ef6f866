/* SPDX-License-Identifier: PostgreSQL */
/*
 * Direct access to our own tables: index scans, inserts and updates without the executor.
 *
 * It is what makes a sale cheaper than the plain INSERT of its row: no statement is set up, and
 * the foreign key of a reservation, whose row lock would dirty the seat's page, is proven by
 * reading the seat under the seat's own lock instead (guard.c keeps that lock honest). CHECK and
 * NOT NULL constraints and all indexes, an app's own too, are kept as the executor keeps them.
 *
 * It knows nothing of rules, policies and triggers, of columns that are not ours, nor of functions
 * of the app's in constraints and indexes: a table that has any is not direct, nor is one that the
 * function's owner may not read or write, and the caller falls back to its SPI statement. That is
 * judged when the table's relcache entry changes, or roles do, not in every call.
 * concert.direct_access = off switches it off altogether.
 */
#ifndef CONCERT_DIRECT_H
#define CONCERT_DIRECT_H

#include "concert.h"

#include "access/genam.h"
#include "access/relscan.h"
#include "access/sdir.h"
#include "executor/tuptable.h"

#define DIRECT_KEYS_MAX 3

/* The tables; the rings' parts follow each other. */
typedef enum DirectTable
{
	DIRECT_CONCERT_DATE,
	DIRECT_SECTION,
	DIRECT_SEAT,
	DIRECT_RESERVATION,
	DIRECT_HISTORY,
	DIRECT_EVENT_0,
	DIRECT_EVENT_1,
	DIRECT_EVENT_2,
	DIRECT_EVENT_3,
	DIRECT_REQUEST_0,
	DIRECT_REQUEST_1,
	DIRECT_REQUEST_2,
	DIRECT_REQUEST_3,
	DIRECT_OUTBOX_STATE,
	DIRECT_CONCESSION,
	DIRECT_TRANSFER,
	DIRECT_ACCOUNT,
	DIRECT_ACCOUNT_BALANCE,
	DIRECT_TABLES
} DirectTable;

typedef enum DirectIndex
{
	DIRECT_CONCERT_DATE_ID,
	DIRECT_SECTION_ID,
	DIRECT_SECTION_NAME_PRICE,
	DIRECT_SEAT_ID,
	DIRECT_SEAT_SECTION,
	DIRECT_RESERVATION_ID,
	DIRECT_RESERVATION_LIVE_SEAT,
	DIRECT_RESERVATION_SEAT_FENCE,
	DIRECT_RESERVATION_USER_DATE,
	DIRECT_RESERVATION_PENDING_EXPIRY,
	DIRECT_REQUEST_0_KEY,
	DIRECT_REQUEST_1_KEY,
	DIRECT_REQUEST_2_KEY,
	DIRECT_REQUEST_3_KEY,
	DIRECT_OUTBOX_STATE_STAMP,
	DIRECT_CONCESSION_LIVE_NAME,
	DIRECT_HISTORY_DATE_XID,
	DIRECT_ACCOUNT_ID,
	DIRECT_ACCOUNT_OF_OWNER,
	DIRECT_ACCOUNT_BALANCE_ID,
	DIRECT_INDEXES
} DirectIndex;

/* An open index scan; its slot holds the current row until the next call. */
typedef struct DirectScan
{
	Relation		table;
	Relation		index;
	IndexScanDesc	scan;
	TupleTableSlot *slot;
} DirectScan;

extern Oid direct_table_oid(DirectTable table);

/* Whether the table may be read directly. */
extern bool direct_is_readable(DirectTable table);

/*
 * Whether the table may be inserted into, or updated, directly; what was made for that is good as long
 * as the generation stays the same.
 */
extern bool direct_is_writable(DirectTable table, bool updates, uint64 *ret_generation);

/*
 * What a backend keeps of a table's rows is good as long as this number stays the same. It changes
 * with the table's definition and, by the trigger forget_kept(), with every statement that changes
 * its rows: the news comes with the commit, before whoever committed can tell anybody, and is taken
 * in by this call. Where the trigger is not there, or not ENABLE ALWAYS, it changes with every call.
 * Nothing may be kept at SERIALIZABLE, which has to know of every read.
 */
extern uint64 direct_generation(DirectTable table);

/* The latest snapshot, with what this transaction did; to be unregistered by the caller. */
extern Snapshot direct_snapshot(void);

/*
 * Rows whose leading index columns equal the keys (all rows without any), in the order of the
 * index or backwards. The snapshot must be registered, or be a dirty one. Locks table and index as a query would.
 */
extern void direct_scan_begin(DirectScan *ret_scan, DirectIndex index, Snapshot snapshot,
							  const Datum *keys, int key_count);

/* The same, but the last of the keys is where its column begins: an index that has an at_least. */
extern void direct_scan_begin_last_from(DirectScan *ret_scan, DirectIndex index, Snapshot snapshot,
										const Datum *keys, int key_count);

/*
 * Of an index whose first column is a uuid, the rows of one key after another: none before the first
 * direct_scan_at().
 */
extern void direct_scan_open(DirectScan *ret_scan, DirectIndex index, Snapshot snapshot);
extern void direct_scan_at(DirectScan *scan, const pg_uuid_t *key);

/* Rows from the first one on whose leading index column, a uuid, is at least this. */
extern void direct_scan_begin_from(DirectScan *ret_scan, DirectIndex index, Snapshot snapshot,
								   const pg_uuid_t *from);

/*
 * Only for a scan that direct_scan_begin_from() began. It may go on elsewhere; and it may walk the
 * index alone, whose next entry tells the key and the place of a row that the snapshot may or may
 * not show, and fetch rows by their places, which costs least in their order.
 */
extern void direct_scan_skip_to(DirectScan *scan, const pg_uuid_t *from);
extern bool direct_scan_next_entry(DirectScan *scan, pg_uuid_t *ret_key, ItemPointer ret_place);
extern bool direct_scan_fetch(DirectScan *scan, ItemPointer place);

extern bool direct_scan_next(DirectScan *scan, ScanDirection direction);
extern void direct_scan_end(DirectScan *scan);

/*
 * Inserts a row of all columns in the table's own order. False, and nothing done, when the table
 * may not be written directly. Raises what an INSERT would: 23502, 23505, 23514, 25006.
 */
extern bool direct_insert(DirectTable table, const NullableDatum *columns);

/*
 * Replaces the scan's current row by one of all columns. False, and nothing done, when the table may
 * not be written directly, when a column differs that a foreign key is of or may be to, or when the
 * row is not what an UPDATE of this transaction would find: the caller's statement then does what is
 * right.
 * Raises what an UPDATE would.
 */
extern bool direct_update(const DirectScan *scan, DirectTable table, const NullableDatum *columns);

/* One column of the scan's current row, counted from 1. */
static inline Datum
direct_datum(const DirectScan *scan, int column, bool *ret_isnull)
{
	return slot_getattr(scan->slot, column, ret_isnull);
}

extern pg_uuid_t direct_uuid(const DirectScan *scan, int column);
extern int64	 direct_int64(const DirectScan *scan, int column);
extern int		 direct_int32(const DirectScan *scan, int column);
extern bool		 direct_is_null(const DirectScan *scan, int column);

/* Whether a text column holds exactly this. */
extern bool direct_text_is(const DirectScan *scan, int column, const char *word);

#endif /* CONCERT_DIRECT_H */
