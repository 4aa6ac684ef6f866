/* SPDX-License-Identifier: PostgreSQL */
/* Halls, and how they follow their maps; see hall.h. */
#include "hall.h"

#include "hall_derive.h"

/* A hall of no more seats is loaded again before any refusal; a larger one, whose loading takes
 * longer, only when so many times as long has passed. */
#define HALL_SMALL_SEATS 2000
#define HALL_TRUST_FACTOR 20

/* DT_NOBEGIN: nobody has it; DT_NOEND unless it frees by itself. */
static TimestampTz
seat_frees_at(const MapSeat *seat)
{
	return seat->is_confirmed ? DT_NOEND : Max(seat->blocked_until, seat->expires_at);
}

static void
hall_seat_changed(KeptMap *kept, int n)
{
	Hall	   *hall = kept->derived;
	TimestampTz frees_at = seat_frees_at(&hall->seats[n]);

	keptmap_set_bit(hall->free, n, frees_at == DT_NOBEGIN);
	if (frees_at != DT_NOBEGIN)
		hall->next_lapse = Min(hall->next_lapse, frees_at);
}

/* Seats that by now have freed by themselves. */
static void
hall_lapse(Hall *hall, TimestampTz now)
{
	if (now < hall->next_lapse)
		return;
	hall->next_lapse = DT_NOEND;
	for (int i = 0; i < hall->count; i++)
	{
		TimestampTz frees_at = seat_frees_at(&hall->seats[i]);

		if (frees_at <= now)
			keptmap_set_bit(hall->free, i, true);
		else
			hall->next_lapse = Min(hall->next_lapse, frees_at);
	}
}

/* Of a kept map, which has one already unless it was loaded since. */
static Hall *
hall_of(KeptMap *kept, TimestampTz now)
{
	Hall *hall = kept->derived;

	if (hall == NULL)
	{
		hall = hall_derive(kept);
		hall->trusted_until = hall->count <= HALL_SMALL_SEATS
			? 0
			: kept->loaded_at + HALL_TRUST_FACTOR * (kept->loaded_at - kept->version.at);
		hall->next_lapse = DT_NOBEGIN;
		kept->seat_changed = hall_seat_changed;
		kept->derived = hall;
	}
	hall_lapse(hall, now);
	return hall;
}

Hall *
hall_get(const pg_uuid_t *date_id, const DateRules *rules, TimestampTz now)
{
	return hall_of(keptmap_follow(date_id, rules->pending_seconds), now);
}

Hall *
hall_reload(Hall *hall, TimestampTz now)
{
	pg_uuid_t date_id = hall->kept->date_id;

	return hall_of(keptmap_reload(&date_id), now);
}

bool
hall_renew(Hall **hall, TimestampTz now)
{
	const KeptMap *kept = (*hall)->kept;
	pg_uuid_t	   date_id = kept->date_id;
	bool		   is_guess = false;

	if (now >= (*hall)->trusted_until)
	{
		*hall = hall_reload(*hall, now);
		return true;
	}
	for (int w = 0; w < kept->words && !is_guess; w++)
		is_guess = kept->guessed[w] != 0;
	if (is_guess)
		*hall = hall_of(keptmap_follow(&date_id, KEPTMAP_NO_GUESS), now);
	return is_guess;
}

/* A seat that is no longer there is blocked for good. */
void
hall_learn(Hall *hall, const SeatRow *row)
{
	MapSeat *seat = seatmap_find(&hall->kept->map, &row->id);
	bool	 is_live = row->found && row->has_live;

	if (seat == NULL)
		return;
	seat->blocked_until = DT_NOBEGIN;
	if (!row->found)
		seat->blocked_until = DT_NOEND;
	else if (row->is_blocked)
		seat->blocked_until = row->blocked_until;
	seat->is_confirmed = is_live && !row->is_pending;
	seat->expires_at = is_live ? row->expires_at : DT_NOBEGIN;
	keptmap_guess(hall->kept, seat - hall->kept->map.seats);
}

int
hall_find(const Hall *hall, const pg_uuid_t *seat_id)
{
	const MapSeat *seat = seatmap_find(&hall->kept->map, seat_id);

	return seat == NULL ? -1 : (int) (seat - hall->seats);
}

/* Whatever its reservation is, a seat that is blocked as well stays so after it. */
HallState
hall_state(const Hall *hall, int n)
{
	const MapSeat *seat = &hall->seats[n];

	if (keptmap_bit(hall->free, n))
		return HALL_FREE;
	if (seat->is_confirmed)
		return HALL_SOLD;
	return seat->blocked_until > seat->expires_at ? HALL_BLOCKED : HALL_HELD;
}
