#!/usr/bin/python3
# SPDX-License-Identifier: PostgreSQL
"""Every function that a role may call, found in pg_proc, called by each role with arguments that nobody
should pass, at every isolation level: it answers, or refuses with an SQLSTATE that is its own; nothing
crashes, no promise is broken, and what an app is told never names another user or what is his. What a
role may not call or touch it is refused."""
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import psycopg2

import harness
from hostile_values import Values

CALLS_EACH = 2000 if harness.LONG else 30
DEFAULT_LEFT_OUT = 0.3
ROLES = ("concert_reader", "concert_app", "concert_sidecar", "concert_admin")
CUSTOMERS = ROLES[:2]  # whoever speaks as these must not learn of others
LEVELS = ("read committed", "repeatable read", "serializable")
OWN_CLASS = "TK"
MISUSE = {
    "22004": "a NULL",
    "22023": "a bad value",
    "22003": "a sum past its type",
    "22008": "a time past its type",
    "23505": "a section of that name and price, as create_section() says",
    "25006": "a read-only transaction",
    "40001": "a snapshot too old to judge by",
    "54000": "too big for an index or an array",
}
DENIED = "42501"
READING = ("SELECT", "LOCK")  # what concert_admin may do with the views of live rows and of money
ADMINS_VIEWS = ("concert.live_", "concert.revenue_by_", "concert.pending_funds", "concert.wallet_liabilities")
BROKEN_LOG = ("PANIC", "terminated by signal", "TRAP:", "was terminated", "stack smashing")

WORLD = """
CREATE TABLE world AS
    SELECT concert.create_concert('Hostile') AS concert, gen_random_uuid() AS ann, gen_random_uuid() AS bob;
ALTER TABLE world ADD date uuid, ADD other_date uuid, ADD section uuid, ADD seats uuid[], ADD booking uuid,
    ADD paid uuid, ADD anns uuid;
UPDATE world SET date = concert.create_concert_date(concert, now() + interval '30 days', seats_per_user_max => 1000),
                 other_date = concert.create_concert_date(concert, now() + interval '30 days', admission => 'required');
UPDATE world SET section = concert.create_section(date, 'Stalls', 100);
SELECT concert.add_seats(date, section, 1, (SELECT array_agg(n) FROM generate_series(1, 60) AS n)) FROM world;
UPDATE world SET seats = (SELECT array_agg(seat_id ORDER BY col) FROM concert.seat_map(date));
SELECT concert.charge_points(u, 100000, 'PTS', 'hostile', u::text) FROM world, unnest(ARRAY[ann, bob]) AS u;
UPDATE world SET booking = (concert.reserve(date, seats[1:2], bob, correlation_id => 'secret of bob')).booking_id,
                 paid = (concert.reserve(date, seats[3:4], bob, idempotency_key => 'bobs key')).booking_id,
                 anns = (concert.reserve(date, seats[5:6], ann)).booking_id;
SELECT concert.pay(paid, bob) FROM world"""
IDS = """SELECT ARRAY[ann, date, other_date, section, concert, booking, paid, anns]::text[] || seats[1:8]::text[] FROM world"""
TAME = """
SELECT jsonb_build_object(
    'concert_id', ARRAY[concert], 'concert_date_id', ARRAY[date, date, date, other_date], 'section_id', ARRAY[section],
    'user_id', ARRAY[ann], 'booking_id', ARRAY[anns, booking, paid],
    'seat_ids', (SELECT jsonb_agg(format('{%s}', array_to_string(seats[n : n + n % 3], ','))) FROM generate_series(5, 50) AS n),
    'seat_id', to_jsonb(seats[1:50]), 'idempotency_key', ARRAY[NULL, 'k1', 'k2', 'bobs key'], 'fence', ARRAY[NULL, '1', '3'],
    'pass', ARRAY[NULL, 'no.pass'], 'correlation_id', ARRAY[NULL, 'mine'], 'pending_seconds', ARRAY[NULL, '60', '900'],
    'currency', ARRAY['PTS', 'EUR'], 'amount', ARRAY['1', '1000'], 'lane', ARRAY['0', '1'], 'seconds', ARRAY['1', '900'],
    'count', ARRAY['1', '2', '4'], 'sections', ARRAY[NULL, format('{%s}', section)], 'accessible_count', ARRAY['0'],
    'policy', ARRAY['strict', 'spread'], 'max_price', ARRAY[NULL, '1000'], 'kind', ARRAY['seat', 'section', 'concert_date'],
    'id', to_jsonb(seats[50:60] || section || date), 'from_date', ARRAY[date], 'to_date', ARRAY[other_date], 'reason', ARRAY['mine'])
FROM world"""
SECRETS = """
SELECT array_agg(secret) FROM (
    SELECT bob::text AS secret FROM world UNION ALL SELECT 'secret of bob'
    UNION ALL SELECT r.id::text FROM world JOIN concert.reservation AS r ON r.user_id = bob
    UNION ALL SELECT p.id::text FROM world JOIN concert.payment AS p ON p.user_id = bob
    UNION ALL SELECT a.id::text FROM world JOIN concert.account AS a ON a.owner_id = bob
    UNION ALL SELECT t.id::text FROM world JOIN concert.account AS a ON a.owner_id = bob
              JOIN concert.transfer AS t ON a.id IN (t.debit_account_id, t.credit_account_id)) AS s"""
