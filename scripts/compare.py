# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Film two policies side by side.

The same as ``flow-rl compare``.
"""

from flow_rl.cli.compare import main

if __name__ == "__main__":
    main()
