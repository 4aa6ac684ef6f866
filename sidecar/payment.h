/* SPDX-License-Identifier: PostgreSQL */
/*
 * Payments over HTTP, those that a provider takes: begin one, see how it stands, give back what was
 * paid. Beginning only writes down what is to be asked: the role "provider" asks.
 */
#ifndef CONCERTD_PAYMENT_H
#define CONCERTD_PAYMENT_H

#include "db.h"
#include "http.h"

void payment_begin(Db *db, HttpRequest *request);
void payment_show(Db *db, HttpRequest *request);
void payment_refund(Db *db, HttpRequest *request);

#endif
