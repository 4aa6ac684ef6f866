/* SPDX-License-Identifier: PostgreSQL */
/* Headers are believed only from api.trusted; from anywhere else nobody is calling. */
#include <string.h>

#include <uuid.h>

#include "caller.h"
#include "problem.h"

bool
caller_user(HttpRequest *request, char ret_user[ID_BYTES])
{
	const char *user = http_header(request, "X-User-Id");

	if (caller_known_user(request, ret_user))
		return true;
	if (http_trusted(request) && user != NULL)
		problem_reply(request, PROBLEM_BAD_REQUEST, "X-User-Id is not a UUID.");
	else
		problem_reply(request, PROBLEM_CALLER_UNKNOWN,
					  "X-User-Id from a trusted address is needed.");
	return false;
}

bool
caller_operator(HttpRequest *request)
{
	if (caller_is_operator(request))
		return true;
	if (http_trusted(request))
		problem_reply(request, PROBLEM_FORBIDDEN, "X-Role: operator is needed.");
	else
		problem_reply(request, PROBLEM_CALLER_UNKNOWN, "X-Role from a trusted address is needed.");
	return false;
}

bool
caller_path_id(HttpRequest *request, int i, char ret_id[ID_BYTES])
{
	const char *text = http_path_param(request, i);

	if (text != NULL && id_parse(text, ret_id))
		return true;
	problem_reply(request, PROBLEM_BAD_REQUEST, "The id in the path is not a UUID.");
	return false;
}

bool
caller_is_operator(const HttpRequest *request)
{
	const char *role = http_trusted(request) ? http_header(request, "X-Role") : NULL;

	return role != NULL && strcmp(role, "operator") == 0;
}

bool
caller_known_user(const HttpRequest *request, char ret_user[ID_BYTES])
{
	const char *user = http_trusted(request) ? http_header(request, "X-User-Id") : NULL;

	return user != NULL && id_parse(user, ret_user);
}

bool
id_parse(const char *text, char ret_id[ID_BYTES])
{
	uuid_t uuid;

	if (uuid_parse(text, uuid) != 0)
		return false;
	uuid_unparse_lower(uuid, ret_id);
	return true;
}
