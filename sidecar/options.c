/* SPDX-License-Identifier: PostgreSQL */
/*
 * Options are parsed into a candidate which replaces the one in force only when every line of the
 * file, every override and every bound is good: a bad reload changes nothing.
 */
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "log.h"
#include "options.h"
#include "trust.h"

#define ENV_NAME_BYTES 128
#define EXPECTED_BYTES 256
#define PORT_MAX 65535
#define SHOWN_BYTES 80 /* of a wrong value, in an error */

typedef enum OptionType
{
	OptionTypeText,
	OptionTypeFile,
	OptionTypeInt,
	OptionTypeChoice,
	OptionTypeSet
} OptionType;

typedef struct OptionRow
{
	OptionType	type;
	size_t		offset;
	const char *section;
	const char *key;
	const char *default_value;
	int			min;
	int			max;
	const char *words;
	bool		reload;
	const char *doc;
} OptionRow;

static const OptionRow rows[] = {
#define OPTION_ROW(type, field, section, key, default_value, min, max, words, reload, doc) \
	{OptionType##type,                                                                     \
	 offsetof(Options, field),                                                             \
	 section,                                                                              \
	 key,                                                                                  \
	 default_value,                                                                        \
	 min,                                                                                  \
	 max,                                                                                  \
	 words,                                                                                \
	 reload,                                                                               \
	 doc},
	OPTIONS(OPTION_ROW)
#undef OPTION_ROW
};

#define ROW_COUNT ((int) (sizeof(rows) / sizeof(rows[0])))

/* Values of every load stay allocated: others hold pointers to them until the process ends. */
typedef struct KeptText
{
	struct KeptText *next;
	char			 text[];
} KeptText;

typedef struct Parse
{
	const char *path;
	FILE	   *file;
	int			line;
	int			error_line; /* of errstr; inih itself tells of its first error only at the end */
	bool		continues;	/* the line being parsed is indented: it continues the value above */
	int			last_row;
	int			seen_line[ROW_COUNT];
	Options		candidate;
	char	   *errstr;
	size_t		errsize;
} Parse;

static Options	 current;
static bool		 current_is_set;
static KeptText *kept_texts;

static bool	 options_parse(const char *path, Options *ret_options, char *errstr, size_t size);
static bool	 options_defaults(Options *options);
static bool	 options_parse_file(Parse *parse);
static char *options_read_line(char *buffer, int size, void *stream);
static int	 options_take_line(void *user, const char *section, const char *key, const char *value);
static bool	 options_environment(Options *options, char *errstr, size_t size);
static bool	 options_check(const Options *options, char *errstr, size_t size);
static bool	 options_check_conninfo(const char *conninfo, char *errstr, size_t size);
static bool	 options_check_trusted(const char *trusted, char *errstr, size_t size);
static bool	 options_check_provider(const Options *options, char *errstr, size_t size);
static bool	 url_is_safe(const char *url);
static bool	 options_check_addresses(const char *option, const char *list, char *errstr,
									 size_t size);
