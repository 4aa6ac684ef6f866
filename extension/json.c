/* SPDX-License-Identifier: PostgreSQL */
/* Building jsonb part by part; see json.h. */
#include "json.h"

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
	JsonbValue	item = json_string(name);

	json_push(json, WJB_KEY, &item);
}

void
json_add_text(Json *json, const char *name, const char *text)
{
	JsonbValue	item = json_string(text);

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
	JsonbValue	item = {.type = jbvNull};

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
	JsonbValue	item = {.type = jbvNumeric, .val.numeric = int64_to_numeric(number)};

	json_add_name(json, name);
	json_push(json, WJB_VALUE, &item);
}

void
json_append_uuid(Json *json, const pg_uuid_t *id)
{
	JsonbValue	item = json_string(uuid_text(id));

	json_push(json, WJB_ELEM, &item);
}

void
json_add_bool(Json *json, const char *name, bool flag)
{
	JsonbValue	item = {.type = jbvBool, .val.boolean = flag};

	json_add_name(json, name);
	json_push(json, WJB_VALUE, &item);
}

void
json_append_int64(Json *json, int64 number)
{
	JsonbValue	item = {.type = jbvNumeric, .val.numeric = int64_to_numeric(number)};

	json_push(json, WJB_ELEM, &item);
}

Jsonb *
json_finish(Json *json)
{
	return JsonbValueToJsonb(json->root);
}
