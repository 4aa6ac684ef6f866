/* SPDX-License-Identifier: PostgreSQL */
/* What history tells of a date's seats; see mapacts.h. */
#include "mapacts.h"

#include "access/xact.h"
#include "utils/array.h"
#include "utils/xid8.h"

/*
 * All acts of the house but blocks have to do with the layout. Each of the transactions that are
 * named is looked up by itself: xid = ANY would be a filter over all of the date's history in a
 * plan that was made while there was none.
 */
static SavedPlan find_acts =
	PLAN("SELECT acts.seat_ids,"
		 " acts.booking_id IS NULL AND acts.action NOT IN ('blocked', 'unblocked')"
		 " FROM (SELECT * FROM concert.history WHERE concert_date_id = $1 AND xid >= $2"
		 "  UNION ALL SELECT late.* FROM unnest($3) AS open (xid) CROSS JOIN LATERAL"
		 "  (SELECT * FROM concert.history AS h WHERE h.concert_date_id = $1 AND h.xid = open.xid"
		 "   OFFSET 0) AS late)"
		 " AS acts LIMIT $4",
		 UUIDOID, XID8OID, XID8ARRAYOID, INT4OID);

static SavedPlan find_own_act =
	PLAN("SELECT 1 FROM concert.history WHERE concert_date_id = $1 AND xid = $2 LIMIT 1", UUIDOID,
		 XID8OID);

static bool			 acts_keep_layout(int acts);
static pg_uuid_t	*acts_seats(int acts, int *ret_count);
static int			 acts_unique(pg_uuid_t *seat_ids, int count);
static NullableDatum xid8_array_value(const FullTransactionId *xids, int count);

bool
mapacts_since(const pg_uuid_t *date_id, const MapVersion *since, Snapshot snapshot,
			  pg_uuid_t **ret_seat_ids, int *ret_count)
{
	int acts =
		plan_read_at(&find_acts,
					 PLAN_ARGS(uuid_value(date_id), value(FullTransactionIdGetDatum(since->xmax)),
							   xid8_array_value(since->xids, since->xid_count),
							   value(Int32GetDatum(MAP_CHANGES_MAX + 1))),
					 snapshot);

	if (acts > MAP_CHANGES_MAX || !acts_keep_layout(acts))
		return false;
	*ret_seat_ids = acts_seats(acts, ret_count);
	*ret_count = acts_unique(*ret_seat_ids, *ret_count);
	return *ret_count <= MAP_CHANGES_MAX;
}

bool
mapacts_has_own(const pg_uuid_t *date_id, Snapshot snapshot)
{
	FullTransactionId own = GetTopFullTransactionIdIfAny();

	return FullTransactionIdIsValid(own) &&
		plan_read_at(&find_own_act,
					 PLAN_ARGS(uuid_value(date_id), value(FullTransactionIdGetDatum(own))),
					 snapshot) > 0;
}

static bool
acts_keep_layout(int acts)
{
	for (int act = 0; act < acts; act++)
		if (plan_bool(act, 1))
			return false;
	return true;
}

static pg_uuid_t *
acts_seats(int acts, int *ret_count)
{
	int		   room = 1;
	pg_uuid_t *seat_ids = palloc(sizeof(pg_uuid_t) * room);

	*ret_count = 0;
	for (int act = 0; act < acts; act++)
	{
		const ArrayType *array = DatumGetArrayTypeP(plan_datum(act, 0));
		int				 count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));

		if (*ret_count + count > room)
		{
			room = (*ret_count + count) * 2;
			seat_ids = repalloc(seat_ids, sizeof(pg_uuid_t) * room);
		}
		memcpy(&seat_ids[*ret_count], ARR_DATA_PTR(array), sizeof(pg_uuid_t) * count);
		*ret_count += count;
	}
	return seat_ids;
}

static int
acts_unique(pg_uuid_t *seat_ids, int count)
{
	int kept = 0;

	qsort(seat_ids, count, sizeof(pg_uuid_t), uuid_compare);
	for (int i = 0; i < count; i++)
		if (i == 0 || uuid_compare(&seat_ids[kept - 1], &seat_ids[i]) != 0)
			seat_ids[kept++] = seat_ids[i];
	return kept;
}

static NullableDatum
xid8_array_value(const FullTransactionId *xids, int count)
{
	Datum *elements = palloc(sizeof(Datum) * Max(count, 1));

	for (int i = 0; i < count; i++)
		elements[i] = FullTransactionIdGetDatum(xids[i]);
	return value(PointerGetDatum(construct_array(
		elements, count, XID8OID, sizeof(FullTransactionId), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE)));
}
