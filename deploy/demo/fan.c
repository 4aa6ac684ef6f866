/* SPDX-License-Identifier: PostgreSQL */
#include "fan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "payment.h"
#include "random.h"
#include "tab.h"

#define TABS_MAX 2
#define TRIES_MAX 12   /* refused choices before a fan gives up */
#define RETRIES_MAX 10 /* of one request without a usable answer */
#define RETRY_MS 300   /* times the number of the retry */
#define REFRESH_MS_MIN 200
#define REFRESH_MS_MAX 30000
#define PLACES_LOST_MAX 20
#define BEST_SEATS 60	   /* where those who want the best seats begin to look */
#define BEST_SEATS_TRIES 3 /* and how often */

/* Habits, in percent of all fans. */
#define LEAVE_QUEUE_PERCENT 10
#define DOUBLE_CLICK_PERCENT 8
#define TWO_TABS_PERCENT 5
#define NEVER_PAY_PERCENT 6
#define CANCEL_PERCENT 5
#define POOR_PERCENT 10
#define TOP_UP_PERCENT 70 /* of the poor */
#define BEST_SEATS_PERCENT 50
#define PROVIDER_PERCENT 45 /* have the provider take the money */
#define SPLIT_PERCENT 40	/* of them pay half in points */

typedef void (*FanStep)(Fan *fan);

struct Fan
{
	Sale	*sale;
	int		 number;
	uint64_t random;
	char	 user_id[ID_BYTES];
	bool	 leaves_queue;
	bool	 double_clicks;
	bool	 two_tabs;
	bool	 never_pays;
	bool	 cancels;
	bool	 poor;
	bool	 tops_up;
	bool	 wants_best;
	bool	 by_provider;
	bool	 splits;
	int		 wants; /* seats */

	bool		  waiting;
	bool		  charged;
	int			  tries;
	int			  places_lost;
	int			  retries;
	int			  keys; /* idempotency keys used */
	int			  key;	/* of the step under way */
	int64_t		  leave_queue_us;
	int64_t		  pass_until_us;
	char		 *place;
	char		 *pass;
	int64_t		  charge_amount;
	FanStep		  after_charge;
	Tab			  tabs[TABS_MAX];
	int			  ntabs;
	int			  tabs_open; /* not answered yet */
	Tab			 *booked;	 /* the one that is paid */
	Tab			 *spare;	 /* a second booking, to be given back */
	Payment		  payment;
	FanStep		  step;
	struct event *timer;
};

static void fan_join(Fan *fan);
static void fan_joined(void *arg, const ClientReply *reply);
static void fan_ask_place(Fan *fan);
static void fan_place_answered(void *arg, const ClientReply *reply);
static void fan_lost_place(Fan *fan);
static void fan_look(Fan *fan);
static void fan_choose(void *arg, const SeatMap *map);
static void fan_go_and_get(Fan *fan);
static void fan_charge(Fan *fan);
static void fan_charged(void *arg, const ClientReply *reply);
static void fan_reserve(Fan *fan);
static void fan_tab_done(void *arg, Tab *tab);
static void fan_reserved(Fan *fan);
static void fan_try_elsewhere(Fan *fan);
static void fan_give_back_spare(Fan *fan);
static void fan_spare_given_back(void *arg, const ClientReply *reply);
static void fan_decide(Fan *fan);
static void fan_pay(Fan *fan);
static void fan_paid(void *arg, const ClientReply *reply);
static void fan_pay_by_provider(Fan *fan);
static void fan_provider_done(void *arg, PaymentEnd end);
static void fan_pay_otherwise(Fan *fan);
static void fan_not_paid(Fan *fan);
static void fan_has_tickets(Fan *fan);
static void fan_cancel(Fan *fan);
static void fan_cancelled(void *arg, const ClientReply *reply);
static void fan_let_go(Fan *fan);
static void fan_leave(Fan *fan, TallyId why);

static void
fan_timer(evutil_socket_t fd, short what, void *arg)
{
	Fan *fan = arg;

	(void) fd;
	(void) what;
	fan->step(fan);
}

