/* SPDX-License-Identifier: PostgreSQL */
/*
 * The options of import-venue are one table: it feeds getopt, --help and the parameters of
 * create_concert_date(), so a default stands in one place.
 */
#include "import.h"

#include <getopt.h>
#include <jansson.h>
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#include "venue.h"

#define EXIT_MISUSE 2
#define SQL_BYTES_MAX 2048
#define INT64_DIGITS_MAX 24

/*
 * X(ID, option, parameter of create_concert_date() or NULL, its type, argument, default or NULL,
 * help)
 */
#define IMPORT_OPTIONS(X)                                                                     \
	X(CONCERT, "concert", NULL, NULL, "NAME|ID", NULL,                                        \
	  "a name makes a new concert, an id adds a date to that one (required)")                 \
	X(STARTS_AT, "starts-at", "starts_at", "timestamptz", "TIME", NULL,                       \
	  "when the date starts; without an offset it is local to --time-zone (required)")        \
	X(TIME_ZONE, "time-zone", "time_zone", "text", "ZONE", "UTC", "time zone of the hall")    \
	X(SALE_OPENS_AT, "sale-opens-at", "sale_opens_at", "timestamptz", "TIME", "now",          \
	  "when the sale opens")                                                                  \
	X(SALE_CLOSES_AT, "sale-closes-at", "sale_closes_at", "timestamptz", "TIME", "the start", \
	  "when the sale closes")                                                                 \
	X(PENDING_SECONDS, "pending-seconds", "pending_seconds", "integer", "N", "300",           \
	  "how long an unpaid reservation is kept")                                               \
	X(LIMIT_PER_USER, "limit-per-user", "seats_per_user_max", "integer", "N", "4",            \
	  "most seats of one user")                                                               \
	X(ADMISSION, "admission", "admission", "text", "WORD", "open",                            \
	  "open, or required: only with a pass of the waiting room")                              \
	X(ADMISSION_CAP, "admission-cap", "admission_cap", "integer", "N", "500",                 \
	  "most people who hold a pass at once")                                                  \
	X(ADMISSION_RATE, "admission-rate", "admission_rate", "integer", "N", "100",              \
	  "people let in per second")                                                             \
	X(CLAIM_SECONDS, "claim-seconds", "claim_seconds", "integer", "N", "30",                  \
	  "time in which an admitted person must fetch the pass")                                 \
	X(PASS_SECONDS, "pass-seconds", "pass_seconds", "integer", "N", "600",                    \
	  "how long a pass is good")                                                              \
	X(CURRENCY, "currency", NULL, NULL, "PTS", "PTS",                                         \
	  "currency of the prices, which are in its minor units")                                 \
	X(CONNINFO, "conninfo", NULL, NULL, "STRING", "",                                         \
	  "libpq connection string of a member of concert_admin; else PGHOST, PGDATABASE …")      \
	X(HELP, "help", NULL, NULL, NULL, NULL, "this text")

typedef enum OptionId
{
#define OPTION_ENUM(id, ...) OPTION_##id,
	IMPORT_OPTIONS(OPTION_ENUM)
#undef OPTION_ENUM
		OPTIONS_TOTAL
} OptionId;

typedef struct OptionRow
{
	const char *name;
	const char *parameter;
	const char *type;
	const char *argument;
	const char *fallback;
	const char *help;
} OptionRow;

static const OptionRow option_rows[OPTIONS_TOTAL] = {
#define OPTION_ROW(id, ...) {__VA_ARGS__},
	IMPORT_OPTIONS(OPTION_ROW)
#undef OPTION_ROW
};

typedef struct Import
{
	const char *file;
	const char *values[OPTIONS_TOTAL]; /* as given, or the default; NULL: neither */
	bool		given[OPTIONS_TOTAL];
	Venue	   *venue;
	PGconn	   *conn;
	char	   *concert_id;
	char	   *concert_date_id;
	json_t	   *section_ids; /* array of strings, in the order of venue->sections */
} Import;

static int	 read_options(Import *import, int argc, char **argv, bool *ret_done);
static void	 print_help(void);
static bool	 read_venue(Import *import);
static char *read_file(const char *path, size_t *ret_length);
static bool	 load_venue(Import *import);
static char *query_one(Import *import, const char *sql, int nparams, const char *const *params);
static bool	 load_date(Import *import);
static bool	 load_sections(Import *import);
static bool	 load_seats(Import *import);
static void	 print_result(const Import *import);

int
import_main(int argc, char **argv)
{
	Import import = {0};
	bool   done = false;
	int	   status = read_options(&import, argc, argv, &done);

	if (done)
		return status;
	status = EXIT_FAILURE;
	if (read_venue(&import) && load_venue(&import))
	{
		print_result(&import);
		status = EXIT_SUCCESS;
	}
	PQfinish(import.conn);
	venue_free(import.venue);
	json_decref(import.section_ids);
	free(import.concert_id);
	free(import.concert_date_id);
	return status;
}

