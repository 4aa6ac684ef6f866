/* SPDX-License-Identifier: PostgreSQL */
/*
 * What the auditor asks the database, in SQL of its own over the tables: it trusts no function
 * of the extension but check_integrity(), whose rows it counts. What Kafka delivered is put
 * beside it in a temporary table, so that both sides are compared by SQL too.
 */
#ifndef DEMO_AUDIT_H
#define DEMO_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

typedef struct Audit Audit;

typedef struct AuditProgress
{
	long committed; /* events in the outbox */
	long delivered; /* of them, those that Kafka has delivered here */
	long applied;	/* of them, those that every group of their topic has in the inbox */
	long lapsed;	/* pending reservations that are past their time */
	long unsettled; /* payments that are open, and refunds that are due */
} AuditProgress;

/* Failures of all calls are printed where they happen. NULL, false: failed. */
Audit *audit_open(const char *conninfo);
void   audit_close(Audit *audit);

/* Rows of COPY's text format: topic, partition, offset, key, event id, type. */
bool audit_add_deliveries(Audit *audit, const char *rows, size_t length);

/* Cheap, for a line every second: counts of rows. */
bool audit_glance(Audit *audit, AuditProgress *ret_progress);

/* Exact, by comparing every event. */
bool audit_progress(Audit *audit, AuditProgress *ret_progress);

/* Every count as name=value lines, and each row of check_integrity() on stderr. */
bool audit_report(Audit *audit, FILE *out);

#endif
