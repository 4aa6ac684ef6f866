/* SPDX-License-Identifier: PostgreSQL */
/*
 * What tokens promise: whoever has no key cannot make or change one; a pass is no place and a
 * place no pass; keys rotate without a gap; a bad key file changes nothing and is told by its
 * line.
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

#include "token.h"

#define DATE "018f0000-0000-7000-8000-000000000001"
#define USER "018f0000-0000-7000-8000-0000000000ff"
#define KEY_ONE "1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"
#define KEY_TWO "2 202122232425262728292A2B2C2D2E2F303132333435363738393a3b3c3d3e3f\n"
#define KEY_ONE_OTHER "1 ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"

static char path[] = "/tmp/concert-unit-token-XXXXXX";

static const Place place = {DATE, USER, 4711, 1700000000};
static const Pass  pass = {DATE, USER, 4711, 1700000000, 1700000600};

static void
write_keys(const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static TokenKeys *
keys_of(const char *text)
{
	char	   errstr[256] = "";
	TokenKeys *keys;

	write_keys(text);
	keys = token_open(path, errstr, sizeof(errstr));
	assert_non_null(keys);
	return keys;
}

static void
a_token_says_what_was_signed(void **state)
{
	TokenKeys *keys = keys_of("# in use\n\n" KEY_ONE);
	char	   text[TOKEN_TEXT_MAX];
	Place	   read_place;
	Pass	   read_pass;

	(void) state;
	assert_true(token_sign_place(keys, &place, text));
	assert_int_equal(strlen(text), TOKEN_TEXT_CHARS);
	assert_true(token_read_place(keys, text, &read_place));
	assert_string_equal(read_place.date_id, DATE);
	assert_string_equal(read_place.user_id, USER);
	assert_int_equal(read_place.number, 4711);
	assert_int_equal(read_place.issued_seconds, 1700000000);
	assert_true(token_sign_pass(keys, &pass, text));
	assert_true(token_read_pass(keys, text, &read_pass));
	assert_int_equal(read_pass.expires_seconds, 1700000600);
	token_close(keys);
}

/* Written out, so that another implementation of the format can be held against it. */
static void
the_format_does_not_drift(void **state)
{
	TokenKeys *keys = keys_of(KEY_ONE);
	char	   text[TOKEN_TEXT_MAX];

	(void) state;
	assert_true(token_sign_pass(keys, &pass, text));
	assert_string_equal(text,
						"UAEAAAGPAAAAAHAAgAAAAAAAAAEBjwAAAABwAIAAAAAAAAD_AAAAAAAAEmcAAAAA"
						"ZVPxAAAAAABlU_NYb9BMGdbcaDWVZrbf3xmtyCXshlkcGo4gxD5xe0MptxA");
	token_close(keys);
}

static void
no_character_of_a_token_can_be_changed(void **state)
{
	TokenKeys *keys = keys_of(KEY_ONE);
	char	   text[TOKEN_TEXT_MAX];
	Place	   ignored;

	(void) state;
	assert_true(token_sign_place(keys, &place, text));
	for (int i = 0; i < TOKEN_TEXT_CHARS; i++)
	{
		char kept = text[i];

		text[i] = kept == 'x' ? 'y' : 'x';
		assert_false(token_read_place(keys, text, &ignored));
		text[i] = '=';
		assert_false(token_read_place(keys, text, &ignored));
		text[i] = kept;
	}
	text[TOKEN_TEXT_CHARS - 1] = '\0';
	assert_false(token_read_place(keys, text, &ignored));
	assert_false(token_read_place(keys, "", &ignored));
	token_close(keys);
}

static void
a_longer_text_is_no_token(void **state)
{
	TokenKeys *keys = keys_of(KEY_ONE);
	char	   text[TOKEN_TEXT_MAX + 2];
	Place	   ignored;

	(void) state;
	assert_true(token_sign_place(keys, &place, text));
	strcat(text, "A");
	assert_false(token_read_place(keys, text, &ignored));
	token_close(keys);
}

