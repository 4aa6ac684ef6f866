/* SPDX-License-Identifier: PostgreSQL */
/*
 * The library and the extension's objects are of one version wherever a call writes what the
 * versions have not in common, or reads arguments that an older function does not have. Else the
 * library may be the newer one: what reads, and the outbox, works on until the objects follow.
 *
 * Asked of the catalog once in a session; again after a function was made or dropped, as every
 * update does. Locks nothing that lasts.
 */
#include "errors.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

static bool version_agrees = false;

static void
version_forget(Datum arg, int cache, uint32 hash)
{
	version_agrees = false;
}

/* The version of the objects; NULL when the extension is not there. */
static char *
version_of_objects(void)
{
	Relation	extensions = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *version = NULL;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("concert"));
	scan = systable_beginscan(extensions, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool  isnull;
		Datum datum = heap_getattr(tuple, Anum_pg_extension_extversion,
								   RelationGetDescr(extensions), &isnull);

		version = TextDatumGetCString(datum);
	}
	systable_endscan(scan);
	table_close(extensions, AccessShareLock);
	return version;
}

void
version_require(void)
{
	static bool registered = false;
	char	   *objects;

	if (version_agrees)
		return;
	if (!registered)
	{
		CacheRegisterSyscacheCallback(PROCOID, version_forget, (Datum) 0);
		registered = true;
	}
	objects = version_of_objects();
	if (objects == NULL || strcmp(objects, CONCERT_VERSION) != 0)
		error_update_needed(objects);
	version_agrees = true;
	pfree(objects);
}

Oid
relation_oid(const char *name)
{
	return get_relname_relid(name, get_namespace_oid("concert", false));
}
