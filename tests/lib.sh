# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
# shellcheck shell=bash
#
# For the suites: where things are, and how to run a part of a suite in the VM.

set -u
tests=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
# shellcheck disable=SC2034 # for the suites
top=$(dirname "$tests")

# The release of the kernel that goes by this name.
release_of() {
	awk -v name="$1" '$1 == name { print $2 }' "${PHYR_CACHE:-/var/cache/phyr}/kernels"
}

# result STATUS NAME: a line of TAP
result() {
	if [ "$1" -eq 0 ]; then
		echo "ok $2"
	else
		echo "not ok $2"
	fi
}

# vm_tap OPTION... -- COMMAND...: run something that prints TAP in a VM.
# tests/guest is /mnt/share there. Adds a result for the machine itself: that
# the command came to its end, and the kernel log has no splat. Returns the
# command's status, so that a command that fails without a "not ok" does not pass.
vm_tap() {
	local status=0
	setpriv --pdeathsig TERM "$tests/vm/run" --share "$tests/guest" "$@" || status=$?
	echo 1..1
	case $status in
	0 | 1) echo "ok the machine ran to its end, and its kernel log has no splat" ;;
	99) echo "not ok the kernel log has a splat, see above" ;;
	124) echo "not ok the machine did not come to its end in time" ;;
	*) echo "not ok the machine ended with status $status" ;;
	esac
	return "$status"
}
