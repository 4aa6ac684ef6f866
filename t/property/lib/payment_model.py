# SPDX-License-Identifier: PostgreSQL
"""Payments by a provider as their rules read, on top of the model of the ledger: what each message makes of a
payment and of its booking, and where the money is. Seats are nobody else's here, so late money takes them
again; who loses them to others is for t/provider_storm.pl."""
from ledger_model import DONE, Answer, Ledger, Pending, Spec
from model import Misuse

OPEN = ("begun", "authorized")


class Payment:
    def __init__(self, bill, method, amount, points=0, pending=None):
        self.bill, self.method, self.amount, self.points, self.pending = bill, method, amount, points, pending
        self.status, self.captured, self.refunded, self.fee = "begun", 0, 0, 0
        self.heard, self.refunds = {}, []  # (act, message's id) -> what it said

    @property
    def left(self):
        return self.captured - self.refunded - self.fee


class Refund:
    def __init__(self, payment, amount, status):
        self.payment, self.amount, self.status = payment, amount, status


class Payments(Ledger):
    def __init__(self):
        super().__init__()
        self.payments = []

    def of(self, bill):
        return [p for p in self.payments if p.bill is bill]

    def account(self, name, kind, owner=None):
        return self.open(name) or self.make(name, Spec(owner, "PTS", kind, None, name))

    def took(self, payment, amount):
        payment.status, payment.captured = "captured", amount
        self.payments.append(payment)

    def pay(self, bill):
        answer = super().pay(bill)
        if answer.ok:
            self.took(Payment(bill, "points", bill.amount), bill.amount)
        return answer

    def begin(self, bill, points):
        if bill.refusal:
            return Answer(False, bill.refusal)
        if any(p.status in OPEN for p in self.of(bill)):
            return Answer(False, "already_resolved")
        if points >= bill.amount:
            raise Misuse("22023")
        pending = None
        if points > 0:
            wallet = self.wallet(bill.user, bill.currency)
            if wallet is None:
                return Answer(False, "wrong_currency" if self.wallets(bill.user) else "insufficient_funds")
            reason = self.judge(wallet, self.open(bill.revenue), points)
            if reason is not None:
                return Answer(False, reason)
            pending = Pending(wallet, self.open(bill.revenue), points)
            self.pendings.append(pending)
        self.payments.append(Payment(bill, "provider", bill.amount - points, points, pending))
        return DONE

    def let_go(self, payment):
        if payment.pending is not None:
            payment.pending.ended = True

    def cancel(self, bill):
        if bill.refusal:
            return Answer(False, bill.refusal)
        bill.status = "cancelled"
        for payment in self.of(bill):
            self.let_go(payment)
        return DONE

    def message(self, payment, act, message_id, amount):
        content = amount if act == "captured" else act
        if (act, message_id) in payment.heard:
            if payment.heard[act, message_id] != content:
                raise Misuse("TK002")
            return
        payment.heard[act, message_id] = content
        if act == "captured" and payment.status in (*OPEN, "failed"):
            self.settle(payment, amount)
        elif act == "authorized" and payment.status == "begun":
            payment.status = "authorized"
        elif act == "failed" and payment.status in OPEN:
            payment.status = "failed"
            self.let_go(payment)

    def settle(self, payment, amount):
        """Money has come: it confirms the booking, or all of it goes back."""
        bill, funding, payable = payment.bill, self.account("acquirer", "funding"), self.account("acquirer payable", "refunds_payable")
        goes_back = amount != payment.amount or bill.told in ("confirmed", "cancelled")
        wallet = None if payment.points == 0 else self.wallet(bill.user, bill.currency)
        if payment.pending is not None and not payment.pending.ended:
            payment.pending.ended, wallet = True, payment.pending.debit
        revenue = self.open(bill.revenue)
        if not goes_back and self.judge(funding, revenue, amount) is None and (
                payment.points == 0 or self.judge(wallet, revenue, payment.points) is None):
            self.do(funding, revenue, amount, "payment")
            payment.status, payment.captured = "captured", amount
            bill.status, bill.over = "confirmed", False
            if payment.points > 0:
                self.do(wallet, revenue, payment.points, "payment")
                self.took(Payment(bill, "points", payment.points), payment.points)
            return
        self.do(funding, payable, amount, "payment")
        payment.status, payment.captured, payment.refunded = "captured", amount, amount
        payment.refunds.append(Refund(payment, amount, "due"))

    def refund(self, bill, fee):
        """All of a paid booking. Points go back to the wallet at once."""
        if bill.told != "confirmed":
            return Answer(False, "held" if bill.refusal is None else bill.refusal)
        amount = min(bill.amount, sum(p.left for p in self.of(bill)))
        if fee > amount:
            return Answer(False, "insufficient_funds")
        return self.give_back(bill, amount - fee, fee)

    def give_back(self, bill, amount, fee):
        moves, revenue = [], self.open(bill.revenue)
        for payment in reversed(self.of(bill)):
            if amount + fee == 0:
                break
            part = min(payment.left, amount)
            kept = min(payment.left - part, fee)
            amount, fee = amount - part, fee - kept
            moves.append((payment, part, kept))
        if moves and (revenue.frozen or any(p.method == "points" and self.wallet(bill.user, bill.currency).frozen for p, _, _ in moves)):
            return Answer(False, "frozen")
        for payment, part, kept in moves:
            back = self.wallet(bill.user, bill.currency) if payment.method == "points" else self.account("acquirer payable", "refunds_payable")
            if part > 0:
                self.do(revenue, back, part, "refund")
                payment.refunds.append(Refund(payment, part, "settled" if payment.method == "points" else "due"))
            if kept > 0:
                self.do(revenue, self.account("kept", "fees", "concert"), kept, "fee")
            payment.refunded, payment.fee = payment.refunded + part, payment.fee + kept
            self.close_payment(payment)
        bill.status = "cancelled"
        return DONE

    def close_payment(self, payment):
        if payment.captured > 0 and payment.left == 0 and all(r.status == "settled" for r in payment.refunds):
            payment.status = "refunded"

    def refund_settled(self, refund):
        if refund.status == "due":
            self.do(self.open("acquirer payable"), self.open("acquirer"), refund.amount, "refund")
            refund.status = "settled"
            self.close_payment(refund.payment)
