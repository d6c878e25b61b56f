# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""See RLDT at work in the plane.

The same as ``flow-rl bandit``.
"""

from flow_rl.cli.bandit import main

if __name__ == "__main__":
    main()
