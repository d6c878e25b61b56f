# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Export a policy as a package for a robot.

The same as ``flow-rl export``.
"""

from flow_rl.cli.export import main

if __name__ == "__main__":
    main()
