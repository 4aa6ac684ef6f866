/* SPDX-License-Identifier: PostgreSQL */
/*
 * For tests: a Redis in cluster mode of their own, through deploy/local/redis. It keeps nothing
 * on disk, so one that was killed comes back empty. Run from the daemon's source folder. A test
 * that fails leaves none behind: what it did not stop is stopped when the program ends.
 */
#ifndef CONCERT_TEST_REDIS_SERVER_H
#define CONCERT_TEST_REDIS_SERVER_H

#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REDIS_SERVER_LOCAL "../deploy/local"
#define REDIS_SERVER_END_MS 5000
#define REDIS_SERVERS_MAX 8

typedef struct RedisServer
{
	char dir[64];
	int	 port;
	char nodes[64]; /* for redis_open() */
} RedisServer;

static char redis_servers_running[REDIS_SERVERS_MAX][64];

/* The first line that the command prints; false when it fails. */
static inline bool
redis_server_shell(char *ret_line, int size, const char *fmt, ...)
{
	char	command[512];
	va_list args;
	FILE   *pipe;

	va_start(args, fmt);
	vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	ret_line[0] = '\0';
	pipe = popen(command, "re");
	if (pipe == NULL)
		return false;
	if (fgets(ret_line, size, pipe) != NULL)
		ret_line[strcspn(ret_line, "\n")] = '\0';
	return pclose(pipe) == 0;
}

static inline bool
redis_server_up(RedisServer *server)
{
	char line[256];

	return redis_server_shell(line, sizeof(line), REDIS_SERVER_LOCAL "/redis start %s/redis %d",
							  server->dir, server->port);
}

/* The process of our own record, gone when this returns. */
static inline bool
redis_server_kill(const RedisServer *server)
{
	const struct timespec pause = {.tv_nsec = 5000000};
	char				  record[128];
	int					  pid = 0;
	FILE				 *file;

	snprintf(record, sizeof(record), "%s/redis/server.process", server->dir);
	file = fopen(record, "re");
	if (file == NULL)
		return false;
	if (fscanf(file, "%*s %d", &pid) != 1)
		pid = 0;
	fclose(file);
	if (pid <= 1 || kill(pid, SIGKILL) != 0)
		return false;
	for (int waited_ms = 0; kill(pid, 0) == 0 && waited_ms < REDIS_SERVER_END_MS; waited_ms += 5)
		nanosleep(&pause, NULL);
	return kill(pid, 0) != 0;
}

static inline void
redis_server_stop_dir(char *dir)
{
	char line[256];

	redis_server_shell(line, sizeof(line), REDIS_SERVER_LOCAL "/redis stop %s/redis && rm -rf %s",
					   dir, dir);
	dir[0] = '\0';
}

static inline void
redis_server_stop(const RedisServer *server)
{
	for (int i = 0; i < REDIS_SERVERS_MAX; i++)
		if (strcmp(redis_servers_running[i], server->dir) == 0)
			redis_server_stop_dir(redis_servers_running[i]);
}

static inline void
redis_server_stop_all(void)
{
	for (int i = 0; i < REDIS_SERVERS_MAX; i++)
		if (redis_servers_running[i][0] != '\0')
			redis_server_stop_dir(redis_servers_running[i]);
}

static inline bool
redis_server_start(RedisServer *server)
{
	char line[256];

	static bool registered;

	if (!registered)
		registered = atexit(redis_server_stop_all) == 0;
	strcpy(server->dir, "/tmp/concert-unit-XXXXXX");
	if (mkdtemp(server->dir) == NULL || chmod(server->dir, 0755) != 0 ||
		!redis_server_shell(line, sizeof(line), REDIS_SERVER_LOCAL "/free-ports 1"))
		return false;
	for (int i = 0; i < REDIS_SERVERS_MAX; i++)
		if (redis_servers_running[i][0] == '\0')
		{
			strcpy(redis_servers_running[i], server->dir);
			break;
		}
	server->port = atoi(line);
	snprintf(server->nodes, sizeof(server->nodes), "127.0.0.1:%d", server->port);
	return redis_server_up(server);
}

/* A command by redis-cli, for what a test wants to see or to break. */
static inline bool
redis_server_cli(const RedisServer *server, char *ret_line, int size, const char *command)
{
	return redis_server_shell(ret_line, size, "redis-cli -p %d %s", server->port, command);
}

#endif
