/* SPDX-License-Identifier: PostgreSQL */
/*
 * The consumers' effects in this database: a ticket for each confirmed reservation, a record of
 * each charge. The inbox row and the effect are one transaction, so an effect happens once.
 *
 * An event only names its cause; what is written is read from the cause itself, with the ids that it
 * has by now: those of seats, dates and accounts may have been changed since. A cause that does not
 * exist as told is an error, and nothing is kept, the inbox row included. Types that have no effect
 * get the inbox row alone.
 */
#include "inbox.h"

#include "errors.h"
#include "lock.h"
#include "transfer.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

#define AMOUNT_DIGITS_MAX 18
#define WALLET_READS_MAX 3

PG_FUNCTION_INFO_V1(concert_issue_tickets);
PG_FUNCTION_INFO_V1(concert_record_point_charge);

typedef struct Confirmation
{
	pg_uuid_t  booking_id;
	pg_uuid_t  user_id;
	int		   count;
	pg_uuid_t *reservation_ids;
} Confirmation;

static SavedPlan find_stranger =
	PLAN("SELECT told.id FROM unnest($1) AS told (id)"
		 " WHERE NOT EXISTS (SELECT FROM concert.reservation AS r"
		 "  WHERE r.id = told.id AND r.booking_id = $2 AND r.user_id = $3) LIMIT 1",
		 UUIDARRAYOID, UUIDOID, UUIDOID);

static SavedPlan issue_tickets =
	PLAN("INSERT INTO concert.ticket"
		 " (reservation_id, concert_date_id, seat_id, booking_id, user_id, event_id)"
		 " SELECT id, concert_date_id, seat_id, booking_id, user_id, $2 FROM concert.reservation"
		 " WHERE id = ANY ($1) AND status = 'confirmed' ORDER BY id FOR SHARE"
		 " ON CONFLICT (reservation_id) DO NOTHING",
		 UUIDARRAYOID, UUIDOID);

static SavedPlan find_charge =
	PLAN("SELECT wallet.id FROM concert.transfer AS t"
		 " JOIN concert.account AS wallet ON wallet.id = t.credit_account_id"
		 " JOIN concert.account AS source ON source.id = t.debit_account_id"
		 " WHERE t.id = $1 AND t.kind = 'charge' AND wallet.owner_id = $2"
		 " AND t.amount = $3 AND t.currency = $4 AND source.name = $5 AND t.external_ref = $6",
		 UUIDOID, UUIDOID, INT8OID, TEXTOID, TEXTOID, TEXTOID);

static SavedPlan record_charge =
	PLAN("INSERT INTO concert.point_charge_record (transfer_id, user_id, amount, currency, source,"
		 " external_ref, event_id, account_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
		 " ON CONFLICT (transfer_id) DO NOTHING",
		 UUIDOID, UUIDOID, INT8OID, TEXTOID, TEXTOID, TEXTOID, UUIDOID, UUIDOID);

static Datum		 effect_apply(FunctionCallInfo fcinfo, const char *consumer, const char *type,
								  void (*apply)(Jsonb *payload, const pg_uuid_t *event_id));
static void			 effect_issue_tickets(Jsonb *payload, const pg_uuid_t *event_id);
static void			 effect_record_charge(Jsonb *payload, const pg_uuid_t *event_id);
static Confirmation	 payload_confirmation(Jsonb *payload);
static JsonbValue	*payload_field(JsonbContainer *object, const char *path, const char *name,
								   enum jbvType type, const char *expected);
static pg_uuid_t	 payload_uuid(JsonbContainer *object, const char *path, const char *name);
static NullableDatum payload_text(JsonbContainer *object, const char *name);
static int64		 payload_amount(JsonbContainer *object, const char *name);
static bool			 is_uuid(const char *text, int bytes);

Datum
concert_issue_tickets(PG_FUNCTION_ARGS)
{
	return effect_apply(fcinfo, CONSUMER_TICKET, "reservation.confirmed", effect_issue_tickets);
}

Datum
concert_record_point_charge(PG_FUNCTION_ARGS)
{
	return effect_apply(fcinfo, CONSUMER_POINT_CHARGE, "point.charged", effect_record_charge);
}

static Datum
effect_apply(FunctionCallInfo fcinfo, const char *consumer, const char *type,
			 void (*apply)(Jsonb *payload, const pg_uuid_t *event_id))
{
	static const char *const names[] = {"event_id", "type", "payload"};
	NullableDatum			 columns[2];
	pg_uuid_t				*event_id;
	char					*got_type;
	Jsonb					*payload;
	Reason					 reason;

	argument_require(fcinfo, lengthof(names), names);
	event_id = PG_GETARG_UUID_P(0);
	got_type = argument_text(fcinfo, 1, "type", NAME_CHARS_MAX);
	payload = PG_GETARG_JSONB_P(2);
	plan_begin();
	reason = inbox_record(consumer, event_id);
	if (reason == REASON_NONE && strcmp(got_type, type) == 0)
		apply(payload, event_id);
	plan_end();
	columns[0] = value(BoolGetDatum(reason == REASON_NONE));
	columns[1] = answer_reason(reason);
	return answer_row(fcinfo, columns, lengthof(columns));
}

/*
 * A reservation that is no longer confirmed gets none: the event may be older than its end. One that
 * is stays so until the ticket is committed, for refund() to void it.
 */
