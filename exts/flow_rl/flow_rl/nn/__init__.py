# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Networks."""

from .ensemble_mlp import DuelingEnsemble, EnsembleMLP
from .noise_predictor import NoisePredictor
from .normalizer import MinMaxNormalizer, WhiteningNormalizer
from .residual_mlp import ResidualMLP
from .score_coefficient import ScoreCoefficient
from .time_embedding import TimeEmbedding
from .velocity import VelocityNet
from .vision import CameraEncoder, CnnEncoder, VitEncoder, random_shift

__all__ = [
    "CameraEncoder",
    "CnnEncoder",
    "DuelingEnsemble",
    "EnsembleMLP",
    "MinMaxNormalizer",
    "NoisePredictor",
    "ResidualMLP",
    "ScoreCoefficient",
    "TimeEmbedding",
    "VelocityNet",
    "VitEncoder",
    "WhiteningNormalizer",
    "random_shift",
]
