/* SPDX-License-Identifier: PostgreSQL */
/* Reading a whole hall; hall.c keeps it. */
#ifndef CONCERT_HALL_LOAD_H
#define CONCERT_HALL_LOAD_H

#include "hall.h"

/* In a memory context of its own below the current one; seats are free or not as they were read. */
extern Hall *hall_load(const pg_uuid_t *date_id);

#endif /* CONCERT_HALL_LOAD_H */
