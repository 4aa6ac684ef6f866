# SPDX-License-Identifier: PostgreSQL
# shellcheck shell=bash disable=SC2034,SC2154 # read and set by bench/run
#
# How many bytes of WAL a winning reserve() of one seat writes, its event and its history row included, beside what the
# same three rows need: plain INSERTs in one transaction into tables of the same shape without foreign keys. Images of whole
# pages are off: how many there are depends on the last checkpoint. After each run no row that a sale wrote or locked is
# dead. And how many rows die of seats that change hands: pendings past their time whose seats are sold anew, each of which
# leaves one dead version of the reservation that ended.
readonly SALES_PER_SECOND=2000
readonly RETAKEN_SEATS=1000
readonly SESSION_END_TRIES=200

settings=(full_page_writes=off)
contestants=(rows reserve retaken dead)

comparisons=(
	'WAL bytes per sale / of its rows|reserve|rows|lower|1.5'
	'dead rows / seats that change hands|dead|retaken|lower|1.0'
)

next_seat=0

contest_setup()
{
	sql -v seats=$((SALES_PER_SECOND * (WARM_UP_SECONDS + rounds * round_seconds) + (rounds + 1) * RETAKEN_SEATS)) \
		-f "$bench/wal/setup.sql"
	date=$(sql -c 'SELECT date FROM rival.sale')
}

contest_measure()
{
	case $1 in
		rows | reserve) weigh "$1" "$(calls_of $((SALES_PER_SECOND * $2)))" ;;
		retaken) value=$(calls_of "$RETAKEN_SEATS") ;;
		dead) retake "$(calls_of "$RETAKEN_SEATS")" ;;
	esac
}

# So many seats as all clients sell together.
calls_of()
{
	echo $(($1 / clients * clients))
}

# sell SCRIPT SEATS: sells the next seats, each in a transaction of its own.
sell()
{
	"$bin/pgbench" --no-vacuum --protocol=prepared --client="$clients" --jobs=2 --transactions=$(($2 / clients)) \
		--file="$bench/wal/$1.pgbench" --define=i=-1 --define=base="$next_seat" --define=seats="$2" \
		--define=clients="$clients" --define=date="$date" "$conninfo" >"$work/pgbench.log" 2>&1 ||
		{ cat "$work/pgbench.log" >&2; give_up "$1 failed"; }
}

# Sets value to bytes a sale. The rows lie in tables of their own, so that both sell the same seats.
weigh()
{
	local lsn dead table=rival.reservation won
	[[ $1 != reserve ]] || table=concert.reservation
	dead=$(dead_rows)
	won=$(sql -c "SELECT count(*) FROM $table")
	lsn=$(sql -c 'SELECT pg_current_wal_insert_lsn()')
	sell "$1" "$2"
	value=$(sql -c "SELECT (pg_current_wal_insert_lsn() - '$lsn') / $2")
	won=$(($(sql -c "SELECT count(*) FROM $table") - won))
	[[ $won -eq $2 ]] || give_up "$1 sold $won of $2 seats"
	dead=$(($(dead_rows) - dead))
	[[ $dead -eq 0 ]] || give_up "$1 left $dead dead rows"
	[[ $1 != reserve ]] || next_seat=$((next_seat + $2))
}

# Sets value to the rows that die when seats whose pendings are past their time are sold anew.
retake()
{
	local before
	sell reserve "$1"
	sql -c 'UPDATE concert.reservation SET expires_at = created_at WHERE deleted_at IS NULL' -c 'VACUUM concert.reservation'
	before=$(dead_rows)
	sell reserve "$1"
	value=$(($(dead_rows) - before))
	next_seat=$((next_seat + $1))
}

# Sessions tell what they left when they end, which is a moment after their clients do.
dead_rows()
{
	local try
	for ((try = 0; try < SESSION_END_TRIES; try++)); do
		[[ $(sql -c "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'") -gt 1 ]] || break
	done
	sql -c "SELECT sum(n_dead_tup) FROM pg_stat_user_tables WHERE schemaname IN ('concert', 'rival')"
}
