/* SPDX-License-Identifier: PostgreSQL */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "caller.h"
#include "problem.h"

#define DETAIL_BYTES 96

static bool body_refuse(HttpRequest *request, const char *name, const char *expected);

bool
body_text(HttpRequest *request, const json_t *body, const char *name, const char *default_text,
		  const char **ret_text)
{
	const json_t *value = json_object_get(body, name);

	*ret_text = value == NULL ? default_text : json_string_value(value);
	return *ret_text != NULL || body_refuse(request, name, "a text");
}

bool
body_number(HttpRequest *request, const json_t *body, const char *name, int64_t min,
			int64_t default_number, int64_t *ret_number)
{
	const json_t *value = json_object_get(body, name);
	char		  expected[DETAIL_BYTES / 2];

	*ret_number = value == NULL ? default_number : json_integer_value(value);
	if ((value == NULL || json_is_integer(value)) && *ret_number >= min)
		return true;
	snprintf(expected, sizeof(expected), "a whole number from %lld on", (long long) min);
	return body_refuse(request, name, expected);
}

bool
body_ids(HttpRequest *request, const json_t *body, const char *name, char **ret_ids)
{
	const json_t *ids = json_object_get(body, name);
	size_t		  i;
	const json_t *text;
	char		  id[ID_BYTES];
	bool		  valid = json_is_array(ids) && json_array_size(ids) > 0;

	*ret_ids = NULL;
	if (ids == NULL)
		return true;
	json_array_foreach((json_t *) ids, i, text) valid =
		valid && json_is_string(text) && id_parse(json_string_value(text), id);
	if (!valid)
		return body_refuse(request, name, "an array of ids");
	*ret_ids = body_text_array(ids);
	if (*ret_ids == NULL)
		problem_reply(request, PROBLEM_INTERNAL, NULL);
	return *ret_ids != NULL;
}

char *
body_text_array(const json_t *texts)
{
	size_t		  size = sizeof("{}");
	size_t		  i;
	const json_t *text;
	char		 *literal;
	char		 *at;

	json_array_foreach((json_t *) texts, i, text) size +=
		sizeof(",NULL") + 2 * json_string_length(text);
	literal = malloc(size);
	if (literal == NULL)
		return NULL;
	at = literal;
	json_array_foreach((json_t *) texts, i, text)
	{
		*at++ = i == 0 ? '{' : ',';
		if (json_is_null(text))
		{
			at = stpcpy(at, "NULL");
			continue;
		}
		*at++ = '"';
		for (const char *from = json_string_value(text); *from != '\0'; from++)
		{
			if (*from == '"' || *from == '\\')
				*at++ = '\\';
			*at++ = *from;
		}
		*at++ = '"';
	}
	strcpy(at, "}");
	return literal;
}

static bool
body_refuse(HttpRequest *request, const char *name, const char *expected)
{
	char detail[DETAIL_BYTES];

	snprintf(detail, sizeof(detail), "\"%s\" is not %s.", name, expected);
	problem_reply(request, PROBLEM_INVALID, detail);
	return false;
}
