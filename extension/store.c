/* SPDX-License-Identifier: PostgreSQL */
/* What taking seats reads and writes, by saved SPI statements; see store.h. */
#include "store.h"

#include "access/xlog.h"
#include "direct.h"
#include "store_direct.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"

static SavedPlan find_date =
	PLAN("SELECT d.sale_opens_at, d.sale_closes_at, d.pending_seconds, d.seats_per_user_max,"
		 " d.admission = 'required', d.orphan_rule, d.orphan_relax_fill_percent, d.starts_at,"
		 " d.orphan_relax_hours, d.concert_id"
		 " FROM concert.concert_date AS d WHERE d.id = $1 AND d.deleted_at IS NULL",
		 UUIDOID);

static SavedPlan find_seats = PLAN(
	"SELECT asked.n::integer - 1, s.concert_date_id, s.blocked_reason IS NOT NULL,"
	" coalesce(s.blocked_until, 'infinity'), section.price, section.currency, live.booking_id,"
	" live.status = 'pending', live.expires_at, newest.fence, newest.user_id, s.section_id,"
	" s.\"row\""
	" FROM unnest($1) WITH ORDINALITY AS asked (id, n)"
	" JOIN concert.seat AS s ON s.id = asked.id AND s.deleted_at IS NULL"
	" JOIN concert.section AS section ON section.id = s.section_id AND section.deleted_at IS NULL"
	" LEFT JOIN concert.reservation AS live ON live.seat_id = s.id AND live.deleted_at IS NULL"
	" LEFT JOIN LATERAL (SELECT h.fence, h.user_id FROM concert.reservation AS h"
	"  WHERE h.seat_id = s.id ORDER BY h.fence DESC LIMIT 1) AS newest ON true",
	UUIDARRAYOID);

enum
{
	COLUMN_ASKED,
	COLUMN_DATE,
	COLUMN_BLOCKED,
	COLUMN_BLOCKED_UNTIL,
	COLUMN_PRICE,
	COLUMN_CURRENCY,
	COLUMN_BOOKING,
	COLUMN_PENDING,
	COLUMN_EXPIRES,
	COLUMN_FENCE,
	COLUMN_FENCE_USER,
	COLUMN_SECTION,
	COLUMN_ROW
};

static SavedPlan find_concession =
	PLAN("SELECT price FROM concert.concession"
		 " WHERE section_id = $1 AND name = $2 AND deleted_at IS NULL",
		 UUIDOID, TEXTOID);

static SavedPlan count_users_seats =
	PLAN("SELECT count(*) FROM concert.reservation"
		 " WHERE user_id = $1 AND concert_date_id = $2 AND deleted_at IS NULL"
		 " AND (status = 'confirmed' OR expires_at > $3)",
		 UUIDOID, UUIDOID, TIMESTAMPTZOID);

static SavedPlan insert_reservation = PLAN(
	"INSERT INTO concert.reservation (id, booking_id, concert_date_id, seat_id, user_id, status,"
	" price, currency, fence, created_at, expires_at, expires_at_max, resolved_at, deleted_at,"
	" concession) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
	UUIDOID, UUIDOID, UUIDOID, UUIDOID, UUIDOID, TEXTOID, INT8OID, TEXTOID, INT8OID, TIMESTAMPTZOID,
	TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID);

static OrphanRule
store_orphan_rule(const char *word)
{
	if (strcmp(word, "enforce") == 0)
		return ORPHAN_ENFORCE;
	return strcmp(word, "warn") == 0 ? ORPHAN_WARN : ORPHAN_OFF;
}

bool
store_read_date(const pg_uuid_t *date_id, DateRules *ret_rules)
{
	if (store_goes_direct())
		return store_direct_date(date_id, ret_rules);
	if (plan_read(&find_date, PLAN_ARGS(uuid_value(date_id))) == 0)
		return false;
	*ret_rules = (DateRules){
		.concert_id = plan_uuid(0, 9),
		.sale_opens_at = plan_time(0, 0),
		.sale_closes_at = plan_time(0, 1),
		.pending_seconds = plan_int32(0, 2),
		.seats_per_user_max = plan_int32(0, 3),
		.admission_required = plan_bool(0, 4),
		.orphan_rule = store_orphan_rule(plan_text(0, 5)),
		.orphan_relax_fill_percent = plan_int32(0, 6),
		.orphan_relaxed_at = plan_time(0, 7) - plan_int32(0, 8) * USECS_PER_HOUR,
		.starts_at = plan_time(0, 7),
	};
	return true;
}

