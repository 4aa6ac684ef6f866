/* SPDX-License-Identifier: PostgreSQL */
/* Building jsonb part by part; see json.h. */
#include "json.h"

#include "catalog/pg_type_d.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/numeric.h"

static void
json_push(Json *json, JsonbIteratorToken token, JsonbValue *item)
{
	json->root = pushJsonbValue(&json->state, token, item);
}

static JsonbValue
json_string(const char *text)
{
	return (JsonbValue){
		.type = jbvString,
		.val.string = {.len = (int) strlen(text), .val = unconstify(char *, text)},
	};
}

void
json_begin_object(Json *json)
{
	json_push(json, WJB_BEGIN_OBJECT, NULL);
}

void
json_end_object(Json *json)
{
	json_push(json, WJB_END_OBJECT, NULL);
}

void
json_begin_array(Json *json)
{
	json_push(json, WJB_BEGIN_ARRAY, NULL);
}

void
json_end_array(Json *json)
{
	json_push(json, WJB_END_ARRAY, NULL);
}

void
json_add_name(Json *json, const char *name)
{
	JsonbValue item = json_string(name);

	json_push(json, WJB_KEY, &item);
}

void
json_add_text(Json *json, const char *name, const char *text)
{
	JsonbValue item = json_string(text);

	json_add_name(json, name);
	json_push(json, WJB_VALUE, &item);
}

void
json_add_uuid(Json *json, const char *name, const pg_uuid_t *id)
{
	json_add_text(json, name, uuid_text(id));
}

void
json_add_uuid_or_null(Json *json, const char *name, const pg_uuid_t *id)
{
	JsonbValue item = {.type = jbvNull};

	if (id != NULL)
	{
		json_add_uuid(json, name, id);
		return;
	}
	json_add_name(json, name);
	json_push(json, WJB_VALUE, &item);
}

void
json_add_int64(Json *json, const char *name, int64 number)
{
	JsonbValue item = {.type = jbvNumeric, .val.numeric = int64_to_numeric(number)};

	json_add_name(json, name);
	json_push(json, WJB_VALUE, &item);
}

void
json_append_uuid(Json *json, const pg_uuid_t *id)
{
	JsonbValue item = json_string(uuid_text(id));

	json_push(json, WJB_ELEM, &item);
}

void
json_add_bool(Json *json, const char *name, bool flag)
{
	JsonbValue item = {.type = jbvBool, .val.boolean = flag};

	json_add_name(json, name);
	json_push(json, WJB_VALUE, &item);
}

void
json_append_int64(Json *json, int64 number)
{
	JsonbValue item = {.type = jbvNumeric, .val.numeric = int64_to_numeric(number)};

	json_push(json, WJB_ELEM, &item);
}

static JsonbValue
json_timestamp(TimestampTz time)
{
	char *text = palloc(MAXDATELEN + 1);

	JsonEncodeDateTime(text, TimestampTzGetDatum(time), TIMESTAMPTZOID, NULL);
	return json_string(text);
}

static JsonbValue
json_jsonb(Jsonb *jsonb)
{
	return (JsonbValue){
		.type = jbvBinary,
		.val.binary = {.data = &jsonb->root, .len = VARSIZE(jsonb) - VARHDRSZ},
	};
}

static JsonbValue
json_value(NullableDatum datum, Oid type)
{
	if (datum.isnull)
		return (JsonbValue){.type = jbvNull};
	switch (type)
	{
		case BOOLOID:
			return (JsonbValue){.type = jbvBool, .val.boolean = DatumGetBool(datum.value)};
		case INT8OID:
			return (JsonbValue){.type = jbvNumeric,
								.val.numeric = int64_to_numeric(DatumGetInt64(datum.value))};
		case INT4OID:
			return (JsonbValue){.type = jbvNumeric,
								.val.numeric = int64_to_numeric(DatumGetInt32(datum.value))};
		case TEXTOID:
			return json_string(TextDatumGetCString(datum.value));
		case UUIDOID:
			return json_string(uuid_text(DatumGetUUIDP(datum.value)));
		case UUIDARRAYOID:
			return json_string(OidOutputFunctionCall(F_ARRAY_OUT, datum.value));
		case TIMESTAMPTZOID:
			return json_timestamp(DatumGetTimestampTz(datum.value));
		case JSONBOID:
			return json_jsonb(DatumGetJsonbP(datum.value));
		default:
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("an answer of concert has a column of type %u", type)));
	}
	pg_unreachable();
}

void
json_add_datum(Json *json, const char *name, NullableDatum datum, Oid type)
{
	JsonbValue item = json_value(datum, type);

	json_add_name(json, name);
	json_push(json, WJB_VALUE, &item);
}

Jsonb *
json_finish(Json *json)
{
	return JsonbValueToJsonb(json->root);
}
