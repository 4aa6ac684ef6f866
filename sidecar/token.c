/* SPDX-License-Identifier: PostgreSQL */
/*
 * Tokens are encoded by extension/token_format.h and sealed here with OpenSSL's HMAC-SHA256. The
 * signature is checked before anything of the payload but its key id is looked at.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <uuid/uuid.h>

#include "token.h"

static bool token_read_keys(const char *key_file, TokenKeys *ret_keys, char *errstr,
							int errstr_size);
static bool token_seal(const TokenKeys *keys, Token *token, char *ret_text);
static bool token_unseal(const TokenKeys *keys, const char *text, TokenKind kind, Token *ret_token);
static bool token_mac(const TokenKey *key, const uint8_t *payload, uint8_t *ret_mac);

TokenKeys *
token_open(const char *key_file, char *errstr, int errstr_size)
{
	TokenKeys *keys = calloc(1, sizeof(TokenKeys));

	if (keys != NULL && !token_read_keys(key_file, keys, errstr, errstr_size))
	{
		free(keys);
		return NULL;
	}
	return keys;
}

bool
token_reload(TokenKeys *keys, const char *key_file, char *errstr, int errstr_size)
{
	TokenKeys fresh;

	if (!token_read_keys(key_file, &fresh, errstr, errstr_size))
		return false;
	*keys = fresh;
	OPENSSL_cleanse(&fresh, sizeof(fresh));
	return true;
}

void
token_close(TokenKeys *keys)
{
	if (keys == NULL)
		return;
	OPENSSL_cleanse(keys, sizeof(*keys));
	free(keys);
}

bool
token_sign_place(const TokenKeys *keys, const Place *place, char *ret_text)
{
	Token token = {.kind = TOKEN_PLACE,
				   .number = (uint64_t) place->number,
				   .issued_seconds = place->issued_seconds};

	if (uuid_parse(place->date_id, token.date_id) != 0 ||
		uuid_parse(place->user_id, token.user_id) != 0)
		return false;
	return token_seal(keys, &token, ret_text);
}

bool
token_sign_pass(const TokenKeys *keys, const Pass *pass, char *ret_text)
{
	Token token = {.kind = TOKEN_PASS,
				   .number = (uint64_t) pass->number,
				   .issued_seconds = pass->issued_seconds,
				   .expires_seconds = pass->expires_seconds};

	if (uuid_parse(pass->date_id, token.date_id) != 0 ||
		uuid_parse(pass->user_id, token.user_id) != 0)
		return false;
	return token_seal(keys, &token, ret_text);
}

bool
token_read_place(const TokenKeys *keys, const char *text, Place *ret_place)
{
	Token token;

	if (!token_unseal(keys, text, TOKEN_PLACE, &token))
		return false;
	uuid_unparse_lower(token.date_id, ret_place->date_id);
	uuid_unparse_lower(token.user_id, ret_place->user_id);
	ret_place->number = (int64_t) token.number;
	ret_place->issued_seconds = token.issued_seconds;
	return true;
}

bool
token_read_pass(const TokenKeys *keys, const char *text, Pass *ret_pass)
{
	Token token;

	if (!token_unseal(keys, text, TOKEN_PASS, &token))
		return false;
	uuid_unparse_lower(token.date_id, ret_pass->date_id);
	uuid_unparse_lower(token.user_id, ret_pass->user_id);
	ret_pass->number = (int64_t) token.number;
	ret_pass->issued_seconds = token.issued_seconds;
	ret_pass->expires_seconds = token.expires_seconds;
	return true;
}

static bool
token_read_keys(const char *key_file, TokenKeys *ret_keys, char *errstr, int errstr_size)
{
	char   text[TOKEN_KEY_FILE_BYTES_MAX + 1];
	FILE  *file = fopen(key_file, "re");
	size_t len;
	int	   line;

	if (file == NULL)
	{
		snprintf(errstr, (size_t) errstr_size, "could not open key file \"%s\": %s", key_file,
				 strerror(errno));
		return false;
	}
	setvbuf(file, NULL, _IONBF, 0);
	len = fread(text, 1, sizeof(text), file);
	line = ferror(file) != 0 || len > TOKEN_KEY_FILE_BYTES_MAX
		? -1
		: token_parse_keys(text, len, ret_keys);
	fclose(file);
	OPENSSL_cleanse(text, sizeof(text));
	if (line < 0)
		snprintf(errstr, (size_t) errstr_size,
				 "could not read key file \"%s\", or it is over %d bytes", key_file,
				 TOKEN_KEY_FILE_BYTES_MAX);
	else if (line > 0)
		snprintf(
			errstr, (size_t) errstr_size,
			"key file \"%s\", line %d: expected a new id 0..255 and 64 hex digits, at most %d keys",
			key_file, line, TOKEN_KEYS_MAX);
	return line == 0;
}

static bool
token_seal(const TokenKeys *keys, Token *token, char *ret_text)
{
	uint8_t bytes[TOKEN_BYTES];

	token->key_id = keys->key[0].id;
	token_encode_payload(token, bytes);
	if (!token_mac(&keys->key[0], bytes, bytes + TOKEN_PAYLOAD_BYTES))
		return false;
	token_to_text(bytes, ret_text);
	return true;
}

static bool
token_unseal(const TokenKeys *keys, const char *text, TokenKind kind, Token *ret_token)
{
	uint8_t			bytes[TOKEN_BYTES];
	uint8_t			mac[TOKEN_MAC_BYTES];
	const TokenKey *key;
	Token			token;

	if (!token_from_text(text, strnlen(text, TOKEN_TEXT_MAX), bytes))
		return false;
	token_decode_payload(bytes, &token);
	key = token_find_key(keys, token.key_id);
	if (key == NULL || !token_mac(key, bytes, mac) ||
		CRYPTO_memcmp(mac, bytes + TOKEN_PAYLOAD_BYTES, TOKEN_MAC_BYTES) != 0)
		return false;
	if (token.kind != kind || token.number > INT64_MAX)
		return false;
	*ret_token = token;
	return true;
}

static bool
token_mac(const TokenKey *key, const uint8_t *payload, uint8_t *ret_mac)
{
	unsigned int len = 0;

	return HMAC(EVP_sha256(), key->bytes, TOKEN_KEY_BYTES, payload, TOKEN_PAYLOAD_BYTES, ret_mac,
				&len) != NULL &&
		len == TOKEN_MAC_BYTES;
}
