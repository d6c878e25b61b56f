# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Collect demonstrations of a task's scripted expert.

The same as ``flow-rl collect``.
"""

from flow_rl.cli.collect import main

if __name__ == "__main__":
    main()
