/* SPDX-License-Identifier: PostgreSQL */
/*
 * Halls that this backend keeps, and how they follow the history; see hall.h.
 *
 * What was taken is marked from the act itself; whatever else was done to a seat makes it be read
 * again, which also settles the order of two acts on one seat; an act on the date as a whole makes
 * the hall be loaded again.
 */
#include "hall.h"

#include "hall_load.h"
#include "access/xact.h"
#include "utils/memutils.h"

#define HALLS_MAX 8
#define HALL_BYTES_MAX (128 * 1024 * 1024)
/* A hall of no more seats is loaded again before any refusal; a larger one, whose loading takes
 * longer, only when so many times as long has passed. */
#define HALL_SMALL_SEATS 2000
#define HALL_TRUST_FACTOR 20
/* Beyond so many seats to read again, all are. */
#define HALL_REREAD_MAX 4000

/* Seats to be read again. */
typedef struct Reread
{
	int	 count;
	int	 room;
	int *seats;
	bool is_all;
} Reread;

static Hall *halls[HALLS_MAX]; /* the last used first */
static int	 hall_count;

static void
hall_drop(int n)
{
	Hall *hall = halls[n];

	hall_count--;
	memmove(&halls[n], &halls[n + 1], sizeof(Hall *) * (hall_count - n));
	MemoryContextDelete(hall->context);
}

static void
hall_drop_unsure(void)
{
	for (int i = hall_count - 1; i >= 0; i--)
		if (halls[i]->is_unsure)
			hall_drop(i);
}

/* What is prepared may still be rolled back, by anybody. */
static void
hall_at_transaction_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		hall_drop_unsure();
	else if (event == XACT_EVENT_COMMIT)
		for (int i = 0; i < hall_count; i++)
			halls[i]->is_unsure = false;
}

static void
hall_at_subtransaction_end(SubXactEvent event, SubTransactionId id, SubTransactionId parent,
						   void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		hall_drop_unsure();
}

static int
hall_slot(const pg_uuid_t *date_id)
{
	for (int i = 0; i < hall_count; i++)
		if (uuid_compare(&halls[i]->date_id, date_id) == 0)
			return i;
	return -1;
}

static void
hall_put_first(int slot)
{
	Hall *hall = halls[slot];

	memmove(&halls[1], &halls[0], sizeof(Hall *) * slot);
	halls[0] = hall;
}

/* The halls used longest ago go first; the one in use stays, however large. */
static void
hall_keep_bounds(void)
{
	Size bytes = 0;

	for (int i = 0; i < hall_count; i++)
	{
		bytes += MemoryContextMemAllocated(halls[i]->context, true);
		while (i > 0 && i < hall_count && bytes > HALL_BYTES_MAX)
			hall_drop(hall_count - 1);
	}
}

static void
hall_set(Hall *hall, int n, HallState state, TimestampTz frees_at)
{
	HallSeat *seat = &hall->seats[n];

	seat->state = state;
	seat->frees_at = frees_at;
	hall_set_bit(hall->free, n, state == HALL_FREE);
	hall_set_bit(hall->guessed, n, false);
	if (state != HALL_FREE)
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
		const HallSeat *seat = &hall->seats[i];

		if (seat->state == HALL_FREE)
			continue;
		if (seat->frees_at <= now)
			hall_set(hall, i, HALL_FREE, 0);
		else
			hall->next_lapse = Min(hall->next_lapse, seat->frees_at);
	}
}

/* A block does not end a pending whose time is over; nobody blocks one whose time is not. */
static bool
hall_block_outlasts(const SeatRow *row)
{
	return row->is_pending && row->blocked_until > row->expires_at;
}

void
hall_learn(Hall *hall, const SeatRow *row)
{
	int n = hall_find(hall, &row->id);

	if (n < 0)
		return;
	if (!row->found)
		hall_set(hall, n, HALL_BLOCKED, DT_NOEND);
	else if (row->is_blocked && (!row->has_live || hall_block_outlasts(row)))
		hall_set(hall, n, HALL_BLOCKED, row->blocked_until);
	else if (row->has_live && row->is_pending)
		hall_set(hall, n, HALL_HELD, row->expires_at);
	else if (row->has_live)
		hall_set(hall, n, HALL_SOLD, DT_NOEND);
	else
		hall_set(hall, n, HALL_FREE, 0);
	/* Whoever is at work on it may still roll back, and then no act tells. */
	hall_set_bit(hall->guessed, n, row->found && row->is_in_doubt);
}

static void
hall_reread(Hall *hall, const Reread *reread, TimestampTz now)
{
	SeatRow *rows = palloc(sizeof(SeatRow) * Max(reread->count, 1));

	for (int i = 0; i < reread->count; i++)
		rows[i].id = hall->seats[reread->seats[i]].id;
	if (reread->count > 0)
		store_read_seats(rows, reread->count, now, STORE_TO_NAME);
	for (int i = 0; i < reread->count; i++)
		hall_learn(hall, &rows[i]);
	pfree(rows);
}

static void
reread_add(Reread *reread, int n)
{
	if (reread->count == HALL_REREAD_MAX)
		reread->is_all = true;
	if (reread->is_all)
		return;
	if (reread->count == reread->room)
	{
		reread->room = Max(64, reread->room * 2);
		reread->seats = reread->seats == NULL ? palloc(sizeof(int) * reread->room)
											  : repalloc(reread->seats, sizeof(int) * reread->room);
	}
	reread->seats[reread->count++] = n;
}

