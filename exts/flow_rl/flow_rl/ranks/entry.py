# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What each rank runs: ``flow-rl train``, whose errors the launcher is told of."""

import os
import sys

from torch.distributed.elastic.multiprocessing.errors import record

from flow_rl.cli import main

if __name__ == "__main__":
    words = sys.argv[1:]
    if int(os.environ["RANK"]) > 0:
        words = [word for word in words if word != "--video"]  # films come from the first
    record(main.main)(["train", *words])
