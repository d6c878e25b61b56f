#!/usr/bin/env bash
# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

# Sets flow_rl up when needed and runs the commands of `flow-rl` and of Isaac Lab; `./flow_rl.sh --help` lists them.

set -euo pipefail

UV_VERSION=0.13.8
MIN_DISK_GB=${FLOW_RL_MIN_DISK_GB:-10}

# The commands of flow-rl, here so that help needs no environment.
COMMANDS="collect data pretrain train evaluate compare play watch record serve export leapp report benchmark demo bandit tasks learners new doctor completion"

root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
tool=$root/.tool
venv=$root/.venv
stamp=$venv/.flow_rl
log=$tool/setup.log

usage() {
    cat <<EOF
Usage: ./flow_rl.sh COMMAND [arguments]

  setup           build the environment (every other command does so when it is missing)
  demo [...]      collect, pretrain, fine-tune, evaluate and report, from nothing (--smoke: a short run)
  test [...]      run the whole test suite, or with --fast what starts no simulator (arguments go to pytest)
  -p FILE [...]   run a script with the environment's Python
  COMMAND [...]   is one of flow-rl's, which answer --help:
                  $COMMANDS
  ANYTHING ELSE   is a command of Isaac Lab: zero_agent, random_agent, list_envs, ...
EOF
}

# The second is the driver's device within WSL.
has_gpu() { [[ -e /dev/nvidiactl || -e /dev/dxg ]]; }
say() { echo "flow_rl: $*" >&2; }
die() { say "error: $*"; exit 1; }

# A name for the environment that the files in this checkout describe.
fingerprint() { { echo "$root"; cat "$root/pyproject.toml" "$root/.python-version"; } | sha256sum; }

find_python() {
    local candidate found
    for candidate in python3.12 python3 python "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.12*/bin/python; do
        found=$(cd "$root" && "$candidate" -c 'import sys
if sys.version_info[:2] == (3, 12): print(getattr(sys, "_base_executable", sys.executable))' 2>/dev/null) || continue
        [[ -z $found ]] || { echo "$found"; return; }
    done
    die "Python 3.12 is missing: install it (pyenv install 3.12, or your system's python3.12) and repeat the command"
}

check_disk() {
    local free
    free=$(df -Pk "$root" | awk 'NR == 2 { print int($4 * 1024 / 1e9) }')
    ((free >= MIN_DISK_GB)) || die "$MIN_DISK_GB GB of free disk are needed in $root, $free GB are free: make room and" \
        "repeat the command"
}

bootstrap_uv() {
    local candidate
    [[ $("$tool/bin/uv" --version 2>/dev/null) != "uv $UV_VERSION"* ]] || return 0
    for candidate in "$1" python3 python; do
        (cd "$root" && "$candidate" -m pip --version) >/dev/null 2>&1 || continue
        (cd "$root" && "$candidate" -m pip install -q --upgrade --target "$tool" "uv==$UV_VERSION") >"$log" 2>&1 && return
        die "uv $UV_VERSION could not be fetched: check the network connection and repeat the command (details: $log)"
    done
    die "pip is missing for $1: install it ($1 -m ensurepip, or your system's python3-pip) and repeat the command"
}

sync_packages() {
    local output=$log details="details: $log"
    [[ ! -t 2 ]] || output=/dev/stderr details="details above" # a terminal sees uv's progress
    (cd "$root" && env -u VIRTUAL_ENV UV_PROJECT_ENVIRONMENT="$venv" UV_PYTHON_DOWNLOADS=never \
        "$tool/bin/uv" sync --all-extras --python "$1" 2>"$output") && return
    die "the packages could not be installed: check the network connection and repeat the command ($details)"
}

build_assets() {
    [[ -f $root/assets/flow_rl_assets/build.py ]] || return 0
    "$venv/bin/python" -m flow_rl_assets.build >"$log" 2>&1 || die "the robot could not be built (details: $log)"
}

# A script named relative to the caller's folder or to this checkout.
script() { if [[ -f $1 || ! -f $root/$1 ]]; then echo "$1"; else echo "$root/$1"; fi; }

is_ready() { [[ -f $stamp && $(<"$stamp") == "$(fingerprint)" ]]; }

setup() {
    is_ready && return
    local python
    python=$(find_python)
    mkdir -p "$tool"
    (
        flock 9
        if is_ready; then exit; fi # another call did it meanwhile
        if [[ ! -f $stamp ]]; then # nothing is there, or what an interrupted set-up left
            rm -rf "$venv"
            check_disk
        fi
        rm -f "$stamp"
        say "setting up the environment in $venv (once, a few minutes)"
        bootstrap_uv "$python"
        sync_packages "$python"
        build_assets
        fingerprint >"$stamp"
        say "the environment is ready"
    ) 9>"$tool/lock"
}

if [[ -n ${_ARGCOMPLETE:-} ]]; then # a shell asks how a command line may go on
    [[ ! -x $venv/bin/python ]] || exec "$venv/bin/python" -m flow_rl.cli.main
    exit
fi

case ${1:---help} in
    -h | --help | help) usage; exit ;;
esac

setup
python=$venv/bin/python
# More threads only slow down networks of this size on a machine without a GPU.
has_gpu || export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
# No command executes what is pickled in a checkpoint; torch.load refuses both variables together.
export TORCH_FORCE_WEIGHTS_ONLY_LOAD=1
unset TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD

case $1 in
    setup) ;;
    test)
        cd "$root"
        shift
        # Two workers, each with one thread; --fast is what starts no simulator and takes no time.
        if [[ ${1:-} == --fast ]]; then shift; set -- -m "not sim and not slow" "$@"; else set -- -m "" "$@"; fi
        exec "$python" -m pytest -n "${FLOW_RL_TEST_WORKERS:-2}" --dist loadfile --no-loadscope-reorder "$@"
        ;;
    -p) exec "$python" "$(script "${2:--}")" "${@:3}" ;;
    *)
        module=isaaclab
        [[ " $COMMANDS " != *" $1 "* ]] || module=flow_rl.cli.main
        exec "$python" -m "$module" "$@"
        ;;
esac
