/* SPDX-License-Identifier: PostgreSQL */
/*
 * The signature of a provider's message: "t=UNIX,v1=HEX", HEX being HMAC-SHA256(secret, UNIX "."
 * body). More items may follow: other names are passed over, and one v1 of several is enough, so
 * that a provider can change its secret as well. Whatever is wrong, every secret is tried and every
 * comparison takes the same time.
 */
#ifndef CONCERTD_SIGNATURE_H
#define CONCERTD_SIGNATURE_H

#include <stddef.h>
#include <stdint.h>

#include "secret.h"

typedef enum SignatureVerdict
{
	SIGNATURE_GOOD,
	SIGNATURE_MISSING,
	SIGNATURE_MALFORMED,
	SIGNATURE_STALE, /* signed too long ago, or in the future */
	SIGNATURE_WRONG
} SignatureVerdict;

/* header NULL: missing. */
SignatureVerdict signature_check(const Secrets *secrets, const char *header, const char *body,
								 size_t body_len, int64_t now_seconds, int window_seconds);

const char *signature_verdict(SignatureVerdict verdict);

#endif
