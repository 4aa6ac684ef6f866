# SPDX-License-Identifier: PostgreSQL
# shellcheck shell=bash disable=SC2034,SC2154 # read and set by bench/run
#
# How long one client waits for the map of 50,000 seats, half of them sold, beside a sequential scan that counts the same
# rows: packed from what the session keeps, packed by a session that has to load it, and as the changes of a hundred seats, told by
# a session that keeps the map and by one that does not. The rows are the second of three such dates. Changes are to cost a
# tenth of what packed may cost.
clients=1
contestants=(count packed load changes changes_alone)

comparisons=(
	'packed / sequential scan and count|packed|count|lower|2.0'
	'packed, loaded / sequential scan and count|load|count|lower|2.0'
	'changes, not kept / sequential scan and count|changes_alone|count|lower|0.2'
	'changes / sequential scan and count|changes|count|lower|0.2'
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

# Sets value to microseconds a call. A session keeps the map when it packs it now and then.
contest_measure()
{
	local script=$bench/seatmap/$1.pgbench also=()
	case $1 in
		changes) also=("--file=$bench/seatmap/packed.pgbench@1") script+=@19 ;;
		changes_alone) script=$bench/seatmap/changes.pgbench ;;
	esac
	pgbench_run "$script" "$2" --define=date="$date" --define=version="$version" "${also[@]}"
	value=$(awk -v tps="$tps" 'BEGIN {print 1000000 / tps}')
}
