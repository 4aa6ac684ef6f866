/* SPDX-License-Identifier: PostgreSQL */
/* What all fans share: the server, the seat map, the counters, and who has paid for which seat. */
#ifndef DEMO_SALE_H
#define DEMO_SALE_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>
#include <jansson.h>

#include "client.h"
#include "seatmap.h"
#include "tally.h"

typedef struct Sale
{
	struct event_base *base;
	Client			  *client;		 /* of those who may buy */
	Client			  *queue_client; /* of those who wait: they never keep a buyer waiting */
	SeatMapCache	  *map;
	Tally			  *tally;
	const char		  *concert_date_id;
	const char		  *currency;
	const char		  *provider; /* who takes money beside points; "": nobody */
	uint64_t		   seed;
	int				   seats_per_fan_max;
	int				   fans_left; /* the loop ends when nobody is left */
	int *owners; /* by seat of the map: the number of the fan who paid for it, or -1 */
	int	 nowners;
} Sale;

/* A request of one user; key NULL for none, extra.name NULL for no further header. */
typedef struct SaleRequest
{
	Client		*client; /* one of the sale's two */
	const char	*method;
	const char	*path;
	const char	*body;
	const char	*user_id;
	const char	*key;
	ClientHeader extra;
} SaleRequest;

void	sale_send(Sale *sale, const SaleRequest *request, ClientDone done, void *arg);
void	sale_count(Sale *sale, TallyId id, long count);
void	sale_seats_paid(Sale *sale, int number, const int *seats, int nseats, int map_seats);
int64_t sale_now_us(void);

/* Nothing that a server says on purpose: the same request may be sent again. */
bool		sale_no_answer(const ClientReply *reply);
json_t	   *sale_answer(const ClientReply *reply);			   /* NULL when it is not JSON */
const char *sale_text(const json_t *answer, const char *name); /* "" when absent */

#endif