Fan *
fan_new(Sale *sale, int number)
{
	Fan		 *fan = calloc(1, sizeof(Fan));
	uint64_t *random = &fan->random;
	uint64_t  high;
	uint64_t  low;

	fan->sale = sale;
	fan->number = number;
	*random = sale->seed * UINT64_C(1000003) + (uint64_t) number;
	high = random_next(random);
	low = random_next(random);
	snprintf(fan->user_id, sizeof(fan->user_id), "%08x-%04x-4%03x-%04x-%012llx",
			 (unsigned) (high >> 32), (unsigned) (high >> 16 & 0xffff), (unsigned) (high & 0xfff),
			 (unsigned) (low >> 48 & 0x3fff) | 0x8000,
			 (unsigned long long) (low & UINT64_C(0xffffffffffff)));
	fan->leaves_queue = random_percent(random, LEAVE_QUEUE_PERCENT);
	fan->double_clicks = random_percent(random, DOUBLE_CLICK_PERCENT);
	fan->two_tabs = !fan->double_clicks && random_percent(random, TWO_TABS_PERCENT);
	fan->never_pays = random_percent(random, NEVER_PAY_PERCENT);
	fan->cancels = !fan->never_pays && random_percent(random, CANCEL_PERCENT);
	fan->poor = random_percent(random, POOR_PERCENT);
	fan->tops_up = random_percent(random, TOP_UP_PERCENT);
	fan->wants_best = random_percent(random, BEST_SEATS_PERCENT);
	fan->by_provider = sale->provider[0] != '\0' && random_percent(random, PROVIDER_PERCENT);
	fan->splits = fan->by_provider && random_percent(random, SPLIT_PERCENT);
	fan->wants = 1 +
		random_below(random,
					 TAB_SEATS_MAX < sale->seats_per_fan_max ? TAB_SEATS_MAX
															 : sale->seats_per_fan_max);
	if (fan->two_tabs && fan->wants > 1)
		fan->wants /= 2;
	fan->timer = event_new(sale->base, -1, 0, fan_timer, fan);
	for (int i = 0; i < TABS_MAX; i++)
		fan->tabs[i] =
			(Tab){.sale = sale, .done = fan_tab_done, .arg = fan, .user_id = fan->user_id};
	return fan;
}

void
fan_free(Fan *fan)
{
	event_free(fan->timer);
	free(fan->place);
	free(fan->pass);
	free(fan);
}

static void
fan_after(Fan *fan, int ms, FanStep step)
{
	struct timeval pause = {ms / 1000, ms % 1000 * 1000};

	fan->step = step;
	event_add(fan->timer, &pause);
}

/* People think for some time, most of them shortly. */
static int
fan_think_ms(Fan *fan, int typical_ms)
{
	return typical_ms / 4 + random_below(&fan->random, typical_ms) +
		random_below(&fan->random, typical_ms) / 2;
}

void
fan_arrive(Fan *fan, int after_ms)
{
	fan->leave_queue_us =
		sale_now_us() + (int64_t) (after_ms + 2000 + random_below(&fan->random, 20000)) * 1000;
	fan->key = ++fan->keys;
	fan_after(fan, after_ms, fan_join);
}

/* Told to those who wait or are still on their way; the others see it on the map. */
void
fan_hear_sold_out(Fan *fan)
{
	if (event_pending(fan->timer, EV_TIMEOUT, NULL) &&
		(fan->step == fan_join || fan->step == fan_ask_place))
	{
		event_del(fan->timer);
		fan_leave(fan, TALLY_TURNED_AWAY);
	}
}

static void
fan_count(Fan *fan, TallyId id, long count)
{
	tally_add(fan->sale->tally, id, count);
}

static void
fan_send(Fan *fan, const char *method, const char *path, const char *body,
		 const ClientHeader *extra, ClientDone done)
{
	SaleRequest request = {.client =
							   fan->pass != NULL ? fan->sale->client : fan->sale->queue_client,
						   .method = method,
						   .path = path,
						   .body = body,
						   .user_id = fan->user_id};
	char		key[TAB_KEY_BYTES];

	if (strcmp(method, "GET") != 0)
	{
		snprintf(key, sizeof(key), "fan-%d-%d", fan->number, fan->key);
		request.key = key;
	}
	if (extra != NULL)
		request.extra = *extra;
	sale_send(fan->sale, &request, done, fan);
}

