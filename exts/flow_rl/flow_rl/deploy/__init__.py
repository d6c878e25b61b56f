# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What a real robot's computer needs besides an exported policy; neither torch nor a simulator is imported."""

from .control_loop import ControlLoop, Topic
from .package import PolicyPackage
from .runner import Chunk, PolicyRunner

__all__ = ["Chunk", "ControlLoop", "PolicyPackage", "PolicyRunner", "Topic"]
