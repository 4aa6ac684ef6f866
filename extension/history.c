/* SPDX-License-Identifier: PostgreSQL */
/* Appending to the history; see history.h. */
#include "history.h"

#include "access/xact.h"
#include "direct.h"
#include "miscadmin.h"
#include "utils/xid8.h"

static SavedPlan insert_history = PLAN(
	"INSERT INTO concert.history (xid, at, concert_date_id, booking_id, user_id, action, actor,"
	" correlation_id, detail, seat_ids) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
	XID8OID, TIMESTAMPTZOID, UUIDOID, UUIDOID, UUIDOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
	UUIDARRAYOID);

void
history_add(const Act *act, TimestampTz now)
{
	const NullableDatum *columns;

	PreventCommandIfReadOnly("INSERT");
	columns =
		PLAN_ARGS(value(FullTransactionIdGetDatum(GetTopFullTransactionId())),
				  value(TimestampTzGetDatum(now)), uuid_value(&act->date_id),
				  act->booking_id == NULL ? null_value() : uuid_value(act->booking_id),
				  act->user_id == NULL ? null_value() : uuid_value(act->user_id),
				  text_value(act->action), text_value(act->actor), text_value(act->correlation_id),
				  text_value(act->detail), uuid_array_value(act->seat_ids, act->count));
	if (!direct_insert(DIRECT_HISTORY, columns))
		plan_write_rows(&insert_history, columns, 1);
}
