/* SPDX-License-Identifier: PostgreSQL */
/*
 * Events go in. What is refused here could not be published later: names, encoding, size.
 *
 * Order per key rests on two steps in emit: the lock of (topic, key), then the event's number.
 * The lock is released only after the transaction is visible (or with
 * a savepoint that takes its event along), so whoever sees a later event of a key sees the
 * earlier ones, and their numbers are in commit order. The xid is the top-level one: of a
 * subtransaction's no snapshot says whether it is visible.
 */
#include "outbox_internal.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "commands/sequence.h"
#include "direct.h"
#include "errors.h"
#include "lock.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/snapmgr.h"
#include "utils/xid8.h"

#define EVENT_NAME_CHARS_MAX 100
#define TEXT_BYTES_PER_BYTE_MAX 8

PG_FUNCTION_INFO_V1(concert_emit);
PG_FUNCTION_INFO_V1(concert_outbox_lane);
PG_FUNCTION_INFO_V1(concert_outbox_lanes);
PG_FUNCTION_INFO_V1(concert_outbox_stamp);

typedef struct Event
{
	const char *topic;
	const char *key;
	const char *type;
	Jsonb	   *headers;
	Jsonb	   *payload;
	bool		is_own;			 /* built by the extension itself */
	bool		is_first_of_key; /* nobody else can know the key before this commits */
} Event;

/* A row that is not our own came with a restore or with pg_upgrade. */
static SavedPlan read_state = PLAN(
	"SELECT event_table, cursor_table, lanes, stamp = $1 FROM concert.outbox_state ORDER BY stamp",
	TEXTOID);

enum
{
	STATE_STAMP = 1,
	STATE_EVENT_TABLE,
	STATE_CURSOR_TABLE,
	STATE_LANES
};

#define APPEND_TO(n)                                                                              \
	PLAN("INSERT INTO concert.outbox_event_" n                                                    \
		 " (seq, xid, created_at, id, lane, topic, key, type, headers, payload)"                  \
		 " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",                                     \
		 INT8OID, XID8OID, TIMESTAMPTZOID, UUIDOID, INT4OID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, \
		 JSONBOID)

static SavedPlan append_event[OUTBOX_EVENT_TABLES] = {APPEND_TO("0"), APPEND_TO("1"),
													  APPEND_TO("2"), APPEND_TO("3")};

static pg_uuid_t outbox_append(const Event *event);
static void		 outbox_check_foreign(const Event *event);
static void		 outbox_check(const Event *event);
static void		 outbox_check_name(const char *what, const char *name, int bytes);
static void		 outbox_check_headers(Jsonb *headers);
static bool		 outbox_is_surely_small(const Event *event);
static int		 outbox_published_bytes(Jsonb *json);
static uint64	 outbox_key_name(const char *topic, const char *key);

static Event
event_of_our_own(const char *topic, const char *key, const char *type, Jsonb *payload,
				 const char *correlation_id)
{
	Json headers = {0};

	json_begin_object(&headers);
	if (correlation_id != NULL)
		json_add_text(&headers, "correlation_id", correlation_id);
	json_end_object(&headers);
	return (Event){.topic = topic,
				   .key = key,
				   .type = type,
				   .headers = json_finish(&headers),
				   .payload = payload,
				   .is_own = true};
}

pg_uuid_t
outbox_emit(const char *topic, const char *key, const char *type, Jsonb *payload,
			const char *correlation_id)
{
	Event event = event_of_our_own(topic, key, type, payload, correlation_id);

	return outbox_append(&event);
}

pg_uuid_t
outbox_emit_first(const char *topic, const char *key, const char *type, Jsonb *payload,
				  const char *correlation_id)
{
	Event event = event_of_our_own(topic, key, type, payload, correlation_id);

	event.is_first_of_key = true;
	return outbox_append(&event);
}

Datum
concert_emit(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"topic", "key", "type", "payload", "headers"};
	pg_uuid_t				*id = palloc(sizeof(pg_uuid_t));
	Event					 event;

	argument_require(fcinfo, lengthof(names), names);
	event = (Event){.topic = text_to_cstring(PG_GETARG_TEXT_PP(0)),
					.key = text_to_cstring(PG_GETARG_TEXT_PP(1)),
					.type = text_to_cstring(PG_GETARG_TEXT_PP(2)),
					.payload = PG_GETARG_JSONB_P(3),
					.headers = PG_GETARG_JSONB_P(4)};
	outbox_check_foreign(&event);
	plan_begin();
	*id = outbox_append(&event);
	plan_end();
	PG_RETURN_UUID_P(id);
}

/* What tells this outbox from every other: a copy of the database has another one. */
const char *
outbox_stamp(void)
{
	return psprintf(UINT64_FORMAT "/%u/%u", GetSystemIdentifier(), MyDatabaseId,
					relation_oid("outbox_event_0"));
}

Datum
concert_outbox_stamp(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(outbox_stamp()));
}

