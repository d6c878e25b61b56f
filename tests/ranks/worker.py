# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What ranks run in tests of the launcher: they wait for each other, except for one that ends in a way of its own."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import torch
from torch.distributed.elastic.multiprocessing.errors import record


def main() -> None:
    """Do what the command line says first, and write when into the file that it names then."""
    torch.distributed.init_process_group("gloo")
    if torch.distributed.get_rank() == 1:
        Path(sys.argv[2]).write_text(str(time.monotonic()))
        if sys.argv[1] == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if sys.argv[1] == "raise":
            raise ArithmeticError("nothing adds up")
        if sys.argv[1] == "refuse":
            print("[flow_rl] error: this will not do", file=sys.stderr)
            raise SystemExit(2)
    torch.distributed.all_reduce(torch.ones(1))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    record(main)()
