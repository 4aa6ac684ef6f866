/* SPDX-License-Identifier: PostgreSQL */
/* Every address is kept as IPv6, so that there is one comparison. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trust.h"

#define MAPPED_PREFIX_BITS 96
#define ENTRY_BYTES 80

static const unsigned char mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool trust_parse_entry(const char *entry, TrustNetwork *ret_network);
static bool trust_parse_prefix(const char *text, int bits_max, int *ret_bits);
static bool trust_bits_equal(const unsigned char *a, const unsigned char *b, int bits);

bool
trust_parse(const char *text, Trust *ret_trust, char *errstr, size_t size)
{
	Trust trust = {0};

	while (*(text += strspn(text, " \t,")) != '\0')
	{
		size_t len = strcspn(text, " \t,");
		char   entry[ENTRY_BYTES];

		snprintf(entry, sizeof(entry), "%.*s", (int) (len < INT16_MAX ? len : INT16_MAX), text);
		if (trust.count == TRUST_NETWORKS_MAX)
		{
			snprintf(errstr, size, "\"%s\" is one network too many; at most %d can be listed",
					 entry, TRUST_NETWORKS_MAX);
			return false;
		}
		if (!trust_parse_entry(entry, &trust.networks[trust.count]))
		{
			snprintf(errstr, size, "\"%s\" is neither an address nor a network like 10.0.0.0/8",
					 entry);
			return false;
		}
		trust.count++;
		text += len;
	}
	*ret_trust = trust;
	return true;
}

bool
trust_has(const Trust *trust, const struct sockaddr *address)
{
	unsigned char bytes[16];

	if (address == NULL)
		return false;
	if (address->sa_family == AF_INET6)
		memcpy(bytes, &((const struct sockaddr_in6 *) address)->sin6_addr, 16);
	else if (address->sa_family == AF_INET)
	{
		memcpy(bytes, mapped_prefix, 12);
		memcpy(bytes + 12, &((const struct sockaddr_in *) address)->sin_addr, 4);
	}
	else
		return false;
	for (int i = 0; i < trust->count; i++)
		if (trust_bits_equal(bytes, trust->networks[i].address, trust->networks[i].prefix_bits))
			return true;
	return false;
}

static bool
trust_parse_entry(const char *entry, TrustNetwork *ret_network)
{
	char		 host[ENTRY_BYTES];
	const char	*slash = strchr(entry, '/');
	TrustNetwork network;
	int			 bits;

	snprintf(host, sizeof(host), "%.*s",
			 (int) (slash != NULL ? slash - entry : (long) strlen(entry)), entry);
	if (inet_pton(AF_INET, host, network.address + 12) == 1)
	{
		if (!trust_parse_prefix(slash, 32, &bits))
			return false;
		memcpy(network.address, mapped_prefix, 12);
		bits += MAPPED_PREFIX_BITS;
	}
	else if (inet_pton(AF_INET6, host, network.address) != 1 ||
			 !trust_parse_prefix(slash, 128, &bits))
		return false;
	network.prefix_bits = bits;
	*ret_network = network;
	return true;
}

static bool
trust_parse_prefix(const char *text, int bits_max, int *ret_bits)
{
	char *end;
	long  bits;

	if (text == NULL)
	{
		*ret_bits = bits_max;
		return true;
	}
	bits = strtol(text + 1, &end, 10);
	if (end == text + 1 || *end != '\0' || bits < 0 || bits > bits_max)
		return false;
	*ret_bits = (int) bits;
	return true;
}

static bool
trust_bits_equal(const unsigned char *a, const unsigned char *b, int bits)
{
	int whole = bits / 8;
	int rest = bits % 8;

	return memcmp(a, b, (size_t) whole) == 0 &&
		(rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0);
}
