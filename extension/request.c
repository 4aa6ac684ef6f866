/* SPDX-License-Identifier: PostgreSQL */
/*
 * Idempotency; see request.h. A ring of four tables, each for 3.5 days: the current one and the
 * two before it hold at least seven days, the fourth is emptied by request_rotate(). No unique
 * index spans them: the key's lock makes looking and recording one step.
 */
#include "request.h"

#include "access/table.h"
#include "common/cryptohash.h"
#include "direct.h"
#include "errors.h"
#include "executor/executor.h"
#include "guard.h"
#include "json.h"
#include "lock.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#define REQUEST_TABLES 4
#define REQUEST_KEPT_DAYS 7
#define REQUEST_PERIOD_SECONDS (REQUEST_KEPT_DAYS * SECS_PER_DAY / 2)

PG_FUNCTION_INFO_V1(concert_request_rotate);

#define FIND_IN(n)                                              \
	"SELECT digest, result, created_at FROM concert.request_" n \
	" WHERE user_id = $1 AND operation = $2 AND key = $3"

static SavedPlan find_request = PLAN(
	"SELECT digest, result FROM (" FIND_IN("0") " UNION ALL " FIND_IN("1") " UNION ALL " FIND_IN(
		"2") " UNION ALL " FIND_IN("3") ") AS request WHERE created_at > $4",
	UUIDOID, TEXTOID, TEXTOID, TIMESTAMPTZOID);

#define RECORD_IN(n)                                                                               \
	PLAN("INSERT INTO concert.request_" n " (user_id, operation, key, digest, result, created_at)" \
		 " VALUES ($1, $2, $3, $4, $5, $6)",                                                       \
		 UUIDOID, TEXTOID, TEXTOID, BYTEAOID, JSONBOID, TIMESTAMPTZOID)

enum
{
	REQUEST_DIGEST = 4,
	REQUEST_RESULT,
	REQUEST_CREATED
};

static SavedPlan record_request[REQUEST_TABLES] = {RECORD_IN("0"), RECORD_IN("1"), RECORD_IN("2"),
												   RECORD_IN("3")};

/* NULL: it is empty. */
#define ALL_OLDER_IN(n) PLAN("SELECT max(created_at) <= $1 FROM concert.request_" n, TIMESTAMPTZOID)
#define EMPTY_IN(n) PLAN("TRUNCATE concert.request_" n, InvalidOid)

static SavedPlan all_older[REQUEST_TABLES] = {ALL_OLDER_IN("0"), ALL_OLDER_IN("1"),
											  ALL_OLDER_IN("2"), ALL_OLDER_IN("3")};
static SavedPlan empty_requests[REQUEST_TABLES] = {EMPTY_IN("0"), EMPTY_IN("1"), EMPTY_IN("2"),
												   EMPTY_IN("3")};

static int
request_table(TimestampTz now, int periods_ahead)
{
	int64 period = now / (REQUEST_PERIOD_SECONDS * USECS_PER_SEC) + periods_ahead;

	return (int) (period % REQUEST_TABLES);
}

static void
request_digest(const char *content, uint8 ret_digest[PG_SHA256_DIGEST_LENGTH])
{
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);

	if (context == NULL || pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, (const uint8 *) content, strlen(content)) < 0 ||
		pg_cryptohash_final(context, ret_digest, PG_SHA256_DIGEST_LENGTH) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not compute a SHA-256 digest")));
	pg_cryptohash_free(context);
}

void
request_init(Request *request, const char *operation, SavedPlan *replay, const char *key,
			 const pg_uuid_t *user_id, const char *content)
{
	request->operation = operation;
	request->key = key;
	request->user_id = *user_id;
	request->replay = replay;
	if (key != NULL)
		request_digest(content, request->digest);
}

static bool
request_goes_direct(void)
{
	for (int part = 0; part < REQUEST_TABLES; part++)
		if (!direct_is_readable(DIRECT_REQUEST_0 + part))
			return false;
	return true;
}

/*
 * Without a page it has no row, and an answer's page is there before the lock of its key is free:
 * that costs half of what a look into an empty index does. Once this backend has seen a page it asks
 * no more, so that tables in use do not pay for it.
 */
static bool
request_part_is_empty(int part)
{
	static bool has_pages[REQUEST_TABLES];
	Relation	table;

	if (has_pages[part])
		return false;
	table = table_open(direct_table_oid(DIRECT_REQUEST_0 + part), AccessShareLock);
	has_pages[part] = RelationGetNumberOfBlocks(table) > 0;
	table_close(table, AccessShareLock);
	return !has_pages[part];
}

