/* SPDX-License-Identifier: PostgreSQL */
/*
 * SHA-256 (FIPS 180-4), for telling contents apart. The server's own goes through OpenSSL, which looks
 * its algorithm up anew for every digest: that costs more than all else that a short one needs.
 */
#ifndef CONCERT_SHA256_H
#define CONCERT_SHA256_H

#include "concert.h"

#include "common/sha2.h"

extern void sha256_digest(const void *content, size_t bytes,
						  uint8 ret_digest[PG_SHA256_DIGEST_LENGTH]);

#endif /* CONCERT_SHA256_H */
