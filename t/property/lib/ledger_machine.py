# SPDX-License-Identifier: PostgreSQL
"""Random movements of money: the commands, each done in the database and by the model of the rules, and what is
compared after each. Every example has accounts of its own in a database that some share."""
import uuid

import psycopg2
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, initialize, invariant, multiple, rule

import harness
from ledger_model import GHOST, Answer, Bill, Spec
from machine import SharingMachine

STEPS_PER_PROOF = 3 if harness.LONG else 10
CROWD = 1000  # more transfers than a checkpoint sums up
JOURNAL = 100
SEATS = 40
PRICE = 150
USERS = ("ann", "bob", "carl", "dora")
SPECS = {  # name: owner, currency, kind, floor; those without an owner have a name
    "ann PTS": ("ann", "PTS", "wallet", 0), "bob PTS": ("bob", "PTS", "wallet", -500), "dora EUR": ("dora", "EUR", "wallet", 0),
    "fees": (None, "PTS", "fees", None), "bank": (None, "PTS", "fees", None), "euros": (None, "EUR", "fees", None),
    "refunds": (None, "PTS", "refunds_payable", 0)}
PUT_IN = (("bank", "ann PTS", 1000), ("bank", "bob PTS", 300), ("euros", "dora EUR", 500))
NAMES = (*SPECS, "carl PTS", "carl EUR", "ann EUR", "office PTS", "revenue", GHOST)

some_account = st.one_of(*[st.sampled_from(("ann PTS", "bob PTS", "fees", "bank"))] * 3, st.sampled_from(NAMES))
some_pair = st.tuples(some_account, some_account).filter(lambda pair: pair[0] != pair[1])
some_amount = st.one_of(st.integers(1, 300), st.integers(1, 300), st.sampled_from((1, 500, 800, 1000, 1001, 10**15)))
some_leg = st.tuples(some_pair, st.integers(1, 400))
some_user = st.sampled_from(USERS)
some_key = st.sampled_from((None,) * 6 + ("k1", "k2"))
some_ref = st.sampled_from((None, None, None, "r1", "r2"))

LOOK = """
SELECT jsonb_build_object(
    'held', (SELECT jsonb_object_agg(a.id, jsonb_build_array(b.balance, b.pending_debits, b.pending_credits, b.available, b.is_frozen))
             FROM unnest(%(ids)s::uuid[]) AS a (id), concert.account_balance(a.id) AS b),
    'wallets', (SELECT jsonb_agg(concert.balance(u, c) ORDER BY n, c)
                FROM unnest(%(users)s::uuid[]) WITH ORDINALITY AS u (u, n), unnest(ARRAY['EUR', 'PTS']) AS c),
    'statements', (SELECT jsonb_agg((SELECT coalesce(jsonb_agg(jsonb_build_array(kind, amount, balance) ORDER BY n), '[]')
                                     FROM concert.points_statement(u.u) WITH ORDINALITY AS s
                                          (recorded_at, effective_at, id, kind, amount, balance, description, external_ref, n)) ORDER BY u.n)
                   FROM unnest(%(users)s::uuid[]) WITH ORDINALITY AS u (u, n)),
    'now', clock_timestamp())"""
MAKE_DATE = """
WITH made AS (SELECT concert.create_concert('Ledger') AS concert)
SELECT concert, concert.create_concert_date(concert, now() + interval '30 days', pending_seconds => 900, seats_per_user_max => %s) FROM made"""
ARRAYS = {"debit_account_ids": "uuid[]", "credit_account_ids": "uuid[]", "amounts": "bigint[]", "seat_ids": "uuid[]"}


class Books:
    """The accounts, users and seats of one example in the database."""

    def __init__(self, cursor):
        self.cursor = cursor
        self.name = uuid.uuid4().hex[:12]
        self.users = {user: str(uuid.uuid4()) for user in USERS}
        self.ids = {}  # of the model's accounts
        self.nobody = {}  # of names that no account has had yet

    def value(self, sql, *arguments):
        self.cursor.execute(sql, arguments)
        return self.cursor.fetchone()[0] if self.cursor.description else None

    def own(self, name):
        return f"{name} of {self.name}"

    def id(self, ledger, name):
        account = ledger.accounts.get(name)
        if account is None:
            return self.nobody.setdefault(name, str(uuid.uuid4()))
        return self.ids[account]

    def call(self, function, **arguments):
        """The answer as jsonb, or the SQLSTATE."""
        given = ", ".join(f"{name} => %({name})s{'::' + ARRAYS[name] if name in ARRAYS else ''}" for name in arguments)
        try:
            self.cursor.execute(f"SELECT to_jsonb(r) FROM concert.{function}({given}) AS r", arguments)
            return self.cursor.fetchone()[0]
        except psycopg2.Error as error:
            return error.pgcode

    def open_account(self, spec):
        return self.call("open_account", owner_id=self.users.get(spec.owner), currency=spec.currency, kind=spec.kind, floor=spec.floor,
                         name=None if spec.owner else self.own(spec.name))

    def find(self, spec):
        """The id of the open account that a charge has made."""
        return self.value("SELECT id FROM concert.account WHERE (owner_id, kind, currency) = (%s, %s, %s) AND deleted_at IS NULL"
                          if spec.owner else "SELECT id FROM concert.account WHERE (name, kind, currency) = (%s, %s, %s) AND deleted_at IS NULL",
                          self.users[spec.owner] if spec.owner else self.own(spec.name.split()[0]), spec.kind, spec.currency)


