/* SPDX-License-Identifier: PostgreSQL */
/* The members of a request's JSON body. Each function that returns false has answered the request. */
#ifndef CONCERTD_BODY_H
#define CONCERTD_BODY_H

#include <stdbool.h>
#include <stdint.h>

#include "http.h"

/* default_text when it is absent; NULL: it must be there. */
bool body_text(HttpRequest *request, const json_t *body, const char *name, const char *default_text,
			   const char **ret_text) __attribute__((warn_unused_result));

/* A whole number from min on; default_number when it is absent. */
bool body_number(HttpRequest *request, const json_t *body, const char *name, int64_t min,
				 int64_t default_number, int64_t *ret_number) __attribute__((warn_unused_result));

/* At least one UUID, as the literal of an SQL array, which the caller frees; NULL when absent. */
bool body_ids(HttpRequest *request, const json_t *body, const char *name, char **ret_ids)
	__attribute__((warn_unused_result));

/* Strings and nulls as the literal of an SQL array; NULL: no memory. */
char *body_text_array(const json_t *texts);

#endif
