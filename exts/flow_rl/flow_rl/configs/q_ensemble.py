# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Configuration of off-policy learners' critic."""

from __future__ import annotations

from isaaclab.utils import configclass
from isaaclab_rl.rsl_rl import RslRlMLPModelCfg


@configclass
class QEnsembleCfg(RslRlMLPModelCfg):
    """Settings of :class:`flow_rl.models.QEnsemble`."""

    class_name: str = "flow_rl.models.q_ensemble:QEnsemble"
    """Implementation."""

    num_members: int = 2
    """Members M of the ensemble, at least 1."""

    hidden_dims: list[int] = [256, 256, 256]
    """Widths of each member."""

    activation: str = "swish"
    """Activation, as named by rsl_rl."""

    weight_std: float = 0.1
    """Deviation of the initial weights."""

    obs_normalization: bool = True
    """Whether observations are normalised by their running mean and deviation."""

    layer_norm: bool = False
    """Whether each hidden layer is normalised before its activation, as critics on few data often are."""

    dueling: bool = False
    """Whether values are V(s) + A(s, a), each fitted on its own, instead of one network's.

    For long chunks, whose gradient otherwise leads to what is usual in better states, not to what is better. Returns
    then end in V of the next observation, so that no chunks are drawn for them.
    """