static SeatRow
seat_from_row(int row, const pg_uuid_t *id)
{
	SeatRow seat = {
		.id = *id,
		.found = true,
		.date_id = plan_uuid(row, COLUMN_DATE),
		.section_id = plan_uuid(row, COLUMN_SECTION),
		.row = plan_int32(row, COLUMN_ROW),
		.is_blocked = plan_bool(row, COLUMN_BLOCKED),
		.blocked_until = plan_time(row, COLUMN_BLOCKED_UNTIL),
		.price = plan_int64(row, COLUMN_PRICE),
		.has_live = !plan_is_null(row, COLUMN_BOOKING),
		.is_pending = plan_bool(row, COLUMN_PENDING),
		.booking_id = plan_uuid(row, COLUMN_BOOKING),
		.expires_at = plan_time(row, COLUMN_EXPIRES),
		.newest_fence = plan_is_null(row, COLUMN_FENCE) ? 0 : plan_int64(row, COLUMN_FENCE),
		.newest_user_id = plan_uuid(row, COLUMN_FENCE_USER),
	};

	strlcpy(seat.currency, plan_text(row, COLUMN_CURRENCY), sizeof(seat.currency));
	return seat;
}

/* What the first look sees: no more than the reservation. */
static void
seat_forget_row(SeatRow *seat, const pg_uuid_t *date_id)
{
	seat->found = true;
	seat->is_blocked = false;
	if (!seat->has_live)
		seat->date_id = *date_id;
}

static void
store_spi_seats(SeatRow *seats, int count, StoreLook look)
{
	pg_uuid_t *ids = palloc(sizeof(pg_uuid_t) * count);
	int		   rows;

	for (int i = 0; i < count; i++)
	{
		ids[i] = seats[i].id;
		seats[i] = (SeatRow){
			.id = ids[i],
			.is_in_doubt = look != STORE_WHOLE && store_in_doubt(&ids[i]),
		};
	}
	rows = plan_read(&find_seats, PLAN_ARGS(uuid_array_value(ids, count)));
	for (int row = 0; row < rows; row++)
	{
		int asked = plan_int32(row, COLUMN_ASKED);

		bool is_in_doubt = seats[asked].is_in_doubt;

		seats[asked] = seat_from_row(row, &ids[asked]);
		seats[asked].is_in_doubt = is_in_doubt;
	}
}

void
store_read_seats(SeatRow *seats, int count, TimestampTz now, StoreLook look)
{
	pg_uuid_t date_id = seats[0].date_id;

	if (store_goes_direct())
	{
		store_direct_seats(seats, count, now, look);
		return;
	}
	store_spi_seats(seats, count, look);
	for (int i = 0; look == STORE_FIRST_LOOK && i < count; i++)
		seat_forget_row(&seats[i], &date_id);
}

bool
store_read_concession(const pg_uuid_t *section_id, const char *name, int64 *ret_price)
{
	if (store_goes_direct() && direct_is_readable(DIRECT_CONCESSION))
		return store_direct_concession(section_id, name, ret_price);
	if (plan_read(&find_concession, PLAN_ARGS(uuid_value(section_id), text_value(name))) == 0)
		return false;
	*ret_price = plan_int64(0, 0);
	return true;
}

int
store_count_user_seats(const pg_uuid_t *user_id, const pg_uuid_t *date_id, TimestampTz now)
{
	if (store_goes_direct())
		return store_direct_count_user_seats(user_id, date_id, now);
	plan_read(&count_users_seats,
			  PLAN_ARGS(uuid_value(user_id), uuid_value(date_id), value(TimestampTzGetDatum(now))));
	return (int) plan_int64(0, 0);
}

bool
store_share_ids(void)
{
	return ConditionalLockRelationOid(direct_table_oid(DIRECT_RESERVATION), RowExclusiveLock);
}

/* A standby knows of none who change ids on the primary, and lets nobody try such a lock. */
bool
store_ids_are_free(void)
{
	Oid table = direct_table_oid(DIRECT_RESERVATION);

	if (RecoveryInProgress())
		return true;
	if (!ConditionalLockRelationOid(table, RowExclusiveLock))
		return false;
	UnlockRelationOid(table, RowExclusiveLock);
	return true;
}

/* An app's trigger or rule may keep a row out; then there is no booking. */
static void
store_raise_kept_out(const pg_uuid_t *seat_id)
{
	plan_forget(&insert_reservation);
	ereport(
		ERROR,
		(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
		 errmsg(
			 "could not reserve seat \"%s\": a trigger or rule of table \"reservation\" kept its row out",
			 uuid_text(seat_id))));
}

void
store_insert_reservations(Booking *booking, TimestampTz now)
{
	bool all_direct = true;

	for (int i = 0; i < booking->count; i++)
	{
		const Reservation	*reservation = &booking->reservations[i];
		const NullableDatum *columns = PLAN_ARGS(
			uuid_value(&reservation->id), uuid_value(&booking->id), uuid_value(&booking->date_id),
			uuid_value(&reservation->seat_id), uuid_value(&booking->user_id), text_value("pending"),
			value(Int64GetDatum(reservation->price)), text_value(booking->currency),
			value(Int64GetDatum(reservation->fence)), value(TimestampTzGetDatum(now)),
			value(TimestampTzGetDatum(booking->expires_at)),
			value(TimestampTzGetDatum(booking->expires_at_max)), null_value(), null_value(),
			text_value(reservation->concession));

		if (direct_insert(DIRECT_RESERVATION, columns))
			continue;
		all_direct = false;
		if (plan_write(&insert_reservation, columns) == 0)
			store_raise_kept_out(&reservation->seat_id);
	}
	if (!all_direct)
		booking_take_stored(booking);
}
