/* SPDX-License-Identifier: PostgreSQL */
/* One function per error of our own; the SQLSTATEs are sqlstate.h's. None of them returns. */
#ifndef CONCERT_ERRORS_H
#define CONCERT_ERRORS_H

#include "concert.h"

extern void error_null(const char *argument) pg_attribute_noreturn();
extern void error_invalid(const char *argument, const char *got, const char *expected)
	pg_attribute_noreturn();
extern void error_invalid_number(const char *argument, int64 got, int64 low, int64 high)
	pg_attribute_noreturn();
extern void error_unknown_object(const char *kind, const pg_uuid_t *id) pg_attribute_noreturn();
extern void error_unknown_concession(const char *name, const pg_uuid_t *section_id)
	pg_attribute_noreturn();
extern void error_key_reused(const char *key, const char *operation) pg_attribute_noreturn();
extern void error_message_reused(const char *message_id, const pg_uuid_t *payment_id)
	pg_attribute_noreturn();
/* An app's trigger, rule or policy left rows as they were: "could not CHANGE 1 of 2 TABLEs". */
extern void error_rows_kept(const char *change, int kept, int count, const char *table)
	pg_attribute_noreturn();
extern void error_too_many_seats(int got, int max) pg_attribute_noreturn();
extern void error_duplicate_seat(const char *seat) pg_attribute_noreturn();
extern void error_spot_taken(int row, int col) pg_attribute_noreturn();
extern void error_delete_refused(const char *operation, const char *table, const char *hint)
	pg_attribute_noreturn();
extern void error_history_refused(const char *operation, const char *table, const char *hint)
	pg_attribute_noreturn();
extern void error_still_in_use(const char *kind, const pg_uuid_t *id, const char *detail)
	pg_attribute_noreturn();
extern void error_restore_refused(const char *kind, const pg_uuid_t *id, const char *detail)
	pg_attribute_noreturn();
extern void error_outbox_reset_needed(void) pg_attribute_noreturn();
extern void error_event_refused(const char *what, const char *got, const char *expected)
	pg_attribute_noreturn();
extern void error_key_file_unusable(const char *path, const char *why) pg_attribute_noreturn();
extern void error_event_id_refused(const pg_uuid_t *id) pg_attribute_noreturn();
extern void error_cursor_backwards(int lane) pg_attribute_noreturn();
extern void error_snapshot_too_old(const char *function) pg_attribute_noreturn();
extern void error_layout_refused(const char *where, const char *problem) pg_attribute_noreturn();
extern void error_update_needed(const char *objects) pg_attribute_noreturn();
extern void error_balance_overflow(int64 balance, int64 amount) pg_attribute_noreturn();

#endif /* CONCERT_ERRORS_H */
