# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Record an episode of a policy without a screen.

The same as ``flow-rl record``.
"""

from flow_rl.cli.record import main

if __name__ == "__main__":
    main()