static OutboxState
outbox_read_state(const char *stamp)
{
	OutboxState state = {.sequence = relation_oid("outbox_seq")};
	bool		is_own = false;
	int			rows = 0;
	Snapshot	snapshot = direct_snapshot();
	DirectScan	scan;

	direct_scan_begin(&scan, DIRECT_OUTBOX_STATE_STAMP, snapshot, NULL, 0);
	for (; direct_scan_next(&scan, ForwardScanDirection); rows++)
	{
		if (is_own)
			continue;
		is_own = direct_text_is(&scan, STATE_STAMP, stamp);
		state.event_table = direct_int32(&scan, STATE_EVENT_TABLE);
		state.cursor_table = direct_int32(&scan, STATE_CURSOR_TABLE);
		state.lanes = direct_int32(&scan, STATE_LANES);
	}
	direct_scan_end(&scan);
	UnregisterSnapshot(snapshot);
	if (rows == 0)
		error_outbox_reset_needed();
	state.reset_needed = rows > 1 || !is_own;
	return state;
}

/*
 * The table's lock is kept until the transaction ends: outbox_reset(), which changes the lanes,
 * waits for it, so that no event goes where its key no longer belongs.
 */
static OutboxState
outbox_direct_state(void)
{
	static OutboxState kept;
	static uint64	   kept_generation;
	static bool		   is_kept = false;
	uint64			   generation;

	LockRelationOid(direct_table_oid(DIRECT_OUTBOX_STATE), AccessShareLock);
	generation = direct_generation(DIRECT_OUTBOX_STATE);
	if (!is_kept || kept_generation != generation || IsolationIsSerializable())
	{
		is_kept = false;
		kept = outbox_read_state(outbox_stamp());
		kept_generation = generation;
		is_kept = true;
	}
	return kept;
}

OutboxState
outbox_state(void)
{
	int rows;
	int row = 0;

	if (direct_is_readable(DIRECT_OUTBOX_STATE))
		return outbox_direct_state();
	rows = plan_read(&read_state, PLAN_ARGS(text_value(outbox_stamp())));

	if (rows == 0)
		error_outbox_reset_needed();
	while (row < rows - 1 && !plan_bool(row, 3))
		row++;
	return (OutboxState){.sequence = relation_oid("outbox_seq"),
						 .event_table = plan_int32(row, 0),
						 .cursor_table = plan_int32(row, 1),
						 .lanes = plan_int32(row, 2),
						 .reset_needed = rows > 1 || !plan_bool(row, 3)};
}

OutboxState
outbox_own_state(void)
{
	OutboxState state = outbox_state();

	if (state.reset_needed)
		error_outbox_reset_needed();
	return state;
}

int
outbox_lane_argument(FunctionCallInfo fcinfo, int n, const OutboxState *state)
{
	return argument_int32(fcinfo, n, "lane", 0, state->lanes - 1);
}

Datum
outbox_copy(Datum varlena)
{
	return datumCopy(varlena, false, -1);
}

Datum
concert_outbox_lanes(PG_FUNCTION_ARGS)
{
	OutboxState state;

	plan_begin();
	state = outbox_state();
	plan_end();
	PG_RETURN_INT32(state.lanes);
}

Datum
concert_outbox_lane(PG_FUNCTION_ARGS)
{
	uint64 name = outbox_key_name(text_to_cstring(PG_GETARG_TEXT_PP(0)),
								  text_to_cstring(PG_GETARG_TEXT_PP(1)));
	int	   lanes = PG_GETARG_INT32(2);

	if (lanes < 1 || lanes > OUTBOX_LANES_MAX)
		error_invalid_number("lanes", lanes, 1, OUTBOX_LANES_MAX);
	PG_RETURN_INT32((int32) (name % (uint64) lanes));
}

/*
 * While a reset is due the event goes into a lane below zero: its xid is ours, those of the
 * restored rows beside it are not, and only so can outbox_reset() tell them apart.
 */
static pg_uuid_t
outbox_append(const Event *event)
{
	uint64				 name = outbox_key_name(event->topic, event->key);
	pg_uuid_t			 id;
	FullTransactionId	 xid;
	OutboxState			 state;
	int					 lane;
	const NullableDatum *columns;

	outbox_check(event);
	PreventCommandIfReadOnly("concert.emit()");
	if (!event->is_first_of_key)
		lock_wait(LOCK_EVENT_KEY, name);
	xid = GetTopFullTransactionId();
	id = uuid7_next();
	state = outbox_state();
	lane = (int) (name % (uint64) state.lanes);
	if (state.reset_needed)
		lane = -1 - lane;
	columns = PLAN_ARGS(
		value(Int64GetDatum(nextval_internal(state.sequence, false))),
		value(FullTransactionIdGetDatum(xid)), value(TimestampTzGetDatum(GetCurrentTimestamp())),
		uuid_value(&id), value(Int32GetDatum(lane)), text_value(event->topic),
		text_value(event->key), text_value(event->type), value(JsonbPGetDatum(event->headers)),
		value(JsonbPGetDatum(event->payload)));
	if (!direct_insert(DIRECT_EVENT_0 + state.event_table, columns))
		plan_write_rows(&append_event[state.event_table], columns, 1);
	return id;
}

