/* SPDX-License-Identifier: PostgreSQL */
/*
 * explain_reserve(): what reserve() would say to a request, rule by rule, without doing it.
 *
 * The rules are taking.c's own: it is asked for its judgement, what it refuses for is taken out of
 * the row that was read, and it is asked again, until nothing is refused any more. What was never
 * refused for holds. Nothing is written and no lock is kept, so that it works on a standby; what
 * other transactions have locked is seen all the same.
 */
#include "reserve.h"

#include "funcapi.h"
#include "lock.h"
#include "orphan.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(concert_explain_reserve);

#define EXPLAIN_COLUMNS 5
#define BIT(reason) (1u << REASON_##reason)
#define TAKEN (BIT(SOLD) | BIT(HELD))

/* A rule, in the order in which it weighs. */
typedef struct Rule
{
	const char *name;
	uint32		reasons;   /* the bits of what it refuses for */
	uint32		hidden_by; /* of what keeps it from being judged */
} Rule;

static const Rule date_rules[] = {
	{"date exists", BIT(UNKNOWN), 0},
	{"sale is open", BIT(NOT_ON_SALE), BIT(UNKNOWN)},
	{"pass is valid", BIT(NO_PASS), BIT(UNKNOWN) | BIT(NOT_ON_SALE)},
};

static const Rule seat_rules[] = {
	{"seat exists", BIT(UNKNOWN), 0},
	{"seat is of the date", BIT(OTHER_DATE), BIT(UNKNOWN)},
	{"seat is free", TAKEN, BIT(UNKNOWN) | BIT(BUSY)},
	{"seat is not blocked", BIT(BLOCKED), BIT(UNKNOWN) | TAKEN},
	{"nobody is at work on the seat", BIT(BUSY), BIT(UNKNOWN)},
	{"fence is the newest", BIT(STALE_FENCE), BIT(UNKNOWN) | TAKEN | BIT(BUSY)},
};

/* What was found of one thing that is judged: the date or a seat. */
typedef struct Finding
{
	const pg_uuid_t *seat_id;								  /* NULL: the date */
	uint32			 refused;								  /* bits of the reasons */
	const char		*details[sizeof(uint32) * BITS_PER_BYTE]; /* by reason; may be NULL */
} Finding;

static void
explain_put(FunctionCallInfo fcinfo, const char *rule, const pg_uuid_t *seat_id,
			NullableDatum holds, Reason reason, const char *detail)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	NullableDatum  columns[EXPLAIN_COLUMNS] = {
		 text_value(rule),
		 seat_id == NULL ? null_value() : uuid_value(seat_id),
		 holds,
		 answer_reason(reason),
		 text_value(detail),
	 };
	Datum values[EXPLAIN_COLUMNS];
	bool  nulls[EXPLAIN_COLUMNS];

	for (int i = 0; i < EXPLAIN_COLUMNS; i++)
	{
		values[i] = columns[i].value;
		nulls[i] = columns[i].isnull;
	}
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
explain_put_finding(FunctionCallInfo fcinfo, const Rule *rules, int count, const Finding *finding)
{
	for (int i = 0; i < count; i++)
	{
		uint32 refused = finding->refused & rules[i].reasons;
		bool   hidden = (finding->refused & rules[i].hidden_by) != 0;
		Reason reason = refused == 0 ? REASON_NONE : (Reason) pg_rightmost_one_pos32(refused);

		explain_put(fcinfo, rules[i].name, finding->seat_id,
					hidden ? null_value() : value(BoolGetDatum(refused == 0)), reason,
					finding->details[reason]);
	}
}

static void
finding_note(Finding *finding, Reason reason, const char *detail)
{
	finding->refused |= 1u << reason;
	finding->details[reason] = detail;
}

/* A pass is good only while the sale is open, so it is not judged before. */
static Finding
explain_date(Taking *taking)
{
	Finding			 finding = {0};
	const DateRules *rules = &taking->rules;
	const char		*detail = NULL;
	Reason			 reason = taking_judge_date(taking);

	if (reason == REASON_NONE)
		return finding;
	if (reason == REASON_NOT_ON_SALE)
	{
		char *opens_at = pstrdup(timestamptz_to_str(rules->sale_opens_at));

		detail = psprintf("It is open from %s until %s.", opens_at,
						  timestamptz_to_str(rules->sale_closes_at));
	}
	finding_note(&finding, reason, detail);
	return finding;
}

static const char *
seat_detail(const SeatRow *row, const Taking *taking, Reason reason)
{
	switch (reason)
	{
		case REASON_BLOCKED:
			if (TIMESTAMP_NOT_FINITE(row->blocked_until))
				return "It is blocked without an end.";
			return psprintf("It is blocked until %s.", timestamptz_to_str(row->blocked_until));
		case REASON_HELD:
			return psprintf("It is held for another " INT64_FORMAT " ms.",
							remaining_ms(row->expires_at, taking->now));
		case REASON_STALE_FENCE:
			return psprintf("The newest one is " INT64_FORMAT ".", row->newest_fence);
		default:
			return NULL;
	}
}

/*
 * Takes out of a seat what it is refused for; false when nothing is left to judge: of a seat that
 * does not exist, that is taken (store.h) or that somebody is at work on.
 */
