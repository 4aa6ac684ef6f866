/* SPDX-License-Identifier: PostgreSQL */
/* Versions of seat maps as text; see mapversion.h. */
#include "mapversion.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "common/hashfn.h"
#include "outbox_internal.h"

#define VERSION_XIDS_MAX 1000 /* with more open transactions it stops before the first of them */
#define VERSION_FORMAT 1
#define NUMBER_DIGITS_MAX 16

static uint64			 version_check(const char *text, int bytes, const pg_uuid_t *date_id);
static FullTransactionId xid_widen(TransactionId xid, FullTransactionId next);
static void				 version_add(MapVersion *version, FullTransactionId xid);
static int				 xid_compare(const void *a, const void *b);
static TimeLineID		 timeline_now(void);
static bool				 parse_number(const char **text, char end, uint64 *ret_number);

/*
 * A snapshot taken in recovery has all that is open in subxip, where subtransactions are as well;
 * history knows only of top-level ones, so the others do no harm.
 */
MapVersion
mapversion_of(Snapshot snapshot, TimestampTz at)
{
	FullTransactionId	 next = ReadNextFullTransactionId();
	MapVersion			 version = {.at = at, .xmax = xid_widen(snapshot->xmax, next)};
	const TransactionId *open = snapshot->takenDuringRecovery ? snapshot->subxip : snapshot->xip;
	int open_count = snapshot->takenDuringRecovery ? snapshot->subxcnt : (int) snapshot->xcnt;

	if (open_count >= VERSION_XIDS_MAX)
	{
		version.xmax = xid_widen(snapshot->xmin, next);
		open_count = 0;
	}
	version.xids = palloc(sizeof(FullTransactionId) * (open_count + 1));
	for (int i = 0; i < open_count; i++)
		version_add(&version, xid_widen(open[i], next));
	if (FullTransactionIdIsValid(GetTopFullTransactionIdIfAny()))
		version_add(&version, GetTopFullTransactionIdIfAny());
	qsort(version.xids, version.xid_count, sizeof(FullTransactionId), xid_compare);
	return version;
}

bool
mapversion_shows(const MapVersion *version, FullTransactionId xid)
{
	return FullTransactionIdPrecedes(xid, version->xmax) &&
		bsearch(&xid, version->xids, version->xid_count, sizeof(FullTransactionId), xid_compare) ==
		NULL;
}

bool
mapversion_covers(const MapVersion *a, const MapVersion *b)
{
	if (FullTransactionIdPrecedes(a->xmax, b->xmax))
		return false;
	for (int i = 0; i < a->xid_count; i++)
		if (mapversion_shows(b, a->xids[i]))
			return false;
	return true;
}

char *
mapversion_text(const MapVersion *version, const pg_uuid_t *date_id)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfo(&out, "%x-%x-%llx-%llx-", VERSION_FORMAT, timeline_now(),
					 (unsigned long long) version->at,
					 (unsigned long long) U64FromFullTransactionId(version->xmax));
	for (int i = 0; i < version->xid_count; i++)
		appendStringInfo(&out, "%llx.",
						 (unsigned long long) U64FromFullTransactionId(version->xids[i]));
	appendStringInfo(&out, "-%llx", (unsigned long long) version_check(out.data, out.len, date_id));
	return out.data;
}

bool
mapversion_parse(const char *text, const pg_uuid_t *date_id, MapVersion *ret_version)
{
	const char *rest = text;
	uint64		format;
	uint64		timeline;
	uint64		at;
	uint64		xmax;
	uint64		check;
	int			checked_bytes;

	if (!parse_number(&rest, '-', &format) || !parse_number(&rest, '-', &timeline) ||
		!parse_number(&rest, '-', &at) || !parse_number(&rest, '-', &xmax))
		return false;
	ret_version->at = (TimestampTz) at;
	ret_version->xmax = FullTransactionIdFromU64(xmax);
	ret_version->xid_count = 0;
	ret_version->xids = palloc(sizeof(FullTransactionId) * VERSION_XIDS_MAX);
	while (*rest != '-')
	{
		uint64 xid;

		if (ret_version->xid_count == VERSION_XIDS_MAX || !parse_number(&rest, '.', &xid))
			return false;
		ret_version->xids[ret_version->xid_count++] = FullTransactionIdFromU64(xid);
	}
	checked_bytes = rest - text;
	rest++;
	if (!parse_number(&rest, '\0', &check) || format != VERSION_FORMAT)
		return false;
	ret_version->is_ours = check == version_check(text, checked_bytes, date_id) &&
		timeline == timeline_now() &&
		(RecoveryInProgress() || xmax <= U64FromFullTransactionId(ReadNextFullTransactionId()));
	return true;
}

/* Hexadecimal digits as "%llx" writes them, and what follows them. */
static bool
parse_number(const char **text, char end, uint64 *ret_number)
{
	int digits = strspn(*text, "0123456789abcdef");

	if (digits < 1 || digits > NUMBER_DIGITS_MAX || (*text)[digits] != end)
		return false;
	*ret_number = strtou64(*text, NULL, 16);
	*text += digits + (end != '\0');
	return true;
}

static uint64
version_check(const char *text, int bytes, const pg_uuid_t *date_id)
{
	const char *stamp = outbox_stamp();
	uint64		digest;

	digest = hash_bytes_extended((const unsigned char *) stamp, strlen(stamp), 0);
	digest = hash_bytes_extended(date_id->data, UUID_LEN, digest);
	return hash_bytes_extended((const unsigned char *) text, bytes, digest);
}

/* A snapshot's ids are within half of all ids of the next one. */
static FullTransactionId
xid_widen(TransactionId xid, FullTransactionId next)
{
	uint32 epoch = EpochFromFullTransactionId(next);

	if (xid > XidFromFullTransactionId(next))
		epoch--;
	return FullTransactionIdFromEpochAndXid(epoch, xid);
}

static void
version_add(MapVersion *version, FullTransactionId xid)
{
	if (FullTransactionIdPrecedes(xid, version->xmax))
		version->xids[version->xid_count++] = xid;
}

static int
xid_compare(const void *a, const void *b)
{
	uint64 left = U64FromFullTransactionId(*(const FullTransactionId *) a);
	uint64 right = U64FromFullTransactionId(*(const FullTransactionId *) b);

	return (left > right) - (left < right);
}

static TimeLineID
timeline_now(void)
{
	TimeLineID timeline;

	if (!RecoveryInProgress())
		return GetWALInsertionTimeLine();
	(void) GetXLogReplayRecPtr(&timeline);
	return timeline;
}
