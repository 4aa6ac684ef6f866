/* SPDX-License-Identifier: PostgreSQL */
/* One function per error of our own; see errors.h. */
#include "errors.h"

#include "sqlstate.h"

typedef enum ErrorName
{
#define X(name, sqlstate, meaning) ERROR_##name,
	CONCERT_ERRORS(X)
#undef X
} ErrorName;

static const char *const error_sqlstates[] = {
#define X(name, sqlstate, meaning) [ERROR_##name] = sqlstate,
	CONCERT_ERRORS(X)
#undef X
};

static int
error_code(ErrorName name)
{
	const char *s = error_sqlstates[name];

	return errcode(MAKE_SQLSTATE(s[0], s[1], s[2], s[3], s[4]));
}

void
error_null(const char *argument)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("argument \"%s\" must not be null", argument)));
}

void
error_invalid(const char *argument, const char *got, const char *expected)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for argument \"%s\": \"%s\"", argument, got),
			 errdetail("Expected %s.", expected)));
}

void
error_invalid_number(const char *argument, int64 got, int64 low, int64 high)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for argument \"%s\": " INT64_FORMAT, argument, got),
			 errdetail("Expected a number from " INT64_FORMAT " to " INT64_FORMAT ".", low, high)));
}

void
error_unknown_object(const char *kind, const pg_uuid_t *id)
{
	ereport(ERROR,
			(error_code(ERROR_UNKNOWN_OBJECT),
			 errmsg("%s \"%s\" does not exist", kind, uuid_text(id))));
}

void
error_unknown_concession(const char *name, const pg_uuid_t *section_id)
{
	ereport(ERROR,
			(error_code(ERROR_UNKNOWN_OBJECT),
			 errmsg("concession \"%s\" of section \"%s\" does not exist", name,
					uuid_text(section_id))));
}

void
error_key_reused(const char *key, const char *operation)
{
	ereport(
		ERROR,
		(error_code(ERROR_KEY_REUSED),
		 errmsg("idempotency key \"%s\" was used for another request of \"%s\"", key, operation),
		 errhint("Send the same request again, or a new key with a new request.")));
}

void
error_message_reused(const char *message_id, const pg_uuid_t *payment_id)
{
	ereport(ERROR,
			(error_code(ERROR_KEY_REUSED),
			 errmsg("message \"%s\" of payment %s came before and said something else", message_id,
					uuid_text(payment_id)),
			 errhint("Send the same message again, or a new id with a new message.")));
}

void
error_rows_kept(const char *change, int kept, int count, const char *table)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
		 errmsg(
			 "could not %s %d of %d %ss: a trigger, rule or policy of table \"%s\" kept them as they were",
			 change, kept, count, table, table)));
}

void
error_too_many_seats(int got, int max)
{
	ereport(ERROR,
			(error_code(ERROR_TOO_MANY_SEATS), errmsg("too many seats in one call: %d", got),
			 errdetail("At most %d are allowed.", max)));
}

void
error_duplicate_seat(const char *seat)
{
	ereport(ERROR, (error_code(ERROR_DUPLICATE_SEAT), errmsg("seat \"%s\" is named twice", seat)));
}

void
error_spot_taken(int row, int col)
{
	ereport(ERROR,
			(error_code(ERROR_DUPLICATE_SEAT),
			 errmsg("seat at row %d, col %d exists already", row, col)));
}

void
error_delete_refused(const char *operation, const char *table, const char *hint)
{
	ereport(ERROR,
			(error_code(ERROR_DELETE_REFUSED), errmsg("cannot %s table \"%s\"", operation, table),
			 errdetail("Its rows are never removed."), hint != NULL ? errhint("%s", hint) : 0));
}

void
error_history_refused(const char *operation, const char *table, const char *hint)
{
	ereport(ERROR,
			(error_code(ERROR_HISTORY_REFUSED), errmsg("cannot %s table \"%s\"", operation, table),
			 errdetail("Its rows are history and never change."),
			 hint != NULL ? errhint("%s", hint) : 0));
}

void
error_still_in_use(const char *kind, const pg_uuid_t *id, const char *detail)
{
	ereport(ERROR,
			(error_code(ERROR_STILL_IN_USE),
			 errmsg("cannot soft-delete %s \"%s\": live rows depend on it", kind, uuid_text(id)),
			 errdetail_internal("%s", detail)));
}

void
error_restore_refused(const char *kind, const pg_uuid_t *id, const char *detail)
{
	ereport(ERROR,
			(error_code(ERROR_RESTORE_REFUSED),
			 errmsg("cannot restore %s \"%s\"", kind, uuid_text(id)),
			 errdetail_internal("%s", detail)));
}

void
error_outbox_reset_needed(void)
{
	ereport(ERROR,
			(error_code(ERROR_OUTBOX_RESET_NEEDED),
			 errmsg("outbox comes from another database cluster or a dump"),
			 errdetail("Its transaction ids mean nothing here."),
			 errhint("Run SELECT concert.outbox_reset() while no relay is connected.")));
}

void
error_event_refused(const char *what, const char *got, const char *expected)
{
	ereport(ERROR,
			(error_code(ERROR_EVENT_REFUSED), errmsg("invalid event %s: %s", what, got),
			 errdetail("Expected %s.", expected)));
}

void
error_key_file_unusable(const char *path, const char *why)
{
	ereport(
		ERROR,
		(error_code(ERROR_KEY_FILE_UNUSABLE),
		 errmsg("could not use the pass key file \"%s\": %s", path, why),
		 errhint(
			 "Set concert.pass_key_file to a file of one or two lines \"ID HEX\", ID from 0 to 255, HEX of 64 digits.")));
}

void
error_event_id_refused(const pg_uuid_t *id)
{
	ereport(ERROR,
			(error_code(ERROR_EVENT_ID_REFUSED), errmsg("invalid event id \"%s\"", uuid_text(id)),
			 errdetail("Expected a version 7 UUID.")));
}

void
error_cursor_backwards(int lane)
{
	ereport(ERROR,
			(error_code(ERROR_CURSOR_BACKWARDS),
			 errmsg("cursor of lane %d cannot move backwards", lane)));
}

void
error_snapshot_too_old(const char *function)
{
	ereport(ERROR,
			(error_code(ERROR_SNAPSHOT_TOO_OLD),
			 errmsg("%s cannot run in a transaction that keeps one snapshot", function),
			 errhint("Use READ COMMITTED.")));
}

/* where is a path inside the document, "" the document as a whole. */
void
error_layout_refused(const char *where, const char *problem)
{
	ereport(ERROR,
			(error_code(ERROR_LAYOUT_REFUSED),
			 errmsg("layout refused: %s%s%s", where, where[0] != '\0' ? ": " : "", problem)));
}

void
error_update_needed(const char *objects)
{
	ereport(ERROR,
			(error_code(ERROR_UPDATE_NEEDED),
			 errmsg("library of concert is of version %s, its objects are of %s", CONCERT_VERSION,
					objects == NULL ? "none" : objects),
			 errhint("Run ALTER EXTENSION concert UPDATE; where that was done, connect anew.")));
}

void
error_balance_overflow(int64 balance, int64 amount)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("balance out of range: " INT64_FORMAT " + " INT64_FORMAT, balance, amount)));
}