FUNCTIONS = """
SELECT p.oid::regprocedure::text, p.oid, p.proname, p.prokind,
       ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY AS a (t, n) ORDER BY n),
       (p.proargnames)[1:p.pronargs], p.pronargs - p.pronargdefaults
FROM pg_proc AS p
WHERE p.pronamespace = 'concert'::regnamespace AND p.prorettype <> 'trigger'::regtype
ORDER BY p.oid::regprocedure::text COLLATE "C" """
RELATIONS = """
SELECT c.oid::regclass::text FROM pg_class AS c
WHERE c.relnamespace = 'concert'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S') ORDER BY 1"""


class Function:
    def __init__(self, signature, oid, name, kind, types, names, required):
        self.signature, self.oid, self.name, self.kind = signature, oid, name, kind
        self.types, self.names, self.required = types, names or [], required

    def statement(self, choose, chance):
        """A call with some defaults left out; positional where arguments have no names."""
        parts, arguments = [], []
        for n, type_name in enumerate(self.types):
            named = n < len(self.names) and self.names[n]
            if n >= self.required and named and chance.random() < DEFAULT_LEFT_OUT:
                continue
            parts.append((f'"{self.names[n]}" => ' if named else "") + f"%s::{type_name}")
            arguments.append(choose(self.names[n] if named else None, type_name))
        call = f"concert.{self.name}({', '.join(parts)})"
        return f"CALL {call}" if self.kind == "p" else f"SELECT r::text FROM {call} AS r", arguments


