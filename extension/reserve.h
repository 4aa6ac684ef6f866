/* SPDX-License-Identifier: PostgreSQL */
/* What reserve(), its kin and explain_reserve() are asked and answer. */
#ifndef CONCERT_RESERVE_H
#define CONCERT_RESERVE_H

#include "taking.h"

/*
 * Reads the arguments that both have in their first six places, and the concessions in place n.
 * Raises 22004, 22023, TK003 past seats_max, and TK004.
 */
extern void reserve_read_arguments(FunctionCallInfo fcinfo, int n, int seats_max, Taking *taking);

/* The answer's columns: those of reserve_answer, and the step of reserve_best() after them. */
#define RESERVE_COLUMNS 5
#define RESERVE_COLUMNS_BEST 6

/* Of so many columns; the step may be NULL. */
extern Datum reserve_answer(FunctionCallInfo fcinfo, const Taking *taking, Reason reason,
							const Booking *booking, const char *step, int columns);

#endif /* CONCERT_RESERVE_H */