static int
misuse(const char *what, const char *which)
{
	fprintf(stderr, "concertd import-venue: %s%s (--help lists the options)\n", what, which);
	return EXIT_MISUSE;
}

/* *ret_done: there is nothing more to do than to exit with what is returned. */
static int
read_options(Import *import, int argc, char **argv, bool *ret_done)
{
	struct option longs[OPTIONS_TOTAL + 1] = {0};
	int			  id;

	for (int i = 0; i < OPTIONS_TOTAL; i++)
	{
		longs[i] = (struct option){
			option_rows[i].name, option_rows[i].argument != NULL ? required_argument : no_argument,
			NULL, i};
		import->values[i] = option_rows[i].fallback;
	}
	*ret_done = true;
	optind = 0;
	opterr = 0;
	while ((id = getopt_long(argc, argv, ":", longs, NULL)) != -1)
	{
		if (id == '?')
			return misuse("unknown option ", argv[optind - 1]);
		if (id == ':')
			return misuse("a value is missing after ", argv[optind - 1]);
		if (id == OPTION_HELP)
		{
			print_help();
			return EXIT_SUCCESS;
		}
		import->values[id] = optarg;
		import->given[id] = true;
	}
	if (argc - optind != 1)
		return misuse("give one CSV file", "");
	import->file = argv[optind];
	if (!import->given[OPTION_CONCERT])
		return misuse("--concert is required", "");
	if (!import->given[OPTION_STARTS_AT])
		return misuse("--starts-at is required", "");
	*ret_done = false;
	return EXIT_SUCCESS;
}

static void
print_help(void)
{
	puts(
		"usage: concertd import-venue FILE.csv --concert NAME|ID --starts-at TIME [options]\n"
		"\n"
		"Makes a concert date out of a CSV file with the columns section,row,seats,price: one line is a\n"
		"row, seats are 1-18 or \"1-4,31-34\", the price is in minor units. Rows become rows of the grid in\n"
		"the file's order, seat numbers its columns; a seat's label is ROW-SEAT. A section with two prices\n"
		"becomes a section for each. All is kept or nothing, and a bad line is named.\n"
		"Prints {\"concert_id\", \"concert_date_id\", \"sections\", \"seats\"}.\n");
	for (int i = 0; i < OPTIONS_TOTAL; i++)
	{
		const OptionRow *row = &option_rows[i];
		char			 usage[64];

		snprintf(usage, sizeof(usage), "--%s%s%s", row->name, row->argument != NULL ? " " : "",
				 row->argument != NULL ? row->argument : "");
		printf("  %-24s %s", usage, row->help);
		if (row->fallback != NULL && row->fallback[0] != '\0')
			printf(" (default: %s)", row->fallback);
		putchar('\n');
	}
}

static bool
read_venue(Import *import)
{
	VenueError error = {0};
	size_t	   length;
	char	  *text = read_file(import->file, &length);

	if (text == NULL)
		return false;
	import->venue = venue_parse(text, length, &error);
	free(text);
	if (import->venue == NULL && error.line > 0)
		fprintf(stderr, "%s: line %ld: %s\n", import->file, error.line, error.reason);
	else if (import->venue == NULL)
		fprintf(stderr, "%s: %s\n", import->file, error.reason);
	return import->venue != NULL;
}

static char *
read_file(const char *path, size_t *ret_length)
{
	FILE  *file = fopen(path, "rb");
	char  *text = NULL;
	size_t length = 0;
	size_t room = 0;

	if (file == NULL)
	{
		fprintf(stderr, "%s: %m\n", path);
		return NULL;
	}
	do
	{
		room = room == 0 ? 65536 : room * 2;
		text = realloc(text, room);
		if (text == NULL)
			abort();
		length += fread(text + length, 1, room - length, file);
	} while (length == room && length <= VENUE_FILE_BYTES_MAX);
	if (ferror(file) || length > VENUE_FILE_BYTES_MAX)
	{
		if (ferror(file))
			fprintf(stderr, "%s: %m\n", path);
		else
			fprintf(stderr, "%s: larger than %zu bytes\n", path, VENUE_FILE_BYTES_MAX);
		free(text);
		text = NULL;
	}
	fclose(file);
	*ret_length = length;
	return text;
}

static void
print_db_error(const Import *import, const char *message)
{
	size_t length = strlen(message);

	fprintf(stderr, "%s: nothing was imported: %s%s", import->file, message,
			length > 0 && message[length - 1] == '\n' ? "" : "\n");
}

static bool
run(Import *import, const char *sql, int nparams, const char *const *params)
{
	char *ignored = query_one(import, sql, nparams, params);

	free(ignored);
	return ignored != NULL;
}

