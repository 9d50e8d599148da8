# SPDX-License-Identifier: GPL-2.0 OR Linux-OpenIB
# shellcheck shell=bash
#
# Completion of phyr_info(1) for bash, which loads this file by the name of the command.

# _phyr_info_offer WORD CANDIDATE...: offer the candidates that begin with the word
_phyr_info_offer() {
	local word=$1 candidate
	shift
	for candidate; do
		[[ $candidate != "$word"* ]] || COMPREPLY+=("$(printf '%q' "$candidate")")
	done
}

_phyr_info() {
	local word=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]} path
	local options=(-d --ib-dev -j --json -h --help -V --version)

	COMPREPLY=()
	# bash makes "=" a word of its own.
	if [[ $word = "=" ]]; then
		word=
	elif [[ $option = "=" ]]; then
		option=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	case $option in
	-d | --ib-dev)
		for path in /sys/class/infiniband/*; do
			[[ ! -e $path ]] || _phyr_info_offer "$word" "${path##*/}"
		done
		return
		;;
	-p | --pid)
		for path in /proc/[0-9]*; do
			_phyr_info_offer "$word" "${path##*/}"
		done
		return
		;;
	esac
	if [[ " ${COMP_WORDS[*]:1:COMP_CWORD-1} " = *" mr "* ]]; then
		options+=(-p --pid)
	else
		options+=(mr)
	fi
	_phyr_info_offer "$word" "${options[@]}"
}

complete -F _phyr_info phyr_info
