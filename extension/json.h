/* SPDX-License-Identifier: PostgreSQL */
/*
 * Building jsonb without its text: a value is pushed part by part. Strings are not copied until
 * json_finish(), so they must live until then; everything is in the current memory context.
 */
#ifndef CONCERT_JSON_H
#define CONCERT_JSON_H

#include "concert.h"

#include "utils/jsonb.h"

typedef struct Json
{
	JsonbParseState *state;
	JsonbValue		*root; /* set by the last json_end */
} Json;

extern void json_begin_object(Json *json);
extern void json_end_object(Json *json);
extern void json_begin_array(Json *json);
extern void json_end_array(Json *json);

/* A member of the open object: its name, which must be a literal, and its value. */
extern void json_add_text(Json *json, const char *name, const char *text);
extern void json_add_uuid(Json *json, const char *name, const pg_uuid_t *id);
extern void json_add_uuid_or_null(Json *json, const char *name, const pg_uuid_t *id);
extern void json_add_int64(Json *json, const char *name, int64 number);
extern void json_add_bool(Json *json, const char *name, bool flag);

/* A value of one of the types that answers have; any other is an error (XX000). */
extern void json_add_datum(Json *json, const char *name, NullableDatum datum, Oid type);

/* The name of a member whose value is an object or an array, begun next. */
extern void json_add_name(Json *json, const char *name);

/* An element of the open array. */
extern void json_append_uuid(Json *json, const pg_uuid_t *id);
extern void json_append_int64(Json *json, int64 number);

extern Jsonb *json_finish(Json *json);

#endif /* CONCERT_JSON_H */