class Hostile:
    def __init__(self, session):
        self.session, self.cursor = session, session.cursor()
        self.chance = random.Random(harness.SEED)
        self.wrong = []
        self.told = {}
        for statement in WORLD.split(";\n"):
            self.cursor.execute(statement)
        self.values = Values(self.chance, self.value(IDS), self.value(TAME))
        self.secrets = self.value(SECRETS)
        self.cursor.execute(FUNCTIONS)
        self.functions = [Function(*row) for row in self.cursor.fetchall()]
        self.backend = self.value("SELECT pg_backend_pid()")

    def value(self, sql, *arguments):
        self.cursor.execute(sql, arguments or None)
        return self.cursor.fetchone()[0]

    def attempt(self, sql, arguments=()):
        """What the statement said, and its SQLSTATE ("" when it went well)."""
        try:
            self.cursor.execute(sql, arguments or None)
            return str(self.cursor.fetchall() if self.cursor.description else ""), ""
        except psycopg2.Error as error:
            diagnosed = error.diag
            return " ".join(filter(None, (diagnosed.message_primary, diagnosed.message_detail, diagnosed.message_hint,
                                          diagnosed.context))), error.pgcode or "the connection is lost"

    def complain(self, role, sql, arguments, what):
        shown = [a if a is None or len(a) <= 80 else f"{a[:60]}… ({len(a)} characters)" for a in arguments]
        self.wrong.append(f"as {role}: {sql} with {shown}: {what}")

    def as_role(self, role):
        self.cursor.execute(f"SET ROLE {role}")
        self.cursor.execute("SET default_transaction_isolation = %s", (self.chance.choice(LEVELS),))
        self.cursor.execute("SET default_transaction_read_only = %s", (self.chance.random() < 0.1,))

    def back(self):
        self.cursor.execute("RESET ROLE")
        self.cursor.execute("RESET default_transaction_isolation")
        self.cursor.execute("RESET default_transaction_read_only")

    def call(self, role, function):
        sql, arguments = function.statement(self.values.chooser(), self.chance)
        self.as_role(role)
        said, state = self.attempt(sql, arguments)
        self.told[state] = self.told.get(state, 0) + 1
        if state and state not in MISUSE and not state.startswith(OWN_CLASS):
            self.complain(role, sql, arguments, f"{state} {said[:300]}")
        leaked = [secret for secret in self.secrets if secret in said] if role in CUSTOMERS else []
        if leaked:
            self.complain(role, sql, arguments, f"tells {leaked}: {said[:300]}")
        self.back()

    def may(self, role, function):
        return self.value("SELECT has_function_privilege(%s, %s::oid, 'EXECUTE')", role, function.oid)

    def call_all(self, role):
        """Each function that the role may call, and once each that it may not."""
        for function in self.functions:
            if self.may(role, function):
                for _ in range(CALLS_EACH):
                    self.call(role, function)
                continue
            # a strict function of a NULL is NULL before anybody's rights are looked at
            sql, arguments = function.statement(lambda _, type_name: self.values.some(type_name), self.chance)
            self.cursor.execute(f"SET ROLE {role}")
            said, state = self.attempt(sql, arguments)
            if state != DENIED:
                self.complain(role, sql, arguments, f"should be denied, said {state} {said[:300]}")
            self.back()

    def touch_all(self, role):
        self.cursor.execute(RELATIONS)
        for relation, in self.cursor.fetchall():
            for sql in ("SELECT FROM {0}", "INSERT INTO {0} DEFAULT VALUES", "DELETE FROM {0}", "TRUNCATE {0}",
                        "LOCK {0} IN ACCESS SHARE MODE", "DROP TABLE {0}", "ALTER TABLE {0} RENAME TO mine",
                        "CREATE TRIGGER mine BEFORE INSERT ON {0} EXECUTE FUNCTION suppress_redundant_updates_trigger()"):
                self.cursor.execute(f"SET ROLE {role}")
                self.cursor.execute("BEGIN")
                said, state = self.attempt(sql.format(relation))
                self.cursor.execute("ROLLBACK")
                # a sequence or a view is no table: that is told before rights are looked at
                reads_view = role == "concert_admin" and relation.startswith(ADMINS_VIEWS) and sql.startswith(READING)
                if not reads_view and state not in (DENIED, "42809", "55000", "0A000"):
                    self.complain(role, sql.format(relation), (), f"should be denied, said {state} {said[:100]}")
                self.back()

    def not_utf8(self):
        """Bytes that are no UTF-8 never arrive, and what the client cannot show does not harm."""
        for function in self.functions:
            for n, type_name in enumerate(function.types):
                if type_name != "text":
                    continue
                others = [b"NULL"] * len(function.types)
                others[n] = b"'\xc3\x28\xff'"
                given = b", ".join(o + b"::" + t.encode() for o, t in zip(others, function.types))
                _, state = self.attempt(b"SELECT concert." + function.name.encode() + b"(" + given + b")")
                if state != "22021":
                    self.complain("postgres", function.signature, (), f"took bytes that are no UTF-8: {state}")
        self.value("SELECT concert.create_concert('\u2603')")
        self.session.set_client_encoding("LATIN1")
        said, state = self.attempt("SELECT * FROM concert.concerts()")
        if state != "22P05":
            self.complain("postgres", "a client of LATIN1", (), f"{state} {said}")
        self.session.set_client_encoding("UTF8")

    def well(self, name):
        """Tells TAP what went wrong since the last time, and looks at the whole."""
        wrong, self.wrong = self.wrong, []
        harness.ok(not wrong, name, "\n".join(wrong[:20]) + f"\n{len(wrong)} in all")
        broken = self.value("SELECT coalesce(jsonb_agg(v), '[]') FROM concert.check_integrity() AS v")
        harness.ok(not broken, f"{name}: no promise is broken", str(broken)[:3000])


conninfo = harness.server("hostile", "statement_timeout=30s", "log_min_error_statement=panic")
hostile = Hostile(harness.fresh_database(conninfo, "hostile"))
for role in ROLES:
    hostile.call_all(role)
    hostile.well(f"{role} calls with hostile arguments")
for role in ROLES:
    hostile.touch_all(role)
hostile.not_utf8()
hostile.well("no role touches a table; no function takes what is no UTF-8")
harness.ok(hostile.value("SELECT pg_backend_pid()") == hostile.backend, "one connection lived through it all")
with open(os.path.join(os.environ["TESTDIR"], "hostile", "log"), encoding="utf-8", errors="replace") as log:
    bad = [line for line in log if any(word in line for word in BROKEN_LOG) or "XX0" in line]
harness.ok(not bad, "the server's log tells of no crash", "".join(bad[:20]))
harness.note(f"{sum(hostile.told.values())} calls of {len(hostile.functions)} functions, by SQLSTATE: {hostile.told}")
harness.done()
