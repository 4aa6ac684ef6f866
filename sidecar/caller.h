/* SPDX-License-Identifier: PostgreSQL */
/*
 * Who calls and about what: the user and the role that a trusted gateway names, and ids out of the
 * path. Each function that returns false has answered the request. Ids come out in lower case, as
 * the database and Redis write them.
 */
#ifndef CONCERTD_CALLER_H
#define CONCERTD_CALLER_H

#include <stdbool.h>

#include "http.h"

#define ID_BYTES 37 /* a UUID as text, its NUL included */

bool caller_user(HttpRequest *request, char ret_user[ID_BYTES]) __attribute__((warn_unused_result));
bool caller_operator(HttpRequest *request) __attribute__((warn_unused_result));
bool caller_path_id(HttpRequest *request, int i, char ret_id[ID_BYTES])
	__attribute__((warn_unused_result));

/* These two answer nothing. */
bool caller_is_operator(const HttpRequest *request);
bool caller_known_user(const HttpRequest *request, char ret_user[ID_BYTES]);

/* false: not a UUID in its 36-character form. */
bool id_parse(const char *text, char ret_id[ID_BYTES]);

#endif
