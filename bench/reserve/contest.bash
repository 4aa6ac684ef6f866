# SPDX-License-Identifier: PostgreSQL
# shellcheck shell=bash disable=SC2034,SC2154 # read and set by bench/run
#
# How many calls of reserve() a second: winning ones, each for one fresh seat and a fresh user, and losing ones, all for one
# seat that is sold, or that a transaction still open has won. A contestant is a pgbench script. Those that win have a pool
# of seats (the rivals one of their own) and take them in random order from a share that no other run gets; that every call did win is
# checked after each run, and that losers took no transaction number and wrote no WAL.
readonly WINS_PER_SECOND_MAX=$((10000 * ($(nproc) > 2 ? $(nproc) : 2)))
readonly RUN_SEATS_MIN=$((clients * 100))
readonly SOLD_SEAT=00000000-0000-0000-0000-000000000000
readonly OPEN_SEAT=ffffffff-ffff-ffff-ffff-ffffffffffff
readonly LOSER=10000000-0000-0000-0000-000000000000
readonly LOSERS_WAIT_MS_MAX=1
# What the server writes by itself while calls lose: whole pages of catalogs that it prunes, the running transactions. Calls
# come by the ten thousand, and the shortest record has 24 bytes.
readonly IDLE_WAL_BYTES_MAX=65536

contestants=(insert reserve plpgsql reserve_key plpgsql_key select_1 lose lose_open lose_plpgsql)

comparisons=(
	'winning / INSERT|reserve|insert|higher|1.1'
	'winning with key / INSERT|reserve_key|insert|higher|0.9'
	'winning / PL/pgSQL|reserve|plpgsql|higher|1.5'
	'winning with key / PL/pgSQL with key|reserve_key|plpgsql_key|higher|1.5'
	'losing / SELECT 1|lose|select_1|higher|0.5'
	'losing to an open sale / SELECT 1|lose_open|select_1|higher|0.5'
	'losing / PL/pgSQL losing|lose|lose_plpgsql|higher|1.0'
)

# What a winner writes, and whose seats it takes; without an entry a contestant loses.
declare -A winners_table=(
	[insert]=rival.insert_reservation [plpgsql]=rival.reservation [plpgsql_key]=rival.reservation
	[reserve]=concert.reservation [reserve_key]=concert.reservation
)
declare -A winners_pool=(
	[insert]=rival [plpgsql]=rival [plpgsql_key]=rival [reserve]=concert [reserve_key]=concert
)
declare -A next_seat=([concert]=0 [rival]=0)

contest_setup()
{
	local per_contestant
	per_contestant=$(($(run_seats "$WARM_UP_SECONDS") + rounds * $(run_seats "$round_seconds")))
	sql -v hot_seat="$SOLD_SEAT" -v open_seat="$OPEN_SEAT" -v concert_seats=$((2 * per_contestant)) \
		-v rival_seats=$((3 * per_contestant)) -f "$bench/reserve/setup.sql" -f "$bench/reserve/rival.sql" -f "$bench/reserve/sold.sql"
	date=$(sql -c 'SELECT concert_date_id FROM rival.sale')
}

run_seats()
{
	local seats=$((WINS_PER_SECOND_MAX * $1))
	echo $((seats > RUN_SEATS_MIN ? seats : RUN_SEATS_MIN))
}

contest_measure()
{
	local contestant=$1 seconds=$2 seats base=0 before wins expected=0 hot=$SOLD_SEAT
	local pool=${winners_pool[$1]:-} table=${winners_table[$1]:-concert.reservation}
	seats=$(run_seats "$seconds")
	if [[ -n $pool ]]; then
		base=${next_seat[$pool]}
		next_seat[$pool]=$((base + seats))
	fi
	[[ $contestant != lose_open ]] || { sale_open; hot=$OPEN_SEAT; }
	before=$(sql -c "SELECT count(*) FROM $table")
	written_begin
	PGOPTIONS=$([[ $contestant != lose* ]] || echo "-c lock_timeout=$LOSERS_WAIT_MS_MAX") \
		pgbench_run "$bench/reserve/${contestant%_open}.pgbench" "$seconds" --define=i=-1 --define=base="$base" \
		--define=seats="$seats" --define=date="$date" --define=hot="$hot" --define=loser="$LOSER"
	[[ $contestant != lose* || $contestant == lose_plpgsql ]] || written_nothing "$contestant"
	wins=$(($(sql -c "SELECT count(*) FROM $table") - before))
	[[ -z $pool ]] || expected=$transactions
	[[ $wins -eq $expected ]] ||
		give_up "$contestant made $wins reservations in $transactions calls, not $expected; its share of seats is $seats"
	[[ $contestant != lose_open ]] || sale_roll_back
	value=$tps
}

# A session wins the open seat and does not commit; whoever asks for it is told so without a wait.
sale_open()
{
	local answer
	coproc sale { sql; }
	printf "BEGIN;\nSELECT ok FROM concert.reserve('%s', ARRAY['%s']::uuid[], concert.uuid7());\n" "$date" "$OPEN_SEAT" >&"${sale[1]}"
	read -r -u "${sale[0]}" answer
	[[ $answer == t ]] || give_up "the open seat was not won"
	answer=$(sql -c "SELECT reason FROM concert.reserve('$date', ARRAY['$OPEN_SEAT']::uuid[], concert.uuid7())")
	[[ $answer == busy ]] || give_up "the open seat is \"$answer\", not busy"
}

sale_roll_back()
{
	local pid=$sale_PID
	printf 'ROLLBACK;\n\\q\n' >&"${sale[1]}"
	wait "$pid"
}

# Remembers how far transaction numbers and WAL are. Calls that lose are to move neither, nor to wait.
written_begin()
{
	next_xid=$(sql -c 'SELECT pg_snapshot_xmax(pg_current_snapshot())')
	next_lsn=$(sql -c 'SELECT pg_current_wal_insert_lsn()')
}

written_nothing()
{
	local xids bytes
	xids=$(sql -c "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint - $next_xid")
	bytes=$(sql -c "SELECT pg_current_wal_insert_lsn() - '$next_lsn'")
	[[ $xids -eq 0 && $bytes -le $IDLE_WAL_BYTES_MAX ]] ||
		give_up "$1: $transactions calls took $xids transaction numbers and wrote $bytes bytes of WAL"
}