static bool
seat_forgive(SeatRow *row, const Taking *taking, Reason reason)
{
	switch (reason)
	{
		case REASON_OTHER_DATE:
			row->date_id = taking->date_id;
			return true;
		case REASON_BLOCKED:
			row->is_blocked = false;
			return true;
		case REASON_STALE_FENCE:
			row->newest_fence = 0;
			return true;
		default:
			return false;
	}
}

/* Whether reserve() would find the lock of all ids, of the seat, or of its expired booking, taken. */
static bool
seat_is_locked(const SeatChoice *seat)
{
	return !store_ids_are_free() || lock_is_taken(LOCK_SEAT, lock_name_uuid(&seat->row.id)) ||
		(seat->has_expired && lock_is_taken(LOCK_BOOKING, lock_name_uuid(&seat->row.booking_id)));
}

static Finding
explain_seat(const SeatChoice *seat, const Taking *taking)
{
	Finding	   finding = {.seat_id = &seat->row.id};
	SeatChoice rest = *seat;
	Reason	   reason;

	if (rest.reason == REASON_NONE && seat_is_locked(&rest))
		rest.row.is_in_doubt = true;
	while ((reason = taking_judge_seat(&rest, taking)) != REASON_NONE)
	{
		finding_note(&finding, reason, seat_detail(&seat->row, taking, reason));
		if (!seat_forgive(&rest.row, taking, reason))
			break;
	}
	return finding;
}

/* The seats in the caller's order. */
static void
explain_seats(FunctionCallInfo fcinfo, Taking *taking)
{
	const SeatChoice **asked = palloc(sizeof(SeatChoice *) * taking->count);

	(void) taking_probe(taking, STORE_TO_EXPLAIN);
	for (int i = 0; i < taking->count; i++)
		asked[taking->seats[i].asked] = &taking->seats[i];
	for (int i = 0; i < taking->count; i++)
	{
		Finding finding = explain_seat(asked[i], taking);

		explain_put_finding(fcinfo, seat_rules, lengthof(seat_rules), &finding);
	}
}

/* Of a seat that is taken no price is read. */
static bool
seat_has_price(const SeatChoice *seat)
{
	return seat->row.found && (!seat->row.has_live || seat->has_expired || seat->row.is_in_doubt);
}

/* What concerns the seats together; without the date, or a seat's price, it cannot be judged. */
static void
explain_together(FunctionCallInfo fcinfo, const Taking *taking, bool date_exists)
{
	bool all_priced = true;
	bool one_currency;
	bool over_limit;

	for (int i = 0; i < taking->count; i++)
		all_priced = all_priced && seat_has_price(&taking->seats[i]);
	one_currency = !all_priced || taking_one_currency(taking);
	explain_put(fcinfo, "seats are of one currency", NULL,
				all_priced ? value(BoolGetDatum(one_currency)) : null_value(),
				one_currency ? REASON_NONE : REASON_WRONG_CURRENCY, NULL);
	over_limit = date_exists && taking_over_limit(taking);
	explain_put(fcinfo, "user stays within the limit", NULL,
				date_exists ? value(BoolGetDatum(!over_limit)) : null_value(),
				over_limit ? REASON_LIMIT : REASON_NONE,
				!date_exists ? NULL
							 : psprintf("Has %d, asks for %d, may have %d.",
										store_count_user_seats(&taking->user_id, &taking->date_id,
															   taking->now),
										taking->count, taking->rules.seats_per_user_max));
}

/* The first seat of a taking that would leave an orphan: what would do instead. */
static const char *
orphan_detail(const Taking *taking)
{
	for (int i = 0; i < taking->count; i++)
	{
		const SeatChoice *seat = &taking->seats[i];
		StringInfoData	  detail;

		if (!seat->leaves_orphan || seat->reason == REASON_BUSY)
			continue;
		initStringInfo(&detail);
		appendStringInfoString(&detail, "These would leave none:");
		for (int n = 0; n < seat->alternative_count; n++)
			appendStringInfo(&detail, " %s", uuid_text(&seat->alternative[n]));
		return detail.data;
	}
	return NULL;
}

/* Judged last, and only of seats that are all to be had; where the rule only warns it holds. */
static void
explain_orphans(FunctionCallInfo fcinfo, Taking *taking, bool date_exists)
{
	bool   judged = date_exists;
	Reason reason;

	for (int i = 0; i < taking->count; i++)
		judged = judged && taking->seats[i].reason == REASON_NONE;
	reason = judged ? orphan_judge(taking) : REASON_NONE;
	explain_put(fcinfo, "no single seat is left", NULL,
				judged ? value(BoolGetDatum(reason == REASON_NONE)) : null_value(), reason,
				judged ? orphan_detail(taking) : NULL);
}

Datum
concert_explain_reserve(PG_FUNCTION_ARGS)
{
	Taking	taking;
	Finding date;

	reserve_read_arguments(fcinfo, 6, settings_max_seats_per_booking, &taking);
	InitMaterializedSRF(fcinfo, 0);
	plan_begin();
	date = explain_date(&taking);
	explain_put_finding(fcinfo, date_rules, lengthof(date_rules), &date);
	explain_seats(fcinfo, &taking);
	explain_together(fcinfo, &taking, (date.refused & BIT(UNKNOWN)) == 0);
	explain_orphans(fcinfo, &taking, (date.refused & BIT(UNKNOWN)) == 0);
	plan_end();
	return (Datum) 0;
}
