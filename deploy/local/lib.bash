# SPDX-License-Identifier: PostgreSQL
#
# What the scripts of this folder share; sourced, never run.
#
# Every server has a folder of its own, DIR, and is recorded there in DIR/server.process as "KIND
# PID START", START being the kernel's start time of that process. Nothing is ever signalled but a
# process whose pid AND start time still match its record, so neither a recycled pid nor somebody
# else's server can be hit. Called as root, all servers run as an unprivileged user. Every wait has
# a time-out.
# shellcheck shell=bash

umask 022
readonly RECORD_NAME=server.process
readonly POLL_SECONDS=0.05
readonly LOG_TAIL_LINES=30
readonly CACHE_LOCK_SECONDS=600

# shellcheck disable=SC2034 # for the scripts that source this
local_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program=$(basename "$0")

die()
{
	echo "$program: $*" >&2
	exit 1
}

# Where downloads are kept. Root's must be readable for the user that the servers run as.
cache_dir()
{
	if [[ -n ${CONCERT_CACHE:-} ]]; then
		echo "$CONCERT_CACHE"
	elif [[ $EUID -eq 0 ]]; then
		echo /var/cache/concert
	else
		echo "${XDG_CACHE_HOME:-$HOME/.cache}/concert"
	fi
}

# cache_once NAME COMMAND: prints the folder NAME in the cache; the first time, COMMAND FOLDER fills
# it. A folder has its final name only when it is complete.
cache_once()
{
	local dir lock
	dir=$(cache_dir)/$1
	if [[ ! -d $dir ]]; then
		mkdir -p "$(dirname "$dir")"
		exec {lock}>"$dir.lock"
		flock -w "$CACHE_LOCK_SECONDS" "$lock" ||
			die "somebody else has been fetching \"$1\" for too long"
		[[ -d $dir ]] || cache_fill "$dir" "$2"
		exec {lock}>&-
	fi
	echo "$dir"
}

cache_fill()
{
	echo "$program: fetching $(basename "$1"), once" >&2
	rm -rf --one-file-system "$1.new"
	if ! "$2" "$1.new" >"$1.log" 2>&1; then
		tail -n "$LOG_TAIL_LINES" "$1.log" >&2
		die "could not fetch $(basename "$1")"
	fi
	rm "$1.log"
	mv "$1.new" "$1"
}

# The words to put before a command so that it runs as the servers' user: none unless called as
# root.
drop_privileges=()
if [[ $EUID -eq 0 ]]; then
	server_user=${CONCERT_SERVER_USER:-postgres}
	id "$server_user" >/dev/null 2>&1 || die "user \"$server_user\" does not exist"
	drop_privileges=(setpriv "--reuid=$server_user" "--regid=$(id -g "$server_user")" --init-groups --)
else
	server_user=$(id -un)
fi

as_server_user()
{
	"${drop_privileges[@]}" "$@"
}

# port_check PORT: refuses what is no port.
port_check()
{
	[[ $1 =~ ^[0-9]+$ && $1 -ge 1 && $1 -le 65535 ]] || die "\"$1\" is not a port"
}

# dir_prepare KIND DIR: makes the folder of one server, or takes up again the one of an earlier
# start; prints its full path. It stays the caller's, with the record and the log in it; the
# servers' user owns DIR/data.
dir_prepare()
{
	local kind=$1 dir=$2
	if [[ -e $dir/$RECORD_NAME ]]; then
		[[ $(record_kind "$dir") == "$kind" ]] || die "\"$dir\" belongs to another kind of server"
		! process_alive "$dir" || die "the server in \"$dir\" runs already"
	elif [[ -n $(ls -A "$dir" 2>/dev/null) ]]; then
		die "\"$dir\" is not empty and was not made by this script"
	fi
	mkdir -p "$dir"
	dir=$(cd "$dir" && pwd)
	chmod 711 "$dir"
	as_server_user test -x "$dir" ||
		die "user \"$server_user\" cannot reach \"$dir\": choose one below /tmp and chmod 711 its parents"
	dir_private "$dir/data"
	[[ -e $dir/$RECORD_NAME ]] || echo "$kind 0 0" >"$dir/$RECORD_NAME"
	echo "$dir"
}

# dir_private DIR: makes a folder that only the servers' user can enter.
dir_private()
{
	install -d -m 700 "$1"
	[[ $EUID -ne 0 ]] || chown "$server_user:" "$1"
}

record_kind()
{
	cut -d' ' -f1 "$1/$RECORD_NAME"
}

# process_start_time PID: clock ticks since boot at which it started; fails for a dead process and
# for a zombie.
process_start_time()
{
	local line fields
	{ read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
	read -ra fields <<<"${line##*) }"
	[[ ${fields[0]} != [ZX] ]] || return 1
	echo "${fields[19]}"
}

# process_alive DIR: whether the recorded process still runs.
process_alive()
{
	local pid start now
	{ read -r _ pid start <"$1/$RECORD_NAME"; } 2>/dev/null || return 1
	now=$(process_start_time "$pid") && [[ $now == "$start" ]]
}

# process_start DIR COMMAND…: runs it detached as the servers' user in DIR, output appended to
# DIR/log, and records it.
process_start()
{
	local dir=$1 kind pid
	shift
	kind=$(record_kind "$dir")
	(
		cd "$dir" || exit
		for fd in /proc/self/fd/*; do
			fd=${fd##*/}
			[[ $fd -le 2 ]] || eval "exec $fd>&-"
		done
		exec setsid "${drop_privileges[@]}" "$@"
	) </dev/null >>"$dir/log" 2>&1 &
	pid=$!
	echo "$kind $pid $(process_start_time "$pid")" >"$dir/$RECORD_NAME"
}

# process_wait_ready DIR SECONDS COMMAND…: until COMMAND succeeds; shows the end of the log and
# gives up otherwise.
process_wait_ready()
{
	local dir=$1 seconds=$2 deadline
	shift 2
	deadline=$((SECONDS + seconds))
	until "$@" >/dev/null 2>&1; do
		process_alive "$dir" || process_failed "$dir" "ended before it was ready"
		[[ $SECONDS -lt $deadline ]] || process_failed "$dir" "was not ready within $seconds s"
		sleep "$POLL_SECONDS"
	done
}

process_failed()
{
	echo "$program: the server in \"$1\" $2; the end of its log:" >&2
	tail -n "$LOG_TAIL_LINES" "$1/log" >&2 || true
	exit 1
}

# process_stop DIR "SIGNAL SECONDS"…: sends each signal in turn, waiting that long for the end;
# silent if it runs no more.
process_stop()
{
	local dir=$1 step signal seconds pid deadline
	shift
	for step in "$@"; do
		process_alive "$dir" || return 0
		read -r signal seconds <<<"$step"
		read -r _ pid _ <"$dir/$RECORD_NAME"
		kill -s "$signal" "$pid" 2>/dev/null || true
		deadline=$((SECONDS + seconds))
		while process_alive "$dir" && [[ $SECONDS -lt $deadline ]]; do
			sleep "$POLL_SECONDS"
		done
	done
	! process_alive "$dir" || die "process $pid in \"$dir\" does not end"
}

# A start that fails or is interrupted leaves nothing behind: call guard_start before starting and
# guard_done when ready.
guard_start()
{
	guarded_dir=$1
	trap 'stop_server "$guarded_dir"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
}

guard_done()
{
	trap - EXIT INT TERM HUP
}
