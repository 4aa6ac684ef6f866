# SPDX-License-Identifier: PostgreSQL
# shellcheck shell=bash disable=SC2034,SC2154 # read and set by bench/run
#
# How long a call of reserve_best(4) takes in a stadium of 39,616 seats that is empty, half sold and 98 % sold, beside a
# plain reserve() of four known seats side by side in the same house: the median latency in microseconds of so many calls,
# all of which take four seats. A round is a number of calls, not a time, so that the house does not fill: SECONDS_PER_ROUND
# has no effect. What a run reserved is taken away after it. Each client is first refused once, for seats that there are
# not, which reads the hall; then all wait for each other. That call counts in no median.
readonly HOUSES=(empty half nearly_sold)

contestants=(known_empty best_empty known_half best_half known_nearly_sold best_nearly_sold)

comparisons=(
	'best / known, empty house|best_empty|known_empty|lower|3'
	'best / known, half sold|best_half|known_half|lower|3'
	'best / known, 98 % sold|best_nearly_sold|known_nearly_sold|lower|3'
)

declare -A house_calls=([empty]=3200 [half]=1920 [nearly_sold]=192)

contest_setup()
{
	sql -f "$bench/best/setup.sql" <"$root/../shared/data/metalist_stadium.csv"
}

contest_measure()
{
	local what=${1%%_*} house=${1#*_} calls date refused
	calls=$((${house_calls[$house]} / clients))
	[[ $calls -gt 0 ]] || calls=1
	date=$(sql -c "SELECT concert_date_id FROM bench.house WHERE name = '$house'")
	rm -f "$work"/latency.*
	(cd "$work" && "$bin/pgbench" --no-vacuum --protocol=prepared --client="$clients" --jobs=2 --transactions=$((calls + 1)) \
		--log --log-prefix=latency --file="$bench/best/$what.pgbench" --define=date="$date" --define=clients="$clients" \
		--define=i=-1 --define=begin=$(($(date +%s) + 5)) --define=chunk_prefix="${date:0:8}" "$conninfo" >"$work/pgbench.log" 2>&1) ||
		{ cat "$work/pgbench.log" >&2; give_up "$what failed"; }
	refused=$(sql -v date="$date" -f "$bench/best/refused.sql")
	[[ -z $refused ]] || give_up "$1: refused although seats were left: $refused"
	sql -v date="$date" -f "$bench/best/reset.sql"
	value=$(cat "$work"/latency.* | awk '{print $3}' | sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}')
}
