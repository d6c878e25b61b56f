# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Models behind rsl_rl's interface."""

from .anchor import Anchor
from .compatibility import check_compatible, pretraining_overrides
from .critic_view import CriticView
from .flow_policy import FlowPolicy
from .overlap import Overlap
from .policy_export import FlowPolicyExport
from .policy_settings import FlowPolicySettings
from .q_ensemble import QEnsemble

__all__ = [
    "Anchor",
    "CriticView",
    "FlowPolicy",
    "FlowPolicyExport",
    "FlowPolicySettings",
    "Overlap",
    "QEnsemble",
    "check_compatible",
    "pretraining_overrides",
]
