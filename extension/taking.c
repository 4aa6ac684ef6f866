/* SPDX-License-Identifier: PostgreSQL */
/* Taking seats; see taking.h. */
#include "taking.h"

#include "errors.h"
#include "lock.h"
#include "orphan.h"
#include "pass.h"

static int
seat_compare(const void *a, const void *b)
{
	return uuid_compare(&((const SeatChoice *) a)->row.id, &((const SeatChoice *) b)->row.id);
}

void
taking_set_seats(Taking *taking, const pg_uuid_t *ids, int count)
{
	taking->count = count;
	taking->seats = palloc0(sizeof(SeatChoice) * count);
	for (int i = 0; i < count; i++)
	{
		taking->seats[i].row.id = ids[i];
		taking->seats[i].asked = i;
	}
	qsort(taking->seats, count, sizeof(SeatChoice), seat_compare);
}

void
taking_set_concessions(Taking *taking, char *const *names)
{
	for (int i = 0; names != NULL && i < taking->count; i++)
		taking->seats[i].concession = names[taking->seats[i].asked];
}

int
taking_pending_seconds(NullableDatum argument)
{
	if (argument.isnull)
		return 0;
	return Max(1, Min(DatumGetInt32(argument.value), PENDING_SECONDS_MAX));
}

/* The rules of the date as they were last read, by the clock of now. */
static Reason
taking_judge_rules(Taking *taking)
{
	const DateRules *rules = &taking->rules;

	taking->now = GetCurrentTimestamp();
	if (taking->is_paid)
		return taking->now < rules->starts_at ? REASON_NONE : REASON_TOO_LATE;
	if (taking->now < rules->sale_opens_at || taking->now >= rules->sale_closes_at)
		return REASON_NOT_ON_SALE;
	if (taking->pending_seconds == 0)
		taking->pending_seconds = rules->pending_seconds;
	if (rules->admission_required &&
		!pass_is_valid(taking->pass, &taking->date_id, &taking->user_id, taking->now))
		return REASON_NO_PASS;
	return REASON_NONE;
}

Reason
taking_judge_date(Taking *taking)
{
	taking->now = GetCurrentTimestamp();
	if (!store_read_date(&taking->date_id, &taking->rules))
		return REASON_UNKNOWN;
	return taking_judge_rules(taking);
}

static bool
seat_fence_is_stale(const SeatRow *row, const Taking *taking)
{
	if (taking->fence == 0 || taking->fence > row->newest_fence)
		return false;
	return taking->fence < row->newest_fence ||
		uuid_compare(&row->newest_user_id, &taking->user_id) != 0;
}

/* What the database says of one seat; the earlier a rule stands here, the more it weighs. */
Reason
taking_judge_seat(SeatChoice *seat, const Taking *taking)
{
	const SeatRow *row = &seat->row;

	seat->has_expired = row->has_live && row->is_pending && row->expires_at <= taking->now;
	if (!row->found)
		return REASON_UNKNOWN;
	if (uuid_compare(&row->date_id, &taking->date_id) != 0)
		return REASON_OTHER_DATE;
	if (row->has_live && !seat->has_expired && !row->is_in_doubt)
		return row->is_pending ? REASON_HELD : REASON_SOLD;
	if (row->is_blocked && row->blocked_until > taking->now)
		return REASON_BLOCKED;
	if (row->is_in_doubt)
		return REASON_BUSY;
	if (seat_fence_is_stale(row, taking))
		return REASON_STALE_FENCE;
	return REASON_NONE;
}

/* A seat that may be had for a concession has that one's price. */
static void
seat_read_concession(SeatChoice *seat)
{
	SeatRow *row = &seat->row;

	if (seat->concession != NULL &&
		!store_read_concession(&row->section_id, seat->concession, &row->price))
		error_unknown_concession(seat->concession, &row->section_id);
}

/* Reads and judges every seat at taking->now; true when none is refused. */
bool
taking_probe(Taking *taking, StoreLook look)
{
	SeatRow *rows = palloc(sizeof(SeatRow) * taking->count);
	bool	 all = true;

	for (int i = 0; i < taking->count; i++)
	{
		rows[i].id = taking->seats[i].row.id;
		rows[i].date_id = taking->date_id;
	}
	store_read_seats(rows, taking->count, taking->now, look);
	for (int i = 0; i < taking->count; i++)
	{
		SeatChoice *seat = &taking->seats[i];

		seat->row = rows[i];
		seat->reason = taking_judge_seat(seat, taking);
		all = all && seat->reason == REASON_NONE;
	}
	for (int i = 0; all && look >= STORE_TO_EXPLAIN && i < taking->count; i++)
		seat_read_concession(&taking->seats[i]);
	pfree(rows);
	return all;
}

/*
 * Tries the seats that look free, and with them the bookings of their expired pendings. True
 * when all were had; the others are 'busy'.
 */
