/* SPDX-License-Identifier: PostgreSQL */
/*
 * reserve_best(): so many seats, the best there are, for one user as one pending booking.
 *
 * They are chosen from the hall as this backend knows it and taken as reserve() takes them, under
 * the same locks. Where that says no to a seat, others are chosen, a bounded number of times;
 * seats that somebody is at work on are passed over, nobody waits for them.
 */
#include "best.h"
#include "orphan.h"
#include "reserve.h"

#include "errors.h"
#include "miscadmin.h"
#include "request.h"
#include "utils/array.h"
#include "utils/builtins.h"

#define BEST_ATTEMPTS_MAX 64
#define BEST_SECTIONS_MAX 1000

PG_FUNCTION_INFO_V1(concert_reserve_best);

static SavedPlan replay_best =
	PLAN("SELECT jsonb_populate_record(NULL::concert.reserve_best_answer, $1)", JSONBOID);

typedef struct BestCall
{
	Taking	 taking;
	BestWish wish;
	char   **concessions; /* of the seats in grid order; NULL: none has any */
	BestStep step;
	Hall	*hall;
	uint64	*usable; /* the hall's free seats without those passed over */
	bool	 met_busy;
	bool	 met_orphan;
	bool	 is_renewed; /* since it was followed last */
	bool	 is_reloaded;
} BestCall;

static int
best_argument_count(FunctionCallInfo fcinfo)
{
	int count = PG_GETARG_INT32(1);

	if (count < 1)
		error_invalid_number("count", count, 1, settings_max_seats_per_booking);
	if (count > SEATS_PER_CALL_LIMIT)
		error_too_many_seats(count, settings_max_seats_per_booking);
	return count;
}

static const pg_uuid_t *
best_argument_sections(FunctionCallInfo fcinfo, int *ret_count)
{
	ArrayType *array;

	*ret_count = 0;
	if (PG_ARGISNULL(3))
		return NULL;
	array = PG_GETARG_ARRAYTYPE_P(3);
	if (ARR_NDIM(array) > 1)
		error_invalid("sections", "an array of arrays", "an array of one dimension");
	*ret_count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	if (*ret_count < 1 || *ret_count > BEST_SECTIONS_MAX)
		error_invalid_number("number of sections", *ret_count, 1, BEST_SECTIONS_MAX);
	if (array_contains_nulls(array))
		error_null("sections");
	return (const pg_uuid_t *) ARR_DATA_PTR(array);
}

static bool
best_argument_strict(FunctionCallInfo fcinfo)
{
	char *policy = argument_text(fcinfo, 4, "policy", NAME_CHARS_MAX);

	if (strcmp(policy, "strict") != 0 && strcmp(policy, "spread") != 0)
		error_invalid("policy", policy, "\"strict\" or \"spread\"");
	return strcmp(policy, "strict") == 0;
}

static void
best_read_arguments(FunctionCallInfo fcinfo, BestCall *call)
{
	static const char *const names[] = {"concert_date_id", "count", "user_id"};
	BestWish				*wish = &call->wish;

	argument_require(fcinfo, lengthof(names), names);
	wish->count = best_argument_count(fcinfo);
	wish->section_ids = best_argument_sections(fcinfo, &wish->section_count);
	wish->is_strict = best_argument_strict(fcinfo);
	if (PG_ARGISNULL(5))
		error_null("accessible_count");
	wish->accessible_count = PG_GETARG_INT32(5);
	if (wish->accessible_count < 0 || wish->accessible_count > wish->count)
		error_invalid_number("accessible_count", wish->accessible_count, 0, wish->count);
	wish->price_max = PG_ARGISNULL(6) ? PRICE_MAX : PG_GETARG_INT64(6);
	if (wish->price_max < 0)
		error_invalid_number("max_price", wish->price_max, 0, PRICE_MAX);
	if (PG_ARGISNULL(7))
		error_null("allow_split");
	wish->allow_split = PG_GETARG_BOOL(7);
	call->concessions = argument_concessions(fcinfo, 12, wish->count);
	call->taking = (Taking){
		.date_id = *PG_GETARG_UUID_P(0),
		.user_id = *PG_GETARG_UUID_P(2),
		.pending_seconds = taking_pending_seconds(fcinfo->args[8]),
		.pass = PG_ARGISNULL(9) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(9)),
		.correlation_id = argument_optional_text(fcinfo, 11, "correlation_id", KEY_CHARS_MAX),
	};
}