static void
a_place_is_no_pass(void **state)
{
	TokenKeys *keys = keys_of(KEY_ONE);
	char	   text[TOKEN_TEXT_MAX];
	Place	   read_place;
	Pass	   read_pass;

	(void) state;
	assert_true(token_sign_place(keys, &place, text));
	assert_false(token_read_pass(keys, text, &read_pass));
	assert_true(token_sign_pass(keys, &pass, text));
	assert_false(token_read_place(keys, text, &read_place));
	token_close(keys);
}

static void
keys_rotate_without_a_gap(void **state)
{
	TokenKeys *keys = keys_of(KEY_ONE);
	char	   old_text[TOKEN_TEXT_MAX];
	char	   new_text[TOKEN_TEXT_MAX];
	char	   errstr[256];
	Place	   ignored;

	(void) state;
	assert_true(token_sign_place(keys, &place, old_text));
	write_keys(KEY_TWO KEY_ONE);
	assert_true(token_reload(keys, path, errstr, sizeof(errstr)));
	assert_true(token_read_place(keys, old_text, &ignored));
	assert_true(token_sign_place(keys, &place, new_text));
	assert_string_not_equal(new_text, old_text);
	write_keys(KEY_TWO);
	assert_true(token_reload(keys, path, errstr, sizeof(errstr)));
	assert_false(token_read_place(keys, old_text, &ignored));
	assert_true(token_read_place(keys, new_text, &ignored));
	token_close(keys);
}

static void
another_key_under_the_same_id_opens_nothing(void **state)
{
	TokenKeys *keys = keys_of(KEY_ONE);
	TokenKeys *others = keys_of(KEY_ONE_OTHER);
	char	   text[TOKEN_TEXT_MAX];
	Place	   ignored;

	(void) state;
	assert_true(token_sign_place(keys, &place, text));
	assert_false(token_read_place(others, text, &ignored));
	token_close(keys);
	token_close(others);
}

static void
a_bad_key_file_is_named_and_changes_nothing(void **state)
{
	static const struct
	{
		const char *text;
		const char *said;
	} files[] = {
		{"", "line 1"},
		{"# nothing\n", "line 2"},
		{KEY_ONE "nonsense\n", "line 2"},
		{"256 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n", "line 1"},
		{"1 0001\n", "line 1"},
		{KEY_ONE KEY_ONE_OTHER, "line 2"},
		{KEY_ONE KEY_TWO "3 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n",
		 "line 3"},
	};
	TokenKeys *keys = keys_of(KEY_ONE);
	char	   text[TOKEN_TEXT_MAX];
	char	   errstr[256];
	Place	   ignored;

	(void) state;
	assert_true(token_sign_place(keys, &place, text));
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
	{
		write_keys(files[i].text);
		assert_false(token_reload(keys, path, errstr, sizeof(errstr)));
		assert_non_null(strstr(errstr, files[i].said));
		assert_null(strstr(errstr, "000102"));
		assert_true(token_read_place(keys, text, &ignored));
	}
	assert_null(token_open("/nonexistent/keys", errstr, sizeof(errstr)));
	assert_non_null(strstr(errstr, "No such file"));
	token_close(keys);
}

static void
only_uuids_are_signed(void **state)
{
	TokenKeys *keys = keys_of(KEY_ONE);
	Place	   nobody = {DATE, "nobody", 1, 1};
	char	   text[TOKEN_TEXT_MAX];

	(void) state;
	assert_false(token_sign_place(keys, &nobody, text));
	token_close(keys);
}

static int
group_setup(void **state)
{
	int fd = mkstemp(path);

	(void) state;
	return fd < 0 || close(fd) != 0 ? -1 : 0;
}

static int
group_teardown(void **state)
{
	(void) state;
	return unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_says_what_was_signed),
		cmocka_unit_test(the_format_does_not_drift),
		cmocka_unit_test(no_character_of_a_token_can_be_changed),
		cmocka_unit_test(a_longer_text_is_no_token),
		cmocka_unit_test(a_place_is_no_pass),
		cmocka_unit_test(keys_rotate_without_a_gap),
		cmocka_unit_test(another_key_under_the_same_id_opens_nothing),
		cmocka_unit_test(a_bad_key_file_is_named_and_changes_nothing),
		cmocka_unit_test(only_uuids_are_signed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
