# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""From nothing to a fine-tuned flow policy.

The same as ``flow-rl demo``.
"""

from flow_rl.cli.demo import main

if __name__ == "__main__":
    main()
