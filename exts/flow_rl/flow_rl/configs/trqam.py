# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Configuration of TRQAM: QAM within a budget for the divergence from the behaviour."""

from __future__ import annotations

from isaaclab.utils import configclass

from .qam import QamAlgorithmCfg, QamRunnerCfg


@configclass
class TrqamRunnerCfg(QamRunnerCfg):
    """Fine-tuning by TRQAM (arXiv 2605.27079) with the stock runner."""

    experiment_name: str = "trqam"
    """Folder of the runs under logs/rsl_rl."""

    algorithm: QamAlgorithmCfg = QamAlgorithmCfg(kl_budget=1.0)
    """The learner."""
