/* SPDX-License-Identifier: PostgreSQL */
/*
 * Confirming reservations by index scans, which is what paying costs most by SQL. The booking's
 * lock is the caller's.
 */
#include "reservation.h"

#include "direct.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#define RESERVATION_COLUMNS 15

enum
{
	RESERVATION_DATE = 3,
	RESERVATION_SEAT = 4,
	RESERVATION_STATUS = 6,
	RESERVATION_RESOLVED = 13
};

/* The row as it stands, but confirmed: one whose id is being changed is not, and is left. */
static bool
reservation_confirm(Booking *booking, Reservation *reservation, Snapshot snapshot, TimestampTz now)
{
	Datum		  key = UUIDPGetDatum(&reservation->id);
	NullableDatum columns[RESERVATION_COLUMNS];
	DirectScan	  scan;
	bool		  done;

	direct_scan_begin(&scan, DIRECT_RESERVATION_ID, snapshot, &key, 1);
	done = direct_scan_next(&scan, ForwardScanDirection) &&
		direct_is_null(&scan, RESERVATION_RESOLVED);
	if (done)
	{
		for (int i = 0; i < RESERVATION_COLUMNS; i++)
			columns[i].value = direct_datum(&scan, i + 1, &columns[i].isnull);
		columns[RESERVATION_STATUS - 1] = text_value("confirmed");
		columns[RESERVATION_RESOLVED - 1] = value(TimestampTzGetDatum(now));
		booking->date_id = direct_uuid(&scan, RESERVATION_DATE);
		reservation->seat_id = direct_uuid(&scan, RESERVATION_SEAT);
		done = direct_update(&scan, DIRECT_RESERVATION, columns);
	}
	direct_scan_end(&scan);
	return done;
}

int
reservation_direct_confirm(Booking *booking, TimestampTz now)
{
	Snapshot snapshot;
	int		 done = 0;

	if (!direct_is_readable(DIRECT_RESERVATION))
		return 0;
	snapshot = direct_snapshot();
	while (done < booking->count &&
		   reservation_confirm(booking, &booking->reservations[done], snapshot, now))
		done++;
	UnregisterSnapshot(snapshot);
	return done;
}
