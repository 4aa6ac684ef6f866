/* SPDX-License-Identifier: PostgreSQL */
/*
 * Secrets out of a file: one a line, "#" begins a comment, at most two, so that one can follow the
 * other without a gap. A reload either takes the whole new file or keeps what there was. Neither
 * errors nor logs show any of them.
 */
#ifndef CONCERTD_SECRET_H
#define CONCERTD_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#define SECRETS_MAX 2
#define SECRET_BYTES_MIN 16
#define SECRET_BYTES_MAX 255

typedef struct Secrets
{
	int	 count;
	char text[SECRETS_MAX][SECRET_BYTES_MAX + 1];
} Secrets;

/* NULL when the file cannot be read or is malformed; errstr says why. */
Secrets *secret_open(const char *path, char *errstr, size_t size);
bool	 secret_reload(Secrets *secrets, const char *path, char *errstr, size_t size)
	__attribute__((warn_unused_result));
void secret_close(Secrets *secrets);

#endif
