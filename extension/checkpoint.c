/* SPDX-License-Identifier: PostgreSQL */
/*
 * Checkpoints: the sum of an account's transfers up to a number under which none can follow.
 *
 * A transfer takes the table's lock and then its number (account.c, transfer.c). So once all who
 * held that lock are gone, every number given out before is that of a row which is committed or
 * never will be; and whoever's snapshot sees the checkpoint sees those rows. That holds over a
 * crash, a failover, and a clock that goes back; times do not.
 *
 * Of an account with a floor the transfers follow each other under its lock, so that whoever makes
 * one knows that none can follow under its number: accounts_save() writes those checkpoints.
 */
#include "checkpoint.h"

#include "direct.h"
#include "errors.h"
#include "miscadmin.h"
#include "storage/lmgr.h"

#define CHECKPOINTS_MAX 10000

PG_FUNCTION_INFO_V1(concert_checkpoint_accounts);

static SavedPlan read_number = PLAN(
	"SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM concert.transfer_seq",
	InvalidOid);

static SavedPlan find_long =
	PLAN("SELECT a.id FROM concert.account AS a LEFT JOIN LATERAL ("
		 "  SELECT k.seq FROM concert.account_checkpoint AS k"
		 "  WHERE k.account_id = a.id ORDER BY k.seq DESC LIMIT 1) AS c ON true"
		 " WHERE a.floor IS NULL AND a.deleted_at IS NULL AND ("
		 "  SELECT count(*) FROM ("
		 "   (SELECT 1 FROM concert.transfer WHERE debit_account_id = a.id AND seq <= $1"
		 "    AND seq > coalesce(c.seq, 0) LIMIT $2) UNION ALL"
		 "   (SELECT 1 FROM concert.transfer WHERE credit_account_id = a.id AND seq <= $1"
		 "    AND seq > coalesce(c.seq, 0) LIMIT $2)) AS t) >= $2 LIMIT $3",
		 INT8OID, INT4OID, INT4OID);

static SavedPlan insert_checkpoint = PLAN(
	"WITH c AS ("
	" SELECT seq, debits, credits, last_at, set_back_us FROM concert.account_checkpoint"
	" WHERE account_id = $1 ORDER BY seq DESC LIMIT 1),"
	" t AS ("
	"  (SELECT seq, amount AS debit, 0 AS credit, created_at FROM concert.transfer"
	"   WHERE debit_account_id = $1 AND seq <= $2 AND seq > coalesce((SELECT seq FROM c), 0)"
	"   ORDER BY seq LIMIT $3) UNION ALL"
	"  (SELECT seq, 0, amount, created_at FROM concert.transfer"
	"   WHERE credit_account_id = $1 AND seq <= $2 AND seq > coalesce((SELECT seq FROM c), 0)"
	"   ORDER BY seq LIMIT $3) ORDER BY seq LIMIT $3)"
	" INSERT INTO concert.account_checkpoint (account_id, seq, debits, credits, last_at, set_back_us)"
	" SELECT $1, max(seq), sum(debit) + coalesce((SELECT debits FROM c), 0),"
	" sum(credit) + coalesce((SELECT credits FROM c), 0),"
	" greatest(max(created_at), (SELECT last_at FROM c)),"
	" greatest((SELECT set_back_us FROM c), 0, extract(epoch FROM"
	"  (SELECT last_at FROM c) - min(created_at)) * 1000000)::bigint FROM t HAVING count(*) = $3"
	" ON CONFLICT (account_id, seq) DO NOTHING",
	UUIDOID, INT8OID, INT4OID);

/* The highest number under which no transfer can follow. */
static int64
checkpoint_number(void)
{
	LOCKTAG tag;
	int64	number;

	plan_read(&read_number, NULL);
	number = plan_int64(0, 0);
	SET_LOCKTAG_RELATION(tag, MyDatabaseId, direct_table_oid(DIRECT_TRANSFER));
	WaitForLockers(tag, ShareLock, false);
	return number;
}

int
checkpoint_account(const pg_uuid_t *account_id, int64 number, int max)
{
	int written = 0;

	while (written < max &&
		   plan_write(&insert_checkpoint,
					  PLAN_ARGS(uuid_value(account_id), value(Int64GetDatum(number)),
								value(Int32GetDatum(CHECKPOINT_TRANSFERS)))) == 1)
		written++;
	return written;
}

Datum
concert_checkpoint_accounts(PG_FUNCTION_ARGS)
{
	int		   max;
	int		   count;
	int		   written = 0;
	int64	   number;
	pg_uuid_t *ids;

	version_require();
	max = argument_int32(fcinfo, 0, "max_checkpoints", 1, CHECKPOINTS_MAX);
	plan_begin();
	number = checkpoint_number();
	count =
		plan_read(&find_long,
				  PLAN_ARGS(value(Int64GetDatum(number)),
							value(Int32GetDatum(CHECKPOINT_TRANSFERS)), value(Int32GetDatum(max))));
	ids = plan_uuids(count, 0);
	for (int i = 0; i < count; i++)
		written += checkpoint_account(&ids[i], number, max - written);
	plan_end();
	PG_RETURN_INT32(written);
}