static void
effect_issue_tickets(Jsonb *payload, const pg_uuid_t *event_id)
{
	Confirmation  told = payload_confirmation(payload);
	NullableDatum reservation_ids = uuid_array_value(told.reservation_ids, told.count);

	if (plan_read(&find_stranger,
				  PLAN_ARGS(reservation_ids, uuid_value(&told.booking_id),
							uuid_value(&told.user_id))) > 0)
	{
		pg_uuid_t stranger = plan_uuid(0, 0);

		error_unknown_object("reservation", &stranger);
	}
	plan_write(&issue_tickets, PLAN_ARGS(reservation_ids, uuid_value(event_id)));
}

/* Under the wallet's lock, shared, its id stays as it is. */
static pg_uuid_t
effect_lock_wallet(const NullableDatum *charge, const pg_uuid_t *transfer_id)
{
	pg_uuid_t wallet_id = {{0}};

	for (int i = 0; i < WALLET_READS_MAX; i++)
	{
		pg_uuid_t found;

		if (plan_read(&find_charge, charge) == 0)
			error_unknown_object("charge", transfer_id);
		found = plan_uuid(0, 0);
		if (uuid_compare(&found, &wallet_id) == 0)
			return wallet_id;
		wallet_id = found;
		lock_wait_shared(LOCK_ACCOUNT, lock_name_uuid(&wallet_id));
	}
	transfer_error_moved(transfer_id);
}

static void
effect_record_charge(Jsonb *payload, const pg_uuid_t *event_id)
{
	JsonbContainer *root = &payload->root;
	pg_uuid_t		transfer_id = payload_uuid(root, "", "transfer_id");
	pg_uuid_t		wallet_id = payload_uuid(root, "", "account_id");
	pg_uuid_t		user_id = payload_uuid(root, "", "user_id");
	NullableDatum	columns[] = {uuid_value(&transfer_id),
								 uuid_value(&user_id),
								 value(Int64GetDatum(payload_amount(root, "amount"))),
								 payload_text(root, "currency"),
								 payload_text(root, "source"),
								 payload_text(root, "external_ref"),
								 uuid_value(event_id),
								 uuid_value(&wallet_id)};

	wallet_id = effect_lock_wallet(columns, &transfer_id);
	plan_write(&record_charge, columns);
}

static Confirmation
payload_confirmation(Jsonb *payload)
{
	JsonbContainer *root = &payload->root;
	Confirmation	told = {.booking_id = payload_uuid(root, "", "booking_id"),
							.user_id = payload_uuid(root, "", "user_id")};
	JsonbContainer *seats =
		payload_field(root, "", "seats", jbvBinary, "an array")->val.binary.data;

	(void) payload_uuid(root, "", "concert_date_id");
	if (!JsonContainerIsArray(seats) || JsonContainerSize(seats) < 1 ||
		JsonContainerSize(seats) > SEATS_PER_CALL_LIMIT)
		error_invalid("payload", "seats",
					  psprintf("an array of 1 to %d seats there", SEATS_PER_CALL_LIMIT));
	told.count = (int) JsonContainerSize(seats);
	told.reservation_ids = palloc(sizeof(pg_uuid_t) * told.count);
	for (int i = 0; i < told.count; i++)
	{
		JsonbValue *seat = getIthJsonbValueFromContainer(seats, (uint32) i);
		char	   *path = psprintf("seats[%d].", i);

		if (seat->type != jbvBinary || !JsonContainerIsObject(seat->val.binary.data))
			error_invalid("payload", psprintf("seats[%d]", i), "an object there");
		told.reservation_ids[i] = payload_uuid(seat->val.binary.data, path, "reservation_id");
		(void) payload_uuid(seat->val.binary.data, path, "seat_id");
	}
	return told;
}

static JsonbValue *
payload_field(JsonbContainer *object, const char *path, const char *name, enum jbvType type,
			  const char *expected)
{
	JsonbValue *field = NULL;

	if (JsonContainerIsObject(object))
		field = getKeyJsonValueFromContainer(object, name, (int) strlen(name), NULL);
	if (field == NULL || field->type != type)
		error_invalid("payload", psprintf("%s%s", path, name), psprintf("%s there", expected));
	return field;
}

static pg_uuid_t
payload_uuid(JsonbContainer *object, const char *path, const char *name)
{
	JsonbValue *field = payload_field(object, path, name, jbvString, "a UUID");
	char	   *text = pnstrdup(field->val.string.val, field->val.string.len);

	if (!is_uuid(text, field->val.string.len))
		error_invalid("payload", psprintf("%s%s", path, name), "a UUID there");
	return *DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(text)));
}

static NullableDatum
payload_text(JsonbContainer *object, const char *name)
{
	JsonbValue *field = payload_field(object, "", name, jbvString, "a string");

	return value(
		PointerGetDatum(cstring_to_text_with_len(field->val.string.val, field->val.string.len)));
}

static int64
payload_amount(JsonbContainer *object, const char *name)
{
	JsonbValue *field = payload_field(object, "", name, jbvNumeric, "a whole number");
	char	   *digits =
		DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(field->val.numeric)));

	if (strlen(digits) > AMOUNT_DIGITS_MAX || strspn(digits, "0123456789") != strlen(digits))
		error_invalid("payload", name, "a whole number there");
	return strtoll(digits, NULL, 10);
}

/* Stricter than uuid_in(), whose complaint would not be 22023. */
static bool
is_uuid(const char *text, int bytes)
{
	static const char pattern[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	if (bytes != (int) strlen(pattern))
		return false;
	for (int i = 0; i < bytes; i++)
		if (pattern[i] == '-' ? text[i] != '-' : !isxdigit((unsigned char) text[i]))
			return false;
	return true;
}
