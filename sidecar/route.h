/* SPDX-License-Identifier: PostgreSQL */
/*
 * Matching of a decoded request path with a pattern: "{name}" is one segment that is not empty,
 * a closing "*" is all the rest, the empty rest too; everything else stands for itself.
 */
#ifndef CONCERTD_ROUTE_H
#define CONCERTD_ROUTE_H

#include <stdbool.h>

#define ROUTE_PARAMS_MAX 2
#define ROUTE_PARAM_BYTES 64 /* longer segments match no "{name}"; "*" is not kept */

typedef struct RouteParams
{
	int	 count;
	char values[ROUTE_PARAMS_MAX][ROUTE_PARAM_BYTES];
} RouteParams;

bool route_match(const char *pattern, const char *path, RouteParams *ret_params);

#endif
