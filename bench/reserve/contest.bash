# SPDX-License-Identifier: PostgreSQL
# shellcheck shell=bash disable=SC2034,SC2154 # read and set by bench/run
#
# How many calls of reserve() a second: winning ones, each for one fresh seat and a fresh user, and losing ones, all for one
# sold seat. A contestant is a pgbench script. Those that win have a pool of seats (the rivals one of their own) and take
# them in random order from a share that no other run gets; that every call did win is checked after each run.
readonly WINS_PER_SECOND_MAX=$((5000 * ($(nproc) > 2 ? $(nproc) : 2)))
readonly RUN_SEATS_MIN=$((clients * 100))
readonly HOT_SEAT=00000000-0000-0000-0000-000000000000

contestants=(insert reserve plpgsql reserve_key plpgsql_key select_1 lose lose_plpgsql)

comparisons=(
	'winning / INSERT|reserve|insert|higher|1.1'
	'winning with key / INSERT|reserve_key|insert|higher|0.9'
	'winning / PL/pgSQL|reserve|plpgsql|higher|1.5'
	'winning with key / PL/pgSQL with key|reserve_key|plpgsql_key|higher|1.5'
	'losing / SELECT 1|lose|select_1|higher|0.5'
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
	sql -v hot_seat="$HOT_SEAT" -v concert_seats=$((2 * per_contestant)) -v rival_seats=$((3 * per_contestant)) \
		-f "$bench/reserve/setup.sql" -f "$bench/reserve/rival.sql" -f "$bench/reserve/sold.sql"
	date=$(sql -c 'SELECT concert_date_id FROM rival.sale')
}

run_seats()
{
	local seats=$((WINS_PER_SECOND_MAX * $1))
	echo $((seats > RUN_SEATS_MIN ? seats : RUN_SEATS_MIN))
}

contest_measure()
{
	local contestant=$1 seconds=$2 seats base=0 before wins expected=0
	local pool=${winners_pool[$1]:-} table=${winners_table[$1]:-concert.reservation}
	seats=$(run_seats "$seconds")
	if [[ -n $pool ]]; then
		base=${next_seat[$pool]}
		next_seat[$pool]=$((base + seats))
	fi
	before=$(sql -c "SELECT count(*) FROM $table")
	pgbench_run "$bench/reserve/$contestant.pgbench" "$seconds" --define=i=-1 --define=base="$base" --define=seats="$seats" \
		--define=date="$date" --define=hot="$HOT_SEAT"
	wins=$(($(sql -c "SELECT count(*) FROM $table") - before))
	[[ -z $pool ]] || expected=$transactions
	[[ $wins -eq $expected ]] ||
		give_up "$contestant made $wins reservations in $transactions calls, not $expected; its share of seats is $seats"
	value=$tps
}
