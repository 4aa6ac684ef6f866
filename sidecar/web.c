/* SPDX-License-Identifier: PostgreSQL */
/*
 * Files are opened relative to the folder's descriptor, after their path was checked segment by
 * segment.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "problem.h"
#include "web.h"

#define INDEX_NAME "index.html"
#define UNKNOWN_TYPE "application/octet-stream"

struct Web
{
	int dir_fd; /* -1: none */
};

static const struct
{
	const char *suffix;
	const char *content_type;
} content_types[] = {
	{".html", "text/html; charset=utf-8"},
	{".css", "text/css; charset=utf-8"},
	{".js", "text/javascript; charset=utf-8"},
	{".json", "application/json"},
	{".svg", "image/svg+xml"},
	{".png", "image/png"},
	{".ico", "image/x-icon"},
	{".txt", "text/plain; charset=utf-8"},
};

static const char *web_content_type(const char *name);

Web *
web_open(const char *dir)
{
	Web *web = malloc(sizeof(Web));

	if (web == NULL)
		return NULL;
	web->dir_fd = dir[0] != '\0' ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (dir[0] != '\0' && web->dir_fd < 0)
		log_event(LOG_WARN_LEVEL, "web_dir_unusable", NULL, "{s:s, s:s}", "web_dir", dir, "why",
				  strerror(errno));
	return web;
}

void
web_close(Web *web)
{
	if (web == NULL)
		return;
	if (web->dir_fd >= 0)
		close(web->dir_fd);
	free(web);
}

void
web_answer(Web *web, HttpRequest *request)
{
	const char *name;
	const char *known = http_header(request, "If-None-Match");
	char		etag[64];
	struct stat info;
	int			fd = -1;

	if (web->dir_fd >= 0 && web_file_name(http_path(request), &name))
		fd = openat(web->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
	{
		if (fd >= 0)
			close(fd);
		problem_reply(request, PROBLEM_NOT_FOUND, NULL);
		return;
	}
	snprintf(etag, sizeof(etag), "\"%jx.%lx-%jx\"", (uintmax_t) info.st_mtim.tv_sec,
			 info.st_mtim.tv_nsec, (uintmax_t) info.st_size);
	http_set_header(request, "Cache-Control", "no-cache");
	http_set_header(request, "ETag", etag);
	if (known != NULL && strstr(known, etag) != NULL)
	{
		close(fd);
		http_reply_empty(request, 304);
		return;
	}
	http_reply_file(request, web_content_type(name), fd, (size_t) info.st_size);
}

bool
web_file_name(const char *path, const char **ret_name)
{
	if (strcmp(path, "/") == 0)
	{
		*ret_name = INDEX_NAME;
		return true;
	}
	for (const char *segment = path; *segment != '\0';)
	{
		if (segment[0] != '/' || segment[1] == '.' || segment[1] == '/' || segment[1] == '\0')
			return false;
		segment += 1 + strcspn(segment + 1, "/");
	}
	*ret_name = path + 1;
	return path[0] == '/';
}

static const char *
web_content_type(const char *name)
{
	const char *suffix = strrchr(name, '.');

	for (size_t i = 0; suffix != NULL && i < sizeof(content_types) / sizeof(content_types[0]); i++)
		if (strcmp(content_types[i].suffix, suffix) == 0)
			return content_types[i].content_type;
	return UNKNOWN_TYPE;
}