/* What makes it the same request; a retry may carry another pass. */
static char *
best_content(const BestCall *call)
{
	const BestWish *wish = &call->wish;
	StringInfoData	content;

	initStringInfo(&content);
	appendStringInfo(&content, "%s %d %d %d " INT64_FORMAT " %d %d",
					 uuid_text(&call->taking.date_id), wish->count, wish->is_strict,
					 wish->accessible_count, wish->price_max, wish->allow_split,
					 call->taking.pending_seconds);
	for (int i = 0; i < wish->section_count; i++)
		appendStringInfo(&content, " %s", uuid_text(&wish->section_ids[i]));
	for (int i = 0; call->concessions != NULL && i < wish->count; i++)
		if (call->concessions[i] != NULL)
			appendStringInfo(&content, " %d=%zu:%s", i, strlen(call->concessions[i]),
							 call->concessions[i]);
	return content.data;
}

/* Each concession's first seat, and that of the full price, stand for all of its seats. */
static bool
best_is_named_before(const BestCall *call, int seat)
{
	const char *name = call->concessions[seat];

	for (int i = 0; i < seat; i++)
	{
		const char *before = call->concessions[i];

		if (name == NULL || before == NULL ? name == before : strcmp(name, before) == 0)
			return true;
	}
	return false;
}

/* What the dearest of the seats costs in the section; NULL, or the concession that it does not have. */
static const char *
best_section_price(const BestCall *call, const HallSection *section, int64 *ret_price)
{
	*ret_price = 0;
	for (int i = 0; i < call->wish.count; i++)
	{
		const char *name = call->concessions[i];
		int64		price = section->price;

		if (best_is_named_before(call, i))
			continue;
		if (name != NULL && !store_read_concession(&section->id, name, &price))
			return name;
		*ret_price = Max(*ret_price, price);
	}
	return NULL;
}

/*
 * Which sections have all the concessions asked for, none of the prices above max_price. Where no
 * section that is asked for has them, they are a mistake.
 */
static void
best_judge_sections(BestCall *call)
{
	const Hall *hall = call->hall;
	bool	   *is_affordable = palloc0(sizeof(bool) * Max(hall->section_count, 1));
	const char *unknown = NULL;
	int			unknown_of = 0;
	bool		any = false;

	for (int i = 0; i < hall->section_count; i++)
	{
		const char *name;
		int64		price;

		if (!best_is_asked(&call->wish, &hall->sections[i].id))
			continue;
		name = best_section_price(call, &hall->sections[i], &price);
		is_affordable[i] = name == NULL && price <= call->wish.price_max;
		any = any || name == NULL;
		if (name != NULL && unknown == NULL)
		{
			unknown = name;
			unknown_of = i;
		}
	}
	if (!any && unknown != NULL)
		error_unknown_concession(unknown, &hall->sections[unknown_of].id);
	call->wish.is_affordable = is_affordable;
}

/* After the hall was read anew; what was passed over may be met again. */
static void
best_use_hall(BestCall *call, Hall *hall)
{
	call->hall = hall;
	call->usable = palloc(sizeof(uint64) * hall->words);
	memcpy(call->usable, hall->free, sizeof(uint64) * hall->words);
	if (call->concessions != NULL)
		best_judge_sections(call);
}

/*
 * Learns what was done since, which may be much; what was passed over stays so, unless it is
 * another map.
 */
static void
best_follow(BestCall *call)
{
	const Hall *before = call->hall;
	uint64	   *passed = call->usable;

	for (int w = 0; w < before->words; w++)
		passed[w] = before->free[w] & ~passed[w];
	best_use_hall(call, hall_get(&call->taking.date_id, &call->taking.rules, call->taking.now));
	for (int w = 0; call->hall == before && w < before->words; w++)
		call->usable[w] &= ~passed[w];
	call->is_renewed = false;
}

static void
best_reload(BestCall *call)
{
	call->is_reloaded = true;
	best_use_hall(call, hall_reload(call->hall, call->taking.now));
}

/*
 * Passes over what the orphan rule sees as taken in the run of a refused seat, and the hall does
 * not: seats in somebody's open transaction. True when there was any.
 */
