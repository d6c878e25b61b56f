# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Policies that are used as they are, whoever made them: opened from a file, a function or a server, and served."""

from .frozen import FrozenPolicy, Interface
from .settings import BaseSettings
from .sources import open_policy

__all__ = ["BaseSettings", "FrozenPolicy", "Interface", "open_policy"]
