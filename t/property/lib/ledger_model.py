# SPDX-License-Identifier: PostgreSQL
"""The ledger as its rules read, without a database: what each call must answer, and what every account
must hold afterwards. Time is a flag: a pending is over or it is not.

An answer is (ok, reason); what a call did is in the model. Calls that the rules do not foresee raise
Misuse with an SQLSTATE."""
from collections import namedtuple

from model import Misuse

GHOST = "ghost"  # an account that does not exist

Answer = namedtuple("Answer", "ok reason")
DONE = Answer(True, None)
Spec = namedtuple("Spec", "owner currency kind floor name")  # what open_account() is given


class Account:
    def __init__(self, spec):
        self.spec, self.currency, self.floor = spec, spec.currency, spec.floor
        self.balance, self.frozen, self.closed = 0, False, False


class Transfer:
    def __init__(self, debit, credit, amount, kind, ref=None, reverses=None):
        self.debit, self.credit, self.amount, self.kind = debit, credit, amount, kind
        self.ref, self.reverses = ref, reverses


class Pending:
    def __init__(self, debit, credit, amount):
        self.debit, self.credit, self.amount = debit, credit, amount
        self.ended, self.over = False, False

    @property
    def holds(self):
        return not self.ended and not self.over


class Bill:
    """A booking that costs something, as a whole."""

    def __init__(self, user, currency, amount, revenue):
        self.user, self.currency, self.amount, self.revenue = user, currency, amount, revenue
        self.status, self.over = "pending", False

    @property
    def told(self):
        return "expired" if self.status == "pending" and self.over else self.status

    @property
    def refusal(self):
        """Why it cannot be paid, cancelled or begun to be paid, or None."""
        return {"confirmed": "already_paid", "cancelled": "already_resolved", "expired": "expired", "pending": None}[self.told]


class Ledger:
    def __init__(self):
        self.accounts = {}  # by name; of several of one name the last, which is the one that is open
        self.all_accounts, self.transfers, self.pendings = [], [], []

    # Looking ------------------------------------------------------------------------------------

    def open(self, name):
        account = self.accounts.get(name)
        return None if account is None or account.closed else account

    def pending_of(self, account, side):
        return sum(p.amount for p in self.pendings if p.holds and getattr(p, side) is account)

    def available(self, account):
        return None if account.floor is None else account.balance - self.pending_of(account, "debit") - account.floor

    def wallets(self, user):
        return [a for a in self.all_accounts if not a.closed and a.spec.kind == "wallet" and a.spec.owner == user]

    def wallet(self, user, currency):
        return next((a for a in self.wallets(user) if a.currency == currency), None)

    def statement(self, account):
        lines, balance = [], 0
        for t in self.transfers:
            if account in (t.debit, t.credit):
                amount = t.amount if t.credit is account else -t.amount
                balance += amount
                lines.append([t.kind, amount, balance])
        return lines

    # Accounts -----------------------------------------------------------------------------------

    def make(self, name, spec):
        account = self.accounts[name] = Account(spec)
        self.all_accounts.append(account)
        return account

    def open_account(self, name, spec):
        """Returns the account, which may be open already."""
        account = self.open(name)
        if account is None:
            return self.make(name, spec)
        if account.floor != spec.floor:
            raise Misuse("22023")
        return account

    def require(self, name):
        account = self.open(name)
        if account is None:
            raise Misuse("TK001")
        return account

    def freeze(self, name, frozen):
        account = self.require(name)
        changes, account.frozen = account.frozen != frozen, frozen
        return changes

    def close(self, name):
        account = self.require(name)
        if account.balance != 0 or self.pending_of(account, "debit") or self.pending_of(account, "credit"):
            raise Misuse("TK007")
        if account.spec.kind == "funding" and any(t.debit is account and t.ref is not None for t in self.transfers):
            raise Misuse("TK007")
        account.closed = True
        return True

    # Moving -------------------------------------------------------------------------------------

    def judge(self, debit, credit, amount):
        if debit is None or credit is None or debit.closed or credit.closed:
            return "unknown"
        if debit.currency != credit.currency:
            return "wrong_currency"
        if debit.frozen or credit.frozen:
            return "frozen"
        if debit.floor is not None and self.available(debit) < amount:
            return "insufficient_funds"
        return None

    def do(self, debit, credit, amount, kind, **more):
        reason = self.judge(debit, credit, amount)
        if reason is not None:
            return Answer(False, reason)
        debit.balance -= amount
        credit.balance += amount
        self.transfers.append(Transfer(debit, credit, amount, kind, **more))
        return DONE

    def undo(self):
        transfer = self.transfers.pop()
        transfer.debit.balance += transfer.amount
        transfer.credit.balance -= transfer.amount

    def is_used(self, debit, ref):
        return any(t.debit is debit and t.ref == ref for t in self.transfers)

    def transfer(self, debit, credit, amount, ref):
        known = self.accounts.get(debit)
        if ref is not None and known is not None and self.is_used(known, ref):
            return Answer(False, "already_resolved")
        return self.do(self.open(debit), self.open(credit), amount, "transfer", ref=ref)

    def journal(self, legs):
        """The answer and the number of the leg that is refused."""
        for n, (debit, credit, amount) in enumerate(legs):
            answer = self.do(self.open(debit), self.open(credit), amount, "transfer")
            if not answer.ok:
                for _ in range(n):
                    self.undo()
                return answer, n + 1
        return DONE, None

    def reverse(self, transfer):
        if transfer is None:
            return Answer(False, "unknown")
        if transfer.kind == "payment":
            raise Misuse("22023")
        if any(t.reverses is transfer for t in self.transfers):
            return Answer(False, "already_resolved")
        return self.do(transfer.credit, transfer.debit, transfer.amount, "reversal", reverses=transfer)

    def charge(self, user, wallet_name, source_name, currency, amount, ref):
        source = self.open(source_name) or self.make(source_name, Spec(None, currency, "funding", None, source_name))
        if self.is_used(source, ref):
            return Answer(False, "already_resolved")
        wallet = self.wallet(user, currency) or self.make(wallet_name, Spec(user, currency, "wallet", 0, None))
        return self.do(source, wallet, amount, "charge", ref=ref)

    def pay(self, bill):
        if bill.refusal:
            return Answer(False, bill.refusal)
        wallet = self.wallet(bill.user, bill.currency)
        if wallet is None:
            return Answer(False, "wrong_currency" if self.wallets(bill.user) else "insufficient_funds")
        answer = self.do(wallet, self.open(bill.revenue), bill.amount, "payment")
        if answer.ok:
            bill.status = "confirmed"
        return answer

    # Two phases ---------------------------------------------------------------------------------

    def set_aside(self, debit, credit, amount):
        reason = self.judge(self.open(debit), self.open(credit), amount)
        if reason is not None:
            return Answer(False, reason)
        self.pendings.append(Pending(self.open(debit), self.open(credit), amount))
        return DONE

    def end(self, pending, posts, asked):
        """asked: how much to post, None for all of it."""
        if pending is None:
            return Answer(False, "unknown")
        if pending.ended:
            return Answer(False, "already_resolved")
        if pending.over:
            return Answer(False, "expired")
        if not posts:
            pending.ended = True
            return DONE
        amount = pending.amount if asked is None else asked
        if amount > pending.amount:
            return Answer(False, "insufficient_funds")
        pending.ended = True
        answer = self.do(pending.debit, pending.credit, amount, "posting")
        pending.ended = answer.ok
        return answer