/* True: the reply was no answer, and the step comes again (or the fan has had enough). */
static bool
fan_retries(Fan *fan, const ClientReply *reply, FanStep step)
{
	if (!sale_no_answer(reply))
	{
		fan->retries = 0;
		return false;
	}
	if (++fan->retries > RETRIES_MAX)
	{
		fan_leave(fan, TALLY_FAULTS);
		return true;
	}
	fan_count(fan, TALLY_RETRIES, 1);
	fan_after(fan, fan->retries * RETRY_MS + random_below(&fan->random, RETRY_MS), step);
	return true;
}

static int
refresh_ms(const json_t *object)
{
	json_int_t ms = json_integer_value(json_object_get(object, "refresh_after_ms"));

	return ms < REFRESH_MS_MIN ? REFRESH_MS_MIN : ms > REFRESH_MS_MAX ? REFRESH_MS_MAX : (int) ms;
}

static void
fan_set_waiting(Fan *fan, bool waiting)
{
	if (fan->waiting != waiting)
		fan_count(fan, TALLY_WAITING, waiting ? 1 : -1);
	fan->waiting = waiting;
}

static void
fan_join(Fan *fan)
{
	char path[128];

	if (seatmap_sold_out(fan->sale->map))
	{
		fan_leave(fan, TALLY_TURNED_AWAY);
		return;
	}
	snprintf(path, sizeof(path), "/v1/dates/%s/queue", fan->sale->concert_date_id);
	fan_send(fan, "POST", path, "{}", NULL, fan_joined);
}

static void
fan_joined(void *arg, const ClientReply *reply)
{
	Fan	   *fan = arg;
	json_t *answer;

	if (fan_retries(fan, reply, fan_join))
		return;
	answer = sale_answer(reply);
	if (reply->status == 200 || reply->status == 201)
	{
		free(fan->place);
		fan->place = strdup(sale_text(answer, "place"));
		if (fan->places_lost == 0)
			fan_count(fan, TALLY_JOINED, 1);
		fan_set_waiting(fan, true);
		fan_after(fan, refresh_ms(answer), fan_ask_place);
	}
	else if (strcmp(sale_text(answer, "code"), "not_on_sale") == 0 && ++fan->tries < TRIES_MAX)
		fan_after(fan, fan_think_ms(fan, 1000), fan_join);
	else
		fan_leave(fan, TALLY_FAULTS);
	json_decref(answer);
}

static void
fan_ask_place(Fan *fan)
{
	ClientHeader place = {"Concert-Place", fan->place};

	if (seatmap_sold_out(fan->sale->map))
		fan_leave(fan, TALLY_TURNED_AWAY);
	else if (fan->leaves_queue && sale_now_us() > fan->leave_queue_us)
		fan_leave(fan, TALLY_LEFT_QUEUE);
	else
		fan_send(fan, "GET", "/v1/queue", NULL, &place, fan_place_answered);
}

static void
fan_place_answered(void *arg, const ClientReply *reply)
{
	Fan		   *fan = arg;
	json_t	   *answer;
	const char *state;
	const char *pass;

	if (fan_retries(fan, reply, fan_ask_place))
		return;
	answer = sale_answer(reply);
	state = sale_text(answer, "state");
	pass = sale_text(answer, "pass");
	if (strcmp(state, "admitted") == 0 && pass[0] != '\0')
	{
		free(fan->pass);
		fan->pass = strdup(pass);
		fan->pass_until_us = sale_now_us() +
			json_integer_value(json_object_get(answer, "pass_expires_in_ms")) * 1000;
		fan->tries = 0;
		fan_set_waiting(fan, false);
		fan_count(fan, TALLY_ADMITTED, 1);
		fan_look(fan);
	}
	else if (strcmp(state, "waiting") == 0 || strcmp(state, "admitted") == 0)
		fan_after(fan, refresh_ms(answer), fan_ask_place);
	else
		fan_lost_place(fan);
	json_decref(answer);
}

