# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What differs between a simulation and a robot: masses, friction, gains of drives, latency, errors of perception.

Off unless ``presets=sim_to_real`` is given. How cameras differ is :mod:`flow_rl_tasks.variations.pictures`'s business.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import isaaclab.envs.mdp as base_mdp
from isaaclab.assets import ArticulationCfg, RigidObjectCfg
from isaaclab.envs import ManagerBasedRLEnvCfg
from isaaclab.managers import EventTermCfg, ObservationTermCfg, SceneEntityCfg
from isaaclab.scene import InteractiveSceneCfg
from isaaclab.utils.noise import GaussianNoiseCfg
from isaaclab_ov.physics import OvPhysxCfg
from isaaclab_tasks.utils import PresetCfg, preset

from flow_rl_tasks.mdp import observations

FRICTION_RANGES = ("static_friction_range", "dynamic_friction_range")
GAIN_RANGES = ("stiffness_distribution_params", "damping_distribution_params")

PROPRIOCEPTION = ("eef_pos", "eef_quat", "eef_rot6d", "eef_vel", "gripper_qpos", "gripper_width", "robot_qpos")
PROPRIOCEPTION += ("last_actions", "latency")
"""Terms of a policy's observations that a real robot knows of itself; those of a second one end in ``_2``."""

MASS_SPREAD = 0.2
"""Greatest change of an object's mass and inertia, of 1: infill of prints, screws, what is in a can."""

FRICTION_SPREAD = 0.3
"""Greatest change of a friction coefficient, of 1: worn pads, dust, moisture."""

GAIN_SPREAD = 0.2
"""Greatest change of a drive's stiffness and of its damping, of 1: the robot's controller is known by its effects."""

JOINT_FRICTION_SPREAD = 0.3
"""Greatest change of the friction in the joints of doors and knobs, of 1: hinges wear and are oiled."""

MAX_LATENCY = 1
"""Most control ticks of 0.1 s by which actions reach the robot late: inference, network and the robot's own loop."""

OBJECT_NOISE = 0.001
"""Standard deviation of what is seen of objects: 1 mm, a milliradian of a door, 1 or 2 of an orientation."""


def for_transfer(value: Any, otherwise: Any = None) -> PresetCfg:
    """Return what is ``otherwise`` unless ``presets=sim_to_real`` is given."""
    return preset(default=otherwise, sim_to_real=value)


def vary_physics(cfg: ManagerBasedRLEnvCfg) -> None:
    """Give an environment the preset ``sim_to_real``.

    Masses, friction and gains are drawn once for each environment, latencies for each episode, noise at each step.
    """
    for name, asset in movable(cfg.scene):
        vary = functools.partial(_at_startup, cfg, name)
        for material in materials(asset):
            if (friction := getattr(material, "static_friction", None)) is not None:
                params = dict.fromkeys(FRICTION_RANGES, around(FRICTION_SPREAD, friction))
                params |= {"restitution_range": (0.0, 0.0), "num_buckets": 256, "make_consistent": True}
                vary("friction", base_mdp.randomize_rigid_body_material, **params)
        if isinstance(asset, RigidObjectCfg):
            mass = around(MASS_SPREAD)
            vary("mass", base_mdp.randomize_rigid_body_mass, mass_distribution_params=mass, operation="scale")
            continue
        params = dict.fromkeys(GAIN_RANGES, around(GAIN_SPREAD))
        vary("gains", base_mdp.randomize_actuator_gains, **params, operation="scale")
        if any(actuator.friction for actuator in asset.actuators.values()):
            params = {"friction_distribution_params": around(JOINT_FRICTION_SPREAD), "operation": "scale"}
            vary("joint_friction", base_mdp.randomize_joint_parameters, **params)
    cfg.actions.chunk.max_latency = for_transfer(MAX_LATENCY, otherwise=0)
    cfg.observations.policy.enable_corruption = True
    for name, term in vars(cfg.observations.policy).items():
        if isinstance(term, ObservationTermCfg) and is_seen(name):
            term.noise = for_transfer(GaussianNoiseCfg(std=OBJECT_NOISE))


def keep_combined_friction(cfg: ManagerBasedRLEnvCfg) -> None:
    """On PhysX, leave friction alone where a material says how it combines with another's; after presets are chosen.

    PhysX gives shapes whose friction is written new materials, which combine by the mean: parts of wood, which take the
    larger friction of two, would slip out of rubber fingers.
    """
    if isinstance(cfg.sim.physics, OvPhysxCfg):
        for name, asset in movable(cfg.scene):
            if any(getattr(material, "friction_combine_mode", None) for material in materials(asset)):
                setattr(cfg.events, f"{name}_friction", None)


def show_latency(cfg: ManagerBasedRLEnvCfg) -> None:
    """Where actions are late, let policies see how late, and which are under way; after presets are chosen.

    Experts subtract what is under way from what they want: without it, half of what they do has no visible cause. In
    vision variants the critic's state gets it too.
    """
    latency = cfg.actions.chunk.max_latency
    if isinstance(latency, int) and latency > 0 and cfg.observe_latency:  # not while presets are still to be chosen
        for group in (cfg.observations.policy, getattr(cfg.observations, "state", None)):
            if group is not None:
                group.last_actions = ObservationTermCfg(func=observations.last_actions)
                group.latency = ObservationTermCfg(func=observations.latency)


def movable(scene: InteractiveSceneCfg) -> list[tuple[str, RigidObjectCfg | ArticulationCfg]]:
    """Assets of a scene that move, and their names."""
    return [(name, asset) for name, asset in vars(scene).items() if isinstance(asset, RigidObjectCfg | ArticulationCfg)]


def materials(asset: RigidObjectCfg | ArticulationCfg) -> Sequence[Any]:
    """Fragments of the physics material of an asset, none for one without."""
    material = getattr(asset.spawn, "physics_material", None) or ()
    return material if isinstance(material, Sequence) else (material,)


def around(spread: float, middle: float = 1.0) -> tuple[float, float]:
    """Range of the values that differ from ``middle`` by at most a share of it."""
    return (middle * (1.0 - spread), middle * (1.0 + spread))


def is_seen(name: str) -> bool:
    """Whether an observation is measured by looking, neither felt by the robot nor commanded."""
    return name.removesuffix("_2") not in PROPRIOCEPTION and name != "goal"


def _at_startup(cfg: ManagerBasedRLEnvCfg, asset: str, what: str, func: Callable, **params: Any) -> None:
    """Add an event that draws something of an asset once for each environment."""
    event = EventTermCfg(func=func, mode="startup", params={"asset_cfg": SceneEntityCfg(asset), **params})
    setattr(cfg.events, f"{asset}_{what}", for_transfer(event))
