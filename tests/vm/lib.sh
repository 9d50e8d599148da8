# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
# shellcheck shell=bash
#
# What setup, enter, build and run share: where things are, how to print messages, and the lock.
#
# The cache holds one lab: the rootfs, the guests' disk image and a boot directory per kernel.
# Users of the lab hold a shared lock on $CACHE/lock.  setup holds an exclusive one while it remakes
# the lab.  A stamp, which is written last, has the hash of the recipe and the sizes of the lab's
# files.
#
# shellcheck disable=SC2034  # used by those who source this file

VM=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
CLONE=$(readlink -f "$VM/../..")
CACHE=${PHYR_CACHE:-/var/cache/phyr}
SELF=$(basename "$0")

say() { printf '%s: %s\n' "$SELF" "$*" >&2; }

die() {
	say "$*"
	exit 1
}

need_root() {
	[ "$(id -u)" -eq 0 ] || die "must run as root (it mounts, enters a chroot and installs packages)"
	case $CACHE in
	/*) ;;
	*) die "PHYR_CACHE must be an absolute path, not '$CACHE'" ;;
	esac
}

recipe_hash() { sha256sum <"$VM/recipe" | cut -d' ' -f1; }

# Is the lab there, complete, and made by the present recipe?  This only compares sizes.
cache_ready() {
	local word size path
	[ -s "$CACHE/stamp" ] || return 1
	[ "$(head -n 1 "$CACHE/stamp")" = "recipe $(recipe_hash)" ] || return 1
	while read -r word size path; do
		[ "$word" = size ] || continue
		[ "$(stat -L -c %s "$CACHE/$path" 2>/dev/null)" = "$size" ] || return 1
	done <"$CACHE/stamp"
}

# Take the lock, -s or -x, and keep it until this process and its children are gone.
lock_cache() {
	mkdir -p "$CACHE" || die "cannot make the cache directory $CACHE; set PHYR_CACHE to a usable place"
	exec 9>>"$CACHE/lock" || die "cannot open $CACHE/lock"
	flock -n "$1" 9 && return
	say "another lab process holds $CACHE; waiting for it"
	setpriv --pdeathsig KILL flock "$1" 9
}

unlock_cache() { exec 9>&-; }

# Make the lab if needed, and hold its lock.  With PHYR_LAB_HELD, the programs we start need not.
use_lab() {
	[ "${PHYR_LAB_HELD-}" = "$CACHE" ] && return
	local try
	for try in 1 2 3; do
		setpriv --pdeathsig TERM "$VM/setup" || return
		lock_cache -s
		if cache_ready; then
			export PHYR_LAB_HELD=$CACHE
			return
		fi
		unlock_cache # another clone has begun to remake it meanwhile
	done
	say "the lab in $CACHE does not stay ready (tried $try times); is another clone remaking it? Set PHYR_CACHE"
	return 1
}

# Run a command in mount and PID namespaces of its own.  Nothing that it mounts or starts survives
# the command, and the command does not survive us, however we die.
contained() {
	setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc \
		--propagation private -- "$@" <&0 & # without <&0, & would take away its stdin
	local child=$! status=0
	trap 'kill -KILL '"$child"' 2>/dev/null; trap - INT;  kill -INT  $$' INT
	trap 'kill -KILL '"$child"' 2>/dev/null; trap - TERM; kill -TERM $$' TERM
	trap 'kill -KILL '"$child"' 2>/dev/null; trap - HUP;  kill -HUP  $$' HUP
	wait "$child" || status=$?
	trap - INT TERM HUP
	return "$status"
}
