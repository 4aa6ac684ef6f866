/* SPDX-License-Identifier: PostgreSQL */
/*
 * Concessions: other prices for the seats of a section. What reserving reads of them is store.h's.
 */
#include "errors.h"

#include "plan.h"

PG_FUNCTION_INFO_V1(concert_create_concession);

static SavedPlan live_section = PLAN(
	"SELECT concert_date_id FROM concert.section WHERE id = $1 AND deleted_at IS NULL FOR KEY SHARE",
	UUIDOID);

static SavedPlan insert_concession =
	PLAN("INSERT INTO concert.concession (concert_date_id, section_id, name, price)"
		 " VALUES ($1, $2, $3, $4) RETURNING id",
		 UUIDOID, UUIDOID, TEXTOID, INT8OID);

Datum
concert_create_concession(PG_FUNCTION_ARGS)
{
	static const char *const names[] = {"section_id", "name", "price"};
	char					*name = argument_text(fcinfo, 1, "name", NAME_CHARS_MAX);
	pg_uuid_t				*id = palloc(sizeof(pg_uuid_t));
	pg_uuid_t				 date_id;

	argument_require(fcinfo, lengthof(names), names);
	if (PG_GETARG_INT64(2) < 0 || PG_GETARG_INT64(2) > PRICE_MAX)
		error_invalid_number("price", PG_GETARG_INT64(2), 0, PRICE_MAX);
	plan_begin();
	if (plan_write(&live_section, PLAN_ARGS(fcinfo->args[0])) == 0)
		error_unknown_object("section", PG_GETARG_UUID_P(0));
	date_id = plan_uuid(0, 0);
	plan_write_rows(
		&insert_concession,
		PLAN_ARGS(uuid_value(&date_id), fcinfo->args[0], text_value(name), fcinfo->args[2]), 1);
	*id = plan_uuid(0, 0);
	plan_end();
	PG_RETURN_UUID_P(id);
}
