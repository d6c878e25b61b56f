# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Networks."""

from .backbones import BackboneSettings, MlpBackbone, TransformerBackbone, make_backbone
from .ensemble_mlp import DuelingEnsemble, EnsembleMLP
from .noise_predictor import NoisePredictor
from .noise_steering import NoiseSteering, PriorSettings, make_steering
from .normalizer import MinMaxNormalizer, WhiteningNormalizer
from .residual_head import HeadSettings, ResidualHead
from .residual_mlp import ResidualMLP
from .score_coefficient import ScoreCoefficient
from .selector import Selector, SelectorSettings, make_selector
from .time_embedding import TimeEmbedding
from .velocity import VelocityField
from .vision import CameraEncoder, CnnEncoder, EncoderSettings, VitEncoder, random_shift

__all__ = [
    "BackboneSettings",
    "CameraEncoder",
    "CnnEncoder",
    "DuelingEnsemble",
    "EncoderSettings",
    "EnsembleMLP",
    "HeadSettings",
    "MinMaxNormalizer",
    "MlpBackbone",
    "NoisePredictor",
    "NoiseSteering",
    "PriorSettings",
    "ResidualHead",
    "ResidualMLP",
    "ScoreCoefficient",
    "Selector",
    "SelectorSettings",
    "TimeEmbedding",
    "TransformerBackbone",
    "VelocityField",
    "VitEncoder",
    "WhiteningNormalizer",
    "make_backbone",
    "make_selector",
    "make_steering",
    "random_shift",
]
