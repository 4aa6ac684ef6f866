# SPDX-License-Identifier: PostgreSQL
# shellcheck shell=bash disable=SC2034,SC2154 # read and set by bench/run
#
# How long one client waits for the map of 50,000 seats, half of them sold: packed, and as the changes of two hundred seats,
# beside a sequential scan that counts the same rows. The rows are the second of three such dates.
clients=1
contestants=(count packed changes)

comparisons=(
	'packed / sequential scan and count|packed|count|lower|2.0'
	'changes / packed|changes|packed|lower|0.1'
)

contest_setup()
{
	sql -f "$bench/seatmap/setup.sql"
	date=$(sql -c 'SELECT date FROM client')
	version=$(sql -c 'SELECT version FROM client')
	[[ $(sql -c "SELECT seats FROM concert.seat_map_packed('$date')") -eq 50000 ]] || give_up "the map has not 50,000 seats"
	[[ $(sql -c "SELECT jsonb_array_length(seats) FROM concert.seat_map_changes('$date', '$version')") -gt 0 ]] ||
		give_up "there are no changes"
}

# Sets value to microseconds a call.
contest_measure()
{
	pgbench_run "$bench/seatmap/$1.pgbench" "$2" --define=date="$date" --define=version="$version"
	value=$(awk -v tps="$tps" 'BEGIN {print 1000000 / tps}')
}