/* Silent for too long, too late to claim, or the pass is over: back to the end of the queue. */
static void
fan_lost_place(Fan *fan)
{
	fan_count(fan, TALLY_LOST_PLACE, 1);
	if (++fan->places_lost > PLACES_LOST_MAX)
	{
		fan_leave(fan, TALLY_GAVE_UP);
		return;
	}
	free(fan->pass);
	fan->pass = NULL;
	fan->key = ++fan->keys;
	fan_after(fan, fan_think_ms(fan, 1000), fan_join);
}

static void
fan_look(Fan *fan)
{
	seatmap_want(fan->sale->map, fan_choose, fan);
}

static void
fan_choose(void *arg, const SeatMap *map)
{
	Fan *fan = arg;
	bool best_first = fan->wants_best && fan->tries < BEST_SEATS_TRIES;

	if (seatmap_sold_out(fan->sale->map))
		fan_leave(fan, TALLY_TURNED_AWAY);
	else if (sale_now_us() > fan->pass_until_us)
		fan_lost_place(fan);
	else if (map->nfree == 0)
		fan_after(fan, fan_think_ms(fan, 1500), fan_look);
	else
	{
		fan->ntabs = fan->two_tabs && fan->tries == 0 ? 2 : 1;
		for (int i = 0; i < fan->ntabs; i++)
		{
			Tab *tab = &fan->tabs[i];

			tab_choose(tab, map, fan->wants, best_first ? BEST_SEATS : map->nfree, &fan->random);
			snprintf(tab->key, sizeof(tab->key), "fan-%d-%d", fan->number, ++fan->keys);
			tab->pass = fan->pass;
		}
		fan_go_and_get(fan);
	}
}

/* With points first, if there are none yet and some are to be paid. */
static void
fan_go_and_get(Fan *fan)
{
	fan->charge_amount = fan->poor || fan->splits ? fan->tabs[0].total / 2 : fan->tabs[0].total;
	if (fan->by_provider && !fan->splits)
		fan->charge_amount = 0;
	fan->after_charge = fan_reserve;
	fan->key = ++fan->keys;
	if (!fan->charged && fan->charge_amount > 0)
		fan_after(fan, fan_think_ms(fan, 1000), fan_charge);
	else
		fan_after(fan, fan_think_ms(fan, 500), fan_reserve);
}

/* The box office takes the fan's money. */
static void
fan_charge(Fan *fan)
{
	ClientHeader operator= {"X-Role", "operator"};
	char		 path[128];
	char		 body[256];

	snprintf(path, sizeof(path), "/v1/users/%s/points", fan->user_id);
	snprintf(
		body, sizeof(body),
		"{\"amount\":%lld,\"currency\":\"%s\",\"source\":\"box office\",\"external_ref\":\"%s-%d\"}",
		(long long) fan->charge_amount, fan->sale->currency, fan->user_id, fan->key);
	fan_send(fan, "POST", path, body, &operator, fan_charged);
}

static void
fan_charged(void *arg, const ClientReply *reply)
{
	Fan *fan = arg;

	if (fan_retries(fan, reply, fan_charge))
		return;
	if (reply->status != 201 && reply->status != 200)
	{
		fan_leave(fan, TALLY_FAULTS);
		return;
	}
	fan->charged = true;
	fan->after_charge(fan);
}

static void
fan_reserve(Fan *fan)
{
	if (fan->double_clicks && fan->tries == 0)
	{
		fan->tabs[1] = fan->tabs[0];
		fan->ntabs = 2;
		fan_count(fan, TALLY_DOUBLE_CLICKS, 1);
	}
	else if (fan->ntabs == 2)
		fan_count(fan, TALLY_TWO_TABS, 1);
	fan->tabs_open = fan->ntabs;
	for (int i = 0; i < fan->ntabs; i++)
		tab_reserve(&fan->tabs[i]);
}