static const OptionRow *options_find(const char *section, const char *key);
static bool				option_set(const OptionRow *row, Options *options, const char *value);
static bool				option_set_words(const OptionRow *row, Options *options, const char *value);
static int				option_word(const OptionRow *row, const char *word, size_t len);
static const char	   *option_next_word(const char *word);
static void				option_expected(const OptionRow *row, char *text, size_t size);
static void				option_print_value(const OptionRow *row, const Options *options, FILE *out);
static bool				option_equal(const OptionRow *row, const Options *a, const Options *b);
static size_t			option_size(const OptionRow *row);
static const char	   *option_keep_text(const char *text);
static void				option_name(const OptionRow *row, char *name, size_t size);
static void				option_env_name(const OptionRow *row, char *name, size_t size);
static bool parse_fail(Parse *parse, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static inline void *
option_at(const OptionRow *row, const Options *options)
{
	return (char *) options + row->offset;
}

const Options *
options_current(void)
{
	if (!current_is_set)
		current_is_set = options_defaults(&current);
	return &current;
}

bool
options_load(const char *path, char *errstr, size_t size)
{
	Options candidate;

	if (!options_parse(path, &candidate, errstr, size))
		return false;
	current = candidate;
	current_is_set = true;
	return true;
}

bool
options_reload(const char *path, char *errstr, size_t size)
{
	Options candidate;

	if (!options_parse(path, &candidate, errstr, size))
		return false;
	for (int i = 0; i < ROW_COUNT; i++)
	{
		char name[ENV_NAME_BYTES];

		if (option_equal(&rows[i], &current, &candidate))
			continue;
		option_name(&rows[i], name, sizeof(name));
		if (rows[i].reload)
		{
			memcpy(option_at(&rows[i], &current), option_at(&rows[i], &candidate),
				   option_size(&rows[i]));
			log_event(LOG_INFO_LEVEL, "option_changed", NULL, "{s:s}", "option", name);
		}
		else
			log_event(LOG_WARN_LEVEL, "option_needs_restart", NULL, "{s:s}", "option", name);
	}
	return true;
}

void
options_print_help(FILE *out)
{
	const char *section = NULL;

	for (int i = 0; i < ROW_COUNT; i++)
	{
		const OptionRow *row = &rows[i];
		char			 expected[EXPECTED_BYTES];
		char			 env[ENV_NAME_BYTES];

		if (section == NULL || strcmp(section, row->section) != 0)
			fprintf(out, row->section[0] != '\0' ? "\n[%s]\n" : "%s", row->section);
		section = row->section;
		option_expected(row, expected, sizeof(expected));
		fprintf(out, "  %-20s %s\n%22s %s; default \"%s\"%s\n", row->key, row->doc, "", expected,
				row->default_value, row->reload ? "; reloadable" : "");
		option_env_name(row, env, sizeof(env));
		if (row->type == OptionTypeFile)
			fprintf(out, "%22s overridden by the environment variable %s\n", "", env);
	}
}

/* With its comments, so that the defaults' output is the sample file. */
void
options_print_config(FILE *out)
{
	const Options *options = options_current();
	const char	  *section = "";

	for (int i = 0; i < ROW_COUNT; i++)
	{
		char expected[EXPECTED_BYTES];

		if (strcmp(section, rows[i].section) != 0)
			fprintf(out, "\n[%s]\n", rows[i].section);
		section = rows[i].section;
		option_expected(&rows[i], expected, sizeof(expected));
		fprintf(out, "# %s (%s)\n%s =", rows[i].doc, expected, rows[i].key);
		option_print_value(&rows[i], options, out);
		fputc('\n', out);
	}
}

static bool
options_parse(const char *path, Options *ret_options, char *errstr, size_t size)
{
	Parse parse = {.path = path, .last_row = -1, .errstr = errstr, .errsize = size};

	if (!options_defaults(&parse.candidate))
	{
		snprintf(errstr, size, "out of memory");
		return false;
	}
	if (path != NULL && !options_parse_file(&parse))
		return false;
	if (!options_environment(&parse.candidate, errstr, size) ||
		!options_check(&parse.candidate, errstr, size))
		return false;
	*ret_options = parse.candidate;
	return true;
}

static bool
options_defaults(Options *options)
{
	for (int i = 0; i < ROW_COUNT; i++)
		if (!option_set(&rows[i], options, rows[i].default_value))
			return false;
	return true;
}

static bool
options_parse_file(Parse *parse)
{
	int bad_line;

	parse->errstr[0] = '\0';
	parse->file = fopen(parse->path, "r");
	if (parse->file == NULL)
	{
		snprintf(parse->errstr, parse->errsize, "could not open \"%s\": %s", parse->path,
				 strerror(errno));
		return false;
	}
	bad_line = ini_parse_stream(options_read_line, parse, options_take_line, parse);
	if (bad_line == 0 && ferror(parse->file))
	{
		snprintf(parse->errstr, parse->errsize, "could not read \"%s\": %s", parse->path,
				 strerror(errno));
		bad_line = parse->line + 1;
	}
	fclose(parse->file);
	if (bad_line != 0 && (parse->errstr[0] == '\0' || bad_line < parse->error_line))
	{
		parse->line = bad_line;
		parse_fail(parse, "neither \"[section]\" nor \"key = value\"");
	}
	return bad_line == 0;
}

/* inih does not tell its handler the line: it is counted where lines are read. */
static char *
options_read_line(char *buffer, int size, void *stream)
{
	Parse *parse = stream;
	size_t len;

	if (parse->errstr[0] != '\0' || fgets(buffer, size, parse->file) == NULL)
		return NULL;
	parse->line++;
	len = strlen(buffer);
	if (len + 1 == (size_t) size && buffer[len - 1] != '\n')
	{
		parse_fail(parse, "longer than %d bytes; a long value goes on in indented lines", size - 2);
		snprintf(buffer, (size_t) size, "]\n");
		return buffer;
	}
	parse->continues = buffer[0] == ' ' || buffer[0] == '\t';
	return buffer;
}

static int
options_take_line(void *user, const char *section, const char *key, const char *value)
{
	Parse			*parse = user;
	const OptionRow *row = options_find(section, key);
	char			 expected[EXPECTED_BYTES];
	char			 joined[4096];
	int				 i = row != NULL ? (int) (row - rows) : -1;

	if (parse->errstr[0] != '\0')
		return 0;
	if (row == NULL)
		return parse_fail(parse, "unknown option \"%s\" in section \"%s\"; --help lists all", key,
						  section);
	if (parse->continues && parse->last_row == i && row->type == OptionTypeText)
	{
		snprintf(joined, sizeof(joined), "%s %s", *(OptionText *) option_at(row, &parse->candidate),
				 value);
		value = joined;
	}
	else if (parse->seen_line[i] != 0)
		return parse_fail(parse, "option \"%s\" stands in line %d already", key,
						  parse->seen_line[i]);
	parse->seen_line[i] = parse->line;
	parse->last_row = i;
	if (option_set(row, &parse->candidate, value))
		return 1;
	option_expected(row, expected, sizeof(expected));
	return parse_fail(parse, "option \"%s\": \"%.*s\" is not %s", key, SHOWN_BYTES, value,
					  expected);
}

static bool
options_environment(Options *options, char *errstr, size_t size)
{
	for (int i = 0; i < ROW_COUNT; i++)
	{
		char		name[ENV_NAME_BYTES];
		const char *value;

		if (rows[i].type != OptionTypeFile)
			continue;
		option_env_name(&rows[i], name, sizeof(name));
		value = getenv(name);
		if (value == NULL || option_set(&rows[i], options, value))
			continue;
		snprintf(errstr, size, "environment variable %s: \"%.*s\" is not a path of %d to %d bytes",
				 name, SHOWN_BYTES, value, rows[i].min, rows[i].max);
		return false;
	}
	return true;
}

/* What no single row can say. */
static bool
options_check(const Options *options, char *errstr, size_t size)
{
	if (options->roles == 0)
		snprintf(errstr, size, "option \"roles\" is empty; expected at least one role");
	else if (options->relay_poll_min_ms > options->relay_poll_max_ms)
		snprintf(errstr, size, "relay.poll_min_ms is %d, more than relay.poll_max_ms, %d",
				 options->relay_poll_min_ms, options->relay_poll_max_ms);
	else
		return options_check_conninfo(options->db_conninfo, errstr, size) &&
			options_check_provider(options, errstr, size) &&
			options_check_trusted(options->api_trusted, errstr, size) &&
			options_check_addresses("api.listen", options->api_listen, errstr, size) &&
			options_check_addresses("redis.nodes", options->redis_nodes, errstr, size);
	return false;
}

static bool
options_check_conninfo(const char *conninfo, char *errstr, size_t size)
{
	char			 *why = NULL;
	PQconninfoOption *parts = PQconninfoParse(conninfo, &why);
	bool			  good = parts != NULL;

	if (!good)
		snprintf(errstr, size, "db.conninfo: %s", why != NULL ? why : "out of memory");
	for (PQconninfoOption *part = parts; good && part->keyword != NULL; part++)
		if (strcmp(part->keyword, "password") == 0 && part->val != NULL)
		{
			snprintf(errstr, size, "db.conninfo contains a password; expected \"passfile=PATH\"");
			good = false;
		}
	PQconninfoFree(parts);
	PQfreemem(why);
	return good;
}

static bool
options_check_trusted(const char *trusted, char *errstr, size_t size)
{
	char  why[ENV_NAME_BYTES];
	Trust trust;

	if (trust_parse(trusted, &trust, why, sizeof(why)))
		return true;
	snprintf(errstr, size, "api.trusted: %s", why);
	return false;
}

/* Somebody else asks again when a lease is over, so the answer must have come by then. */
static bool
options_check_provider(const Options *options, char *errstr, size_t size)
{
	const char *name = options->provider_name;

	if (name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-")] != '\0')
		snprintf(errstr, size, "provider.name: \"%s\" is not of a-z, 0-9, _ and - only", name);
	else if (options->provider_url[0] != '\0' && !url_is_safe(options->provider_url))
		snprintf(errstr, size, "provider.url: \"%.*s\" is neither https:// nor http:// on loopback",
				 SHOWN_BYTES, options->provider_url);
	else if (options->provider_url[0] != '\0' && name[0] == '\0')
		snprintf(errstr, size, "provider.url is set, but not provider.name");
	else if (options->provider_lease_seconds * 1000LL <= options->provider_timeout_ms)
		snprintf(errstr, size,
				 "provider.lease_seconds is %d, not more than provider.timeout_ms, %d",
				 options->provider_lease_seconds, options->provider_timeout_ms);
	else
		return true;
	return false;
}

/* Keys and amounts do not travel in the clear. */
static bool
url_is_safe(const char *url)
{
	static const char *const beginnings[] = {"http://127.0.0.1", "http://[::1]",
											 "http://localhost"};

	if (strncmp(url, "https://", 8) == 0)
		return url[8] != '\0' && strpbrk(url, "@?# ") == NULL;
	for (size_t i = 0; i < sizeof(beginnings) / sizeof(beginnings[0]); i++)
	{
		size_t len = strlen(beginnings[i]);

		if (strncmp(url, beginnings[i], len) == 0 &&
			(url[len] == '\0' || url[len] == ':' || url[len] == '/') &&
			strpbrk(url, "@?# ") == NULL)
			return true;
	}
	return false;
}

/* Each ends in ":port"; whether its host can be found is known when it is used. */
static bool
options_check_addresses(const char *option, const char *list, char *errstr, size_t size)
{
	for (const char *item = list; *(item += strspn(item, ", \t")) != '\0';)
	{
		size_t		len = strcspn(item, ", \t");
		const char *colon = memrchr(item, ':', len);
		char	   *end = NULL;

		if (colon == NULL || !isdigit((unsigned char) colon[1]) ||
			strtoul(colon + 1, &end, 10) > PORT_MAX || end != item + len)
		{
			snprintf(errstr, size, "%s: \"%.*s\" is not host:port", option, (int) len, item);
			return false;
		}
		item += len;
	}
	return true;
}

static const OptionRow *
options_find(const char *section, const char *key)
{
	for (int i = 0; i < ROW_COUNT; i++)
		if (strcmp(rows[i].section, section) == 0 && strcmp(rows[i].key, key) == 0)
			return &rows[i];
	return NULL;
}

static bool
option_set(const OptionRow *row, Options *options, const char *value)
{
	size_t len = strlen(value);
	char  *end;
	long   number;
	int	   word;

	switch (row->type)
	{
		case OptionTypeText:
		case OptionTypeFile:
			if (len < (size_t) row->min || len > (size_t) row->max)
				return false;
			*(OptionText *) option_at(row, options) = option_keep_text(value);
			return *(OptionText *) option_at(row, options) != NULL;
		case OptionTypeInt:
			errno = 0;
			number = strtol(value, &end, 10);
			if (len == 0 || *end != '\0' || errno != 0 || number < row->min || number > row->max)
				return false;
			*(OptionInt *) option_at(row, options) = (int) number;
			return true;
		case OptionTypeChoice:
			word = option_word(row, value, len);
			if (word < 0)
				return false;
			*(OptionChoice *) option_at(row, options) = word;
			return true;
		case OptionTypeSet:
			return option_set_words(row, options, value);
	}
	return false;
}

static bool
option_set_words(const OptionRow *row, Options *options, const char *value)
{
	OptionSet set = 0;

	while (*value != '\0')
	{
		size_t len;
		int	   word;

		value += strspn(value, " \t,");
		len = strcspn(value, " \t,");
		if (len == 0)
			break;
		word = option_word(row, value, len);
		if (word < 0)
			return false;
		set |= 1u << word;
		value += len;
	}
	*(OptionSet *) option_at(row, options) = set;
	return true;
}

/* The place of a word among the row's words, -1 when it is none of them. */
static int
option_word(const OptionRow *row, const char *word, size_t len)
{
	int i = 0;

	for (const char *known = row->words; known != NULL; known = option_next_word(known))
	{
		if (strcspn(known, "|") == len && strncmp(known, word, len) == 0)
			return i;
		i++;
	}
	return -1;
}

static const char *
option_next_word(const char *word)
{
	const char *bar = strchr(word, '|');

	return bar != NULL ? bar + 1 : NULL;
}

static void
option_expected(const OptionRow *row, char *text, size_t size)
{
	switch (row->type)
	{
		case OptionTypeText:
			snprintf(text, size, "text of %d to %d bytes", row->min, row->max);
			break;
		case OptionTypeFile:
			snprintf(text, size, "a path of %d to %d bytes", row->min, row->max);
			break;
		case OptionTypeInt:
			snprintf(text, size, "a number from %d to %d", row->min, row->max);
			break;
		case OptionTypeChoice:
			snprintf(text, size, "one of %s", row->words);
			break;
		case OptionTypeSet:
			snprintf(text, size, "a comma-separated list of %s", row->words);
			break;
	}
}

static void
option_print_value(const OptionRow *row, const Options *options, FILE *out)
{
	const char *separator = " ";
	const char *text;

	if (row->type == OptionTypeInt)
		fprintf(out, " %d", *(OptionInt *) option_at(row, options));
	else if (row->type == OptionTypeText || row->type == OptionTypeFile)
	{
		text = *(OptionText *) option_at(row, options);
		fprintf(out, "%s%s", text[0] != '\0' ? " " : "", text);
	}
	else
		for (const char *word = row->words; word != NULL; word = option_next_word(word))
		{
			size_t	 len = strcspn(word, "|");
			int		 i = option_word(row, word, len);
			unsigned chosen = row->type == OptionTypeChoice
				? 1u << *(OptionChoice *) option_at(row, options)
				: *(OptionSet *) option_at(row, options);

			if ((chosen & 1u << i) == 0)
				continue;
			fprintf(out, "%s%.*s", separator, (int) len, word);
			separator = ", ";
		}
}

static bool
option_equal(const OptionRow *row, const Options *a, const Options *b)
{
	if (row->type == OptionTypeText || row->type == OptionTypeFile)
		return strcmp(*(OptionText *) option_at(row, a), *(OptionText *) option_at(row, b)) == 0;
	return memcmp(option_at(row, a), option_at(row, b), option_size(row)) == 0;
}

static size_t
option_size(const OptionRow *row)
{
	return row->type == OptionTypeText || row->type == OptionTypeFile ? sizeof(OptionText)
																	  : sizeof(int);
}

static const char *
option_keep_text(const char *text)
{
	size_t	  size = strlen(text) + 1;
	KeptText *kept;

	for (kept = kept_texts; kept != NULL; kept = kept->next)
		if (strcmp(kept->text, text) == 0)
			return kept->text;
	kept = malloc(sizeof(KeptText) + size);
	if (kept == NULL)
		return NULL;
	memcpy(kept->text, text, size);
	kept->next = kept_texts;
	kept_texts = kept;
	return kept->text;
}

static void
option_name(const OptionRow *row, char *name, size_t size)
{
	snprintf(name, size, "%s%s%s", row->section, row->section[0] != '\0' ? "." : "", row->key);
}

static void
option_env_name(const OptionRow *row, char *name, size_t size)
{
	snprintf(name, size, "CONCERTD_%s_%s", row->section, row->key);
	for (char *c = name; *c != '\0'; c++)
		*c = (char) toupper((unsigned char) *c);
}

static bool
parse_fail(Parse *parse, const char *fmt, ...)
{
	int		used = snprintf(parse->errstr, parse->errsize, "%s:%d: ", parse->path, parse->line);
	va_list args;

	parse->error_line = parse->line;
	va_start(args, fmt);
	if (used > 0 && (size_t) used < parse->errsize)
		vsnprintf(parse->errstr + used, parse->errsize - (size_t) used, fmt, args);
	va_end(args);
	return false;
}
