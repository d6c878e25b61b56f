# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Isaac Lab's own commands, such as train, play and leapp, whose refusals of input are one line.

``python -m flow_rl.cli.stock train ...`` does what ``python -m isaaclab train ...`` does.
"""

from __future__ import annotations

import argparse
import contextlib
import pickle
import sys
from collections.abc import Iterator, Sequence


def main() -> None:
    """Run the command of the command line."""
    import isaaclab.app
    from isaaclab.cli import cli

    refusals = one_line_refusals(sys.argv[1:])  # the command rewrites its words
    isaaclab.app.launch_simulation = _inside(isaaclab.app.launch_simulation, refusals)
    cli()


@contextlib.contextmanager
def one_line_refusals(words: Sequence[str]) -> Iterator[None]:
    """Turn what is refused into one line on stderr and exit code 2; ``words`` are the command line."""
    try:
        yield
    except pickle.UnpicklingError:
        parser = argparse.ArgumentParser(add_help=False)
        parser.add_argument("--checkpoint", default="(the newest)")
        checkpoint = parser.parse_known_args(words)[0].checkpoint
        print(
            f"[flow_rl] error: --checkpoint {checkpoint} is refused, nothing in it was executed: it holds more than "
            "tensors and plain values. Valid: files written by scripts/pretrain.py or by training. Make it again.",
            file=sys.stderr,
        )
        raise SystemExit(2) from None


def _inside(launch, refusals):
    """Put the refusals inside Isaac Lab's launcher, which prints a traceback of whatever leaves it but exit codes."""

    @contextlib.contextmanager
    def launch_simulation(*args, **kwargs):
        with launch(*args, **kwargs) as physics, refusals:
            yield physics

    return launch_simulation


if __name__ == "__main__":
    main()
