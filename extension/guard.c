/* SPDX-License-Identifier: PostgreSQL */
/*
 * The triggers that keep rows which must never go, for every role including their owner. What a
 * trigger's definition passes is its error's hint: what to do with the rows of that table instead.
 */
#include "errors.h"

#include "access/htup_details.h"
#include "commands/trigger.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(concert_refuse_delete);
PG_FUNCTION_INFO_V1(concert_refuse_change);

static TriggerData *
guard_trigger(FunctionCallInfo fcinfo)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function was not called by the trigger manager")));
	return (TriggerData *) fcinfo->context;
}

static const char *
guard_operation(const TriggerData *trigger)
{
	if (TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
		return "truncate";
	return TRIGGER_FIRED_BY_DELETE(trigger->tg_event) ? "delete from" : "update";
}

static const char *
guard_hint(const TriggerData *trigger)
{
	return trigger->tg_trigger->tgnargs > 0 ? trigger->tg_trigger->tgargs[0] : NULL;
}

Datum
concert_refuse_delete(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = guard_trigger(fcinfo);

	error_delete_refused(guard_operation(trigger), RelationGetRelationName(trigger->tg_relation),
						 guard_hint(trigger));
}

static bool
guard_is_account_column(const char *name)
{
	return strcmp(name, "debit_account_id") == 0 || strcmp(name, "credit_account_id") == 0;
}

/* Whether old and new row differ in nothing but the accounts' ids. */
static bool
guard_only_accounts_differ(const TriggerData *trigger)
{
	TupleDesc	tupdesc = RelationGetDescr(trigger->tg_relation);

	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(tupdesc, i);
		bool		old_null;
		bool		new_null;
		Datum		old_value = heap_getattr(trigger->tg_trigtuple, i + 1, tupdesc, &old_null);
		Datum		new_value = heap_getattr(trigger->tg_newtuple, i + 1, tupdesc, &new_null);

		if (column->attisdropped || guard_is_account_column(NameStr(column->attname)))
			continue;
		if (old_null != new_null ||
			(!old_null && !datumIsEqual(old_value, new_value, column->attbyval, column->attlen)))
			return false;
	}
	return true;
}

/*
 * The cascade of a changed account id arrives from inside the foreign key's own trigger, so it
 * is met one level deep; a plain UPDATE is not.
 */
static bool
guard_is_cascade(const TriggerData *trigger)
{
	return TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) &&
		TRIGGER_FIRED_FOR_ROW(trigger->tg_event) &&
		DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, (Datum) 0)) > 1 &&
		guard_only_accounts_differ(trigger);
}

Datum
concert_refuse_change(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = guard_trigger(fcinfo);

	if (guard_is_cascade(trigger))
		return PointerGetDatum(trigger->tg_newtuple);
	error_history_refused(guard_operation(trigger), RelationGetRelationName(trigger->tg_relation),
						  guard_hint(trigger));
}
