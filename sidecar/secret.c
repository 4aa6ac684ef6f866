/* SPDX-License-Identifier: PostgreSQL */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "secret.h"

#define FILE_BYTES_MAX 4096

static const char *secret_take_line(Secrets *secrets, const char *line, size_t len);

Secrets *
secret_open(const char *path, char *errstr, size_t size)
{
	Secrets *secrets = calloc(1, sizeof(Secrets));

	if (secrets != NULL && secret_reload(secrets, path, errstr, size))
		return secrets;
	free(secrets);
	return NULL;
}

bool
secret_reload(Secrets *secrets, const char *path, char *errstr, size_t size)
{
	char		text[FILE_BYTES_MAX + 1];
	Secrets		fresh = {0};
	FILE	   *file = fopen(path, "re");
	const char *why = NULL;
	size_t		len;
	int			line = 0;

	if (file == NULL)
	{
		snprintf(errstr, size, "could not open \"%s\": %s", path, strerror(errno));
		return false;
	}
	setvbuf(file, NULL, _IONBF, 0);
	len = fread(text, 1, sizeof(text), file);
	if (ferror(file) != 0 || len > FILE_BYTES_MAX)
		why = "could not be read, or is over 4096 bytes";
	fclose(file);
	for (size_t at = 0; why == NULL && at < len; line++)
	{
		const char *end = memchr(text + at, '\n', len - at);
		size_t		line_len = end != NULL ? (size_t) (end - text) - at : len - at;

		why = secret_take_line(&fresh, text + at, line_len);
		at += line_len + 1;
	}
	if (why == NULL && fresh.count == 0)
		why = "expected a secret";
	if (why != NULL)
		snprintf(errstr, size, "\"%s\", line %d: %s", path, line, why);
	else
		*secrets = fresh;
	OPENSSL_cleanse(text, sizeof(text));
	OPENSSL_cleanse(&fresh, sizeof(fresh));
	return why == NULL;
}

void
secret_close(Secrets *secrets)
{
	if (secrets == NULL)
		return;
	OPENSSL_cleanse(secrets, sizeof(*secrets));
	free(secrets);
}

/* NULL: good. Printable ASCII only: a secret stands in a header, too. */
static const char *
secret_take_line(Secrets *secrets, const char *line, size_t len)
{
	if (len > 0 && line[len - 1] == '\r')
		len--;
	if (len == 0 || line[0] == '#')
		return NULL;
	for (size_t i = 0; i < len; i++)
		if (line[i] <= ' ' || line[i] > '~')
			return "expected printable ASCII without spaces";
	if (len < SECRET_BYTES_MIN || len > SECRET_BYTES_MAX)
		return "expected 16 to 255 bytes";
	if (secrets->count == SECRETS_MAX)
		return "expected at most two secrets";
	memcpy(secrets->text[secrets->count++], line, len);
	return NULL;
}