class LedgerMachine(SharingMachine):
    ledger_class = None  # the model's
    database = "ledger"
    done = Bundle("done")        # (the model's transfer or None, the database's id)
    set_asides = Bundle("set_asides")  # (the model's pending or None, the database's id)
    bills = Bundle("bills")      # (the model's bill, the booking's id)

    def __init__(self):
        super().__init__()
        self.books = Books(self.next_cursor())
        self.ledger = self.ledger_class()
        self.steps = 0
        self.remembered = {}  # (operation, user, key) -> (content, the database's answer)
        self.moments = []     # (time, {id: balance})
        for name in SPECS:
            self.opened(name)
        self.books.cursor.execute(MAKE_DATE, (SEATS,))
        self.concert, self.date = self.books.cursor.fetchone()
        section = self.books.value("SELECT concert.create_section(%s, 'Stalls', %s)", self.date, PRICE)
        self.books.value("SELECT concert.add_seats(%s, %s, 1, %s)", self.date, section, list(range(1, SEATS + 1)))
        self.books.cursor.execute("SELECT seat_id FROM concert.seat_map(%s)", (self.date,))
        self.seats = [row[0] for row in self.books.cursor.fetchall()]
        revenue = self.ledger.make("revenue", Spec(None, "PTS", "revenue", None, "revenue"))
        self.books.ids[revenue] = self.books.value("SELECT id FROM concert.account WHERE owner_id = %s", self.concert)
        for debit, credit, amount in PUT_IN:
            self.move("transfer", self.ledger.transfer(debit, credit, amount, None), debit_account_id=self.books.id(self.ledger, debit),
                      credit_account_id=self.books.id(self.ledger, credit), amount=amount)

    # What is compared -----------------------------------------------------------------------------

    def agree(self, expected, answer):
        if isinstance(expected, str):
            assert answer == expected, f"expected SQLSTATE {expected}, the database said {answer}"
            return
        assert isinstance(answer, dict), f"expected {expected}, the database raised {answer}"
        seen = Answer(answer["ok"], answer["reason"])
        assert seen == expected, f"expected {expected}, the database said {seen}"

    def move(self, operation, expected, **arguments):
        answer = self.books.call(operation, **arguments)
        self.agree(expected, answer)
        return answer

    def keyed(self, operation, user, key, decide, arguments):
        """A call with or without a key: done, replayed word for word, or refused. Returns the database's answer where
        it was done, None where it was not."""
        scope = (operation, user, key)
        sent = key and self.books.own(key)
        content = repr(sorted(arguments.items()))
        if key is not None and scope in self.remembered:
            before, recorded = self.remembered[scope]
            expected = recorded if before == content else "TK002"
            answer = self.books.call(operation, idempotency_key=sent, **arguments)
            assert answer == expected, f"key {key}: expected {expected}, the database said {answer}"
            return None
        answer = self.move(operation, self.decide(decide), idempotency_key=sent, **arguments)
        if isinstance(answer, str):
            return None
        if key is not None:
            self.remembered[scope] = (content, answer)
        return answer if answer["ok"] else None

    def transferred(self, answer):
        """What a call that was done adds to the bundle of transfers."""
        return (self.ledger.transfers[-1], answer["transfer_id"]) if answer else multiple()

    @invariant()
    def same_everywhere(self):
        ids = {self.books.ids[account]: account for account in self.ledger.all_accounts}
        users = [self.books.users[user] for user in USERS]
        self.books.cursor.execute(LOOK, {"ids": list(ids), "users": users})
        seen = self.books.cursor.fetchone()[0]
        expected = {id: [a.balance, self.ledger.pending_of(a, "debit"), self.ledger.pending_of(a, "credit"), self.ledger.available(a), a.frozen]
                    for id, a in ids.items() if not a.closed}
        assert seen["held"] == expected, f"accounts hold {seen['held']}, should hold {expected}"
        assert all(held[3] is None or held[3] >= 0 for held in seen["held"].values()), f"a floor is passed: {seen['held']}"
        for currency in ("PTS", "EUR"):
            total = sum(held[0] for id, held in seen["held"].items() if ids[id].currency == currency)
            assert total == 0, f"all accounts in {currency} together hold {total}"
        wallets = [(self.ledger.wallet(user, currency), user) for user in USERS for currency in ("EUR", "PTS")]
        balances = [wallet.balance if wallet else 0 for wallet, _ in wallets]
        assert seen["wallets"] == balances, f"wallets hold {seen['wallets']}, should hold {balances}"
        statements = [self.ledger.statement(wallet) if (wallet := self.ledger.wallet(user, "PTS")) else [] for user in USERS]
        assert seen["statements"] == statements, f"statements are {seen['statements']}, should be {statements}"
        self.moments.append((seen["now"], {id: a.balance for id, a in ids.items()}))
        self.steps += 1
        if self.steps % STEPS_PER_PROOF == 0:
            self.is_proven("verify_ledger")

    def is_proven(self, function):
        broken = self.books.value(f"SELECT jsonb_agg(v) FROM concert.{function}() AS v")
        assert broken is None, f"{function}() says {broken}"

    def teardown(self):
        self.is_proven("check_integrity")
        self.books.cursor.execute(
            "SELECT m.n, jsonb_object_agg(a.id, concert.balance_at(a.id, m.at)) FROM unnest(%s::timestamptz[]) WITH ORDINALITY AS m (at, n),"
            " unnest(%s::uuid[]) AS a (id) GROUP BY m.n", ([at for at, _ in self.moments], list(self.books.ids.values())))
        for n, seen in self.books.cursor.fetchall():
            expected = self.moments[n - 1][1]
            assert {id: held for id, held in seen.items() if id in expected} == expected, f"at step {n} accounts held {expected}, now they say {seen}"

    # The commands ---------------------------------------------------------------------------------

    @initialize(target=set_asides)
    def first_pending(self):
        return self.transfer_pending(("ann PTS", "fees"), 200, None)

    @initialize(target=bills)
    def first_bill(self):
        return self.reserve("ann", 1)

    @rule(operation=st.sampled_from(("reverse", "transfer_post", "transfer_void")))
    def of_what_does_not_exist(self, operation):
        self.move(operation, Answer(False, "unknown"), transfer_id=str(uuid.uuid4()))

    @rule(target=done, pair=some_pair, amount=some_amount, ref=some_ref, key=some_key)
    def transfer(self, pair, amount, ref, key):
        debit, credit = pair
        return self.transferred(self.keyed("transfer", None, key, lambda: self.ledger.transfer(debit, credit, amount, ref), {
            "debit_account_id": self.books.id(self.ledger, debit), "credit_account_id": self.books.id(self.ledger, credit),
            "amount": amount, "external_ref": ref}))

    @rule(legs=st.lists(some_leg, min_size=1, max_size=4), key=some_key)
    def journal(self, legs, key):
        refused = []

        def decide():
            answer, leg = self.ledger.journal([(*pair, amount) for pair, amount in legs])
            refused.append(leg)
            return answer
        arguments = {"debit_account_ids": [self.books.id(self.ledger, debit) for (debit, _), _ in legs],
                     "credit_account_ids": [self.books.id(self.ledger, credit) for (_, credit), _ in legs],
                     "amounts": [amount for _, amount in legs]}
        self.keyed("journal", None, key, decide, arguments)
        if refused and key is not None:
            answer = self.remembered[("journal", None, key)][1]
            assert answer["refused_leg"] == refused[0], f"leg {refused[0]} should be refused: {answer}"

    @rule(target=done, transfer=done, key=some_key)
    def reverse(self, transfer, key):
        what, id = transfer
        return self.transferred(self.keyed("reverse", None, key, lambda: self.ledger.reverse(what), {"transfer_id": id}))

    @rule(target=set_asides, pair=some_pair, amount=some_amount, key=some_key)
    def transfer_pending(self, pair, amount, key):
        debit, credit = pair
        answer = self.keyed("transfer_pending", None, key, lambda: self.ledger.set_aside(debit, credit, amount), {
            "debit_account_id": self.books.id(self.ledger, debit), "credit_account_id": self.books.id(self.ledger, credit),
            "amount": amount, "expires_in": 3600})
        return (self.ledger.pendings[-1], answer["transfer_id"]) if answer else multiple()

    @rule(target=done, pending=set_asides, asked=st.one_of(st.none(), some_amount), key=some_key)
    def transfer_post(self, pending, asked, key):
        what, id = pending
        return self.transferred(self.keyed("transfer_post", None, key, lambda: self.ledger.end(what, True, asked), {"transfer_id": id, "amount": asked}))

    @rule(pending=set_asides, key=some_key)
    def transfer_void(self, pending, key):
        what, id = pending
        self.keyed("transfer_void", None, key, lambda: self.ledger.end(what, False, None), {"transfer_id": id})

    @rule(pending=set_asides)
    def time_of_pending_passes(self, pending):
        what, id = pending
        if what is not None:
            what.over = what.over or not what.ended
        self.books.value("SET session_replication_role = replica")
        self.books.value("UPDATE concert.pending_transfer SET expires_at = clock_timestamp() WHERE id = %s AND expires_at > clock_timestamp()", id)
        self.books.value("RESET session_replication_role")

    @rule()
    def lapse_transfers(self):
        self.books.call("lapse_transfers", max_accounts=10000)
        left = self.books.value("SELECT value FROM concert.lag() WHERE name = 'transfers_lapsed'")
        assert left == 0, f"{left} pendings have lapsed and it is not written down"

    @rule(target=done, user=some_user, currency=st.sampled_from(("PTS", "PTS", "EUR")), source=st.sampled_from(("office", "voucher")),
          amount=some_amount, ref=st.sampled_from(("r1", "r2", "r3", "r4")), key=some_key)
    def charge_points(self, user, currency, source, amount, ref, key):
        made = len(self.ledger.all_accounts)
        answer = self.keyed("charge_points", user, key,
                            lambda: self.ledger.charge(user, f"{user} {currency}", f"{source} {currency}", currency, amount, ref), {
                                "user_id": self.books.users[user], "amount": amount, "currency": currency,
                                "source": self.books.own(source), "external_ref": ref})
        for account in self.ledger.all_accounts[made:]:
            self.books.ids[account] = self.books.find(account.spec)
        if answer is not None:
            wallet = self.ledger.transfers[-1].credit
            assert (answer["account_id"], answer["balance"]) == (self.books.ids[wallet], wallet.balance), f"charge_points() says {answer}"
        return self.transferred(answer)

    @rule(target=bills, user=some_user, count=st.integers(1, 3))
    def reserve(self, user, count):
        chosen, self.seats = self.seats[:count], self.seats[count:]
        if not chosen:
            return Bill(user, "PTS", PRICE, "revenue"), None
        answer = self.books.call("reserve", concert_date_id=self.date, seat_ids=chosen, user_id=self.books.users[user])
        assert answer["ok"], f"the database said {answer}"
        return Bill(user, "PTS", PRICE * len(chosen), "revenue"), answer["booking_id"]

    @rule(bill=bills, key=some_key)
    def pay(self, bill, key):
        what, id = bill
        if id is not None:
            self.keyed("pay", what.user, key, lambda: self.ledger.pay(what), {"booking_id": id, "user_id": self.books.users[what.user]})

    @rule(name=some_account, frozen=st.booleans())
    def freeze_or_unfreeze(self, name, frozen):
        expected = self.decide(self.ledger.freeze, name, frozen)
        answer = self.books.call("freeze_account" if frozen else "unfreeze_account", account_id=self.books.id(self.ledger, name))
        assert answer == expected, f"expected {expected}, the database said {answer}"

    @rule(name=some_account)
    def close(self, name):
        if name == "revenue":
            return  # what sales need stays
        expected = self.decide(self.ledger.close, name)
        answer = self.books.call("close_account", account_id=self.books.id(self.ledger, name))
        assert answer == expected, f"expected {expected}, the database said {answer}"

    @rule(name=st.sampled_from(tuple(SPECS)), other_floor=st.sampled_from((False, False, True)))
    def opens_again(self, name, other_floor):
        self.opened(name, floor=-1 if other_floor and SPECS[name][3] is not None else SPECS[name][3])

    def opened(self, name, **changes):
        owner, currency, kind, floor = SPECS[name]
        spec = Spec(owner, currency, kind, floor, name)._replace(**changes)
        expected = self.decide(self.ledger.open_account, name, spec)
        answer = self.books.open_account(spec)
        if isinstance(expected, str):
            assert answer == expected, f"expected {expected}, the database said {answer}"
            return
        assert self.books.ids.setdefault(expected, answer) == answer, f"{name} should be open already, the database said {answer}"

    @rule(back=st.booleans())
    def crowd_and_checkpoint(self, back):
        """As many transfers as a checkpoint sums up, between two accounts without a floor, and the checkpoint."""
        debit, credit = ("fees", "bank") if back else ("bank", "fees")
        for _ in range(CROWD // JOURNAL if len(self.ledger.transfers) < CROWD else 0):
            answer, _ = self.ledger.journal([(debit, credit, 1)] * JOURNAL)
            self.move("journal", answer, debit_account_ids=[self.books.id(self.ledger, debit)] * JOURNAL,
                      credit_account_ids=[self.books.id(self.ledger, credit)] * JOURNAL, amounts=[1] * JOURNAL)
        self.books.call("checkpoint_accounts", max_checkpoints=1000)