static bool
best_look_around(BestCall *call, int seat)
{
	const Hall *hall = call->hall;
	bool		found = false;
	bool		is_busy;
	int			n = seat;

	while (n > 0 && keptmap_bit(hall->linked, n - 1) && keptmap_bit(call->usable, n - 1))
		n--;
	for (bool is_linked = true; is_linked && keptmap_bit(call->usable, n); n++)
	{
		is_linked = keptmap_bit(hall->linked, n);
		if (!orphan_seat_is_free(&hall->seats[n].id, call->taking.now, &is_busy))
		{
			keptmap_set_bit(call->usable, n, false);
			found = true;
		}
	}
	return found;
}

/*
 * Seats refused by the orphan rule: as a rule the hall did not know what is taken beside them.
 * Where it did, the rule was judged for the first time under the locks, and they are passed over.
 */
static void
best_learn_orphans(BestCall *call)
{
	const Taking *taking = &call->taking;
	bool		  found = false;

	for (int i = 0; i < taking->count; i++)
		if (taking->seats[i].leaves_orphan)
		{
			call->met_orphan = true;
			call->met_busy = call->met_busy || taking->seats[i].orphan_in_doubt;
			if (best_look_around(call, hall_find(call->hall, &taking->seats[i].row.id)))
				found = true;
		}
	call->met_busy = call->met_busy || found;
	for (int i = 0; i < taking->count && !found; i++)
		if (taking->seats[i].leaves_orphan)
			keptmap_set_bit(call->usable, hall_find(call->hall, &taking->seats[i].row.id), false);
}

/* What stood in the way of one seat; true when the hall named one that there is not. */
static bool
best_learn_seat(BestCall *call, const SeatChoice *seat)
{
	keptmap_set_bit(call->usable, hall_find(call->hall, &seat->row.id), false);
	if (seat->reason == REASON_BUSY)
		call->met_busy = true;
	else if (seat->row.found && seat->reason != REASON_OTHER_DATE)
		hall_learn(call->hall, &seat->row);
	else
		return true;
	return false;
}

/*
 * Takes note of what stood in the way of the seats chosen. True when there was such a seat, so
 * that others may be chosen; false when it was a rule for the call as a whole.
 */
static bool
best_learn(BestCall *call)
{
	bool is_unknown = false;
	bool refused = false;

	best_learn_orphans(call);
	for (int i = 0; i < call->taking.count; i++)
	{
		const SeatChoice *seat = &call->taking.seats[i];

		if (seat->reason == REASON_NONE)
			continue;
		refused = true;
		if (!seat->leaves_orphan && best_learn_seat(call, seat))
			is_unknown = true;
	}
	if (is_unknown && !call->is_reloaded)
		best_reload(call);
	return refused;
}

/* A price may have changed since the hall was read; it is the one to be paid, with its concession. */
static bool
best_price_is_right(const BestCall *call)
{
	for (int i = 0; i < call->taking.count; i++)
		if (call->taking.seats[i].row.price > call->wish.price_max)
			return false;
	return true;
}

/* The hall's seats are in grid order. */
static int
best_compare_seats(const void *a, const void *b)
{
	return *(const int *) a - *(const int *) b;
}

/* Tries to take the seats that were chosen; *ret_again when others should be. */
static Reason
best_try(BestCall *call, int *seats, bool *ret_again)
{
	pg_uuid_t *ids = palloc(sizeof(pg_uuid_t) * call->wish.count);
	Reason	   reason;

	qsort(seats, call->wish.count, sizeof(int), best_compare_seats);
	for (int i = 0; i < call->wish.count; i++)
		ids[i] = call->hall->seats[seats[i]].id;
	taking_set_seats(&call->taking, ids, call->wish.count);
	taking_set_concessions(&call->taking, call->concessions);
	reason = taking_decide(&call->taking);
	*ret_again = reason != REASON_NONE && best_learn(call);
	if (reason == REASON_NONE && !best_price_is_right(call))
	{
		taking_release(&call->taking);
		for (int i = 0; i < call->wish.count; i++)
			keptmap_set_bit(call->usable, seats[i], false);
		if (!call->is_reloaded)
			best_reload(call);
		*ret_again = true;
	}
	return reason;
}

