#!/usr/bin/python3
# SPDX-License-Identifier: PostgreSQL
"""Random movements of money against the database and against a model of the rules
(lib/ledger_model.py, lib/payment_model.py): every answer is the model's, and after every step every account holds what the
model says, with what is set aside and to come, above its floor; each currency's accounts together are
zero; wallets' statements are the model's, line by line; what an account held at a moment is what it
held then. An idempotency key replays its answer word for word or is refused. Each example has accounts
of its own in a database that some share. That failures are found and shrink is itself tested, with a
model that is wrong on purpose."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

from hypothesis import seed

import harness
from machine import STEPS, commands, run
from payment_model import Payments
from payment_rules import PaymentMachine

EXAMPLES_OF_CHECK = 40
EXAMPLES = 1500 if harness.LONG else EXAMPLES_OF_CHECK
COMMANDS_AFTER_SHRINKING = 3


class ForgetsWhatIsSetAside(Payments):
    def pending_of(self, account, side):
        return 0 if side == "debit" else super().pending_of(account, side)


@seed(harness.SEED)
class ModelIsRight(PaymentMachine):
    ledger_class = Payments


@seed(harness.SEED_FIXED)
class ModelIsWrongOnPurpose(PaymentMachine):
    ledger_class = ForgetsWhatIsSetAside


PaymentMachine.conninfo = harness.server("ledger")
printed, failure = run(ModelIsRight, EXAMPLES)
harness.ok(failure is None, f"{EXAMPLES} random ledgers of up to {STEPS} commands go as the model says", f"{printed}\n{failure}")
printed, failure = run(ModelIsWrongOnPurpose, EXAMPLES_OF_CHECK)
harness.ok(failure is not None and len(commands(printed)) <= COMMANDS_AFTER_SHRINKING,
           f"a model that is wrong on purpose is caught, with at most {COMMANDS_AFTER_SHRINKING} commands after shrinking", f"{printed}\n{failure}")
harness.done()
