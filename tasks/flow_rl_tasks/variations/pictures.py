# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Pictures that differ between environments: colours, cameras and things that do not matter.

Off unless ``presets=varied_pictures`` is given. Lights are left out: the Warp renderer does not look at the scene's.
"""

from __future__ import annotations

from typing import Any

import isaaclab.envs.mdp as base_mdp
import isaaclab.sim as sim_utils
from isaaclab.assets import AssetBaseCfg, VisualMaterialCfg
from isaaclab.envs import ManagerBasedRLEnvCfg
from isaaclab.managers import EventTermCfg, SceneEntityCfg
from isaaclab.utils import replace
from isaaclab.utils.modifiers import ModifierCfg
from isaaclab_tasks.utils import PresetCfg, preset

from flow_rl_assets.parts import PartSpawnerCfg
from flow_rl_tasks import mdp

COLOUR_SPREAD = 0.15
"""Greatest change of each colour channel, of 1."""

CAMERA_SHIFT, CAMERA_TURN = 0.01, 0.03
"""Greatest shift [m] and turn [rad] of a camera, per axis."""

LONGEST_LENS = 1.15
"""Greatest focal length, of 1."""

CLUTTER_X, CLUTTER_Y = (0.2, 0.7), (0.36, 0.46)
"""Where clutter lies: along the table, and from its middle to either side [m]."""

CLUTTER = {
    "Clutter0": sim_utils.CuboidCfg(size=(0.05, 0.04, 0.06)),
    "Clutter1": sim_utils.CuboidCfg(size=(0.03, 0.08, 0.02)),
    "Clutter2": sim_utils.SphereCfg(radius=0.03),
    "Clutter3": sim_utils.SphereCfg(radius=0.02),
}
"""Shapes without colliders."""


def varied(value: Any) -> PresetCfg:
    """Return what is absent unless ``presets=varied_pictures`` is given."""
    return preset(default=None, varied_pictures=value)


def vary_pictures(cfg: ManagerBasedRLEnvCfg, cameras: tuple[str, ...]) -> None:
    """Give an environment the preset ``varied_pictures``.

    Colours, clutter and focal lengths are drawn anew for each episode, the poses of cameras for each environment.
    """
    for name, asset in list(vars(cfg.scene).items()):
        if isinstance(asset, AssetBaseCfg) and "{ENV_REGEX_NS}" in asset.prim_path:
            _vary_colour(cfg, name, asset)
    for name, shape in CLUTTER.items():
        height = shape.radius if isinstance(shape, sim_utils.SphereCfg) else shape.size[2] / 2
        shape = replace(shape, visual_material=sim_utils.PreviewSurfaceCfg(diffuse_color=(0.5, 0.5, 0.5)))
        start = AssetBaseCfg.InitialStateCfg(pos=(CLUTTER_X[0], CLUTTER_Y[1], height))
        asset = AssetBaseCfg(prim_path=f"{{ENV_REGEX_NS}}/{name}", spawn=shape, init_state=start)
        setattr(cfg.scene, name.lower(), varied(asset))
        _vary_colour(cfg, name.lower(), asset, spread=0.5)
    places = {"names": list(CLUTTER), "x": CLUTTER_X, "y": CLUTTER_Y}
    cfg.events.clutter = varied(EventTermCfg(func=mdp.scatter_clutter, mode="reset", params=places))
    for name in cameras:
        params = {"sensor_cfg": SceneEntityCfg(name), "position": CAMERA_SHIFT, "angle": CAMERA_TURN}
        setattr(cfg.events, f"{name}_pose", varied(EventTermCfg(func=mdp.shift_camera, mode="startup", params=params)))
        lens = ModifierCfg(func=mdp.LongerLens, params={"longest": LONGEST_LENS})
        getattr(cfg.observations, name).rgb.modifiers = varied([lens])


def _vary_colour(cfg: ManagerBasedRLEnvCfg, name: str, asset: AssetBaseCfg, spread: float = COLOUR_SPREAD) -> None:
    """Let the colour of an asset, if it has one, be drawn near its own at resets."""
    spawn = asset.spawn
    if (look := getattr(spawn, "visual_material", None)) is None:
        return
    below = "visual_material" if isinstance(spawn, PartSpawnerCfg) else f"geometry/{spawn.visual_material_path}"
    material = VisualMaterialCfg(prim_path=f"{asset.prim_path}/{below}", spawn=None)
    setattr(cfg.scene, f"{name}_material", varied(material))
    low, high = (tuple(min(max(c + d, 0.02), 1.0) for c in look.diffuse_color) for d in (-spread, spread))
    params = {"materials": SceneEntityCfg(f"{name}_material"), "channels": {"color": (low, high)}}
    event = EventTermCfg(func=base_mdp.randomize_visual_material, mode="reset", params=params)
    setattr(cfg.events, f"{name}_colour", varied(event))
