# SPDX-License-Identifier: PostgreSQL
"""The sale of one date as its rules read, without a database: what each call must answer, and what
each seat, wallet and history must be afterwards. Time is a flag: a pending is lapsed or it is not.

An answer is (ok, reason, told). Calls that the rules do not foresee raise Misuse with an SQLSTATE."""
from collections import Counter, namedtuple

GHOST = "ghost"          # a seat that does not exist
ELSEWHERE = "elsewhere"  # a seat of another date
OPERATOR = "operator"    # who cancels whoever's booking it is

Answer = namedtuple("Answer", "ok reason told")


class Misuse(Exception):
    pass


class Seat:
    def __init__(self, price, currency, concessions=None, other_date=False):
        self.price, self.currency, self.other_date = price, currency, other_date
        self.concessions = concessions or {}
        self.block = None  # None, "timed" or "open-ended"
        self.deleted = False


class Row:
    """One reservation."""

    def __init__(self, price, fence):
        self.price, self.fence, self.status, self.lapsed = price, fence, "pending", False

    @property
    def live(self):
        return self.status in ("pending", "confirmed")

    @property
    def holds(self):
        return self.status == "confirmed" or (self.status == "pending" and not self.lapsed)


class Booking:
    def __init__(self, user, currency):
        self.user, self.currency, self.rows = user, currency, {}

    @property
    def pending(self):
        return {name: row for name, row in self.rows.items() if row.status == "pending"}

    @property
    def amount(self):
        return sum(row.price for row in self.pending.values())


