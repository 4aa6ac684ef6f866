/* SPDX-License-Identifier: PostgreSQL */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "signature.h"

#define MAC_BYTES 32
#define SIGNATURES_MAX 4   /* of one header */
#define TIME_DIGITS_MAX 12 /* of a time in seconds */

typedef struct Signature
{
	const char *time; /* as it stands in the header */
	size_t		time_len;
	int			count;
	uint8_t		macs[SIGNATURES_MAX][MAC_BYTES];
} Signature;

static bool signature_parse(const char *header, Signature *ret_signature);
static bool signature_take_item(const char *item, size_t len, Signature *signature);
static bool mac_parse(const char *hex, size_t len, uint8_t ret_mac[MAC_BYTES]);
static int	hex_digit(char c);
static bool mac_compute(const char *secret, const Signature *signature, const char *body,
						size_t body_len, uint8_t ret_mac[MAC_BYTES]);

static const char *const verdicts[] = {[SIGNATURE_GOOD] = "good",
									   [SIGNATURE_MISSING] = "missing",
									   [SIGNATURE_MALFORMED] = "malformed",
									   [SIGNATURE_STALE] = "stale",
									   [SIGNATURE_WRONG] = "wrong"};

SignatureVerdict
signature_check(const Secrets *secrets, const char *header, const char *body, size_t body_len,
				int64_t now_seconds, int window_seconds)
{
	Signature signature = {0};
	int64_t	  age_seconds;
	int		  matches = 0;

	if (header == NULL)
		return SIGNATURE_MISSING;
	if (!signature_parse(header, &signature))
		return SIGNATURE_MALFORMED;
	for (int i = 0; i < secrets->count; i++)
	{
		uint8_t mac[MAC_BYTES];

		if (!mac_compute(secrets->text[i], &signature, body, body_len, mac))
			return SIGNATURE_WRONG;
		for (int j = 0; j < signature.count; j++)
			matches += CRYPTO_memcmp(mac, signature.macs[j], MAC_BYTES) == 0;
	}
	if (matches == 0)
		return SIGNATURE_WRONG;
	age_seconds = now_seconds - strtoll(signature.time, NULL, 10);
	return age_seconds > window_seconds || age_seconds < -window_seconds ? SIGNATURE_STALE
																		 : SIGNATURE_GOOD;
}

const char *
signature_verdict(SignatureVerdict verdict)
{
	return verdicts[verdict];
}

static bool
signature_parse(const char *header, Signature *ret_signature)
{
	while (*header != '\0')
	{
		size_t len = strcspn(header, ",");

		if (!signature_take_item(header, len, ret_signature))
			return false;
		header += len + (header[len] == ',');
	}
	return ret_signature->time != NULL && ret_signature->count > 0;
}

static bool
signature_take_item(const char *item, size_t len, Signature *signature)
{
	if (len > 2 && strncmp(item, "t=", 2) == 0)
	{
		if (signature->time != NULL || len - 2 > TIME_DIGITS_MAX ||
			strspn(item + 2, "0123456789") != len - 2)
			return false;
		signature->time = item + 2;
		signature->time_len = len - 2;
		return true;
	}
	if (len > 3 && strncmp(item, "v1=", 3) == 0)
		return signature->count < SIGNATURES_MAX &&
			mac_parse(item + 3, len - 3, signature->macs[signature->count++]);
	return true;
}

static bool
mac_parse(const char *hex, size_t len, uint8_t ret_mac[MAC_BYTES])
{
	if (len != 2 * MAC_BYTES)
		return false;
	for (int i = 0; i < MAC_BYTES; i++)
	{
		int high = hex_digit(hex[2 * i]);
		int low = hex_digit(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		ret_mac[i] = (uint8_t) (high << 4 | low);
	}
	return true;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool
mac_compute(const char *secret, const Signature *signature, const char *body, size_t body_len,
			uint8_t ret_mac[MAC_BYTES])
{
	size_t		   len = signature->time_len + 1 + body_len;
	unsigned char *text = malloc(len);
	unsigned int   mac_len = 0;
	bool		   good = text != NULL;

	if (good)
	{
		memcpy(text, signature->time, signature->time_len);
		text[signature->time_len] = '.';
		memcpy(text + signature->time_len + 1, body, body_len);
		good = HMAC(EVP_sha256(), secret, (int) strlen(secret), text, len, ret_mac, &mac_len) !=
				NULL &&
			mac_len == MAC_BYTES;
	}
	free(text);
	return good;
}