static bool
taking_lock(Taking *taking)
{
	bool all = true;

	for (int i = 0; i < taking->count; i++)
	{
		SeatChoice *seat = &taking->seats[i];

		seat->seat_locked = seat->booking_locked = false;
		if (seat->reason != REASON_NONE)
			continue;
		seat->seat_locked = lock_try(LOCK_SEAT, lock_name_uuid(&seat->row.id));
		if (seat->seat_locked && seat->has_expired)
		{
			seat->locked_booking_id = seat->row.booking_id;
			seat->booking_locked = lock_try(LOCK_BOOKING, lock_name_uuid(&seat->locked_booking_id));
		}
		if (!seat->seat_locked || seat->booking_locked != seat->has_expired)
		{
			seat->reason = REASON_BUSY;
			all = false;
		}
	}
	if (all && !store_share_ids())
	{
		for (int i = 0; i < taking->count; i++)
			taking->seats[i].reason = REASON_BUSY;
		all = false;
	}
	return all;
}

void
taking_release(const Taking *taking)
{
	for (int i = 0; i < taking->count; i++)
	{
		const SeatChoice *seat = &taking->seats[i];

		if (seat->booking_locked)
			lock_release(LOCK_BOOKING, lock_name_uuid(&seat->locked_booking_id));
		if (seat->seat_locked)
			lock_release(LOCK_SEAT, lock_name_uuid(&seat->row.id));
	}
}

/* Whether the booking that is to be retired is the one whose lock was had. */
static bool
seat_expired_is_locked(const SeatChoice *seat)
{
	return !seat->has_expired ||
		(seat->booking_locked &&
		 uuid_compare(&seat->row.booking_id, &seat->locked_booking_id) == 0);
}

/* Under the locks: a seat that expired or changed hands since the first look is busy. */
static bool
taking_probe_locked(Taking *taking)
{
	bool all = taking_probe(taking, STORE_WHOLE);

	for (int i = 0; i < taking->count; i++)
	{
		SeatChoice *seat = &taking->seats[i];

		if (seat->reason == REASON_NONE && !seat_expired_is_locked(seat))
		{
			seat->reason = REASON_BUSY;
			all = false;
		}
	}
	return all;
}

bool
taking_one_currency(const Taking *taking)
{
	for (int i = 1; i < taking->count; i++)
		if (strcmp(taking->seats[i].row.currency, taking->seats[0].row.currency) != 0)
			return false;
	return true;
}

bool
taking_over_limit(const Taking *taking)
{
	return store_count_user_seats(&taking->user_id, &taking->date_id, taking->now) + taking->count >
		taking->rules.seats_per_user_max;
}

/* The first seat's reason in the caller's order; 'busy' only when nothing is final. */
static Reason
taking_seats_reason(const Taking *taking)
{
	Reason reason = REASON_BUSY;
	int	   first = INT_MAX;

	for (int i = 0; i < taking->count; i++)
	{
		const SeatChoice *seat = &taking->seats[i];

		if (seat->reason != REASON_NONE && seat->reason != REASON_BUSY && seat->asked < first)
		{
			reason = seat->reason;
			first = seat->asked;
		}
	}
	return reason;
}

/*
 * Under all locks: the sale's rules and the seats again, then what concerns them together. The
 * rules, which no lock of ours keeps, are read again where there was time for them to change.
 */
static Reason
taking_judge_locked(Taking *taking)
{
	Reason reason = taking->waited ? taking_judge_date(taking) : taking_judge_rules(taking);

	if (reason != REASON_NONE)
		return reason;
	if (!taking_probe_locked(taking))
		return taking_seats_reason(taking);
	if (!taking->is_paid && !taking_one_currency(taking))
		return REASON_WRONG_CURRENCY;
	if (taking_over_limit(taking))
		return REASON_LIMIT;
	return taking->is_paid ? REASON_NONE : orphan_judge(taking);
}

/*
 * Whether what a first look refuses may be refused for something that weighs more, which stands in the
 * seats' rows: a live reservation is proof enough, a fence is none.
 */
static bool
taking_wants_rows(const Taking *taking)
{
	return taking->count > 1 || taking->seats[0].reason == REASON_STALE_FENCE;
}

/* A first look took all for free. One that is not had stays busy; the others may be refused for good. */
static void
taking_name_refused(Taking *taking)
{
	bool *are_busy = palloc(sizeof(bool) * taking->count);

	for (int i = 0; i < taking->count; i++)
		are_busy[i] = taking->seats[i].reason == REASON_BUSY;
	(void) taking_probe(taking, STORE_TO_NAME);
	for (int i = 0; i < taking->count; i++)
		if (are_busy[i])
			taking->seats[i].reason = REASON_BUSY;
	pfree(are_busy);
}

bool
taking_lock_limit(const Taking *taking)
{
	return lock_wait(LOCK_USER_LIMIT,
					 lock_name(&taking->date_id, UUID_LEN, &taking->user_id, UUID_LEN));
}

