# SPDX-License-Identifier: PostgreSQL
# shellcheck shell=bash disable=SC2034,SC2154 # read and set by bench/run
#
# The ledger under load. Payments from many wallets onto one revenue account beside the same ones spread over a thousand, and
# beside the classic way, one row that every payment changes; paying for bookings beside reserving; a transfer between two
# wallets beside a PL/pgSQL function that does the same work; and reading an account with a million transfers beside looking
# up a row by its key. A contestant is a pgbench script, whose every call succeeds or fails the run. Whoever pays or
# reserves takes bookings and seats in random order from a share that no other run gets.
readonly WALLETS=10000
readonly CONCERTS=1000
readonly TRANSFERS=1000000
readonly CALLS_PER_SECOND_MAX=$((6000 * ($(nproc) > 2 ? $(nproc) : 2)))
readonly RUN_CALLS_MIN=$((clients * 100))

contestants=(hot spread till transfer plpgsql plpgsql_hot pay_hot pay_spread reserve reserve_key
	look_up wallet balance balance_floor balance_at balance_at_floor rows bytes)

comparisons=(
	'payments onto one account / spread over 1,000|hot|spread|higher|0.9'
	'payments onto one account / UPDATE of one row|hot|till|higher|4.0'
	'pay for one concert / for 1,000|pay_hot|pay_spread|higher|0.9'
	'pay with key / reserve|pay_hot|reserve|higher|0.6'
	'pay with key / reserve with key|pay_hot|reserve_key|higher|0.6'
	'transfer / PL/pgSQL|transfer|plpgsql|higher|1.5'
	'transfer to a hot account / PL/pgSQL|hot|plpgsql_hot|higher|1.5'
	'bytes / transfers|bytes|rows|lower|400'
	'balance() / key look-up|wallet|look_up|lower|10'
	'balance, a million transfers / key look-up|balance|look_up|lower|10'
	'the same with a floor / key look-up|balance_floor|look_up|lower|10'
	'balance_at, a million transfers / key look-up|balance_at|look_up|lower|10'
	'the same with a floor / key look-up|balance_at_floor|look_up|lower|10'
)

declare -A next_of

contest_setup()
{
	local share
	share=$(($(run_calls "$WARM_UP_SECONDS") + rounds * $(run_calls "$round_seconds")))
	next_of=([pay_hot]=0 [pay_spread]=$share [reserve]=$((2 * share)) [reserve_key]=$((3 * share)))
	sql -v wallets=$WALLETS -v concerts=$CONCERTS -v transfers=$TRANSFERS -v hot_bookings=$share -v seats=$((2 * share)) \
		-f "$bench/ledger/setup.sql" -f "$bench/ledger/rival.sql"
	first_rows=$(rows)
	first_bytes=$(bytes)
}

run_calls()
{
	local calls=$((CALLS_PER_SECOND_MAX * $1))
	echo $((calls > RUN_CALLS_MIN ? calls : RUN_CALLS_MIN))
}

rows()
{
	sql -c 'SELECT count(*) FROM concert.transfer'
}

bytes()
{
	sql -c "SELECT pg_total_relation_size('concert.transfer')"
}

# Sets value: calls a second, or of those that read the microseconds of one call while all clients do.
contest_measure()
{
	local contestant=$1 base=${next_of[$1]:-0} calls first=first_$1
	case $1 in
		rows | bytes) value=$(($("$1") - ${!first})) && return ;;
	esac
	calls=$(run_calls "$2")
	[[ -z ${next_of[$1]:-} ]] || next_of[$1]=$((base + calls))
	pgbench_run "$bench/ledger/${contestant/#pay_*/pay}.pgbench" "$2" --define=i=-1 --define=base="$base" \
		--define=seats="$calls" --define=wallets=$WALLETS --define=concerts=$CONCERTS --define=transfers=$TRANSFERS
	[[ -z ${next_of[$1]:-} || $transactions -le $calls ]] || give_up "$1 made $transactions calls, its share is $calls"
	value=$tps
	case $1 in
		look_up | wallet | balance*)
			value=$(awk -v tps="$tps" -v clients="$clients" 'BEGIN {printf "%.1f", 1000000 * clients / tps}')
			;;
	esac
}
