#!/usr/bin/python3
# SPDX-License-Identifier: PostgreSQL
"""Random commands against the database and against a model of the rules (lib/model.py): every answer
is the model's, and after every step so are the states of all seats, who holds them, the wallets and
the history; free + pending + sold + blocked are all seats, and no promise is broken. An idempotency
key replays its answer word for word or is refused. Each example has a date of its own in a database that
some share, so failures shrink quickly; that they are found and shrink is itself tested, with a model
that is wrong on purpose."""
import os
import sys
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import psycopg2
from hypothesis import seed
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, invariant, rule

import harness
from machine import STEPS, SharingMachine, commands, run
from model import ELSEWHERE, GHOST, OPERATOR, Answer, Sale, Seat

EXAMPLES_OF_CHECK = 60
EXAMPLES = 500 if harness.LONG else EXAMPLES_OF_CHECK
STEPS_PER_CHECK = 5  # of the promises; at the end of each example in any case
LIMIT = 3
USERS = ("ann", "bob", "carl", "dora")
WALLETS = {"ann": {"PTS": 700}, "bob": {"PTS": 150}, "dora": {"EUR": 500}}  # Carl has none
SECTIONS = {"A": (100, "PTS", 4), "B": (250, "PTS", 2), "C": (0, "PTS", 1), "D": (90, "EUR", 1)}
SEATS = tuple(f"{section}{n}" for section, (_, _, count) in SECTIONS.items() for n in range(count))
CONCESSIONS = {"A": {"student": 40}, "B": {"student": 0, "senior": 125}}
HOT = ("A0", "A1", "B0")  # a third of the picks fall on these

some_seat = st.one_of(st.sampled_from(HOT), st.sampled_from(SEATS), st.sampled_from(SEATS + (GHOST, ELSEWHERE)))
some_seats = st.lists(some_seat, min_size=0, max_size=4)
some_concessions = st.one_of(st.none(), st.lists(st.sampled_from((None, "student", "senior", "child")), min_size=4, max_size=4))
some_user = st.sampled_from(USERS)
some_key = st.sampled_from((None, None, None, "k1", "k2"))
some_fence = st.sampled_from((None, None, None, 1, 2, 5))

MAKE_DATE = """
WITH concert AS (SELECT concert.create_concert('Property') AS id)
SELECT concert.create_concert_date(id, now() + interval '30 days', pending_seconds => 900,
                                   seats_per_user_max => %s) FROM concert"""
LOOK = """
SELECT jsonb_build_object(
    'states', (SELECT jsonb_object_agg(seat_id, state) FROM concert.seat_map(%(date)s)),
    'holders', (SELECT jsonb_object_agg(seat_id, user_id) FROM concert.seat_states(%(date)s)
                WHERE user_id IS NOT NULL),
    'sums', (SELECT jsonb_build_array(sum(seats), sum(free + pending + sold + blocked), sum(free),
                                      sum(pending), sum(sold), sum(blocked))
             FROM concert.availability(%(date)s)),
    'acts', (SELECT jsonb_object_agg(action, n) FROM (
                 SELECT action, count(*) AS n FROM concert.history
                 WHERE concert_date_id = %(date)s
                   AND action IN ('reserved', 'extended', 'confirmed', 'cancelled', 'expired', 'blocked', 'unblocked')
                 GROUP BY action) AS a),
    'balances', (SELECT jsonb_agg(concert.balance(u) ORDER BY n) FROM unnest(%(users)s::uuid[]) WITH ORDINALITY AS u (u, n)))"""
ARRAYS = {"seat_ids": "uuid[]", "concessions": "text[]"}
MISUSE_OF_SEATS = {"empty": "22023", "twice": "TK004"}


