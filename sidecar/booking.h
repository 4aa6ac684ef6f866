/* SPDX-License-Identifier: PostgreSQL */
/*
 * Bookings over HTTP: make one, pay it, give it back. Making one asks Redis first, which refuses
 * most losers, and then the database, which alone decides; a hold is given back unless the database
 * said yes, or may have said yes without our hearing of it.
 */
#ifndef CONCERTD_BOOKING_H
#define CONCERTD_BOOKING_H

#include "db.h"
#include "hold.h"
#include "http.h"

typedef struct BookingDesk
{
	Db	 *db;
	Hold *hold;
} BookingDesk;

void booking_make(const BookingDesk *desk, HttpRequest *request);
void booking_pay(const BookingDesk *desk, HttpRequest *request);
void booking_cancel(const BookingDesk *desk, HttpRequest *request);

#endif
