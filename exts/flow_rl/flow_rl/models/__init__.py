# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Models behind rsl_rl's interface."""

from .anchor import Anchor
from .critic_view import CriticView
from .flow_policy import FlowPolicy, FlowPolicyExport
from .q_ensemble import QEnsemble

__all__ = [
    "Anchor",
    "CriticView",
    "FlowPolicy",
    "FlowPolicyExport",
    "QEnsemble",
]