class Hall:
    """A date in the database with the same seats, wallets and limit as the model's."""

    def __init__(self, cursor, limit):
        self.cursor = cursor
        self.users = {name: str(uuid.uuid4()) for name in USERS}
        self.seats = {GHOST: str(uuid.uuid4())}
        self.date = self.value(MAKE_DATE, limit)
        for row, (section, (price, currency, _)) in enumerate(SECTIONS.items(), 1):
            self.add(self.date, row, section, price, currency, [name for name in SEATS if name[0] == section])
        self.add(self.value(MAKE_DATE, limit), 1, "Other", 100, "PTS", [ELSEWHERE])
        self.names = {seat_id: name for name, seat_id in self.seats.items()}
        for user, wallets in WALLETS.items():
            for currency, amount in wallets.items():
                self.value("SELECT ok FROM concert.charge_points(%s, %s, %s, 'property', %s)",
                           self.users[user], amount, currency, str(uuid.uuid4()))

    def value(self, sql, *arguments):
        self.cursor.execute(sql, arguments)
        return self.cursor.fetchone()[0] if self.cursor.description else None

    def add(self, date, row, name, price, currency, seats):
        section = self.value("SELECT concert.create_section(%s, %s, %s, %s)", date, name, price, currency)
        self.value("SELECT concert.add_seats(%s, %s, %s, %s, %s)", date, section, row,
                   list(range(1, len(seats) + 1)), seats)
        for name, concession_price in CONCESSIONS.get(seats[0][0], {}).items():
            self.value("SELECT concert.create_concession(%s, %s, %s)", section, name, concession_price)
        self.cursor.execute("SELECT label, seat_id FROM concert.seat_map(%s) WHERE section_id = %s", (date, section))
        self.seats.update(self.cursor.fetchall())

    def call(self, function, **arguments):
        """The answer as jsonb, or the SQLSTATE."""
        given = self.given(arguments)
        try:
            self.cursor.execute(f"SELECT to_jsonb(r) FROM concert.{function}({given}) AS r", arguments)
            return self.cursor.fetchone()[0]
        except psycopg2.Error as error:
            return error.pgcode

    def given(self, arguments):
        return ", ".join(f"{name} => %({name})s{'::' + ARRAYS[name] if name in ARRAYS else ''}" for name in arguments)

    def explained(self, arguments):
        """The reason that explain_reserve() gives first, or the SQLSTATE."""
        try:
            self.cursor.execute(f"SELECT reason FROM concert.explain_reserve({self.given(arguments)}) WITH ORDINALITY"
                                " AS e (rule, seat_id, holds, reason, detail, n) WHERE NOT holds ORDER BY n LIMIT 1", arguments)
            row = self.cursor.fetchone()
            return row[0] if row else None
        except psycopg2.Error as error:
            return error.pgcode

    def ids(self, names):
        return [self.seats[name] for name in names]


class Booked:
    """What a reserve() made: the model's booking and the database's id. As a bundle's value it is None
    for a refusal, and then stands for a booking that does not exist."""

    def __init__(self, booking, booking_id):
        self.booking, self.id = booking, booking_id


