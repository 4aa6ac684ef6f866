# SPDX-License-Identifier: PostgreSQL
"""Arguments that nobody should pass, by type: each value is text that casts to its type, or None. What
is right among them (ids that exist, words that functions know) is there so that the wrong ones beside
it are reached."""
import json
import uuid

NIL, MAX = str(uuid.UUID(int=0)), "ffffffff-ffff-ffff-ffff-ffffffffffff"
HUGE_ARRAY = 100_000
HUGE_TEXT = 1 << 20
DEEP = 3000
NULL_SHARE = 0.08
TAME_SHARE = 0.5
HOSTILE_AMONG_TAME = 0.15
WORDS = ("open", "required", "seat", "section", "concert", "concert_date", "seated", "standing", "PTS", "EUR",
         "UTC", "Europe/Oslo", "concert.reservation", "reservation.confirmed", "point.charged", "ticket",
         "point-charge", "off", "warn", "enforce", "strict", "spread", "purge")
NASTY = ("", " ", "\t\r\n\x01\x1b[31m\x7f", "'; DROP TABLE concert.seat; --", '"\\u0000\\', "%s%n%d$1", "NULL", "ñ𝄞\u202e\ufeff",
         "../../etc/passwd", "{}", "x" * 200, "x" * 201, "é" * 200, "é" * HUGE_TEXT, "x" * HUGE_TEXT)
INTEGERS = (0, 1, 2, 4, -1, 100, 900, 901, 1000, 10_000, 10_001, 1_000_000, 2**31 - 1, -2**31)
BIGINTS = INTEGERS + (10**15, 10**15 + 1, 2**63 - 1, -2**63, 2**32)
TIMES = ("infinity", "-infinity", "now", "tomorrow", "epoch", "4714-11-24 00:00:00+00 BC", "294276-12-31 23:59:59+00", "2999-01-01 00:00+14")
SNAPSHOTS = ("1:1:", "3:4:3", "10:20:10,14,15", "1:18446744073709551615:", "9223372036854775807:9223372036854775807:")


class Values:
    """tame: by an argument's name, values that are right; half of the calls have mostly these."""

    def __init__(self, random, ids, tame):
        self.random, self.ids, self.tame = random, ids, tame

    def chooser(self):
        """How one call's arguments are chosen: a function of an argument's name and type."""
        tame = self.random.random() < TAME_SHARE

        def choose(name, type_name):
            if tame and name in self.tame and self.random.random() >= HOSTILE_AMONG_TAME:
                return self.random.choice(self.tame[name])
            return self.of(type_name)
        return choose

    def uuid(self):
        return self.random.choice([NIL, MAX, str(uuid.UUID(int=self.random.getrandbits(128)))] + 3 * self.ids)

    def text(self):
        return self.random.choice(NASTY + WORDS)

    def integer(self):
        return str(self.random.choice(INTEGERS))

    def bigint(self):
        return str(self.random.choice(BIGINTS))

    def timestamptz(self):
        return self.random.choice(TIMES)

    def timestamp(self):
        return self.timestamptz().replace("+00", "").replace("+14", "")

    def boolean(self):
        return self.random.choice(("true", "false"))

    def pg_snapshot(self):
        return self.random.choice(SNAPSHOTS)

    def jsonb(self):
        some = [self.uuid() for _ in range(3)]
        seat = {"seat_id": some[0], "reservation_id": some[1], "price": self.random.choice(BIGINTS), "currency": self.text()[:50]}
        payload = {"booking_id": some[0], "concert_date_id": some[1], "user_id": some[2], "seats": self.random.choice(
            ([], [seat], [seat, seat], {}, None, [None], [[]], "x")), "transfer_id": some[0], "amount": 1e300}
        return self.random.choice((
            "{}", "[]", "null", "0", '""', "[null]", '{"": ""}', "1e1000", "[" * DEEP + "]" * DEEP,
            '{"a":' * DEEP + "1" + "}" * DEEP, json.dumps("x" * HUGE_TEXT), json.dumps({"x" * 1000: [0] * 1000}),
            json.dumps(payload), json.dumps(payload), json.dumps([payload])))

    def element(self, make):
        return "NULL" if self.random.random() < 0.1 else '"' + make().replace("\\", "\\\\").replace('"', '\\"') + '"'

    def array(self, make):
        shape = self.random.randrange(8)
        if shape == 0:
            return "{}"
        if shape == 1:
            return "{NULL}"
        if shape == 2:
            return "{{%s},{%s}}" % (self.element(make), self.element(make))
        if shape == 3:
            return "[-5:-4]={%s,%s}" % (self.element(make), self.element(make))
        if shape == 4:
            one = self.element(make)
            return "{%s,%s}" % (one, one)
        if shape == 5:
            one = self.element(lambda: make()[:40])
            return "{%s}" % ",".join([one] * HUGE_ARRAY)
        return "{%s}" % ",".join(self.element(make) for _ in range(self.random.randint(1, 4)))

    def of(self, type_name):
        return None if self.random.random() < NULL_SHARE else self.some(type_name)

    def some(self, type_name):
        """A value of the type; KeyError where nobody thought of the type yet."""
        base = type_name.removesuffix("[]")
        make = {"uuid": self.uuid, "text": self.text, "integer": self.integer, "bigint": self.bigint,
                "timestamp with time zone": self.timestamptz, "timestamp without time zone": self.timestamp, "boolean": self.boolean, "jsonb": self.jsonb,
                "pg_snapshot": self.pg_snapshot, "xid8": lambda: str(self.random.choice((0, 3, 2**64 - 1))),
                "date": lambda: self.random.choice(("-infinity", "infinity", "4713-01-01 BC", "5874897-12-31", "2026-02-28")),
                "interval": lambda: self.random.choice(("0", "-1 day", "178000000 years", "1 microsecond")),
                "numeric": lambda: self.random.choice(("NaN", "Infinity", "-1", "1e1000")),
                "bytea": lambda: self.random.choice(("", "\\x00ff", "\\x" + "00" * 10_000))}[base]
        return make() if base == type_name else self.array(make)
