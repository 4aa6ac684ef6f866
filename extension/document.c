/* SPDX-License-Identifier: PostgreSQL */
/* Reading a jsonb document by tables of keys; see document.h. */
#include "document.h"

#include "errors.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/numeric.h"

#define QUOTED_BYTES_MAX 60	  /* of somebody's key or value in a message */
#define INTEGER_DIGITS_MAX 18 /* always within an int64 */

static const char *const kind_names[] = {
	"null", "a string", "a number", "a boolean", "an array", "an object",
};

DocumentPath
document_root(const char *name)
{
	return (DocumentPath){.up = NULL, .key = name, .key_bytes = strlen(name)};
}

DocumentPath
document_key(const DocumentPath *up, const char *key)
{
	return (DocumentPath){.up = up, .key = key, .key_bytes = strlen(key)};
}

DocumentPath
document_index(const DocumentPath *up, int index)
{
	return (DocumentPath){.up = up, .key = NULL, .index = index};
}

/* Somebody's text as a JSON string, cut to a length that a message bears. */
static void
document_quote(StringInfo out, const char *text, int bytes)
{
	int kept = pg_mbcliplen(text, bytes, QUOTED_BYTES_MAX);

	escape_json(out, psprintf("%s%s", pnstrdup(text, kept), kept < bytes ? "..." : ""));
}

static bool
document_is_plain(const DocumentPath *at)
{
	return at->key_bytes > 0 && at->key_bytes <= QUOTED_BYTES_MAX &&
		strspn(at->key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") >=
		at->key_bytes;
}

static void
document_append_path(StringInfo out, const DocumentPath *at)
{
	if (at->up == NULL)
	{
		appendStringInfoString(out, at->key);
		return;
	}
	document_append_path(out, at->up);
	if (at->key == NULL)
		appendStringInfo(out, "[%d]", at->index);
	else if (document_is_plain(at))
		appendStringInfo(out, "%s%.*s", out->len > 0 ? "." : "", at->key_bytes, at->key);
	else
	{
		appendStringInfoChar(out, '[');
		document_quote(out, at->key, at->key_bytes);
		appendStringInfoChar(out, ']');
	}
}

const char *
document_where(const DocumentPath *at)
{
	StringInfoData out;

	initStringInfo(&out);
	document_append_path(&out, at);
	return out.data;
}

void
document_refuse(const DocumentPath *at, const char *problem)
{
	error_layout_refused(document_where(at), problem);
}

static int
document_kind(const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			return KIND_NULL;
		case jbvString:
			return KIND_STRING;
		case jbvNumeric:
			return KIND_NUMBER;
		case jbvBool:
			return KIND_BOOLEAN;
		default:
			return JsonContainerIsObject(value->val.binary.data) ? KIND_OBJECT : KIND_ARRAY;
	}
}

static void
document_require_kind(const JsonbValue *value, const DocumentPath *at, int kinds)
{
	int			   kind = document_kind(value);
	StringInfoData expected;

	if ((kind & kinds) != 0)
		return;
	initStringInfo(&expected);
	for (int i = 0; i < lengthof(kind_names); i++)
		if ((kinds & ~KIND_NULL & 1 << i) != 0)
			appendStringInfo(&expected, "%s%s", expected.len > 0 ? " or " : "", kind_names[i]);
	document_refuse(
		at,
		psprintf("expected %s, got %s", expected.data, kind_names[pg_leftmost_one_pos32(kind)]));
}

JsonbValue
document_value(Jsonb *jsonb, const DocumentPath *root)
{
	JsonbValue value;

	if (JB_ROOT_IS_SCALAR(jsonb))
		document_refuse(root, "expected an object, got a single value");
	JsonbToJsonbValue(jsonb, &value);
	document_require_kind(&value, root, KIND_OBJECT);
	return value;
}

static int
document_find_key(const DocumentKey *keys, int count, const DocumentPath *at)
{
	for (int i = 0; i < count; i++)
		if (strlen(keys[i].name) == at->key_bytes &&
			memcmp(keys[i].name, at->key, at->key_bytes) == 0)
			return i;
	return -1;
}

