/* SPDX-License-Identifier: PostgreSQL */
/*
 * A jsonb document that somebody wrote, read with its keys and kinds named in tables. Whatever
 * is not as the tables say raises LAYOUT_REFUSED and says where: zones[2].rows[0].seats[5].
 *
 * Reading never descends by itself: an object or an array is opened by who wants what is in it,
 * so the depth of a document costs nothing. Texts are copied, other values point into the jsonb.
 */
#ifndef CONCERT_DOCUMENT_H
#define CONCERT_DOCUMENT_H

#include "concert.h"

#include "utils/jsonb.h"

/* What a value may be; kinds are or-ed. */
#define KIND_NULL 0x01
#define KIND_STRING 0x02
#define KIND_NUMBER 0x04
#define KIND_BOOLEAN 0x08
#define KIND_ARRAY 0x10
#define KIND_OBJECT 0x20
#define KIND_ANY 0x3f

#define DOCUMENT_KEYS_MAX 16 /* of one table of keys */

/* Where a value stands: a key, or an index when the key is NULL, below another place. */
typedef struct DocumentPath
{
	const struct DocumentPath *up; /* NULL: the document itself, its key may be "" */
	const char				  *key;
	int						   key_bytes;
	int						   index;
} DocumentPath;

typedef struct DocumentKey
{
	const char *name;
	int			kinds;
	bool		required;
} DocumentKey;

typedef struct DocumentItems
{
	JsonbIterator *iterator;
	DocumentPath   at; /* of the item that document_next() gave */
	JsonbValue	   item;
	int			   kinds;
	bool		   keyed; /* of an object */
} DocumentItems;

extern DocumentPath document_root(const char *name);
extern DocumentPath document_key(const DocumentPath *up, const char *key);
extern DocumentPath document_index(const DocumentPath *up, int index);

extern void document_refuse(const DocumentPath *at, const char *problem) pg_attribute_noreturn();
extern const char *document_where(const DocumentPath *at);

/* The whole document, which must be an object. */
extern JsonbValue document_value(Jsonb *jsonb, const DocumentPath *root);

/* The values of an object's keys, in the table's order; a key that is not there reads as null. */
extern void document_object(const JsonbValue *object, const DocumentPath *at,
							const DocumentKey *keys, int count, JsonbValue *ret_values);

/* The items of an array, or the values of an object, each of one of the kinds. */
extern DocumentItems document_items(const JsonbValue *container, const DocumentPath *at, int kinds);
extern bool			 document_next(DocumentItems *items);
extern int			 document_count(const JsonbValue *container);

static inline bool
document_given(const JsonbValue *value)
{
	return value->type != jbvNull;
}

extern int64  document_integer(const JsonbValue *value, const DocumentPath *at, int64 low,
							   int64 high);
extern double document_number(const JsonbValue *value, const DocumentPath *at, double limit);
extern char	 *document_text(const JsonbValue *value, const DocumentPath *at, int chars_min,
							int chars_max);

#endif /* CONCERT_DOCUMENT_H */