static void
fan_tab_done(void *arg, Tab *tab)
{
	Fan *fan = arg;
	bool second_click = tab == &fan->tabs[1] && strcmp(tab->key, fan->tabs[0].key) == 0;

	if (tab->refused && !second_click)
	{
		fan_count(fan, TALLY_REFUSED, 1);
		if (strcmp(tab->reason, "sold") == 0)
			fan_count(fan, TALLY_REFUSED_SOLD, 1);
		else if (strcmp(tab->reason, "held") == 0)
			fan_count(fan, TALLY_REFUSED_HELD, 1);
		else
			fan_count(fan, TALLY_REFUSED_OTHER, 1);
	}
	if (--fan->tabs_open == 0)
		fan_reserved(fan);
}

/* Every tab has its answer. */
static void
fan_reserved(Fan *fan)
{
	const Tab *last = &fan->tabs[fan->ntabs - 1];

	if (fan->ntabs == 2 && strcmp(fan->tabs[0].key, fan->tabs[1].key) == 0 &&
		strcmp(fan->tabs[0].booking_id, fan->tabs[1].booking_id) != 0)
		fan_count(fan, TALLY_DOUBLE_CLICKS_SPLIT, 1);
	fan->spare = NULL;
	for (int i = 0; i < fan->ntabs; i++)
	{
		Tab *tab = &fan->tabs[i];

		if (tab->booking_id[0] == '\0')
			continue;
		if (fan->booked == NULL)
			fan->booked = tab;
		else if (strcmp(tab->booking_id, fan->booked->booking_id) != 0)
			fan->spare = tab;
	}
	if (fan->booked != NULL)
	{
		fan_count(fan, TALLY_BOOKED, 1);
		fan_count(fan, TALLY_HELD, fan->booked->nseats);
		fan->key = ++fan->keys;
		if (fan->spare != NULL)
			fan_give_back_spare(fan);
		else
			fan_decide(fan);
	}
	else if (!last->refused)
		fan_leave(fan, TALLY_FAULTS);
	else if (strcmp(last->reason, "no_pass") == 0)
		fan_lost_place(fan);
	else if (strcmp(last->reason, "limit") == 0)
		fan_leave(fan, TALLY_GAVE_UP);
	else
		fan_try_elsewhere(fan);
}

/* The more often in vain, the less in a hurry. */
static void
fan_try_elsewhere(Fan *fan)
{
	if (++fan->tries >= TRIES_MAX)
		fan_leave(fan, TALLY_GAVE_UP);
	else
		fan_after(fan, fan_think_ms(fan, 600 + 300 * fan->tries), fan_look);
}

/* The booking is paid, given back or lapsed. */
static void
fan_let_go(Fan *fan)
{
	if (fan->booked != NULL)
		fan_count(fan, TALLY_HELD, -fan->booked->nseats);
	fan->booked = NULL;
}

static void
fan_give_back_spare(Fan *fan)
{
	char path[128];

	snprintf(path, sizeof(path), "/v1/bookings/%s", fan->spare->booking_id);
	fan_send(fan, "DELETE", path, NULL, NULL, fan_spare_given_back);
}

/* Whatever came of it: what is not given back lapses by itself. */
static void
fan_spare_given_back(void *arg, const ClientReply *reply)
{
	Fan *fan = arg;

	if (!fan_retries(fan, reply, fan_give_back_spare))
		fan_decide(fan);
}

static void
fan_lapse(Fan *fan)
{
	fan_leave(fan, TALLY_ABANDONED);
}

static void
fan_decide(Fan *fan)
{
	fan->key = ++fan->keys;
	if (fan->never_pays)
		fan_after(fan, fan->booked->expires_in_ms, fan_lapse);
	else if (fan->cancels)
		fan_after(fan, fan_think_ms(fan, 2000), fan_cancel);
	else
		fan_after(fan, fan_think_ms(fan, 2500), fan->by_provider ? fan_pay_by_provider : fan_pay);
}

static void
fan_pay(Fan *fan)
{
	char path[128];

	snprintf(path, sizeof(path), "/v1/bookings/%s/payment", fan->booked->booking_id);
	fan_send(fan, "POST", path, "{}", NULL, fan_paid);
}

static void
fan_pay_anew(Fan *fan)
{
	fan->key = ++fan->keys;
	fan_pay(fan);
}

