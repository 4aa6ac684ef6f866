/* SPDX-License-Identifier: PostgreSQL */
/* The answers of the functions: composite rows, and jsonb built as text. */
#include "concert.h"

#include "access/htup_details.h"
#include "catalog/pg_type_d.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#define ANSWER_COLUMNS_MAX 16

static const char *const reason_texts[] = {
	[REASON_NONE] = NULL,
#define X(name, text, meaning) [REASON_##name] = text,
	CONCERT_REASONS(X)
#undef X
};

const char *
reason_text(Reason reason)
{
	return reason_texts[reason];
}

NullableDatum
answer_reason(Reason reason)
{
	if (reason == REASON_NONE)
		return null_value();
	return value(CStringGetTextDatum(reason_text(reason)));
}

/* The tuple descriptor stays in the type cache, pinned by this call's function. */
Datum
answer_row(FunctionCallInfo fcinfo, const NullableDatum *columns, int count)
{
	Datum		values[ANSWER_COLUMNS_MAX];
	bool		nulls[ANSWER_COLUMNS_MAX];
	TupleDesc	tupdesc;
	HeapTuple	tuple;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("function returning record called in context that cannot accept type record")));
	Assert(tupdesc->natts == count && count <= ANSWER_COLUMNS_MAX);
	for (int i = 0; i < count; i++)
	{
		values[i] = columns[i].value;
		nulls[i] = columns[i].isnull;
	}
	tuple = heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls);
	return HeapTupleGetDatum(tuple);
}

Datum
answer_jsonb(const StringInfoData *text)
{
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(text->data));
}

const char *
uuid_text(const pg_uuid_t *id)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(id)));
}

void
json_append_string(StringInfo out, const char *text)
{
	escape_json(out, text);
}
