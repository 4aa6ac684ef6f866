# SPDX-License-Identifier: PostgreSQL
# shellcheck shell=bash disable=SC2034,SC2154 # read and set by bench/run
#
# What a sale costs, in a database with one date of 3,000 seats and in one with a hundred dates of 10,000 seats each, half of
# them sold: the median latency in microseconds of reserve() of one fresh seat in random order, by all clients at once. A
# round is a number of calls, not a time, so that the small date suffices: SECONDS_PER_ROUND has no effect. What a run
# reserved is taken away after it. Each client is first refused once at every date, which makes its plans and reads the dates'
# rules, as a session has that has sold for a while; then all wait for each other.
readonly CALLS=2900
readonly BEGIN_SECONDS=6

contestants=(small large)

comparisons=('a sale, a million seats / 3,000 seats|large|small|lower|1.3')

declare -A dates=([small]=1 [large]=100) seats=([small]=3000 [large]=10000) sold=([small]=0 [large]=5000)

contest_setup()
{
	local size
	for size in "${contestants[@]}"; do
		sql -c "CREATE DATABASE $size"
	done
	for size in "${contestants[@]}"; do
		use_database "$size"
		sql -v dates="${dates[$size]}" -v seats="${seats[$size]}" -v sold="${sold[$size]}" -f "$bench/scale/setup.sql"
	done
}

use_database()
{
	conninfo=$("$root/deploy/local/postgres" conninfo "$work/postgres" "$1")
}

contest_measure()
{
	use_database "$1"
	rm -f "$work"/latency.*
	(cd "$work" && "$bin/pgbench" --no-vacuum --protocol=prepared --client="$clients" --jobs=2 \
		--transactions=$((CALLS / clients + 1)) --log --log-prefix=latency --file="$bench/scale/sale.pgbench" \
		--define=clients="$clients" --define=i=-1 --define=begin=$(($(date +%s) + BEGIN_SECONDS)) \
		--define=dates="${dates[$1]}" --define=seats="${seats[$1]}" --define=sold="${sold[$1]}" "$conninfo" \
		>"$work/pgbench.log" 2>&1) || { cat "$work/pgbench.log" >&2; give_up "$1 failed"; }
	sql -f "$bench/scale/reset.sql"
	value=$(cat "$work"/latency.* | awk '{print $3}' | sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}')
}
