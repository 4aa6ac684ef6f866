/* SPDX-License-Identifier: PostgreSQL */
/* The answers of the functions: composite rows and reasons. */
#include "concert.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#define ANSWER_COLUMNS_MAX 16
#define UUID_TEXT_CHARS 36

static const char *const reason_texts[] = {[REASON_NONE] = NULL,
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

/* The function is declared to return one of our composite types, which the type cache knows. */
Datum
answer_row(FunctionCallInfo fcinfo, const NullableDatum *columns, int count)
{
	Datum	  values[ANSWER_COLUMNS_MAX];
	bool	  nulls[ANSWER_COLUMNS_MAX];
	TupleDesc tupdesc = lookup_rowtype_tupdesc(get_func_rettype(fcinfo->flinfo->fn_oid), -1);
	HeapTuple tuple;

	Assert(tupdesc->natts == count && count <= ANSWER_COLUMNS_MAX);
	for (int i = 0; i < count; i++)
	{
		values[i] = columns[i].value;
		nulls[i] = columns[i].isnull;
	}
	tuple = heap_form_tuple(tupdesc, values, nulls);
	ReleaseTupleDesc(tupdesc);
	return HeapTupleGetDatum(tuple);
}

/* As uuid_out() does, in a twentieth of its memory: an answer and its event name a dozen. */
const char *
uuid_text(const pg_uuid_t *id)
{
	char *text = palloc(UUID_TEXT_CHARS + 1);
	char *next = text;

	for (int i = 0; i < UUID_LEN; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*next++ = '-';
		next += hex_encode((const char *) &id->data[i], 1, next);
	}
	*next = '\0';
	return text;
}
