# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings of an exported policy in LeRobot."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.types import FeatureType, NormalizationMode, PolicyFeature

from flow_rl.deploy.package import read_contract
from flow_rl.utils.check import InputError, require

STATE, ACTION, IMAGES = "observation.state", "action", "observation.images."


@PreTrainedConfig.register_subclass("flow_rl")
@dataclass
class FlowRLConfig(PreTrainedConfig):
    """An exported policy; its contract says what goes in and out."""

    package: str = ""
    """Folder that flow-rl export wrote."""

    execute: int | None = None
    """Actions of a chunk that are executed before the next plan; None for all, as in training."""

    noise: str | None = None
    """Where the flow starts, "random" or "zero"; None for what the package says."""

    normalization_mapping: dict[str, NormalizationMode] = field(
        default_factory=lambda: dict.fromkeys(("STATE", "VISUAL", "ACTION"), NormalizationMode.IDENTITY)
    )
    """Nothing: the network normalises by itself."""

    def __post_init__(self) -> None:
        """Read what goes in and out."""
        self.device = "cpu"  # where onnxruntime computes
        super().__post_init__()
        require(bool(self.package), "policy.package", self.package, "a folder that flow-rl export wrote", "name it.")
        contract = read_contract(Path(self.package))
        sizes = [term["shape"][0] for term in contract["observations"]]
        images = {IMAGES + camera["name"]: (3, *camera["size"]) for camera in contract["cameras"]}
        self.input_features = {STATE: PolicyFeature(FeatureType.STATE, (sum(sizes),))}
        self.input_features |= {name: PolicyFeature(FeatureType.VISUAL, shape) for name, shape in images.items()}
        self.output_features = {ACTION: PolicyFeature(FeatureType.ACTION, (len(contract["actions"]["lower"]),))}

    def validate_features(self) -> None:
        """The contract's features need no validation."""

    @property
    def observation_delta_indices(self) -> None:
        """Only the present is seen."""

    @property
    def action_delta_indices(self) -> None:
        """Nothing is learnt from chunks."""

    @property
    def reward_delta_indices(self) -> None:
        """Nothing is learnt from rewards."""

    def get_optimizer_preset(self) -> None:
        """Raise an InputError: an exported policy does not learn."""
        raise InputError("an exported policy does not learn: train it with flow-rl.")

    get_scheduler_preset = get_optimizer_preset
