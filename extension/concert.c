/* SPDX-License-Identifier: PostgreSQL */
/* The module's entry. concert.h says where everything is. */
#include "concert.h"

#include "transition.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	settings_define();
	transition_check();
}