void
document_object(const JsonbValue *object, const DocumentPath *at, const DocumentKey *keys,
				int count, JsonbValue *ret_values)
{
	DocumentItems items = document_items(object, at, KIND_ANY);

	Assert(count <= DOCUMENT_KEYS_MAX);
	for (int i = 0; i < count; i++)
		ret_values[i].type = jbvNull;
	while (document_next(&items))
	{
		int i = document_find_key(keys, count, &items.at);

		if (i < 0)
			document_refuse(&items.at, "unknown key");
		document_require_kind(&items.item, &items.at, keys[i].kinds);
		ret_values[i] = items.item;
	}
	for (int i = 0; i < count; i++)
		if (keys[i].required && ret_values[i].type == jbvNull)
		{
			DocumentPath missing = document_key(at, keys[i].name);

			document_refuse(&missing, "missing");
		}
}

DocumentItems
document_items(const JsonbValue *container, const DocumentPath *at, int kinds)
{
	DocumentItems items = {.kinds = kinds, .at = {.up = at, .index = -1}};
	JsonbValue	  whole;

	items.iterator = JsonbIteratorInit(container->val.binary.data);
	items.keyed = JsonbIteratorNext(&items.iterator, &whole, true) == WJB_BEGIN_OBJECT;
	return items;
}

bool
document_next(DocumentItems *items)
{
	JsonbIteratorToken token = JsonbIteratorNext(&items->iterator, &items->item, true);

	if (token == WJB_KEY)
	{
		items->at.key = items->item.val.string.val;
		items->at.key_bytes = items->item.val.string.len;
		token = JsonbIteratorNext(&items->iterator, &items->item, true);
	}
	if (token != WJB_VALUE && token != WJB_ELEM)
		return false;
	items->at.index++;
	document_require_kind(&items->item, &items->at, items->kinds);
	return true;
}

int
document_count(const JsonbValue *container)
{
	return JsonContainerSize(container->val.binary.data);
}

/* The digits of a number are those that were written, whatever its size. */
int64
document_integer(const JsonbValue *value, const DocumentPath *at, int64 low, int64 high)
{
	char	   *digits = numeric_normalize(value->val.numeric);
	const char *unsigned_digits = digits + (digits[0] == '-' ? 1 : 0);
	int64		number;

	if (strspn(unsigned_digits, "0123456789") != strlen(unsigned_digits))
		document_refuse(at,
						psprintf("expected a whole number, got %.*s", QUOTED_BYTES_MAX, digits));
	number =
		strlen(unsigned_digits) > INTEGER_DIGITS_MAX ? PG_INT64_MAX : strtoll(digits, NULL, 10);
	if (number < low || number > high)
		document_refuse(at,
						psprintf("expected a number from " INT64_FORMAT " to " INT64_FORMAT
								 ", got %.*s",
								 low, high, QUOTED_BYTES_MAX, digits));
	pfree(digits);
	return number;
}

double
document_number(const JsonbValue *value, const DocumentPath *at, double limit)
{
	double number = DatumGetFloat8(
		DirectFunctionCall1(numeric_float8_no_overflow, NumericGetDatum(value->val.numeric)));

	if (!(number >= -limit && number <= limit))
		document_refuse(at,
						psprintf("expected a number from %g to %g, got %.*s", -limit, limit,
								 QUOTED_BYTES_MAX, numeric_normalize(value->val.numeric)));
	return number;
}

char *
document_text(const JsonbValue *value, const DocumentPath *at, int chars_min, int chars_max)
{
	int chars = pg_mbstrlen_with_len(value->val.string.val, value->val.string.len);

	if (chars < chars_min || chars > chars_max)
		document_refuse(
			at, psprintf("expected from %d to %d characters, got %d", chars_min, chars_max, chars));
	return pnstrdup(value->val.string.val, value->val.string.len);
}