/* Whether the first word of the type is one of those that our own events have. */
static bool
outbox_type_is_own(const char *type)
{
	static const char *const words[] = {"admission",   "payment", "point",
										"reservation", "seat",	  "ticket"};
	size_t					 bytes = strcspn(type, ".");

	for (int i = 0; i < lengthof(words); i++)
		if (strlen(words[i]) == bytes && memcmp(words[i], type, bytes) == 0)
			return true;
	return false;
}

/* Whoever could emit our own events could have tickets issued that nobody paid for. */
static void
outbox_check_foreign(const Event *event)
{
	if (strncmp(event->topic, TOPIC_PREFIX, strlen(TOPIC_PREFIX)) == 0 &&
		strcmp(event->topic, TOPIC_NOTIFICATION) != 0)
		error_event_refused("topic", psprintf("\"%s\"", event->topic),
							"a topic of the app's own, not \"" TOPIC_PREFIX
							"...\" but \"" TOPIC_NOTIFICATION "\"");
	if (outbox_type_is_own(event->type))
		error_event_refused("type", psprintf("\"%s\"", event->type),
							"a type of the app's own, not one that begins as concert's do");
}

static void
outbox_check(const Event *event)
{
	int key_chars = pg_mbstrlen(event->key);
	int bytes;

	outbox_check_name("topic", event->topic, (int) strlen(event->topic));
	outbox_check_name("type", event->type, (int) strlen(event->type));
	if (key_chars < 1 || key_chars > KEY_CHARS_MAX)
		error_event_refused("key", psprintf("%d characters", key_chars),
							psprintf("from 1 to %d characters", KEY_CHARS_MAX));
	(void) pg_server_to_any(event->key, (int) strlen(event->key), PG_UTF8);
	if (!JB_ROOT_IS_OBJECT(event->payload))
		error_event_refused("payload", "no JSON object", "a JSON object");
	outbox_check_headers(event->headers);
	if (outbox_is_surely_small(event))
		return;
	bytes = outbox_published_bytes(event->payload) + outbox_published_bytes(event->headers);
	if (bytes > settings_max_event_bytes)
		error_event_refused(
			"size", psprintf("%d bytes", bytes),
			psprintf("at most %d bytes (concert.max_event_bytes)", settings_max_event_bytes));
}

/* Topics are Kafka's, with room for ".retry" and ".dlq"; types and headers are named alike. */
static void
outbox_check_name(const char *what, const char *name, int bytes)
{
	bool good = bytes >= 1 && bytes <= EVENT_NAME_CHARS_MAX && name[0] >= 'a' && name[0] <= 'z';

	for (int i = 1; good && i < bytes; i++)
		good = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') ||
			name[i] == '.' || name[i] == '_' || name[i] == '-';
	if (!good)
		error_event_refused(
			what, psprintf("\"%.*s\"", pg_mbcliplen(name, bytes, EVENT_NAME_CHARS_MAX), name),
			psprintf("a lower-case letter, then at most %d of a-z, 0-9, \".\", \"_\" and \"-\"",
					 EVENT_NAME_CHARS_MAX - 1));
}

static void
outbox_check_headers(Jsonb *headers)
{
	JsonbIterator	  *iterator = JsonbIteratorInit(&headers->root);
	JsonbIteratorToken token;
	JsonbValue		   item;

	if (!JB_ROOT_IS_OBJECT(headers))
		error_event_refused("headers", "no JSON object", "a JSON object of strings");
	while ((token = JsonbIteratorNext(&iterator, &item, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			outbox_check_name("header name", item.val.string.val, item.val.string.len);
		else if (token == WJB_VALUE && item.type != jbvString)
			error_event_refused("headers", "a value that is no string", "a JSON object of strings");
	}
}

/*
 * Whether no text of this jsonb can be over the limit, so that it need not be made: a byte of a
 * string is at most six as text ("\\u0001"), and an event of our own has no numbers but int64.
 */
static bool
outbox_is_surely_small(const Event *event)
{
	Size bytes = VARSIZE(event->payload) + VARSIZE(event->headers);

	return event->is_own && GetDatabaseEncoding() == PG_UTF8 &&
		bytes * TEXT_BYTES_PER_BYTE_MAX <= settings_max_event_bytes;
}

/*
 * As text, which is what Kafka gets: a jsonb of a few bytes can be a number of 100,000 digits.
 * The conversion raises what a relay, whose client encoding is UTF-8, would meet.
 */
static int
outbox_published_bytes(Jsonb *json)
{
	char *text = JsonbToCString(NULL, &json->root, VARSIZE(json));
	int	  bytes = (int) strlen(text);
	char *published = pg_server_to_any(text, bytes, PG_UTF8);

	return published == text ? bytes : (int) strlen(published);
}

static uint64
outbox_key_name(const char *topic, const char *key)
{
	return lock_name(topic, strlen(topic), key, strlen(key));
}
