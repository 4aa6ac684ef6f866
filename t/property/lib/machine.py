# SPDX-License-Identifier: PostgreSQL
"""Random commands run by hypothesis: machines whose examples share databases, and what became of a run."""
from hypothesis import HealthCheck, Phase, reporting, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

import harness
from model import Misuse

STEPS = 30
EXAMPLES_PER_DATABASE = 20  # check_integrity() reads everything that there is
NO_COMMANDS = (".teardown()", ".same_everywhere()")


class SharingMachine(RuleBasedStateMachine):
    """Each example has a world of its own in a database that some share, so failures shrink quickly."""
    conninfo = None
    database = None  # its name
    session = None
    examples = 0

    @classmethod
    def next_cursor(cls):
        if cls.examples % EXAMPLES_PER_DATABASE == 0:
            if cls.session is not None:
                cls.session.close()
            cls.session = harness.fresh_database(cls.conninfo, cls.database)
        cls.examples += 1
        return cls.session.cursor()

    @staticmethod
    def decide(function, *arguments):
        """The model's answer, or the SQLSTATE of a misuse."""
        try:
            return function(*arguments)
        except Misuse as misuse:
            return str(misuse)


def run(machine, examples):
    """What hypothesis prints, and what made the machine fail, if it did."""
    printed, failure = [], None
    with reporting.with_reporter(printed.append):
        try:
            run_state_machine_as_test(machine, settings=settings(
                max_examples=examples, stateful_step_count=STEPS, deadline=None, database=None,
                report_multiple_bugs=False, suppress_health_check=HealthCheck.all(),
                phases=(Phase.generate, Phase.shrink)))
        except Exception as error:  # whatever fails is told
            failure = error
    return "\n".join(printed + getattr(failure, "__notes__", [])), failure


def commands(printed):
    """The commands that are left of a failure when it is shrunk."""
    return [line for line in printed.splitlines() if "state." in line and not line.endswith(NO_COMMANDS)]
