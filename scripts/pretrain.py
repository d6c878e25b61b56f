# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Pretrain a flow policy on demonstrations.

The same as ``flow-rl pretrain``.
"""

from flow_rl.cli.pretrain import main

if __name__ == "__main__":
    main()
