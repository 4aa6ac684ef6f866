/* SPDX-License-Identifier: PostgreSQL */
/*
 * Reading seat maps at high rate: the whole of one in a few bits a seat, and what has changed
 * since. Both read under the snapshot of the calling statement and judge at its time, as the SQL
 * function seat_map() does, and write nothing: they are good on a standby and in parallel workers.
 *
 * What has changed is what history tells that this snapshot shows and the version's did not, and
 * whatever the clock has ended in between. Only which seats those are is taken from there; told
 * is their state as it stands now, so that telling one too many does no harm.
 */
#include "errors.h"

#include "access/xact.h"
#include "mapversion.h"
#include "seatmap.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#define BITS_PER_SEAT 2
#define SEATS_PER_BYTE (BITS_PER_BYTE / BITS_PER_SEAT)
#define CHANGES_MAX 10000		/* acts, and seats; with more, reading all anew costs less */

PG_FUNCTION_INFO_V1(concert_seat_map_packed);
PG_FUNCTION_INFO_V1(concert_seat_map_changes);

static SavedPlan find_own_act = PLAN(
	"SELECT 1 FROM concert.history WHERE concert_date_id = $1 AND xid = $2 LIMIT 1",
	UUIDOID, XID8OID);

/* All acts of the house but blocks have to do with the layout. */
static SavedPlan find_acts = PLAN(
	"SELECT acts.seat_ids,"
	" acts.booking_id IS NULL AND acts.action NOT IN ('blocked', 'unblocked')"
	" FROM (SELECT * FROM concert.history WHERE concert_date_id = $1 AND xid >= $2"
	"  UNION ALL SELECT * FROM concert.history WHERE concert_date_id = $1 AND xid = ANY ($3))"
	" AS acts LIMIT $4",
	UUIDOID, XID8OID, XID8ARRAYOID, INT4OID);

/* The seats named, and those whose pending or block ended in the time from $3 to $4. */
static SavedPlan find_changes = PLAN(
	"SELECT s.seat_id, s.\"row\", s.col, s.state, section.id IS NULL"
	" FROM (SELECT unnest($2) AS seat_id"
	"  UNION SELECT r.seat_id FROM concert.reservation AS r WHERE r.concert_date_id = $1"
	"  AND r.status = 'pending' AND r.expires_at > $3 AND r.expires_at <= $4"
	"  UNION SELECT b.id FROM concert.seat AS b WHERE b.concert_date_id = $1"
	"  AND b.blocked_until > $3 AND b.blocked_until <= $4) AS changed"
	" LEFT JOIN concert.seat_state AS s ON s.seat_id = changed.seat_id AND s.concert_date_id = $1"
	" LEFT JOIN concert.section AS section"
	"  ON section.id = s.section_id AND section.deleted_at IS NULL"
	" ORDER BY s.\"row\", s.col LIMIT $5",
	UUIDOID, UUIDARRAYOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID);

static bytea *pack_states(const SeatMap *map, TimestampTz now);
static NullableDatum version_now(const pg_uuid_t *date_id, TimestampTz now);
static bool changes_append(StringInfo out, const pg_uuid_t *date_id, const MapVersion *since,
						   TimestampTz now);
static int	acts_find(const pg_uuid_t *date_id, const MapVersion *since, bool *ret_layout_changed);
static pg_uuid_t *acts_seats(int acts, int *ret_count);
static Datum xid8_array(const FullTransactionId *xids, int count);

Datum
concert_seat_map_packed(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"concert_date_id"};
	TimestampTz now = GetCurrentStatementStartTimestamp();
	const pg_uuid_t *date_id;
	SeatMap		map;
	Datum		answer;

	argument_require(fcinfo, lengthof(names), names);
	date_id = PG_GETARG_UUID_P(0);
	plan_begin();
	seatmap_load(date_id, GetActiveSnapshot(), &map);
	answer = answer_row(fcinfo, (NullableDatum[]){
		version_now(date_id, now),
		text_value(psprintf("%016llx", (unsigned long long) seatmap_layout(&map))),
		value(Int32GetDatum(map.count)),
		value(PointerGetDatum(pack_states(&map, now)))}, 4);
	answer = SPI_datumTransfer(answer, false, -1);
	plan_end();
	PG_RETURN_DATUM(answer);
}

/* Seat i is in byte i / 4, in the two bits from 2 * (i % 4) on, the lowest being bit 0. */
static bytea *
pack_states(const SeatMap *map, TimestampTz now)
{
	int			bytes = (map->count + SEATS_PER_BYTE - 1) / SEATS_PER_BYTE;
	bytea	   *packed = palloc0(VARHDRSZ + bytes);
	uint8	   *states = (uint8 *) VARDATA(packed);

	SET_VARSIZE(packed, VARHDRSZ + bytes);
	for (int i = 0; i < map->count; i++)
		states[i / SEATS_PER_BYTE] |= seatmap_state(&map->seats[i], now)
			<< (i % SEATS_PER_BYTE * BITS_PER_SEAT);
	return packed;
}

/*
 * The version of the calling statement's snapshot. There is none while the map shows acts of the
 * caller's own transaction: it may yet undo them, to a savepoint, and nothing would tell.
 */
