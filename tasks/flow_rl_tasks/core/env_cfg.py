# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What the environments of all manipulation tasks share: chunked control at 10 Hz, two physics engines, checks."""

import torch

from isaaclab.envs import ManagerBasedRLEnvCfg
from isaaclab.sim import SimulationCfg
from isaaclab.utils import configclass
from isaaclab.visualizers import VisualizerCfg
from isaaclab_tasks.utils import PresetCfg

from flow_rl.utils.check import require_choice
from flow_rl_tasks.mdp import ticks_per_action
from flow_rl_tasks.physics.physics_cfg import ManipulationPhysicsCfg
from flow_rl_tasks.variations.cameras import front_camera
from flow_rl_tasks.variations.sim_to_real import keep_combined_friction, show_latency, vary_physics

CONTROL_DT = 0.1
"""Duration of a control tick [s]: one action of a chunk, one simulation step."""


def view(eye: tuple[float, float, float], lookat: tuple[float, float, float]) -> VisualizerCfg:
    """Where viewers and films look from and at [m], in the frame of an environment."""
    return VisualizerCfg(eye=eye, lookat=lookat, focal_length=20.0)


VIEW = view(eye=(1.2, -0.63, 0.6), lookat=(0.42, 0.0, 0.16))
"""A robot at a table, from the front."""


def simulation_cfg(physics: PresetCfg, viewer: VisualizerCfg = VIEW) -> SimulationCfg:
    """One step per control tick, in one of several physics engines."""
    return SimulationCfg(
        dt=CONTROL_DT,
        device="cuda:0" if torch.cuda.is_available() else "cpu",
        physics=physics,
        default_visualizer_cfg=viewer,
    )


@configclass
class ManipulationEnvCfg(ManagerBasedRLEnvCfg):
    """Environment whose actions are chunks, in a :class:`~flow_rl_tasks.mdp.ChunkAction` named ``chunk``."""

    sim: SimulationCfg = simulation_cfg(ManipulationPhysicsCfg())
    decimation: int = 4
    is_finite_horizon: bool = False  # time-outs are bootstrapped from the final observation
    final_obs_groups: list[str] | None = None
    """Observation groups of which ``extras["final_obs"]`` shows the last ones of episodes; None for all but pictures.

    Learners add what they need to :attr:`~flow_rl_tasks.core.env.ManipulationEnv.final_obs_groups`. With
    ``compute_final_obs`` the host shows all groups, and renders all cameras twice in most steps.
    """

    observe_latency: bool = True
    """Whether policies see the latency and the actions under way where ``actions.chunk.max_latency`` is above 0.

    False for checkpoints from before this setting and for those that were trained without latency.
    """

    def __post_init__(self):
        """Offer the preset ``sim_to_real``; comes last, when the scene is complete."""
        vary_physics(self)

    def set_horizon(self, horizon: int) -> None:
        """Execute ``horizon`` actions per environment step, each for one control tick."""
        self.actions.chunk.horizon = horizon
        self.decimation = horizon

    def set_camera(self, width: int = 320, height: int = 240) -> None:
        """Add a camera for films, ``env.scene["camera"]``, which sees what viewers see."""
        viewer = self.sim.default_visualizer_cfg
        self.scene.camera = front_camera(width, height, viewer.eye, viewer.lookat)

    def play_mode(self) -> None:
        """Fewer environments, next to each other."""
        super().play_mode()
        self.scene.num_envs = min(self.scene.num_envs, 16)
        self.scene.env_spacing = 2.0

    def validate_config(self) -> None:
        """Refuse a chunk length that does not divide the environment step, and settle what depends on the engine."""
        ticks_per_action(self.actions.chunk.horizon, self.decimation)
        keep_combined_friction(self)
        show_latency(self)
        groups = [name for name, group in vars(self.observations).items() if group is not None]
        for name in self.final_obs_groups or ():
            require_choice("env.final_obs_groups", name, groups)
