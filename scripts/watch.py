# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Watch a policy in the browser.

The same as ``flow-rl watch``.
"""

from flow_rl.cli.watch import main

if __name__ == "__main__":
    main()
