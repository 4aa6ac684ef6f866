/* SPDX-License-Identifier: PostgreSQL */
/* Payments by a provider: not there yet. */
#include "concert.h"

PG_FUNCTION_INFO_V1(concert_payment_begin);
PG_FUNCTION_INFO_V1(concert_payment_authorized);
PG_FUNCTION_INFO_V1(concert_payment_captured);
PG_FUNCTION_INFO_V1(concert_payment_failed);
PG_FUNCTION_INFO_V1(concert_refund);
PG_FUNCTION_INFO_V1(concert_refund_payment);
PG_FUNCTION_INFO_V1(concert_refund_settled);
PG_FUNCTION_INFO_V1(concert_refund_failed);
PG_FUNCTION_INFO_V1(concert_payment_work);
PG_FUNCTION_INFO_V1(concert_payment_transitions);

Datum
concert_payment_begin(PG_FUNCTION_ARGS)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("function \"payment_begin\" is not there yet")));
}

Datum
concert_payment_authorized(PG_FUNCTION_ARGS)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("function \"payment_authorized\" is not there yet")));
}

Datum
concert_payment_captured(PG_FUNCTION_ARGS)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("function \"payment_captured\" is not there yet")));
}

Datum
concert_payment_failed(PG_FUNCTION_ARGS)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("function \"payment_failed\" is not there yet")));
}

Datum
concert_refund(PG_FUNCTION_ARGS)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("function \"refund\" is not there yet")));
}

Datum
concert_refund_payment(PG_FUNCTION_ARGS)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("function \"refund_payment\" is not there yet")));
}

Datum
concert_refund_settled(PG_FUNCTION_ARGS)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("function \"refund_settled\" is not there yet")));
}

Datum
concert_refund_failed(PG_FUNCTION_ARGS)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("function \"refund_failed\" is not there yet")));
}

Datum
concert_payment_work(PG_FUNCTION_ARGS)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("function \"payment_work\" is not there yet")));
}

Datum
concert_payment_transitions(PG_FUNCTION_ARGS)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("function \"payment_transitions\" is not there yet")));
}
