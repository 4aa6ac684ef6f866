/* SPDX-License-Identifier: PostgreSQL */
/*
 * Verification of admission passes; their wire form is token_format.h's.
 *
 * The keys come from a file, never from SQL: a bound parameter would stand in the server's log.
 * The file is looked at with stat() on every use and read again when it was replaced, so that a
 * rotation needs no reconnecting and reaches every backend at once.
 */
#include "pass.h"

#include <sys/stat.h>

#include "common/hmac.h"
#include "common/sha2.h"
#include "datatype/timestamp.h"
#include "errors.h"
#include "storage/fd.h"
#include "token_format.h"

static TokenKeys   pass_keys;
static struct stat pass_keys_stat; /* of the file that pass_keys came from */

static bool
pass_file_is_known(const struct stat *now)
{
	return pass_keys.count > 0 && now->st_dev == pass_keys_stat.st_dev &&
		now->st_ino == pass_keys_stat.st_ino && now->st_size == pass_keys_stat.st_size &&
		now->st_mtim.tv_sec == pass_keys_stat.st_mtim.tv_sec &&
		now->st_mtim.tv_nsec == pass_keys_stat.st_mtim.tv_nsec;
}

static void
pass_read_keys(const char *path, const struct stat *found)
{
	char   text[TOKEN_KEY_FILE_BYTES_MAX];
	FILE  *file = AllocateFile(path, "r");
	size_t length;
	int	   bad_line;

	if (file == NULL)
		error_key_file_unusable(path, strerror(errno));
	length = fread(text, 1, sizeof(text), file);
	FreeFile(file);
	bad_line = token_parse_keys(text, length, &pass_keys);
	explicit_bzero(text, sizeof(text));
	if (bad_line != 0)
		error_key_file_unusable(path, psprintf("line %d is not \"ID HEX\"", bad_line));
	pass_keys_stat = *found;
}

static void
pass_load_keys(void)
{
	const char *path = settings_pass_key_file;
	struct stat found;

	if (path == NULL || path[0] == '\0')
		error_key_file_unusable("", "no file is set");
	if (stat(path, &found) != 0)
		error_key_file_unusable(path, strerror(errno));
	if (!pass_file_is_known(&found))
		pass_read_keys(path, &found);
}

static void
pass_mac(const TokenKey *key, const uint8_t *payload, uint8_t ret_mac[TOKEN_MAC_BYTES])
{
	pg_hmac_ctx *context = pg_hmac_create(PG_SHA256);

	if (context == NULL || pg_hmac_init(context, key->bytes, TOKEN_KEY_BYTES) < 0 ||
		pg_hmac_update(context, payload, TOKEN_PAYLOAD_BYTES) < 0 ||
		pg_hmac_final(context, ret_mac, TOKEN_MAC_BYTES) < 0)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not compute an HMAC")));
	pg_hmac_free(context);
}

/* In a time that does not depend on where the two differ. */
static bool
pass_mac_equal(const uint8_t *a, const uint8_t *b)
{
	volatile uint8_t difference = 0;

	for (int i = 0; i < TOKEN_MAC_BYTES; i++)
		difference |= a[i] ^ b[i];
	return difference == 0;
}

bool
pass_is_valid(const char *pass, const pg_uuid_t *date_id, const pg_uuid_t *user_id, TimestampTz now)
{
	uint8_t			bytes[TOKEN_BYTES];
	uint8_t			mac[TOKEN_MAC_BYTES];
	const TokenKey *key;
	Token			token;
	int64			now_seconds = timestamptz_to_time_t(now);

	pass_load_keys();
	if (pass == NULL || !token_from_text(pass, strlen(pass), bytes))
		return false;
	token_decode_payload(bytes, &token);
	key = token_find_key(&pass_keys, token.key_id);
	if (token.kind != TOKEN_PASS || key == NULL)
		return false;
	pass_mac(key, bytes, mac);
	return pass_mac_equal(mac, bytes + TOKEN_PAYLOAD_BYTES) &&
		memcmp(token.date_id, date_id->data, UUID_LEN) == 0 &&
		memcmp(token.user_id, user_id->data, UUID_LEN) == 0 && now_seconds < token.expires_seconds;
}
