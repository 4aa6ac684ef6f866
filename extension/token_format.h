/* SPDX-License-Identifier: PostgreSQL */
/*
 * The wire form of places and passes, written once for both halves: plain C, no
 * allocation, no cryptography. Each half brings its own HMAC-SHA256 (RFC 2104).
 *
 * A token is 60 bytes of payload, big-endian, followed by the 32-byte HMAC over
 * them, in base64url without padding (RFC 4648 section 5): 123 characters.
 */
#ifndef CONCERT_TOKEN_FORMAT_H
#define CONCERT_TOKEN_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TOKEN_PAYLOAD_BYTES 60
#define TOKEN_MAC_BYTES 32
#define TOKEN_BYTES (TOKEN_PAYLOAD_BYTES + TOKEN_MAC_BYTES)
#define TOKEN_TEXT_CHARS 123
#define TOKEN_UUID_BYTES 16

#define TOKEN_KEYS_MAX 2
#define TOKEN_KEY_BYTES 32
#define TOKEN_KEY_FILE_BYTES_MAX 4096

typedef enum TokenKind
{
	TOKEN_PASS = 'P',
	TOKEN_PLACE = 'Q'
} TokenKind;

typedef struct Token
{
	uint8_t kind; /* TokenKind */
	uint8_t key_id;
	uint8_t class; /* of admission; 0 is the general public */
	uint8_t	 date_id[TOKEN_UUID_BYTES];
	uint8_t	 user_id[TOKEN_UUID_BYTES];
	uint64_t number;		  /* in the waiting room */
	int64_t	 issued_seconds;  /* Unix time, by the database's clock for a pass */
	int64_t	 expires_seconds; /* Unix time; 0 for a place, which never expires */
} Token;

typedef struct TokenKey
{
	uint8_t id;
	uint8_t bytes[TOKEN_KEY_BYTES];
} TokenKey;

/* The keys of one file: the first signs, all verify. */
typedef struct TokenKeys
{
	int		 count;
	TokenKey key[TOKEN_KEYS_MAX];
} TokenKeys;

static inline void
token_put64(uint8_t *at, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		at[i] = (uint8_t) (value >> (56 - 8 * i));
}

static inline uint64_t
token_get64(const uint8_t *at)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value = value << 8 | at[i];
	return value;
}

static inline void
token_encode_payload(const Token *token, uint8_t payload[TOKEN_PAYLOAD_BYTES])
{
	payload[0] = token->kind;
	payload[1] = token->key_id;
	payload[2] = token->class;
	payload[3] = 0;
	memcpy(payload + 4, token->date_id, TOKEN_UUID_BYTES);
	memcpy(payload + 20, token->user_id, TOKEN_UUID_BYTES);
	token_put64(payload + 36, token->number);
	token_put64(payload + 44, (uint64_t) token->issued_seconds);
	token_put64(payload + 52, (uint64_t) token->expires_seconds);
}

static inline void
token_decode_payload(const uint8_t payload[TOKEN_PAYLOAD_BYTES], Token *ret_token)
{
	ret_token->kind = payload[0];
	ret_token->key_id = payload[1];
	ret_token->class = payload[2];
	memcpy(ret_token->date_id, payload + 4, TOKEN_UUID_BYTES);
	memcpy(ret_token->user_id, payload + 20, TOKEN_UUID_BYTES);
	ret_token->number = token_get64(payload + 36);
	ret_token->issued_seconds = (int64_t) token_get64(payload + 44);
	ret_token->expires_seconds = (int64_t) token_get64(payload + 52);
}

/* Writes TOKEN_TEXT_CHARS characters and a closing NUL. */
static inline void
token_to_text(const uint8_t bytes[TOKEN_BYTES], char ret_text[TOKEN_TEXT_CHARS + 1])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint32_t		  bits = 0;
	int				  held = 0;
	int				  n = 0;

	for (int i = 0; i < TOKEN_BYTES; i++)
	{
		bits = bits << 8 | bytes[i];
		for (held += 8; held >= 6; held -= 6)
			ret_text[n++] = digits[bits >> (held - 6) & 63];
	}
	if (held > 0)
		ret_text[n++] = digits[bits << (6 - held) & 63];
	ret_text[n] = '\0';
}

static inline int
token_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* False when the text is no token: wrong length, a foreign character, stray bits at the end. */
static inline bool
token_from_text(const char *text, size_t length, uint8_t ret_bytes[TOKEN_BYTES])
{
	uint32_t bits = 0;
	int		 held = 0;
	int		 n = 0;

	if (length != TOKEN_TEXT_CHARS)
		return false;
	for (size_t i = 0; i < length; i++)
	{
		int digit = token_digit(text[i]);

		if (digit < 0)
			return false;
		bits = bits << 6 | (uint32_t) digit;
		held += 6;
		if (held >= 8)
		{
			held -= 8;
			ret_bytes[n++] = (uint8_t) (bits >> held);
		}
	}
	return (bits & ((1u << held) - 1)) == 0;
}

static inline const TokenKey *
token_find_key(const TokenKeys *keys, uint8_t id)
{
	for (int i = 0; i < keys->count; i++)
		if (keys->key[i].id == id)
			return &keys->key[i];
	return NULL;
}

static inline int
token_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* One line `ID HEX`, without its newline. */
static inline bool
token_parse_key(const char *line, size_t length, TokenKey *ret_key)
{
	size_t at = 0;
	int	   id = 0;

	while (at < length && line[at] >= '0' && line[at] <= '9' && id <= UINT8_MAX)
		id = id * 10 + (line[at++] - '0');
	if (at == 0 || id > UINT8_MAX || at >= length || line[at] != ' ')
		return false;
	at++;
	if (length - at != 2 * TOKEN_KEY_BYTES)
		return false;
	for (int i = 0; i < TOKEN_KEY_BYTES; i++)
	{
		int high = token_hex_digit(line[at + 2 * (size_t) i]);
		int low = token_hex_digit(line[at + 2 * (size_t) i + 1]);

		if (high < 0 || low < 0)
			return false;
		ret_key->bytes[i] = (uint8_t) (high << 4 | low);
	}
	ret_key->id = (uint8_t) id;
	return true;
}

/*
 * Parses a key file: lines `ID HEX` (ID 0..255, HEX 64 digits), empty lines and lines that
 * start with '#'. Returns 0, or the number of the first line that is wrong (one past the
 * last for a file without a key); then *ret_keys is untouched.
 */
static inline int
token_parse_keys(const char *text, size_t length, TokenKeys *ret_keys)
{
	TokenKeys keys = {0};
	int		  line_number = 0;

	for (size_t at = 0; at < length;)
	{
		const char *line = text + at;
		const char *newline = memchr(line, '\n', length - at);
		size_t		line_length = newline != NULL ? (size_t) (newline - line) : length - at;

		line_number++;
		at += line_length + 1;
		if (line_length > 0 && line[line_length - 1] == '\r')
			line_length--;
		if (line_length == 0 || line[0] == '#')
			continue;
		if (keys.count == TOKEN_KEYS_MAX ||
			!token_parse_key(line, line_length, &keys.key[keys.count]) ||
			token_find_key(&keys, keys.key[keys.count].id) != NULL)
			return line_number;
		keys.count++;
	}
	if (keys.count == 0)
		return line_number + 1;
	*ret_keys = keys;
	return 0;
}

#endif /* CONCERT_TOKEN_FORMAT_H */
