/* SPDX-License-Identifier: PostgreSQL */
/* What of a hall follows from its map; hall.c keeps it up to date. */
#ifndef CONCERT_HALL_DERIVE_H
#define CONCERT_HALL_DERIVE_H

#include "hall.h"

/* In the map's memory context; all but which seats are free. */
extern Hall *hall_derive(KeptMap *kept);

#endif /* CONCERT_HALL_DERIVE_H */
