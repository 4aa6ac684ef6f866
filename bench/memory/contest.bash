# SPDX-License-Identifier: PostgreSQL
# shellcheck shell=bash disable=SC2034,SC2154 # read and set by bench/run
#
# How many bytes one backend holds after a million calls beside after a hundred thousand: in its memory contexts, and in
# anonymous memory as the kernel counts it. The calls are ten in turn, each a transaction: seat_map_packed and
# seat_map_changes, a seat won, won with a key and that again, one lost, two by reserve_best, and three cancelled, so that
# the hall never fills. It runs once, in the setup, whatever ROUNDS and SECONDS_PER_ROUND say; fsync is off because only
# memory counts, and autovacuum is on, because two of the seats change hands in every turn.
readonly CALLS_PER_TURN=10
readonly CALLS_FEW=100000
readonly CALLS_MANY=1000000

settings=(fsync=off synchronous_commit=off autovacuum=on autovacuum_naptime=5s)
clients=1
rounds=1
contestants=(context_few context_many anonymous_few anonymous_many)

comparisons=(
	'contexts after 1,000,000 / 100,000 calls|context_many|context_few|lower|1.05'
	'anonymous after 1,000,000 / 100,000 calls|anonymous_many|anonymous_few|lower|1.05'
)

contest_setup()
{
	sql -f "$bench/memory/setup.sql"
	"$bin/pgbench" --no-vacuum --protocol=prepared --client=1 --transactions=$((CALLS_MANY / CALLS_PER_TURN + 1)) \
		--file="$bench/memory/mix.pgbench" --define=i=-1 --define=each=$((CALLS_FEW / CALLS_PER_TURN)) \
		--define=date="$(sql -c 'SELECT date FROM bench.hall')" "$conninfo" >"$work/pgbench.log" 2>&1 ||
		{ cat "$work/pgbench.log" >&2; give_up "a call failed"; }
}

contest_measure()
{
	local calls=$CALLS_MANY
	[[ $1 != *_few ]] || calls=$CALLS_FEW
	value=$(sql -c "SELECT ${1%_*}_bytes FROM bench.footprint WHERE calls = $calls")
}
