# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Measure the success rate of a policy, and film it.

The same as ``flow-rl evaluate``.
"""

from flow_rl.cli.evaluate import main

if __name__ == "__main__":
    main()