class Sale:
    def __init__(self, seats, wallets, seats_per_user_max):
        self.seats, self.wallets, self.seats_per_user_max = seats, wallets, seats_per_user_max
        self.bookings = []
        self.open = True
        self.acts = Counter()

    # Looking ------------------------------------------------------------------------------------

    def rows_of(self, seat):
        return [(b, b.rows[seat]) for b in self.bookings if seat in b.rows]

    def live(self, seat):
        return next(((b, row) for b, row in self.rows_of(seat) if row.live), (None, None))

    def state(self, seat):
        _, row = self.live(seat)
        if self.seats[seat].block:
            return "blocked"
        if row is None or not row.holds:
            return "free"
        return "sold" if row.status == "confirmed" else "pending"

    def states(self):
        return {name: self.state(name) for name, seat in self.seats.items()
                if not seat.deleted and not seat.other_date}

    def holder(self, seat):
        return self.live(seat)[0].user if self.state(seat) in ("pending", "sold") else None

    def balance(self, user):
        return self.wallets.get(user, {}).get("PTS", 0)

    def newest(self, seat):
        """The newest fence of a seat and whose it was."""
        return max(((row.fence, b.user) for b, row in self.rows_of(seat)), default=(0, None))

    def held_by(self, user):
        return sum(row.holds for b in self.bookings if b.user == user for row in b.rows.values())

    # Reserving ----------------------------------------------------------------------------------

    def judge_seat(self, name, user, fence):
        seat = self.seats.get(name)
        if seat is None or seat.deleted:
            return "unknown"
        if seat.other_date:
            return "other_date"
        if seat.block:
            return "blocked"
        _, row = self.live(name)
        if row is not None and row.holds:
            return "sold" if row.status == "confirmed" else "held"
        newest, whose = self.newest(name)
        if fence is not None and (fence < newest or (fence == newest and whose != user)):
            return "stale_fence"
        return None

    def lacks_concession(self, choice):
        return any(c not in (None, *self.seats[n].concessions) for n, c in choice.items() if n in self.seats)

    def reserve(self, user, choice, fence):
        """choice: the seats, each with the name of a concession or None."""
        names = list(choice)
        if not self.open:
            return Answer(False, "not_on_sale", [])
        reasons = {n: self.judge_seat(n, user, fence) for n in names}
        refused = [(n, r) for n, r in reasons.items() if r]
        if refused:
            return Answer(False, refused[0][1], refused)
        if self.lacks_concession(choice):
            raise Misuse("TK001")
        if len({self.seats[n].currency for n in names}) > 1:
            return Answer(False, "wrong_currency", [])
        if self.held_by(user) + len(names) > self.seats_per_user_max:
            return Answer(False, "limit", [])
        return self.take(user, choice, fence)

    def refuses_best(self, user, count, reason):
        """Whether the reason is one for which reserve_best() may refuse. Only what fits one seat is certain to
        fit: more need not stand together."""
        if not self.open or reason == "not_on_sale":
            return not self.open and reason == "not_on_sale"
        if reason == "limit":
            return self.held_by(user) + count > self.seats_per_user_max
        reasons = {self.judge_seat(name, user, None) for name in self.states()} or {"unknown"}
        if count == 1:
            return None not in reasons and reason == next(r for r in ("held", "sold", "blocked", "unknown") if r in reasons)
        return reason in ("held", "sold", "blocked", "unknown")

    def take(self, user, choice, fence):
        names = list(choice)
        booking = Booking(user, self.seats[names[0]].currency)
        for name, concession in choice.items():
            newest, _ = self.newest(name)
            price = self.seats[name].concessions.get(concession, self.seats[name].price)
            booking.rows[name] = Row(price, fence if fence is not None else newest + 1)
        self.retire([self.live(name) for name in names])
        self.bookings.append(booking)
        self.acts["reserved"] += 1
        return Answer(True, None, {n: (row.price, booking.currency, row.fence)
                                   for n, row in booking.rows.items()})

    def retire(self, rows):
        """Writes down as expired those of the (booking, row) pairs that lapsed: an act a booking."""
        due = [(b, row) for b, row in rows if row is not None and row.status == "pending" and row.lapsed]
        for _, row in due:
            row.status = "expired"
        self.acts["expired"] += len({id(b) for b, _ in due})
        return len(due)

    # A booking's later life ---------------------------------------------------------------------

    def judge_booking(self, booking, user):
        if booking is None:
            return "unknown"
        if user not in (booking.user, OPERATOR):
            return "not_owner"
        left = [row for row in booking.rows.values() if row.status != "cancelled"]
        if not left:
            return "already_resolved"
        if any(row.status == "confirmed" for row in left):
            return "already_paid"
        if not all(row.holds for row in left):
            return "expired"
        return None

    def change(self, rows, act):
        for row in rows:
            row.status = act
        self.acts[act] += 1

    def extend(self, booking, user):
        reason = self.judge_booking(booking, user)
        if reason is None:
            self.acts["extended"] += 1
        return Answer(reason is None, reason, None)

    def cancel(self, booking, user, names=None):
        """names: the seats to give back, None for all that are left."""
        reason = self.judge_booking(booking, user)
        if reason is not None:
            return Answer(False, reason, [])
        pending = booking.pending
        missing = [(n, "already_resolved" if n in booking.rows else "unknown") for n in names or () if n not in pending]
        if missing:
            return Answer(False, missing[0][1], missing)
        given = names or list(pending)
        self.change([pending[n] for n in given], "cancelled")
        return Answer(True, None, sorted(given))

    def pay(self, booking, user):
        reason = self.judge_booking(booking, user)
        if reason is not None:
            return Answer(False, reason, None)
        price = (booking.amount, booking.currency)
        if booking.amount > 0:
            wallets = self.wallets.get(user, {})
            if booking.currency not in wallets:
                return Answer(False, "wrong_currency" if wallets else "insufficient_funds", price)
            if wallets[booking.currency] < booking.amount:
                return Answer(False, "insufficient_funds", price)
            wallets[booking.currency] -= booking.amount
        self.change(booking.pending.values(), "confirmed")
        return Answer(True, None, price)

    def expire(self):
        return self.retire([(b, row) for b in self.bookings for row in b.rows.values()])

    def lapse(self, booking):
        for row in booking.rows.values():
            row.lapsed = row.lapsed or row.status == "pending"

    # The house ----------------------------------------------------------------------------------

    def judge_house(self, name, first):
        seat = self.seats.get(name)
        if seat is None or seat.deleted:
            return "unknown"
        _, row = self.live(name)
        if row is not None and row.holds:
            return "sold" if row.status == "confirmed" else "held"
        first = self.seats.get(first)
        if first is not None and not first.deleted and first.other_date != seat.other_date:
            return "other_date"
        return None

    def set_block(self, names, block):
        refused = [(n, r) for n in names if (r := self.judge_house(n, names[0]))]
        if refused:
            return Answer(False, refused[0][1], refused)
        for name in names:
            self.seats[name].block = block
        if not self.seats[names[0]].other_date:
            self.acts["blocked" if block else "unblocked"] += 1
        return Answer(True, None, list(names))

    def block_over(self, name):
        if self.seats[name].block == "timed":
            self.seats[name].block = None

    def soft_delete(self, name):
        seat = self.seats.get(name)
        if seat is None or seat.deleted:
            raise Misuse("TK001")
        booking, row = self.live(name)
        if row is not None and row.holds:
            raise Misuse("TK007")
        self.retire([(booking, row)])
        seat.deleted = True

    def restore(self, name):
        seat = self.seats.get(name)
        if seat is None or not seat.deleted:
            raise Misuse("TK001")
        seat.deleted = False
