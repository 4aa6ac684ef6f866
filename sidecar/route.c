/* SPDX-License-Identifier: PostgreSQL */
/* One walk over pattern and path, side by side. */
#include <string.h>

#include "route.h"

static bool route_take_segment(const char *path, size_t len, RouteParams *params);

bool
route_match(const char *pattern, const char *path, RouteParams *ret_params)
{
	RouteParams params = {0};

	while (*pattern != '\0')
	{
		if (*pattern == '*')
		{
			*ret_params = params;
			return true;
		}
		if (*pattern == '{')
		{
			size_t len = strcspn(path, "/");

			if (!route_take_segment(path, len, &params))
				return false;
			path += len;
			pattern += strcspn(pattern, "}") + 1;
		}
		else if (*pattern++ != *path++)
			return false;
	}
	if (*path != '\0')
		return false;
	*ret_params = params;
	return true;
}

static bool
route_take_segment(const char *path, size_t len, RouteParams *params)
{
	if (len == 0 || len >= ROUTE_PARAM_BYTES || params->count == ROUTE_PARAMS_MAX)
		return false;
	memcpy(params->values[params->count], path, len);
	params->values[params->count++][len] = '\0';
	return true;
}
