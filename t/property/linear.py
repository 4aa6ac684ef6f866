#!/usr/bin/python3
# SPDX-License-Identifier: PostgreSQL
"""Concurrent histories of few hot seats are linearizable (t/linear, built beforehand): starts the
server, hands on what is told, and sees that no promise was broken meanwhile."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))

import harness

TOLD = 4  # lines of TAP
HISTORIES = 3000 if harness.LONG else 25

conninfo = harness.server("linear")
session = harness.fresh_database(conninfo, "linear")
drawing = os.path.join(os.environ["TESTDIR"], "linear.html")
told = subprocess.run([os.environ["CONCERT_LINEAR"], "-conninfo", f"{conninfo} dbname=linear sslmode=disable",
                       "-histories", str(HISTORIES), "-seed", str(harness.SEED), "-drawing", drawing],
                      stdout=subprocess.PIPE, text=True, check=False)
results = 0
for line in told.stdout.splitlines():
    if line.startswith(("ok ", "not ok ")):
        results += 1
        harness.ok(line.startswith("ok "), line.split(" - ", 1)[1])
    else:
        harness.note(line.lstrip("# "))
harness.ok(told.returncode in (0, 1) and results == TOLD, "the recorder came to its end", f"exit code {told.returncode}")
cursor = session.cursor()
cursor.execute("SELECT coalesce(jsonb_agg(v), '[]') FROM concert.check_integrity() AS v")
broken = cursor.fetchone()[0]
harness.ok(not broken, "no promise is broken by it", broken)
harness.done()