/*
 * What one act did to one seat. A reservation's time is reckoned by the date's rule; a seat that is
 * sold was not reserved again without an act in between that makes it be read.
 */
static void
hall_follow_seat(Hall *hall, int n, HallActKind kind, TimestampTz reckoned, Reread *reread)
{
	if (kind == HALL_CONFIRMED)
		hall_set(hall, n, HALL_SOLD, DT_NOEND);
	else if (kind == HALL_OTHER)
		reread_add(reread, n);
	else if (hall->seats[n].state != HALL_SOLD)
	{
		hall_set(hall, n, HALL_HELD, reckoned);
		hall_set_bit(hall->guessed, n, true);
	}
}

static void
hall_follow_act(Hall *hall, const HallAct *act, const DateRules *rules, Reread *reread)
{
	TimestampTz reckoned = act->at + rules->pending_seconds * USECS_PER_SEC;

	if (act->count == 0)
		reread->is_all = true;
	for (int i = 0; i < act->count && !reread->is_all; i++)
	{
		int seat = hall_find(hall, &act->seat_ids[i]);

		if (seat < 0)
			reread->is_all = true;
		else
			hall_follow_seat(hall, seat, act->kind, reckoned, reread);
	}
}

/* False when all must be loaded again. */
static bool
hall_follow(Hall *hall, const DateRules *rules, TimestampTz now)
{
	Reread	 reread = {0};
	HallSeen seen;
	HallAct *acts;
	int		 count;

	hall->is_unsure = true;
	seen = hall_see(hall->context);
	count = hall_acts_since(&hall->date_id, &hall->seen, &acts);
	for (int i = 0; i < count && !reread.is_all; i++)
		hall_follow_act(hall, &acts[i], rules, &reread);
	pfree(hall->seen.open);
	hall->seen = seen;
	if (count < 0 || reread.is_all)
		return false;
	hall_reread(hall, &reread, now);
	hall->is_unsure = FullTransactionIdIsValid(GetTopFullTransactionIdIfAny());
	return true;
}

/* In the first slot, which must be free or hold the same date. */
static Hall *
hall_load_first(const pg_uuid_t *date_id, TimestampTz now)
{
	HallSeen	seen = hall_see(CurrentMemoryContext);
	Hall	   *hall;
	TimestampTz begun_at = GetCurrentTimestamp();

	hall = hall_load(date_id);
	hall->seen = seen;
	hall->seen.open = MemoryContextAlloc(hall->context, sizeof(uint64) * (seen.open_count + 1));
	memcpy(hall->seen.open, seen.open, sizeof(uint64) * seen.open_count);
	hall->loaded_at = GetCurrentTimestamp();
	hall->trusted_until = hall->count <= HALL_SMALL_SEATS
		? 0
		: hall->loaded_at + HALL_TRUST_FACTOR * (hall->loaded_at - begun_at);
	hall->is_unsure = FullTransactionIdIsValid(GetTopFullTransactionIdIfAny());
	hall->next_lapse = DT_NOBEGIN;
	hall_lapse(hall, now);
	if (hall_count == HALLS_MAX)
		hall_drop(HALLS_MAX - 1);
	memmove(&halls[1], &halls[0], sizeof(Hall *) * hall_count);
	halls[0] = hall;
	hall_count++;
	MemoryContextSetParent(hall->context, TopMemoryContext);
	hall_keep_bounds();
	return hall;
}

static void
hall_register(void)
{
	static bool registered = false;

	if (registered)
		return;
	RegisterXactCallback(hall_at_transaction_end, NULL);
	RegisterSubXactCallback(hall_at_subtransaction_end, NULL);
	registered = true;
}

Hall *
hall_get(const pg_uuid_t *date_id, const DateRules *rules, TimestampTz now)
{
	int slot = hall_slot(date_id);

	hall_register();
	if (slot < 0)
		return hall_load_first(date_id, now);
	hall_put_first(slot);
	if (!hall_follow(halls[0], rules, now))
		return hall_reload(halls[0], now);
	hall_lapse(halls[0], now);
	return halls[0];
}

Hall *
hall_reload(Hall *hall, TimestampTz now)
{
	pg_uuid_t date_id = hall->date_id;

	hall_drop(hall_slot(&date_id));
	return hall_load_first(&date_id, now);
}

bool
hall_renew(Hall **hall, TimestampTz now)
{
	Reread reread = {0};

	if (now >= (*hall)->trusted_until)
	{
		*hall = hall_reload(*hall, now);
		return true;
	}
	for (int i = 0; i < (*hall)->count; i++)
		if (hall_bit((*hall)->guessed, i))
			reread_add(&reread, i);
	if (reread.is_all)
		*hall = hall_reload(*hall, now);
	else if (reread.count > 0)
	{
		hall_reread(*hall, &reread, now);
		hall_lapse(*hall, now);
	}
	return reread.is_all || reread.count > 0;
}

int
hall_find(const Hall *hall, const pg_uuid_t *seat_id)
{
	int low = 0;
	int high = hall->count;

	while (low < high)
	{
		int middle = low + (high - low) / 2;
		int order = uuid_compare(&hall->seats[hall->by_id[middle]].id, seat_id);

		if (order == 0)
			return hall->by_id[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}
