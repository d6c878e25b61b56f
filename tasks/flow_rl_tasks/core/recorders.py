# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Isaac Lab's viewers, made to write what they show into files: a film, a web page, a Rerun recording.

Each is a visualizer like any other, to be listed in ``sim.visualizer_cfgs``. None needs a screen; all show the same,
because all draw Newton's model of the scene, whichever engine moves it.
"""

from __future__ import annotations

import os
from dataclasses import MISSING
from pathlib import Path
from unittest import mock

import rerun
import rerun.blueprint as rrb

from isaaclab.utils import configclass, replace
from isaaclab_visualizers.newton import NewtonGLVisualizerCfg
from isaaclab_visualizers.newton.newton_visualizer import NewtonGLVisualizer
from isaaclab_visualizers.rerun import RerunVisualizerCfg
from isaaclab_visualizers.rerun.rerun_visualizer import RerunVisualizer

from flow_rl.evaluation.film import FilmWriter

from .browser import BrowserVisualizer, BrowserVisualizerCfg


class FilmRecorder(NewtonGLVisualizer):
    """Films what the Newton viewer shows, through EGL."""

    def __init__(self, cfg: FilmRecorderCfg):
        """Prepare the film."""
        super().__init__(replace(cfg, headless=True))  # a copy: simulations do not step viewers listed as headless
        self._film: FilmWriter | None = None

    def step(self, dt: float) -> None:
        """Append a picture."""
        super().step(dt)
        if self._film is None:
            self._film = FilmWriter(self.cfg.path, fps=1.0 / dt)
        self._film.add(self.render_rgb_array())

    def close(self) -> None:
        """Complete the film."""
        if self._film is not None:
            self._film.close()
            self._film = None
        super().close()


class PageRecorder(BrowserVisualizer):
    """Writes what the browser viewer shows as one static web page with a timeline."""

    def initialize(self, scene_data_provider) -> None:
        """Begin to record."""
        super().initialize(scene_data_provider)
        server = self._viewer._server
        server.get_clients = lambda: {0: None}  # without anybody looking, nothing would be sent, and so recorded
        self._viewer._serializer = server.get_scene_serializer()

    def close(self) -> None:
        """Write the page."""
        if self._viewer is not None:
            Path(self.cfg.path).write_text(self._viewer._serializer.as_html())
            self._viewer._serializer = None
        super().close()


class RerunRecorder(RerunVisualizer):
    """Writes what Rerun shows as a recording, without a server: one opened later would replace the file."""

    def initialize(self, scene_data_provider) -> None:
        """Begin to record."""
        os.environ["RERUN_FLUSH_TICK_SECS"] = "60"  # or each picture is a chunk of its own, and files five times as big
        with mock.patch.multiple(rerun, serve_grpc=lambda **_: "", serve_web_viewer=lambda **_: None):
            super().initialize(scene_data_provider)

    def _apply_camera_pose(self, pose) -> None:
        """Show the scene from the task's camera, above a timeline."""
        eye, lookat = pose
        self._viewer._camera_pose = pose
        controls = rrb.EyeControls3D(position=eye, look_target=lookat)
        view = rrb.Spatial3DView(origin="/", eye_controls=controls)
        rerun.send_blueprint(
            rrb.Blueprint(view, rrb.TimePanel(timeline="time", state="expanded"), collapse_panels=True)
        )


@configclass
class FilmRecorderCfg(NewtonGLVisualizerCfg):
    """Film, MP4."""

    class_type: type | str = FilmRecorder
    path: str = MISSING
    streaming_view: bool = False
    window_width: int = 1280
    window_height: int = 720
    light_color: tuple[float, float, float] = (0.7, 0.7, 0.7)  # pale tables are overexposed in the default's light


@configclass
class PageRecorderCfg(BrowserVisualizerCfg):
    """Static web page, HTML."""

    class_type: type | str = PageRecorder
    path: str = MISSING
    port: int = 0
    verbose: bool = False
    enable_live_plots: bool = False


@configclass
class RerunRecorderCfg(RerunVisualizerCfg):
    """Rerun recording, RRD."""

    class_type: type | str = RerunRecorder
    path: str = MISSING
    grpc_port: int = 0
    web_port: int = 0
    keep_historical_data: bool = True
    enable_live_plots: bool = False

    def __post_init__(self):
        """Let the stock viewer know the file."""
        super().__post_init__()
        self.record_to_rrd = self.path


RECORDERS = {"mp4": FilmRecorderCfg, "page": PageRecorderCfg, "rrd": RerunRecorderCfg}
"""What writes each format."""
