/* SPDX-License-Identifier: PostgreSQL */
/*
 * The events of a payment. Each change of one is told in one event, keyed by the booking, so that
 * whoever follows a booking sees its reservations and its money in one order.
 */
#include "payment_event.h"

#include "outbox.h"
#include "utils/datetime.h"
#include "utils/json.h"

static void
event_add_text(Json *payload, const char *name, const char *text)
{
	if (text != NULL)
		json_add_text(payload, name, text);
}

static void
event_add_money(Json *payload, const Payment *payment, const PaymentNews *news)
{
	bool		  has_captured = payment->captured > 0;
	const Refund *refund = news->refund;

	json_add_int64(payload, "amount",
				   refund != NULL	  ? refund->amount
					   : has_captured ? payment->captured
									  : payment->amount);
	json_add_text(payload, "currency",
				  refund != NULL	 ? refund->currency
					  : has_captured ? payment->captured_currency
									 : payment->currency);
	if (news->points > 0)
		json_add_int64(payload, "points", news->points);
}

void
payment_event(const char *type, const Payment *payment, const PaymentNews *news,
			  const char *correlation_id)
{
	Json payload = {0};
	char expires_at[MAXDATELEN + 1];

	json_begin_object(&payload);
	json_add_uuid(&payload, "payment_id", &payment->id);
	json_add_uuid(&payload, "booking_id", &payment->booking_id);
	json_add_uuid(&payload, "user_id", &payment->user_id);
	event_add_money(&payload, payment, news);
	json_add_text(&payload, "method", payment->provider == NULL ? "points" : "provider");
	event_add_text(&payload, "provider", payment->provider);
	event_add_text(&payload, "provider_ref", payment->provider_ref);
	if (news->refund != NULL)
		json_add_uuid(&payload, "refund_id", &news->refund->id);
	else if (payment->provider == NULL)
		json_add_uuid_or_null(&payload, "transfer_id", news->transfer_id);
	event_add_text(&payload, "cause", news->cause);
	if (news->expires_at != 0)
	{
		JsonEncodeDateTime(expires_at, TimestampTzGetDatum(news->expires_at), TIMESTAMPTZOID, NULL);
		json_add_text(&payload, "expires_at", expires_at);
	}
	json_end_object(&payload);
	outbox_emit(TOPIC_PAYMENT, uuid_text(&payment->booking_id), type, json_finish(&payload),
				correlation_id);
}
