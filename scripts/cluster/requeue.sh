# shellcheck shell=bash
# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

# A training as a job of SLURM that goes on by itself; sourced by the templates beside it.

# Runs a command until it ends. What SLURM's warning (--signal=B:USR1) stops is put into the queue again, and so is what
# is killed, for lack of memory perhaps, though only three times.
run_until_done() {
    "$@" &
    local program=$! code=0 warned=
    trap 'warned=yes; kill -TERM "$program" 2>/dev/null' USR1
    trap 'kill -TERM "$program" 2>/dev/null' TERM
    while kill -0 "$program" 2>/dev/null; do # a signal ends `wait`, too
        wait "$program" && code=0 || code=$?
    done
    echo "requeue.sh: the training ended with $code, restart ${SLURM_RESTART_COUNT:-0} of this job"
    if ((code != 0)) && { [[ -n $warned ]] || ((code == 137 && ${SLURM_RESTART_COUNT:-0} < 3)); }; then
        scontrol requeue "$SLURM_JOB_ID"
    fi
    exit "$code"
}
