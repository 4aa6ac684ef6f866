/* SPDX-License-Identifier: PostgreSQL */
/*
 * The version of a seat map: which transactions it shows, and the time at which it was judged.
 *
 * As a text, which clients keep and give back, it is 1-TIMELINE-TIME-XMAX-XIDS-CHECK, in
 * hexadecimal. It shows every transaction below XMAX but XIDS. CHECK is a digest of the rest, the
 * date and the outbox's stamp, so that a version of another date or database, or one that was
 * tampered with, is told from our own. Where transaction ids may have been issued again, after a failover or a restore,
 * the timeline is another one.
 */
#ifndef CONCERT_MAPVERSION_H
#define CONCERT_MAPVERSION_H

#include "concert.h"

#include "access/transam.h"
#include "utils/snapshot.h"

typedef struct MapVersion
{
	TimestampTz		   at;
	FullTransactionId  xmax;
	int				   xid_count;
	FullTransactionId *xids;	/* below xmax, but not shown; ascending */
	bool			   is_ours; /* set by mapversion_parse() */
} MapVersion;

/*
 * The version of what the snapshot shows. A transaction of the caller's own that has an id
 * already is not among what it shows, so that whatever it does is told as a change.
 */
extern MapVersion mapversion_of(Snapshot snapshot, TimestampTz at);

extern bool mapversion_shows(const MapVersion *version, FullTransactionId xid);

/* Whether a shows all that b shows. */
extern bool mapversion_covers(const MapVersion *a, const MapVersion *b);

extern char *mapversion_text(const MapVersion *version, const pg_uuid_t *date_id);

/*
 * False when the text is no version at all. is_ours tells whether it is one of this date in this
 * database, on this timeline.
 */
extern bool mapversion_parse(const char *text, const pg_uuid_t *date_id, MapVersion *ret_version);

#endif /* CONCERT_MAPVERSION_H */
