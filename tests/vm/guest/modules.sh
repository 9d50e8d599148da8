# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
# shellcheck shell=sh
#
# For phyr-rxe, phyr-siw and phyr-umem: how modules come and go.

BUILT=/phyr/kernel/$(uname -r)
PATIENCE=300 # tenths of a second

fail() {
	echo "${0##*/}: $*" >&2
	exit 1
}

loaded() { [ -d "/sys/module/$1" ]; }

# until_done COMMAND...: try it until it succeeds or patience ends
until_done() {
	tries=0
	until "$@" 2>/dev/null; do
		[ "$((tries += 1))" -le "$PATIENCE" ] || return 1
		sleep 0.1
	done
}

built() { [ -e "$BUILT/$1.ko" ] || fail "there is no $BUILT/$1.ko; has tests/vm/build made it?"; }

# Load a module that was built here, after those that it needs.  These are ours if they were built
# here, and else the distribution's.  rdma_rxe is the only one that both have.
load_built() {
	loaded "$1" && return
	needs=$(modinfo -F depends "$BUILT/$1.ko") || fail "cannot read $BUILT/$1.ko"
	for need in $(echo "$needs" | tr ',' ' '); do
		if [ -e "$BUILT/$need.ko" ]; then
			(load_built "$need") || exit
		else
			modprobe "$need" || fail "cannot load $need, which $1 needs"
		fi
	done
	insmod "$BUILT/$1.ko" || fail "cannot load $BUILT/$1.ko; see the kernel log"
}

unload() {
	loaded "$1" || return 0
	until_done rmmod "$1" ||
		fail "cannot unload $1: $(rmmod "$1" 2>&1) (use count $(cat "/sys/module/$1/refcnt"), held by: $(ls "/sys/module/$1/holders"))"
}

# phyr.ko may stay if another module needs it: rdma_rxe, phyr_test, phyr_umem.
unload_unused_phyr() {
	if loaded phyr && [ -z "$(ls /sys/module/phyr/holders)" ]; then
		unload phyr
	fi
}
