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

#include "json.h"
#include "keptmap.h"
#include "mb/pg_wchar.h"
#include "port/pg_bitutils.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

#define SINCE_HOURS_MAX 24	/* history is purged, but never that soon */
#define SHOWN_BYTES_MAX 100 /* of what is no version, in the error */
#define BITS_PER_SEAT 2
#define SEATS_PER_BYTE (BITS_PER_BYTE / BITS_PER_SEAT)

PG_FUNCTION_INFO_V1(concert_seat_map_packed);
PG_FUNCTION_INFO_V1(concert_seat_map_changes);

/* The seats of $1 whose pending or block ended in the time from $2 to $3. */
static SavedPlan find_lapsed =
	PLAN("SELECT r.seat_id FROM concert.reservation AS r WHERE r.concert_date_id = $1"
		 " AND r.status = 'pending' AND r.expires_at > $2 AND r.expires_at <= $3"
		 " UNION ALL SELECT b.id FROM concert.seat AS b WHERE b.concert_date_id = $1"
		 " AND b.blocked_until > $2 AND b.blocked_until <= $3 LIMIT $4",
		 UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID);

static const char *const state_names[] = {[SEAT_FREE] = "free",
										  [SEAT_PENDING] = "pending",
										  [SEAT_SOLD] = "sold",
										  [SEAT_BLOCKED] = "blocked"};

static bytea		*pack_states(const SeatMap *map, TimestampTz now);
static NullableDatum version_now(const pg_uuid_t *date_id, TimestampTz now);
static bool			 changes_tell(Json *out, const pg_uuid_t *date_id, const MapVersion *since,
								  TimestampTz now);
static bool changes_of_map(Json *out, const KeptMap *kept, const pg_uuid_t *seat_ids, int count,
						   TimestampTz since, TimestampTz now);
static bool changes_read(Json *out, const pg_uuid_t *date_id, pg_uuid_t *seat_ids, int count,
						 TimestampTz since, TimestampTz now);
static void change_add(Json *out, const MapSeat *seat, TimestampTz now);

Datum
concert_seat_map_packed(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"concert_date_id"};
	TimestampTz				 now = GetCurrentStatementStartTimestamp();
	const pg_uuid_t			*date_id;
	const SeatMap			*map;
	Datum					 answer;

	argument_require(fcinfo, lengthof(names), names);
	date_id = PG_GETARG_UUID_P(0);
	plan_begin();
	map = keptmap_read(date_id, GetActiveSnapshot());
	answer = answer_row(
		fcinfo,
		(NullableDatum[]){version_now(date_id, now),
						  text_value(psprintf("%016llx", (unsigned long long) map->layout)),
						  value(Int32GetDatum(map->count)),
						  value(PointerGetDatum(pack_states(map, now)))},
		4);
	answer = SPI_datumTransfer(answer, false, -1);
	plan_end();
	PG_RETURN_DATUM(answer);
}

/* Seat i is in byte i / 4, in the two bits from 2 * (i % 4) on, the lowest being bit 0. */
static bytea *
pack_states(const SeatMap *map, TimestampTz now)
{
	int	   bytes = (map->count + SEATS_PER_BYTE - 1) / SEATS_PER_BYTE;
	bytea *packed = palloc0(VARHDRSZ + bytes);
	uint8 *states = (uint8 *) VARDATA(packed);

	SET_VARSIZE(packed, VARHDRSZ + bytes);
	for (int i = 0; i < map->count; i++)
		states[i / SEATS_PER_BYTE] |= seatmap_state(&map->seats[i], now)
			<< (i % SEATS_PER_BYTE * BITS_PER_SEAT);
	return packed;
}

/* The version of what the calling statement's snapshot shows, if it can be gone on from. */
static NullableDatum
version_now(const pg_uuid_t *date_id, TimestampTz now)
{
	Snapshot   snapshot = GetActiveSnapshot();
	MapVersion version;

	if (mapacts_has_own(date_id, snapshot))
		return null_value();
	version = mapversion_of(snapshot, now);
	return text_value(mapversion_text(&version, date_id));
}

