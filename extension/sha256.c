/* SPDX-License-Identifier: PostgreSQL */
/* SHA-256; see sha256.h. Names are those of the standard. */
#include "sha256.h"

#include "port/pg_bitutils.h"
#include "port/pg_bswap.h"

#define ROUNDS 64
#define BLOCK_WORDS (PG_SHA256_BLOCK_LENGTH / sizeof(uint32))
#define STATE_WORDS (PG_SHA256_DIGEST_LENGTH / sizeof(uint32))

/* The fractions of the cube roots of the first 64 primes. */
static const uint32 K[ROUNDS] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32
rotations(uint32 x, int first, int second, int third)
{
	return pg_rotate_right32(x, first) ^ pg_rotate_right32(x, second) ^ pg_rotate_right32(x, third);
}

static void
sha256_block(uint32 state[STATE_WORDS], const uint8 block[PG_SHA256_BLOCK_LENGTH])
{
	uint32 w[ROUNDS];
	uint32 a = state[0], b = state[1], c = state[2], d = state[3];
	uint32 e = state[4], f = state[5], g = state[6], h = state[7];

	memcpy(w, block, PG_SHA256_BLOCK_LENGTH);
	for (int t = 0; t < BLOCK_WORDS; t++)
		w[t] = pg_ntoh32(w[t]);
	for (int t = BLOCK_WORDS; t < ROUNDS; t++)
	{
		uint32 x = w[t - 15], y = w[t - 2];

		w[t] = w[t - 16] + (pg_rotate_right32(x, 7) ^ pg_rotate_right32(x, 18) ^ x >> 3) +
			w[t - 7] + (pg_rotate_right32(y, 17) ^ pg_rotate_right32(y, 19) ^ y >> 10);
	}
	for (int t = 0; t < ROUNDS; t++)
	{
		uint32 t1 = h + rotations(e, 6, 11, 25) + ((e & f) ^ (~e & g)) + K[t] + w[t];
		uint32 t2 = rotations(a, 2, 13, 22) + ((a & b) ^ (a & c) ^ (b & c));

		h = g, g = f, f = e, e = d + t1;
		d = c, c = b, b = a, a = t1 + t2;
	}
	state[0] += a, state[1] += b, state[2] += c, state[3] += d;
	state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

/* Whole blocks, and then what is left with a bit, zeros and the length in bits: one more or two. */
void
sha256_digest(const void *content, size_t bytes, uint8 ret_digest[PG_SHA256_DIGEST_LENGTH])
{
	/* The fractions of the square roots of the first eight primes. */
	uint32		 state[STATE_WORDS] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
									   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
	uint8		 end[2 * PG_SHA256_BLOCK_LENGTH] = {0};
	size_t		 left = bytes % PG_SHA256_BLOCK_LENGTH;
	size_t		 end_bytes = PG_SHA256_BLOCK_LENGTH;
	const uint8 *next = content;
	uint64		 bits = pg_hton64((uint64) bytes * BITS_PER_BYTE);

	for (size_t blocks = bytes / PG_SHA256_BLOCK_LENGTH; blocks > 0; blocks--)
	{
		sha256_block(state, next);
		next += PG_SHA256_BLOCK_LENGTH;
	}
	memcpy(end, next, left);
	end[left] = 0x80;
	if (left + 1 + sizeof(bits) > PG_SHA256_BLOCK_LENGTH)
		end_bytes *= 2;
	memcpy(end + end_bytes - sizeof(bits), &bits, sizeof(bits));
	for (size_t done = 0; done < end_bytes; done += PG_SHA256_BLOCK_LENGTH)
		sha256_block(state, end + done);
	for (int i = 0; i < STATE_WORDS; i++)
		state[i] = pg_hton32(state[i]);
	memcpy(ret_digest, state, PG_SHA256_DIGEST_LENGTH);
}
