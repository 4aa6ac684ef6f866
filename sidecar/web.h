/* SPDX-License-Identifier: PostgreSQL */
/*
 * The static files at /: regular files below one folder, none whose name begins with a dot, no way
 * out of it.
 */
#ifndef CONCERTD_WEB_H
#define CONCERTD_WEB_H

#include "http.h"

typedef struct Web Web;

/*
 * A folder that cannot be opened is logged; every path is then "not found". NULL only when out of
 * memory.
 */
Web *web_open(const char *dir);
void web_close(Web *web);
void web_answer(Web *web, HttpRequest *request);

/*
 * false for a path that could leave the folder or show what is hidden. ret_name is relative to the
 * folder.
 */
bool web_file_name(const char *path, const char **ret_name);

#endif