class SaleMachine(SharingMachine):
    limit_of_model = LIMIT
    steps_per_check = STEPS_PER_CHECK
    database = "sale"
    booked = Bundle("booked")

    def __init__(self):
        super().__init__()
        self.hall = Hall(self.next_cursor(), LIMIT)
        seats = {name: Seat(*SECTIONS[name[0]][:2], CONCESSIONS.get(name[0])) for name in SEATS}
        seats[ELSEWHERE] = Seat(100, "PTS", other_date=True)
        self.sale = Sale(seats, {user: dict(wallets) for user, wallets in WALLETS.items()}, self.limit_of_model)
        self.steps = 0
        self.remembered = {}  # (operation, user, key) -> (content, the database's answer)
        self.hall.call("expire", max_rows=10000)

    # What is compared -----------------------------------------------------------------------------

    def told(self, answer):
        """The database's list of seats in the model's words."""
        seats = answer.get("seats") or []
        if not answer["ok"]:
            return [(self.hall.names[s["seat_id"]], s["reason"]) for s in seats]
        return {self.hall.names[s["seat_id"]]: (s.get("price"), s.get("currency"), s.get("fence")) for s in seats}

    def agree(self, expected, answer, told=None):
        if isinstance(expected, str):
            assert answer == expected, f"expected SQLSTATE {expected}, the database said {answer}"
            return
        assert isinstance(answer, dict), f"expected {expected}, the database raised {answer}"
        seen = Answer(answer["ok"], answer["reason"], expected.told if told is None else told(answer))
        assert seen == expected, f"expected {expected}, the database said {seen}"

    def keyed(self, operation, user, key, content, decide, arguments, told=None):
        """A call with or without a key: done, replayed word for word, or refused. Returns the database's
        answer where it was done, None where it was not."""
        scope = (operation, user, key)
        sent = key and f"{key} of {self.hall.date}"  # operators' keys are common to all dates
        if key is not None and scope in self.remembered:
            before, recorded = self.remembered[scope]
            expected = recorded if before == content else "TK002"
            answer = self.hall.call(operation, idempotency_key=sent, **arguments)
            assert answer == expected, f"key {key}: expected {expected}, the database said {answer}"
            return None
        expected = self.decide(decide)
        answer = self.hall.call(operation, idempotency_key=sent, **arguments)
        self.agree(expected, answer, told)
        if isinstance(answer, str):
            return None
        if key is not None:
            self.remembered[scope] = (content, answer)
        return answer

    @invariant()
    def same_everywhere(self):
        self.hall.cursor.execute(LOOK, {"date": self.hall.date, "users": [self.hall.users[u] for u in USERS]})
        seen = self.hall.cursor.fetchone()[0]
        states = {self.hall.names[seat]: state for seat, state in (seen["states"] or {}).items()}
        assert states == self.sale.states(), f"seats are {states}, should be {self.sale.states()}"
        holders = {self.hall.names[s]: user for s, user in (seen["holders"] or {}).items()}
        expected = {s: self.hall.users[self.sale.holder(s)] for s in states if self.sale.holder(s)}
        assert holders == expected, f"held by {holders}, should be {expected}"
        counted = [list(states.values()).count(s) for s in ("free", "pending", "sold", "blocked")]
        assert seen["sums"] == [len(states), len(states), *counted], f"availability counts {seen['sums']} of {states}"
        acts = {act: n for act, n in self.sale.acts.items() if n}
        assert (seen["acts"] or {}) == acts, f"history has {seen['acts']}, should have {acts}"
        balances = [self.sale.balance(u) for u in USERS]
        assert seen["balances"] == balances, f"balances are {seen['balances']}, should be {balances}"
        self.steps += 1
        if self.steps % self.steps_per_check == 0:
            self.promises_are_kept()

    def promises_are_kept(self):
        broken = self.hall.value("SELECT jsonb_agg(v) FROM concert.check_integrity() AS v")
        assert broken is None, f"check_integrity() says {broken}"

    def teardown(self):
        self.promises_are_kept()

    # The commands ---------------------------------------------------------------------------------

    @rule(target=booked, user=some_user, seats=some_seats, concessions=some_concessions, fence=some_fence, key=some_key)
    def reserve(self, user, seats, concessions, fence, key):
        named = concessions and concessions[:len(seats)]
        arguments = {"concert_date_id": self.hall.date, "seat_ids": self.hall.ids(seats), "user_id": self.hall.users[user],
                     "fence": fence, "concessions": named}
        nobody = Booked(None, str(uuid.uuid4()))
        if self.misused("reserve", seats, idempotency_key=key, **arguments):
            return nobody
        choice = dict(zip(seats, named or [None] * len(seats)))
        explained = self.hall.explained(arguments)
        made = len(self.sale.bookings)

        def decide():
            answer = self.sale.reserve(user, choice, fence)
            # it looks for the concession of every free seat, also where reserve() has refused before
            assert explained == answer.reason or (explained == "TK001" and self.sale.lacks_concession(choice)), \
                f"expected {answer}, explain_reserve() says {explained}"
            return answer
        answer = self.keyed("reserve", user, key, frozenset(choice.items()), decide, arguments, self.told)
        return nobody if len(self.sale.bookings) == made else Booked(self.sale.bookings[-1], answer["booking_id"])

    @rule(target=booked, user=some_user, count=st.integers(1, 3), split=st.booleans())
    def reserve_best(self, user, count, split):
        """Which seats are the best is tested elsewhere: here, that they could be had, and that a refusal is true.
        Not 'spread', which is random: a failure would not be the same again."""
        answer = self.hall.call("reserve_best", concert_date_id=self.hall.date, count=count, policy="strict",
                                allow_split=split, user_id=self.hall.users[user])
        assert isinstance(answer, dict), f"the database raised {answer}"
        if not answer["ok"]:
            assert self.sale.refuses_best(user, count, answer["reason"]), f"the database said {answer}"
            return Booked(None, str(uuid.uuid4()))
        told = self.told(answer)
        assert len(told) == count and (split or len({name[0] for name in told}) == 1), f"the database chose {told}"
        self.agree(self.sale.reserve(user, dict.fromkeys(told), None), answer, self.told)
        return Booked(self.sale.bookings[-1], answer["booking_id"])

    def misused(self, function, seats, **arguments):
        """Whether the seats are none or one twice: that is judged first, and remembers nothing."""
        if seats and len(set(seats)) == len(seats):
            return False
        self.agree(MISUSE_OF_SEATS["twice" if seats else "empty"],
                   self.hall.call(function, **{**arguments, "seat_ids": self.hall.ids(seats)}))
        return True

    def whose(self, booked, stranger):
        return stranger or (booked.booking.user if booked.booking else "ann")

    @rule(booked=booked, stranger=st.sampled_from((None, None, None, "bob", OPERATOR)), key=some_key,
          seats=st.one_of(st.none(), some_seats))
    def cancel(self, booked, stranger, key, seats):
        user = self.whose(booked, stranger)
        operation = "cancel_by_operator" if user == OPERATOR else "cancel"
        arguments = {"booking_id": booked.id, **({"reason": "stage"} if user == OPERATOR else {"user_id": self.hall.users[user]}),
                     "seat_ids": None if seats is None else self.hall.ids(seats)}
        if seats is not None and self.misused(operation, seats, idempotency_key=key, **arguments):
            return
        self.keyed(operation, user, key, (booked.id, frozenset(seats or ())),
                   lambda: self.sale.cancel(booked.booking, user, seats), arguments,
                   lambda answer: sorted(self.told(answer)) if answer["ok"] else self.told(answer))

    @rule(booked=booked, stranger=st.sampled_from((None, None, None, "bob")), key=some_key)
    def pay(self, booked, stranger, key):
        user = self.whose(booked, stranger)
        self.keyed("pay", user, key, booked.id, lambda: self.sale.pay(booked.booking, user),
                   {"booking_id": booked.id, "user_id": self.hall.users[user]},
                   lambda answer: (answer["amount"], answer["currency"]) if answer["amount"] is not None else None)

    @rule(booked=booked, stranger=st.sampled_from((None, None, None, "bob")))
    def extend(self, booked, stranger):
        user = self.whose(booked, stranger)
        self.agree(self.sale.extend(booked.booking, user),
                   self.hall.call("extend", booking_id=booked.id, user_id=self.hall.users[user], seconds=900))

    @rule(booked=booked)
    def time_of_booking_passes(self, booked):
        if booked.booking:
            self.sale.lapse(booked.booking)
        self.hall.value("UPDATE concert.reservation SET expires_at = clock_timestamp() - interval '1 millisecond'"
                        " WHERE booking_id = %s AND status = 'pending'", booked.id)

    @rule()
    def expire(self):
        expected, retired = self.sale.expire(), self.hall.call("expire", max_rows=10000)
        assert retired == expected, f"expire() retired {retired}, should have {expected}"

    @rule(seats=some_seats, timed=st.booleans())
    def block(self, seats, timed):
        if self.misused("block_seats", seats, reason="camera"):
            return
        self.agree(self.sale.set_block(seats, "timed" if timed else "open-ended"),
                   self.hall.call("block_seats", seat_ids=self.hall.ids(seats), reason="camera",
                                  until="2999-01-01" if timed else None),
                   self.listed)

    @rule(seats=some_seats)
    def unblock(self, seats):
        if self.misused("unblock_seats", seats):
            return
        self.agree(self.sale.set_block(seats, None),
                   self.hall.call("unblock_seats", seat_ids=self.hall.ids(seats)), self.listed)

    def listed(self, answer):
        told = self.told(answer)
        return list(told) if isinstance(told, dict) else told

    @rule(seat=st.sampled_from(SEATS))
    def time_of_block_passes(self, seat):
        self.sale.block_over(seat)
        self.hall.value("UPDATE concert.seat SET blocked_until = clock_timestamp() - interval '1 millisecond'"
                        " WHERE id = %s AND blocked_until IS NOT NULL", self.hall.seats[seat])

    @rule(seat=st.sampled_from(SEATS + (GHOST,)), restores=st.booleans())
    def soft_delete_or_restore(self, seat, restores):
        expected = self.decide(self.sale.restore if restores else self.sale.soft_delete, seat) or ""  # void
        answer = self.hall.call("restore" if restores else "soft_delete", kind="seat", id=self.hall.seats[seat])
        assert answer == expected, f"expected {expected!r}, the database said {answer!r}"

    @rule(opens=st.booleans())
    def sale_opens_or_closes(self, opens):
        self.sale.open = opens
        self.hall.value("UPDATE concert.concert_date SET sale_closes_at = sale_opens_at + CASE WHEN %s"
                        " THEN interval '20 days' ELSE interval '1 microsecond' END WHERE id = %s", opens, self.hall.date)


@seed(harness.SEED)
class ModelIsRight(SaleMachine):
    steps_per_check = 1 if harness.LONG else STEPS_PER_CHECK


@seed(harness.SEED_FIXED)
class ModelIsWrongOnPurpose(SaleMachine):
    """Believes in a limit of one seat less than there is."""
    limit_of_model = LIMIT - 1


SaleMachine.conninfo = harness.server("sale")
printed, failure = run(ModelIsRight, EXAMPLES)
harness.ok(failure is None, f"{EXAMPLES} random sales of up to {STEPS} commands go as the model says", f"{printed}\n{failure}")
printed, failure = run(ModelIsWrongOnPurpose, EXAMPLES_OF_CHECK)
harness.ok(failure is not None and "limit" in str(failure) and len(commands(printed)) <= LIMIT,
           f"a model that is wrong on purpose is caught, with at most {LIMIT} commands after shrinking", f"{printed}\n{failure}")
harness.done()