/* Whether the wish would be met if seats in these states could be had as well. */
static bool
best_would_fit(const BestCall *call, HallState state, const BestWish *wish)
{
	const Hall *hall = call->hall;
	uint64	   *usable = palloc0(sizeof(uint64) * hall->words);
	int		   *seats = palloc(sizeof(int) * wish->count);

	for (int i = 0; i < hall->count; i++)
		if (hall_state(hall, i) <= state)
			keptmap_set_bit(usable, i, true);
	return best_choose(hall, usable, wish, seats) != BEST_NONE;
}

/*
 * Why nothing fits: the least final thing without which it would. 'unknown': there is no such
 * choice in the hall at all.
 */
static Reason
best_refusal(const BestCall *call)
{
	static const Reason reasons[] = {
		[HALL_HELD] = REASON_HELD, [HALL_SOLD] = REASON_SOLD, [HALL_BLOCKED] = REASON_BLOCKED};
	BestWish unruled = call->wish;

	unruled.no_orphans = false;
	if (call->met_busy && best_would_fit(call, HALL_FREE, &call->wish))
		return REASON_BUSY;
	if ((call->wish.no_orphans || call->met_orphan) && best_would_fit(call, HALL_FREE, &unruled))
		return REASON_ORPHAN;
	for (HallState state = HALL_HELD; state <= HALL_BLOCKED; state++)
		if (best_would_fit(call, state, &unruled))
			return reasons[state];
	return REASON_UNKNOWN;
}

static Reason
best_decide(BestCall *call)
{
	const DateRules *rules = &call->taking.rules;
	int				*seats = palloc(sizeof(int) * call->wish.count);
	Reason			 reason = taking_judge_date(&call->taking);

	if (reason != REASON_NONE)
		return reason;
	call->wish.no_orphans =
		rules->orphan_rule == ORPHAN_ENFORCE && call->taking.now < rules->orphan_relaxed_at;
	best_use_hall(call, hall_get(&call->taking.date_id, rules, call->taking.now));
	for (int attempt = 0; attempt < BEST_ATTEMPTS_MAX; attempt++)
	{
		bool again;

		CHECK_FOR_INTERRUPTS();
		call->step = best_choose(call->hall, call->usable, &call->wish, seats);
		if (call->step == BEST_NONE)
		{
			Hall *hall = call->hall;

			/* Where the rule may be relaxed for a section, it is judged when the seats are locked. */
			if (call->wish.no_orphans && rules->orphan_relax_fill_percent < 100)
			{
				call->wish.no_orphans = false;
				continue;
			}

			if (call->is_renewed || call->is_reloaded || !hall_renew(&hall, call->taking.now))
				return best_refusal(call);
			call->is_renewed = true;
			best_use_hall(call, hall);
			continue;
		}
		reason = best_try(call, seats, &again);
		if (!again)
			return reason;
		if (call->taking.waited)
			best_follow(call);
	}
	/* There are more to be tried; unless it is the orphan rule, which says the same the next time. */
	return call->met_orphan && !call->met_busy ? best_refusal(call) : REASON_BUSY;
}

/* The seats that were tried last say nothing of why there are none. */
static Datum
best_answer(FunctionCallInfo fcinfo, BestCall *call, Reason reason, const Booking *booking)
{
	if (reason != REASON_NONE)
		call->taking.count = 0;
	return reserve_answer(fcinfo, &call->taking, reason, booking,
						  reason == REASON_NONE ? best_step_text(call->step) : NULL,
						  RESERVE_COLUMNS_BEST);
}

Datum
concert_reserve_best(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	char		 *key = argument_optional_text(fcinfo, 10, "idempotency_key", KEY_CHARS_MAX);
	BestCall	  call = {0};
	Request		  request;
	Datum		  answer;

	best_read_arguments(fcinfo, &call);
	request_init(&request, "reserve_best", &replay_best, key, &call.taking.user_id,
				 key == NULL ? NULL : best_content(&call));
	plan_begin();
	if (!request_replay(&request, caller, &answer))
	{
		Reason		  reason;
		Booking		  booking = {0};
		MemoryContext work;

		argument_check_seats(call.wish.count);
		reason = best_decide(&call);
		if (reason == REASON_NONE)
			booking = taking_take(&call.taking);
		work = MemoryContextSwitchTo(caller);
		answer = best_answer(fcinfo, &call, reason, &booking);
		MemoryContextSwitchTo(work);
		if (reason != REASON_BUSY)
			request_record(&request, answer);
	}
	plan_end();
	PG_RETURN_DATUM(answer);
}