Datum
concert_seat_map_changes(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"concert_date_id", "since_version"};
	TimestampTz				 now = GetCurrentStatementStartTimestamp();
	const pg_uuid_t			*date_id;
	char					*given;
	MapVersion				 since;
	Json					 seats = {0};
	NullableDatum			 columns[] = {value(BoolGetDatum(true)), null_value(), null_value()};
	Datum					 answer;

	argument_require(fcinfo, lengthof(names), names);
	date_id = PG_GETARG_UUID_P(0);
	given = text_to_cstring(PG_GETARG_TEXT_PP(1));
	if (!mapversion_parse(given, date_id, &since))
		error_invalid("since_version",
					  pnstrdup(given, pg_mbcliplen(given, strlen(given), SHOWN_BYTES_MAX)),
					  "a version of seat_map_packed() or seat_map_changes()");
	plan_begin();
	if (since.is_ours && now - since.at < SINCE_HOURS_MAX * USECS_PER_HOUR &&
		changes_tell(&seats, date_id, &since, now))
	{
		columns[0] = value(BoolGetDatum(false));
		columns[1] = version_now(date_id, now);
		columns[2] = value(JsonbPGetDatum(json_finish(&seats)));
	}
	answer = SPI_datumTransfer(answer_row(fcinfo, columns, lengthof(columns)), false, -1);
	plan_end();
	PG_RETURN_DATUM(answer);
}

/*
 * False when the map must be read anew. Where this backend keeps the map, which others' calls
 * have brought up to date, the seats need not be read.
 */
static bool
changes_tell(Json *out, const pg_uuid_t *date_id, const MapVersion *since, TimestampTz now)
{
	const KeptMap *kept;
	MapActs		   acts;
	pg_uuid_t	  *seat_ids;
	int			   count;
	bool		   is_told;

	if (!mapacts_since(date_id, since, GetActiveSnapshot(), &acts))
		return false;
	seat_ids = mapacts_seats(&acts, &count);
	json_begin_array(out);
	kept = keptmap_read_kept(date_id, GetActiveSnapshot());
	is_told = kept != NULL ? changes_of_map(out, kept, seat_ids, count, since->at, now)
						   : changes_read(out, date_id, seat_ids, count, since->at, now);
	json_end_array(out);
	return is_told;
}

static bool
time_is_within(TimestampTz at, TimestampTz from, TimestampTz to)
{
	return at > from && at <= to;
}

/* Of the seats that may lapse at all, the two times are looked at. */
static bool
changes_of_map(Json *out, const KeptMap *kept, const pg_uuid_t *seat_ids, int count,
			   TimestampTz since, TimestampTz now)
{
	const SeatMap *map = &kept->map;
	uint64		  *changed = palloc0(sizeof(uint64) * kept->words);
	TimestampTz	   from = Min(since, now);
	TimestampTz	   to = Max(since, now);
	int			   told = 0;

	for (int i = 0; i < count; i++)
	{
		const MapSeat *seat = seatmap_find(map, &seat_ids[i]);

		if (seat == NULL)
			return false;
		keptmap_set_bit(changed, seat - map->seats, true);
	}
	for (int w = 0; w < kept->words; w++)
		for (uint64 bits = changed[w] | kept->lapsing[w]; bits != 0; bits &= bits - 1)
		{
			int			   n = w * KEPTMAP_WORD_BITS + pg_rightmost_one_pos64(bits);
			const MapSeat *seat = &map->seats[n];

			if (!keptmap_bit(changed, n) &&
				(seat->is_confirmed || !time_is_within(seat->expires_at, from, to)) &&
				!time_is_within(seat->blocked_until, from, to))
				continue;
			if (told++ == MAP_CHANGES_MAX)
				return false;
			change_add(out, seat, now);
		}
	return true;
}

/* Only those seats are read. */
static bool
changes_read(Json *out, const pg_uuid_t *date_id, pg_uuid_t *seat_ids, int count, TimestampTz since,
			 TimestampTz now)
{
	int lapsed =
		plan_read_at(&find_lapsed,
					 PLAN_ARGS(uuid_value(date_id), value(TimestampTzGetDatum(Min(since, now))),
							   value(TimestampTzGetDatum(Max(since, now))),
							   value(Int32GetDatum(MAP_CHANGES_MAX + 1))),
					 GetActiveSnapshot());
	SeatMap changed;

	seat_ids = repalloc_huge(seat_ids, sizeof(pg_uuid_t) * (Size) (count + lapsed + 1));
	for (int row = 0; row < lapsed; row++)
		seat_ids[count++] = plan_uuid(row, 0);
	if (!seatmap_load_some(date_id, seat_ids, count, GetActiveSnapshot(), &changed) ||
		changed.count > MAP_CHANGES_MAX)
		return false;
	for (int i = 0; i < changed.count; i++)
		change_add(out, &changed.seats[i], now);
	return true;
}

static void
change_add(Json *out, const MapSeat *seat, TimestampTz now)
{
	json_begin_object(out);
	json_add_uuid(out, "seat_id", &seat->id);
	json_add_int64(out, "row", seat->row);
	json_add_int64(out, "col", seat->col);
	json_add_text(out, "state", state_names[seatmap_state(seat, now)]);
	json_end_object(out);
}