Reason
taking_decide(Taking *taking)
{
	Reason reason = taking_judge_date(taking);
	bool   all_free;

	taking->waited = false;
	if (reason != REASON_NONE)
		return reason;
	all_free = taking_probe(taking, STORE_FIRST_LOOK);
	if (!all_free && taking_wants_rows(taking))
		all_free = taking_probe(taking, STORE_TO_NAME);
	if (all_free)
		taking->waited = taking_lock_limit(taking);
	/* Of several seats those that look free are tried all the same: they may be busy. */
	if ((all_free || taking->count > 1) && !taking_lock(taking))
	{
		taking_name_refused(taking);
		all_free = false;
	}
	reason = all_free ? taking_judge_locked(taking) : taking_seats_reason(taking);
	if (reason != REASON_NONE)
		taking_release(taking);
	return reason;
}

static void
taking_retire_expired(const Taking *taking)
{
	pg_uuid_t *ids = palloc(sizeof(pg_uuid_t) * taking->count);
	int		   count = 0;

	for (int i = 0; i < taking->count; i++)
		if (taking->seats[i].has_expired)
			ids[count++] = taking->seats[i].row.id;
	if (count > 0)
		booking_retire_seats(ids, count, taking->now, taking->correlation_id);
}

static Booking
taking_make_booking(const Taking *taking)
{
	Booking booking = {
		.id = uuid7_next(),
		.date_id = taking->date_id,
		.user_id = taking->user_id,
		.expires_at = taking->now + taking->pending_seconds * USECS_PER_SEC,
		.expires_at_max = taking->now + PENDING_SECONDS_MAX * USECS_PER_SEC,
		.reservations = palloc(sizeof(Reservation) * taking->count),
	};

	strlcpy(booking.currency, taking->seats[0].row.currency, sizeof(booking.currency));
	for (int i = 0; i < taking->count; i++)
	{
		const SeatRow *row = &taking->seats[i].row;

		booking_add(&booking,
					(Reservation){
						.id = uuid7_next(),
						.seat_id = row->id,
						.price = row->price,
						.concession = taking->seats[i].concession,
						.fence = taking->fence != 0 ? taking->fence : row->newest_fence + 1,
						.leaves_orphan = taking->seats[i].leaves_orphan,
					});
	}
	return booking;
}

Booking
taking_take(Taking *taking)
{
	Booking booking = taking_make_booking(taking);

	taking_retire_expired(taking);
	store_insert_reservations(&booking, taking->now);
	booking_tell_made(&booking, taking->rules.pending_seconds, taking->now, taking->correlation_id);
	return booking;
}

void
taking_take_again(Taking *taking, Booking *booking)
{
	booking->expires_at = taking->now + taking->rules.pending_seconds * USECS_PER_SEC;
	booking->expires_at_max = taking->now + PENDING_SECONDS_MAX * USECS_PER_SEC;
	for (int i = 0; i < booking->count; i++)
	{
		booking->reservations[i].id = uuid7_next();
		booking->reservations[i].fence = taking->seats[i].row.newest_fence + 1;
	}
	taking_retire_expired(taking);
	store_insert_reservations(booking, taking->now);
	booking_tell_taken_again(booking, taking->now, taking->correlation_id);
}

static void
seat_add_alternative(Json *json, const SeatChoice *seat)
{
	json_add_name(json, "alternative");
	json_begin_array(json);
	for (int i = 0; i < seat->alternative_count; i++)
		json_append_uuid(json, &seat->alternative[i]);
	json_end_array(json);
}

static void
taking_add_refused(Json *json, const Taking *taking)
{
	const SeatChoice **asked = palloc(sizeof(SeatChoice *) * taking->count);

	for (int i = 0; i < taking->count; i++)
		asked[taking->seats[i].asked] = &taking->seats[i];
	json_begin_array(json);
	for (int i = 0; i < taking->count; i++)
	{
		if (asked[i]->reason == REASON_NONE)
			continue;
		json_begin_object(json);
		json_add_uuid(json, "seat_id", &asked[i]->row.id);
		json_add_text(json, "reason", reason_text(asked[i]->reason));
		if (asked[i]->reason == REASON_HELD)
			json_add_int64(json, "remaining_ms",
						   remaining_ms(asked[i]->row.expires_at, taking->now));
		if (asked[i]->reason == REASON_ORPHAN)
			seat_add_alternative(json, asked[i]);
		json_end_object(json);
	}
	json_end_array(json);
}

Datum
taking_seats_jsonb(const Taking *taking, Reason reason, const Booking *booking)
{
	Json seats = {0};

	if (reason == REASON_NONE)
		booking_add_seats(&seats, booking, taking->now);
	else
		taking_add_refused(&seats, taking);
	return JsonbPGetDatum(json_finish(&seats));
}
