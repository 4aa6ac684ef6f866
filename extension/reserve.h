/* SPDX-License-Identifier: PostgreSQL */
/* What reserve() and explain_reserve() are asked. */
#ifndef CONCERT_RESERVE_H
#define CONCERT_RESERVE_H

#include "taking.h"

/*
 * Reads the arguments that both have in their first six places, and the concessions in place n.
 * Raises 22004, 22023, TK003 past seats_max, and TK004.
 */
extern void reserve_read_arguments(FunctionCallInfo fcinfo, int n, int seats_max, Taking *taking);

#endif /* CONCERT_RESERVE_H */