/* The key's first three parts are the index's columns, the fourth is since when answers count. */
static bool
request_find_direct(const NullableDatum *key, bytea **ret_digest, Datum *ret_result)
{
	Datum		keys[] = {key[0].value, key[1].value, key[2].value};
	TimestampTz since = DatumGetTimestampTz(key[3].value);
	Snapshot	snapshot = direct_snapshot();
	bool		found = false;

	for (int part = 0; part < REQUEST_TABLES && !found; part++)
	{
		DirectScan scan;
		bool	   isnull;

		if (request_part_is_empty(part))
			continue;
		direct_scan_begin(&scan, DIRECT_REQUEST_0_KEY + part, snapshot, keys, lengthof(keys));
		while (!found && direct_scan_next(&scan, ForwardScanDirection))
		{
			if (direct_int64(&scan, REQUEST_CREATED) <= since)
				continue;
			found = true;
			*ret_digest = DatumGetByteaPCopy(direct_datum(&scan, REQUEST_DIGEST, &isnull));
			*ret_result =
				JsonbPGetDatum(DatumGetJsonbPCopy(direct_datum(&scan, REQUEST_RESULT, &isnull)));
		}
		direct_scan_end(&scan);
	}
	UnregisterSnapshot(snapshot);
	return found;
}

/* The answer as the JSON object that jsonb_populate_record() makes the same row of. */
static Datum
request_result(Datum answer)
{
	HeapTupleHeader row = DatumGetHeapTupleHeader(answer);
	TupleDesc		columns = lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row), -1);
	Json			result = {0};

	json_begin_object(&result);
	for (int i = 0; i < columns->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(columns, i);
		NullableDatum	  datum;

		datum.value = GetAttributeByNum(row, i + 1, &datum.isnull);
		json_add_datum(&result, NameStr(column->attname), datum, column->atttypid);
	}
	json_end_object(&result);
	answer = JsonbPGetDatum(json_finish(&result));
	ReleaseTupleDesc(columns);
	return answer;
}

/* Copies the digest and the result of an answer that is kept, whichever part of the ring has it. */
static bool
request_find(const Request *request, bytea **ret_digest, Datum *ret_result)
{
	const NullableDatum *key = PLAN_ARGS(
		uuid_value(&request->user_id), text_value(request->operation), text_value(request->key),
		value(TimestampTzGetDatum(GetCurrentTimestamp() - REQUEST_KEPT_DAYS * USECS_PER_DAY)));

	if (request_goes_direct())
		return request_find_direct(key, ret_digest, ret_result);
	if (plan_read(&find_request, key) == 0)
		return false;
	*ret_digest = DatumGetByteaPCopy(plan_datum(0, 0));
	*ret_result = JsonbPGetDatum(DatumGetJsonbPCopy(plan_datum(0, 1)));
	return true;
}

bool
request_replay(const Request *request, MemoryContext context, Datum *ret_answer)
{
	char		 *scope;
	bytea		 *digest;
	Datum		  result;
	MemoryContext work;

	if (request->key == NULL)
		return false;
	scope = psprintf("%s %s", request->operation, request->key);
	lock_wait(LOCK_REQUEST, lock_name(&request->user_id, UUID_LEN, scope, strlen(scope)));
	if (!request_find(request, &digest, &result))
		return false;
	if (VARSIZE_ANY_EXHDR(digest) != PG_SHA256_DIGEST_LENGTH ||
		memcmp(VARDATA_ANY(digest), request->digest, PG_SHA256_DIGEST_LENGTH) != 0)
		error_key_reused(request->key, request->operation);
	plan_read(request->replay, PLAN_ARGS(value(result)));
	work = MemoryContextSwitchTo(context);
	*ret_answer = datumCopy(plan_datum(0, 0), false, -1);
	MemoryContextSwitchTo(work);
	return true;
}

void
request_record(const Request *request, Datum answer)
{
	TimestampTz			 now;
	int					 part;
	const NullableDatum *columns;
	bytea				*digest;

	if (request->key == NULL)
		return;
	now = GetCurrentTimestamp();
	part = request_table(now, 0);
	digest = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	SET_VARSIZE(digest, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	memcpy(VARDATA(digest), request->digest, PG_SHA256_DIGEST_LENGTH);
	columns = PLAN_ARGS(uuid_value(&request->user_id), text_value(request->operation),
						text_value(request->key), value(PointerGetDatum(digest)),
						value(request_result(answer)), value(TimestampTzGetDatum(now)));
	if (!direct_insert(DIRECT_REQUEST_0 + part, columns))
		plan_write_rows(&record_request[part], columns, 1);
}

/*
 * The next period's table holds the period that ended at least seven days ago, unless a clock was
 * set back. It is looked through before its lock, for which every key would wait; what came into it
 * since then came in the next period, and then it is left for later.
 */
Datum
concert_request_rotate(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz since = now - REQUEST_KEPT_DAYS * USECS_PER_DAY;
	int			n = request_table(now, 1);
	const char *table = psprintf("request_%d", n);
	int			emptied = 0;

	plan_begin();
	plan_read(&all_older[n], PLAN_ARGS(value(TimestampTzGetDatum(since))));
	if (!plan_is_null(0, 0) && plan_bool(0, 0) && lock_table_try(table) &&
		request_table(GetCurrentTimestamp(), 1) == n)
	{
		guard_truncate(table, &empty_requests[n]);
		emptied = 1;
	}
	plan_end();
	PG_RETURN_INT32(emptied);
}
