# SPDX-License-Identifier: PostgreSQL
"""Payments by a provider among the random movements of money: begun, told of in any order and twice, late, wrong,
cancelled under way and given back."""
import uuid

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, initialize, multiple, rule

from ledger_machine import LedgerMachine, some_key


some_message = st.sampled_from(("authorized", "captured", "captured", "captured", "failed"))
some_fee = st.sampled_from((0, 0, 10, 10**6))


class PaymentMachine(LedgerMachine):
    bills = LedgerMachine.bills
    payments = Bundle("payments")  # (the model's payment, the database's id)

    def find_made(self, made):
        """The ids of the accounts that a call has opened by itself."""
        for account in self.ledger.all_accounts[made:]:
            owner, _, kind, _, name = account.spec
            sql = "SELECT id FROM concert.account WHERE kind = %s AND {} = %s AND currency = 'PTS' AND deleted_at IS NULL"
            self.books.ids[account] = (self.books.value(sql.format("owner_id"), kind, self.concert) if owner
                                       else self.books.value(sql.format("name"), kind, self.books.own("acquirer")))

    def agree_payment(self, answer, payment):
        assert isinstance(answer, dict), f"the database raised {answer}"
        expected = (True, None, payment.status, payment.bill.told)
        seen = (answer["ok"], answer["reason"], answer["status"], answer["booking_status"])
        assert seen == expected, f"expected {expected}, the database said {answer}"

    @initialize(target=payments)
    def first_payment(self):
        return self.payment_begin(self.reserve("bob", 2), 30, None)

    @rule(target=payments, bill=bills, points=st.sampled_from((0, 0, 30, 140, 500)), key=some_key)
    def payment_begin(self, bill, points, key):
        what, id = bill
        if id is None:
            return multiple()
        answer = self.keyed("payment_begin", what.user, key, lambda: self.ledger.begin(what, points), {
            "booking_id": id, "user_id": self.books.users[what.user], "provider": self.books.own("acquirer"), "points": points})
        return (self.ledger.payments[-1], answer["payment_id"]) if answer else multiple()

    @rule(payment=payments, act=some_message, message_id=st.sampled_from(("m1", "m2")), more=st.sampled_from((0, 0, 0, 1)))
    def message(self, payment, act, message_id, more):
        what, id = payment
        made = len(self.ledger.all_accounts)
        refused = self.decide(self.ledger.message, what, act, message_id, what.amount + more)
        arguments = {"authorized": {"provider_ref": "ref"}, "captured": {"amount": what.amount + more, "currency": "PTS", "provider_ref": "ref"},
                     "failed": {"cause": "declined"}}[act]
        answer = self.books.call(f"payment_{act}", payment_id=id, message_id=message_id, **arguments)
        self.find_made(made)
        if refused:
            self.agree(refused, answer)
        else:
            self.agree_payment(answer, what)

    @rule(bill=bills)
    def time_of_booking_passes(self, bill):
        what, id = bill
        what.over = what.over or what.status == "pending"
        self.books.value("UPDATE concert.reservation SET expires_at = clock_timestamp() - interval '1 millisecond'"
                         " WHERE booking_id = %s AND status = 'pending'", id)

    @rule(bill=bills)
    def cancel(self, bill):
        what, id = bill
        if id is not None:
            self.move("cancel", self.ledger.cancel(what), booking_id=id, user_id=self.books.users[what.user])

    @rule(bill=bills, fee=some_fee, key=some_key)
    def refund(self, bill, fee, key):
        what, id = bill
        if id is None or self.ledger.wallet(what.user, "PTS") is None:
            return  # nobody's points have nowhere to go back to
        made = len(self.ledger.all_accounts)
        self.keyed("refund", what.user, key, lambda: self.ledger.refund(what, fee), {
            "booking_id": id, "user_id": self.books.users[what.user], "fee": fee})
        self.find_made(made)

    @rule(payment=payments, settles=st.booleans(), message_id=st.sampled_from(("m1", "m2")))
    def refund_message(self, payment, settles, message_id):
        what, id = payment
        if not what.refunds:
            return
        refund = what.refunds[-1]
        refund_id = self.books.value("SELECT id FROM concert.refund WHERE payment_id = %s ORDER BY id DESC LIMIT 1", id)
        if settles:
            self.ledger.refund_settled(refund)
            answer = self.books.call("refund_settled", refund_id=refund_id, provider_ref="ref", message_id=message_id)
        else:
            answer = self.books.call("refund_failed", refund_id=refund_id, cause="later", message_id=message_id)
        self.agree_payment(answer, what)
