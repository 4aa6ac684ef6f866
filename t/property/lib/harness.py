# SPDX-License-Identifier: PostgreSQL
"""What the property tests share: TAP, a server of their own with concert, a seed that is told.

A test is bounded: CONCERT_LONG=1 (layer property-long) lets it run longer, with a seed of its own
unless CONCERT_SEED gives one. What tests the test itself is the same in both. Whatever fails prints the seed with which it fails again."""
import atexit
import os
import random
import subprocess
import sys

import psycopg2

LONG = os.environ.get("CONCERT_LONG") == "1"
SEED_FIXED = 20260101
SEED_MAX = 2**31
SEED = int(os.environ.get("CONCERT_SEED") or (random.randrange(SEED_MAX) if LONG else SEED_FIXED))
SOURCE = os.environ["CONCERT_SOURCE"]

_tests = 0
_failed = 0


def note(text, stream=sys.stdout):
    for line in str(text).splitlines():
        print("#", line, file=stream, flush=True)


def ok(good, name, detail=None):
    """One line of TAP; the detail is told when it fails."""
    global _tests, _failed
    _tests += 1
    _failed += not good
    print(f"{'ok' if good else 'not ok'} {_tests} - {name}", flush=True)
    if not good:
        note(f"seed {SEED}: CONCERT_SEED={SEED}{' CONCERT_LONG=1' if LONG else ''} does it again", sys.stderr)
        if detail is not None:
            note(detail, sys.stderr)  # prove shows no other
    return good


def done():
    print(f"1..{_tests}", flush=True)
    sys.exit(1 if _failed else 0)


def server(name, *settings):
    """Starts a server with the extension; returns its connection string. It ends with the test."""
    program = os.path.join(SOURCE, "deploy/local/postgres")
    folder = os.path.join(os.environ["TESTDIR"], name)
    port = subprocess.check_output([os.path.join(SOURCE, "deploy/local/free-ports"), "1"], text=True).strip()
    subprocess.run([program, "start", folder, port, "fsync=off", "jit=off", "max_connections=60", *settings],
                   check=True, stdout=subprocess.DEVNULL)
    atexit.register(subprocess.run, [program, "stop", folder])
    conninfo = subprocess.check_output([program, "conninfo", folder], text=True).strip()
    note(f"seed {SEED}")
    return conninfo


def connect(conninfo, **options):
    connection = psycopg2.connect(conninfo, **options)
    connection.autocommit = True
    return connection


def fresh_database(conninfo, name):
    """Makes a database with the extension, in place of the one of that name; returns a session in it."""
    session = connect(conninfo)
    session.cursor().execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    session.cursor().execute(f"CREATE DATABASE {name}")
    session.close()
    session = connect(conninfo, dbname=name)
    session.cursor().execute("CREATE EXTENSION concert")
    return session
