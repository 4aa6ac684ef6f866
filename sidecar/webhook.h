/* SPDX-License-Identifier: PostgreSQL */
/*
 * The door for the provider's messages: POST /v1/provider/{name}/messages. Nothing of a body is
 * looked at before its signature is good. A message is answered 2xx only when what it says is
 * committed; what the database could not take is 503, and the provider sends it again.
 */
#ifndef CONCERTD_WEBHOOK_H
#define CONCERTD_WEBHOOK_H

#include "db.h"
#include "http.h"
#include "secret.h"

/* secrets NULL: no messages are taken here. */
void webhook_take(Db *db, const Secrets *secrets, HttpRequest *request);

#endif
