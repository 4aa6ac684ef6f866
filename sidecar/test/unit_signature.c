/* SPDX-License-Identifier: PostgreSQL */
/*
 * Guards: whoever has no secret can neither make nor change a message nor send an old one again;
 * secrets rotate without a gap; a bad file changes nothing and shows no secret.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "signature.h"

#define NOW 1700000000
#define WINDOW 300
#define BODY "{\"type\":\"payment.captured\"}"
#define FIRST "first-secret-of-tests"
#define SECOND "second-secret-of-tests"
#define THREE "first-secret-of-tests\nsecond-secret-of-tests\nand-a-third-secret\n"
/* Made by another implementation, so that the format cannot drift. */
#define FIRST_MAC "bd0ab9764ab677a1a2d655950008e38c45709393d340b154a54a5939d73fb058"
#define HEADER_BYTES 512

static char path[] = "/tmp/unit_signature_XXXXXX";

static const Secrets both = {.count = 2, .text = {FIRST, SECOND}};

static void
sign(const char *secret, long long now, const char *body, char header[HEADER_BYTES])
{
	char		  text[HEADER_BYTES];
	unsigned char mac[32];
	int			  len = snprintf(text, sizeof(text), "%lld.%s", now, body);
	int			  used = snprintf(header, HEADER_BYTES, "t=%lld,v1=", now);

	HMAC(EVP_sha256(), secret, (int) strlen(secret), (unsigned char *) text, (size_t) len, mac,
		 NULL);
	for (int i = 0; i < 32; i++)
		used += snprintf(header + used, (size_t) (HEADER_BYTES - used), "%02x", mac[i]);
}

static SignatureVerdict
check(const char *header, const char *body)
{
	return signature_check(&both, header, body, strlen(body), NOW, WINDOW);
}

static void
what_another_program_signed_is_good(void **state)
{
	(void) state;
	assert_int_equal(check("t=1700000000,v1=" FIRST_MAC, BODY), SIGNATURE_GOOD);
}

static void
either_secret_is_good_and_no_other(void **state)
{
	const Secrets one = {.count = 1, .text = {SECOND}};
	char		  header[HEADER_BYTES];

	(void) state;
	sign(FIRST, NOW, BODY, header);
	assert_int_equal(check(header, BODY), SIGNATURE_GOOD);
	assert_int_equal(signature_check(&one, header, BODY, strlen(BODY), NOW, WINDOW),
					 SIGNATURE_WRONG);
	sign(SECOND, NOW, BODY, header);
	assert_int_equal(check(header, BODY), SIGNATURE_GOOD);
	sign("", NOW, BODY, header);
	assert_int_equal(check(header, BODY), SIGNATURE_WRONG);
	sign("some-other-secret", NOW, BODY, header);
	assert_int_equal(check(header, BODY), SIGNATURE_WRONG);
}

static void
no_byte_can_be_changed(void **state)
{
	char header[HEADER_BYTES];
	char body[] = BODY;

	(void) state;
	sign(FIRST, NOW, BODY, header);
	for (size_t i = 0; i < strlen(body); i++)
	{
		body[i] ^= 1;
		assert_int_equal(check(header, body), SIGNATURE_WRONG);
		body[i] ^= 1;
	}
	assert_int_equal(check(header, BODY " "), SIGNATURE_WRONG);
	assert_int_equal(check(header, ""), SIGNATURE_WRONG);
	for (size_t i = 0; i < strlen(header); i++)
	{
		header[i] ^= 1;
		assert_int_not_equal(check(header, BODY), SIGNATURE_GOOD);
		header[i] ^= 1;
	}
	assert_int_equal(check(header, BODY), SIGNATURE_GOOD);
}

/* The time is signed, so it cannot be made new. */
static void
an_old_message_is_stale(void **state)
{
	const long long stale[] = {NOW - WINDOW - 1, NOW + WINDOW + 1, 0, 999999999999};
	char			header[HEADER_BYTES];

	(void) state;
	for (size_t i = 0; i < sizeof(stale) / sizeof(stale[0]); i++)
	{
		sign(FIRST, stale[i], BODY, header);
		assert_int_equal(check(header, BODY), SIGNATURE_STALE);
	}
	sign(FIRST, NOW - WINDOW, BODY, header);
	assert_int_equal(check(header, BODY), SIGNATURE_GOOD);
	sign(FIRST, NOW + WINDOW, BODY, header);
	assert_int_equal(check(header, BODY), SIGNATURE_GOOD);
}

