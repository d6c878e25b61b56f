# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Write a page and a model card about a training, from the files in its folder.

``report.html`` holds the learning curve, films, diagnostics beside what is healthy, and all settings; ``card.md`` is
what model hubs read. Both may be made while the training goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flow_rl.cli.options import ArgumentParser, one_line_errors


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a training, with its checkpoints")
    parser.add_argument("--license", default="other", metavar="NAME", help="licence of the policy, for its card")
    args = parser.parse_args(argv)
    with one_line_errors():
        for folder in args.runs:
            for path in write(folder, args.license):
                print(f"[flow_rl] wrote {path}")


def write(folder: Path, licence: str = "other") -> list[Path]:
    """Write both files into the folder of a training, and return their paths."""
    from flow_rl.evaluation.card import write_card
    from flow_rl.evaluation.training import Training
    from flow_rl.evaluation.training_report import write_training_report

    training = Training(folder)
    return [
        write_training_report(training, folder / "report.html"),
        write_card(training, folder / "card.md", licence),
    ]
