/* SPDX-License-Identifier: PostgreSQL */
/*
 * What may be soft-deleted: a reservation hangs on its seat, seat and concession on their section,
 * that on its date, that on its concert.
 *
 * What lives hangs on what lives. Two rules keep that, and guard.c applies them to every UPDATE
 * of deleted_at, whoever sends it: nothing is deleted while something live hangs on it, nothing
 * is restored under something deleted.
 */
#ifndef CONCERT_DELETABLE_H
#define CONCERT_DELETABLE_H

#include "plan.h"

typedef struct Deletable Deletable;

/* The kind of that name, which is also its table's; NULL when there is none. */
extern Deletable *deletable_find(const char *kind);

/* The column that names what it hangs on; NULL for a concert. */
extern const char *deletable_parent_column(const Deletable *deletable);

/*
 * Raise TK007 and TK015 unless it may be deleted, or restored under this parent (NULL: a
 * concert). Called between plan_begin() and plan_end(). They lock its row (FOR UPDATE), or its
 * parent's (FOR KEY SHARE), so that nobody adds to a row that goes.
 */
extern void deletable_judge_delete(Deletable *deletable, const pg_uuid_t *id);
extern void deletable_judge_restore(Deletable *deletable, const pg_uuid_t *id,
									const pg_uuid_t *parent_id);

/* Tells that it was deleted, or restored: acts in the history and, for a seat, the event. */
extern void deletable_tell(Deletable *deletable, const pg_uuid_t *id, const char *action);

#endif /* CONCERT_DELETABLE_H */