static void
one_of_several_signatures_is_enough(void **state)
{
	char good[HEADER_BYTES];
	char bad[HEADER_BYTES];
	char header[2 * HEADER_BYTES];

	(void) state;
	sign(SECOND, NOW, BODY, good);
	sign("some-other-secret", NOW, BODY, bad);
	snprintf(header, sizeof(header), "%s,%s,v2=of the future", bad, strstr(good, "v1="));
	assert_int_equal(check(header, BODY), SIGNATURE_GOOD);
	snprintf(header, sizeof(header), "%s,%s", bad, strstr(bad, "v1="));
	assert_int_equal(check(header, BODY), SIGNATURE_WRONG);
}

static void
nonsense_is_malformed(void **state)
{
	const char *const headers[] = {
		"",
		",",
		"t=,v1=",
		"t=1700000000",
		"v1=" FIRST_MAC,
		"t=-1,v1=" FIRST_MAC,
		"t=17000000000000000000000,v1=" FIRST_MAC,
		"t=1700000000,t=1700000000,v1=" FIRST_MAC,
		"t=1700000000,v1=" FIRST_MAC "0",
		"t=1700000000,v1=zz",
		"t=1700000000, v1=" FIRST_MAC,
		"t=1700000000,v1=" FIRST_MAC ",v1=" FIRST_MAC ",v1=" FIRST_MAC ",v1=" FIRST_MAC
		",v1=" FIRST_MAC,
	};

	(void) state;
	assert_int_equal(check(NULL, BODY), SIGNATURE_MISSING);
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		assert_int_equal(check(headers[i], BODY), SIGNATURE_MALFORMED);
}

static void
write_secrets(const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void
a_bad_file_changes_nothing_and_shows_nothing(void **state)
{
	const char *const bad[] = {"",
							   "# none\n",
							   "too-short\n",
							   "a secret with spaces in it\n",
							   "secret-but-not-ascii-\xc3\xa4\n",
							   THREE};
	char			  errstr[256] = "";
	Secrets			 *secrets;

	(void) state;
	write_secrets("# in use\n" FIRST "\r\n\n" SECOND);
	secrets = secret_open(path, errstr, sizeof(errstr));
	assert_non_null(secrets);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
	{
		write_secrets(bad[i]);
		assert_false(secret_reload(secrets, path, errstr, sizeof(errstr)));
		assert_non_null(strstr(errstr, path));
		assert_null(strstr(errstr, "secret-"));
		assert_null(strstr(errstr, "short"));
		assert_int_equal(secrets->count, 2);
		assert_string_equal(secrets->text[0], FIRST);
		assert_string_equal(secrets->text[1], SECOND);
	}
	write_secrets(SECOND "\n");
	assert_true(secret_reload(secrets, path, errstr, sizeof(errstr)));
	assert_int_equal(secrets->count, 1);
	assert_string_equal(secrets->text[0], SECOND);
	secret_close(secrets);
	assert_null(secret_open("/nowhere/secret", errstr, sizeof(errstr)));
}

static int
set_up(void **state)
{
	int fd = mkstemp(path);

	(void) state;
	return fd < 0 || close(fd) != 0;
}

static int
tear_down(void **state)
{
	(void) state;
	return unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_another_program_signed_is_good),
		cmocka_unit_test(either_secret_is_good_and_no_other),
		cmocka_unit_test(no_byte_can_be_changed),
		cmocka_unit_test(an_old_message_is_stale),
		cmocka_unit_test(one_of_several_signatures_is_enough),
		cmocka_unit_test(nonsense_is_malformed),
		cmocka_unit_test(a_bad_file_changes_nothing_and_shows_nothing),
	};

	return cmocka_run_group_tests_name("signature", tests, set_up, tear_down);
}