static NullableDatum
version_now(const pg_uuid_t *date_id, TimestampTz now)
{
	Snapshot	snapshot = GetActiveSnapshot();
	FullTransactionId own = GetTopFullTransactionIdIfAny();
	MapVersion	version = mapversion_of(snapshot, now);

	if (FullTransactionIdIsValid(own) &&
		plan_read_at(&find_own_act, PLAN_ARGS(uuid_value(date_id),
											  value(FullTransactionIdGetDatum(own))), snapshot) > 0)
		return null_value();
	return text_value(mapversion_text(&version, date_id));
}

Datum
concert_seat_map_changes(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"concert_date_id", "since_version"};
	TimestampTz now = GetCurrentStatementStartTimestamp();
	char	   *given;
	const pg_uuid_t *date_id;
	MapVersion	since;
	StringInfoData seats;
	NullableDatum version = null_value();
	bool		is_anew;

	argument_require(fcinfo, lengthof(names), names);
	date_id = PG_GETARG_UUID_P(0);
	given = text_to_cstring(PG_GETARG_TEXT_PP(1));
	initStringInfo(&seats);
	if (!mapversion_parse(given, date_id, &since))
		error_invalid("since_version", given, "a version of seat_map_packed() or seat_map_changes()");
	plan_begin();
	is_anew = !since.is_ours || !changes_append(&seats, date_id, &since, now);
	if (!is_anew)
		version = version_now(date_id, now);
	if (!version.isnull)
		version.value = SPI_datumTransfer(version.value, false, -1);
	plan_end();
	return answer_row(fcinfo, (NullableDatum[]){
		value(BoolGetDatum(is_anew)), version,
		is_anew ? null_value() : value(answer_jsonb(&seats))}, 3);
}

/* False when the map must be read anew. */
static bool
changes_append(StringInfo out, const pg_uuid_t *date_id, const MapVersion *since, TimestampTz now)
{
	bool		layout_changed;
	int			acts = acts_find(date_id, since, &layout_changed);
	int			count;
	pg_uuid_t  *seats;

	if (layout_changed || acts > CHANGES_MAX)
		return false;
	seats = acts_seats(acts, &count);
	count = plan_read_at(&find_changes,
						 PLAN_ARGS(uuid_value(date_id), uuid_array_value(seats, count),
								   value(TimestampTzGetDatum(Min(since->at, now))),
								   value(TimestampTzGetDatum(Max(since->at, now))),
								   value(Int32GetDatum(CHANGES_MAX + 1))),
						 GetActiveSnapshot());
	if (count > CHANGES_MAX)
		return false;
	appendStringInfoChar(out, '[');
	for (int i = 0; i < count; i++)
	{
		pg_uuid_t	seat_id = plan_uuid(i, 0);

		if (plan_bool(i, 4))
			return false;
		appendStringInfo(out, "%s{\"seat_id\": \"%s\", \"row\": %d, \"col\": %d, \"state\": \"%s\"}",
						 i > 0 ? ", " : "", uuid_text(&seat_id), plan_int32(i, 1),
						 plan_int32(i, 2), plan_text(i, 3));
	}
	appendStringInfoChar(out, ']');
	return true;
}

static int
acts_find(const pg_uuid_t *date_id, const MapVersion *since, bool *ret_layout_changed)
{
	int			acts = plan_read_at(&find_acts,
									PLAN_ARGS(uuid_value(date_id),
											  value(FullTransactionIdGetDatum(since->xmax)),
											  value(xid8_array(since->xids, since->xid_count)),
											  value(Int32GetDatum(CHANGES_MAX + 1))),
									GetActiveSnapshot());

	*ret_layout_changed = false;
	for (int i = 0; i < acts; i++)
		*ret_layout_changed = *ret_layout_changed || plan_bool(i, 1);
	return acts;
}

/* The seats of the acts just found, some more than once. */
static pg_uuid_t *
acts_seats(int acts, int *ret_count)
{
	int			room = 0;
	pg_uuid_t  *seats;

	for (int i = 0; i < acts; i++)
	{
		const ArrayType *act = DatumGetArrayTypeP(plan_datum(i, 0));

		room += ArrayGetNItems(ARR_NDIM(act), ARR_DIMS(act));
	}
	seats = palloc(sizeof(pg_uuid_t) * Max(room, 1));
	*ret_count = 0;
	for (int i = 0; i < acts; i++)
	{
		const ArrayType *act = DatumGetArrayTypeP(plan_datum(i, 0));
		int			count = ArrayGetNItems(ARR_NDIM(act), ARR_DIMS(act));

		memcpy(&seats[*ret_count], ARR_DATA_PTR(act), sizeof(pg_uuid_t) * count);
		*ret_count += count;
	}
	return seats;
}

static Datum
xid8_array(const FullTransactionId *xids, int count)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(count, 1));

	for (int i = 0; i < count; i++)
		elements[i] = FullTransactionIdGetDatum(xids[i]);
	return PointerGetDatum(construct_array(elements, count, XID8OID, sizeof(FullTransactionId),
										   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}
