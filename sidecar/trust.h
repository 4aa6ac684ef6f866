/* SPDX-License-Identifier: PostgreSQL */
/*
 * A list of addresses and networks ("127.0.0.0/8, ::1"), and whether an address is of one of them.
 * An IPv4 address mapped into IPv6 is taken for the IPv4 address that it is.
 */
#ifndef CONCERTD_TRUST_H
#define CONCERTD_TRUST_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#define TRUST_NETWORKS_MAX 64

typedef struct TrustNetwork
{
	unsigned char address[16]; /* IPv4 mapped into IPv6 */
	int			  prefix_bits;
} TrustNetwork;

typedef struct Trust
{
	int			 count;
	TrustNetwork networks[TRUST_NETWORKS_MAX];
} Trust;

/* On failure ret_trust is untouched and errstr names the wrong entry. */
bool trust_parse(const char *text, Trust *ret_trust, char *errstr, size_t size)
	__attribute__((warn_unused_result));
bool trust_has(const Trust *trust, const struct sockaddr *address);

#endif