static bool
load_venue(Import *import)
{
	import->conn = PQconnectdb(import->values[OPTION_CONNINFO]);
	if (PQstatus(import->conn) != CONNECTION_OK || PQsetClientEncoding(import->conn, "UTF8") != 0)
	{
		print_db_error(import, PQerrorMessage(import->conn));
		return false;
	}
	return run(import, "BEGIN", 0, NULL) && load_date(import) && load_sections(import) &&
		load_seats(import) && run(import, "COMMIT", 0, NULL);
}

/* The first column of the first row, "" without rows; NULL: failed, and the cause is printed. */
static char *
query_one(Import *import, const char *sql, int nparams, const char *const *params)
{
	PGresult	  *res = PQexecParams(import->conn, sql, nparams, NULL, params, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(res);
	char		  *value = NULL;

	if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
		value = strdup(PQntuples(res) > 0 ? PQgetvalue(res, 0, 0) : "");
	else
		print_db_error(import, PQresultErrorMessage(res));
	PQclear(res);
	return value;
}

static bool
load_date(Import *import)
{
	const char *params[OPTIONS_TOTAL + 1];
	char		sql[SQL_BYTES_MAX];
	int			nparams = 1;
	int			length;
	uuid_t		id;

	if (!run(import, "SELECT set_config('TimeZone', $1, true)", 1,
			 &import->values[OPTION_TIME_ZONE]))
		return false;
	if (uuid_parse(import->values[OPTION_CONCERT], id) == 0)
		import->concert_id = strdup(import->values[OPTION_CONCERT]);
	else
		import->concert_id = query_one(import, "SELECT concert.create_concert($1)", 1,
									   &import->values[OPTION_CONCERT]);
	if (import->concert_id == NULL)
		return false;

	params[0] = import->concert_id;
	length =
		snprintf(sql, sizeof(sql), "SELECT concert.create_concert_date(concert_id => $1::uuid");
	for (int i = 0; i < OPTIONS_TOTAL; i++)
	{
		if (option_rows[i].parameter == NULL || (i == OPTION_SALE_CLOSES_AT && !import->given[i]))
			continue;
		params[nparams++] = import->values[i];
		length += snprintf(sql + length, sizeof(sql) - (size_t) length, ", %s => $%d::%s",
						   option_rows[i].parameter, nparams, option_rows[i].type);
	}
	snprintf(sql + length, sizeof(sql) - (size_t) length, ")");
	import->concert_date_id = query_one(import, sql, nparams, params);
	return import->concert_date_id != NULL;
}

static bool
load_sections(Import *import)
{
	import->section_ids = json_array();
	for (int i = 0; i < import->venue->nsections; i++)
	{
		const VenueSection *section = &import->venue->sections[i];
		char				price[INT64_DIGITS_MAX];
		const char		   *params[] = {import->concert_date_id, section->name, price,
										import->values[OPTION_CURRENCY]};
		char			   *id;

		snprintf(price, sizeof(price), "%lld", (long long) section->price);
		id = query_one(import, "SELECT concert.create_section($1, $2, $3, $4)", 4, params);
		if (id == NULL)
			return false;
		json_array_append_new(import->section_ids, json_string(id));
		free(id);
	}
	return true;
}

static json_t *
row_as_json(const Import *import, const VenueRow *row)
{
	json_t *cols = json_array();
	json_t *labels = json_array();

	for (int i = 0; i < row->ncols; i++)
	{
		json_array_append_new(cols, json_integer(row->cols[i]));
		json_array_append_new(labels, json_sprintf("%s-%d", row->name, row->cols[i]));
	}
	return json_pack("{s:O, s:i, s:o, s:o}", "section_id",
					 json_array_get(import->section_ids, (size_t) row->section), "row",
					 row->grid_row, "cols", cols, "labels", labels);
}

/* All rows travel in one call: a round trip for each would make a distant database slow. */
static bool
load_seats(Import *import)
{
	json_t *rows = json_array();
	char   *text;
	bool	loaded;

	for (int i = 0; i < import->venue->nrows; i++)
		json_array_append_new(rows, row_as_json(import, &import->venue->rows[i]));
	text = json_dumps(rows, JSON_COMPACT);
	json_decref(rows);
	loaded = text != NULL &&
		run(import,
			"SELECT sum(concert.add_seats($1, r.section_id, r.\"row\", r.cols, r.labels))"
			" FROM jsonb_to_recordset($2) AS r(section_id uuid, \"row\" integer, cols integer[], labels text[])",
			2, (const char *const[]){import->concert_date_id, text});
	free(text);
	return loaded;
}

static void
print_result(const Import *import)
{
	json_t *result = json_pack("{s:s, s:s, s:i, s:i}", "concert_id", import->concert_id,
							   "concert_date_id", import->concert_date_id, "sections",
							   import->venue->nsections, "seats", import->venue->nseats);

	json_dumpf(result, stdout, JSON_PRESERVE_ORDER);
	putchar('\n');
	json_decref(result);
}
