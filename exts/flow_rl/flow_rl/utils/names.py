# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Names of environments, which tell of what kind they are before anything is imported."""

GYM = "gym:"
"""What names of Gymnasium environments begin with."""


def is_gym(task: str) -> bool:
    """Whether a name of ``--task`` or ``--env`` is that of a Gymnasium environment."""
    return task.startswith(GYM)