static void
fan_too_poor(Fan *fan)
{
	fan_count(fan, TALLY_TOO_POOR, 1);
	fan->key = ++fan->keys;
	if (!fan->tops_up)
	{
		fan_cancel(fan);
		return;
	}
	fan_count(fan, TALLY_TOPPED_UP, 1);
	fan_pay_otherwise(fan);
}

/* By points, as many as it takes. */
static void
fan_pay_otherwise(Fan *fan)
{
	fan->key = ++fan->keys;
	fan->charge_amount = fan->booked->total;
	fan->after_charge = fan_pay_anew;
	fan_charge(fan);
}

static void
fan_paid(void *arg, const ClientReply *reply)
{
	Fan *fan = arg;

	if (fan_retries(fan, reply, fan_pay))
		return;
	if (reply->status == 402)
	{
		fan_too_poor(fan);
		return;
	}
	if (reply->status == 200 || reply->status == 201)
		fan_has_tickets(fan);
	else
		fan_not_paid(fan);
}

static void
fan_pay_by_provider(Fan *fan)
{
	fan->payment = (Payment){.sale = fan->sale,
							 .done = fan_provider_done,
							 .arg = fan,
							 .user_id = fan->user_id,
							 .booking_id = fan->booked->booking_id,
							 .points = fan->splits ? fan->booked->total / 2 : 0};
	snprintf(fan->payment.key, sizeof(fan->payment.key), "fan-%d-%d", fan->number, fan->key);
	payment_make(&fan->payment);
}

/* Who was disappointed once pays by points from then on. */
static void
fan_provider_done(void *arg, PaymentEnd end)
{
	Fan	   *fan = arg;
	int64_t took_us = sale_now_us() - fan->payment.begun_us;

	switch (end)
	{
		case PAYMENT_PAID:
			fan_count(fan, fan->splits ? TALLY_PAID_SPLIT : TALLY_PAID_BY_PROVIDER, 1);
			if (took_us > fan->booked->expires_in_ms * INT64_C(1000))
				fan_count(fan, TALLY_PAID_LATE, 1);
			fan_has_tickets(fan);
			return;
		case PAYMENT_FAILED:
			fan_count(fan, TALLY_PAYMENTS_FAILED, 1);
			break;
		case PAYMENT_RETURNED:
			fan_count(fan, TALLY_MONEY_BACK, 1);
			break;
		case PAYMENT_REFUSED:
			fan_not_paid(fan);
			return;
		case PAYMENT_STUCK:
			fan_leave(fan, TALLY_PAYMENTS_STUCK);
			return;
	}
	fan->by_provider = fan->splits = false;
	fan_pay_otherwise(fan);
}

static void
fan_has_tickets(Fan *fan)
{
	const Tab *tab = fan->booked;

	sale_seats_paid(fan->sale, fan->number, tab->seats, tab->nseats, tab->map_seats);
	fan_leave(fan, TALLY_DONE);
}

/* Too late. */
static void
fan_not_paid(Fan *fan)
{
	fan_let_go(fan);
	fan_count(fan, TALLY_EXPIRED, 1);
	fan_try_elsewhere(fan);
}

static void
fan_cancel(Fan *fan)
{
	char path[128];

	snprintf(path, sizeof(path), "/v1/bookings/%s", fan->booked->booking_id);
	fan_send(fan, "DELETE", path, NULL, NULL, fan_cancelled);
}

static void
fan_cancelled(void *arg, const ClientReply *reply)
{
	Fan *fan = arg;

	if (fan_retries(fan, reply, fan_cancel))
		return;
	fan_leave(fan, reply->status == 200 ? TALLY_CANCELLED : TALLY_EXPIRED);
}

/* The end of a fan; TALLY_DONE counts everybody, so it says nothing more as a reason. */
static void
fan_leave(Fan *fan, TallyId why)
{
	fan_set_waiting(fan, false);
	fan_let_go(fan);
	fan_count(fan, TALLY_DONE, 1);
	if (why != TALLY_DONE)
		fan_count(fan, why, 1);
	if (--fan->sale->fans_left == 0)
		event_base_loopexit(fan->sale->base, NULL);
}
