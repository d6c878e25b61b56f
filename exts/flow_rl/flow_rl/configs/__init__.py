# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Configurations: typed data, one file per learner. Importing this package imports nothing else."""

from __future__ import annotations

import functools
import re
from pathlib import Path

from flow_rl.utils.plugins import with_plugins

GROUP = "flow_rl.learners"
"""Entry points by which other packages add learners: ``<name> = "module:MyRunnerCfg"``."""


@functools.cache
def learners() -> dict[str, str]:
    """Entry points of the learners' runner configurations by name, found without importing them.

    A learner is a file of this folder that defines a class whose name ends in `RunnerCfg`, or an entry point of the
    group ``flow_rl.learners`` in the metadata of an installed package.

    Raises:
        ValueError: If two learners have one name.
    """
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        match = re.search(r"^class (\w+RunnerCfg)\b", path.read_text(encoding="utf-8"), re.MULTILINE)
        if match:
            found[path.stem] = f"{__name__}.{path.stem}:{match[1]}"
    return with_plugins(found, GROUP, "learners")
