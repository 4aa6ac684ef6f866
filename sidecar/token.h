/* SPDX-License-Identifier: PostgreSQL */
/*
 * Places and passes: signing and checking the tokens of extension/token_format.h.
 *
 * Keys come from one file, `<id> <64 hex digits>` a line; the first signs, at most two are
 * believed. A reload either takes the whole new file or keeps the old keys. Signatures are
 * compared in constant time. Expiry is judged by the caller, who knows whose clock counts.
 */
#ifndef CONCERT_TOKEN_H
#define CONCERT_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "../extension/token_format.h"

#define TOKEN_TEXT_MAX (TOKEN_TEXT_CHARS + 1) /* any token as text, its NUL included */
#define TOKEN_UUID_LEN 36

typedef struct Place
{
	char	date_id[TOKEN_UUID_LEN + 1];
	char	user_id[TOKEN_UUID_LEN + 1];
	int64_t number;
	int64_t issued_seconds;
} Place;

typedef struct Pass
{
	char	date_id[TOKEN_UUID_LEN + 1];
	char	user_id[TOKEN_UUID_LEN + 1];
	int64_t number;
	int64_t issued_seconds; /* by the database's clock: the batch's */
	int64_t expires_seconds;
} Pass;

/* NULL when the file cannot be read or is malformed; errstr (errstr_size bytes) says why. */
TokenKeys *token_open(const char *key_file, char *errstr, int errstr_size);
bool	   token_reload(TokenKeys *keys, const char *key_file, char *errstr, int errstr_size)
	__attribute__((warn_unused_result));
void token_close(TokenKeys *keys);

/* false only when an id is no UUID. ret_text holds TOKEN_TEXT_MAX bytes. */
bool token_sign_place(const TokenKeys *keys, const Place *place, char *ret_text)
	__attribute__((warn_unused_result));
bool token_sign_pass(const TokenKeys *keys, const Pass *pass, char *ret_text)
	__attribute__((warn_unused_result));

/* false: malformed, of another kind, signed by no key of ours. ret_… is untouched then. */
bool token_read_place(const TokenKeys *keys, const char *text, Place *ret_place)
	__attribute__((warn_unused_result));
bool token_read_pass(const TokenKeys *keys, const char *text, Pass *ret_pass)
	__attribute__((warn_unused_result));

#endif
