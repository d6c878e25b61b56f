# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Isaac Lab's viewer in the browser, which listens on this machine alone unless told otherwise."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from unittest import mock

import websockets.asyncio.server

from isaaclab.utils import configclass
from isaaclab_visualizers.viser import ViserVisualizerCfg
from isaaclab_visualizers.viser.viser_visualizer import ViserVisualizer

from flow_rl.utils.listening import LOCAL, TokenCheck, url


class BrowserVisualizer(ViserVisualizer):
    """The browser viewer, with the task's camera for whoever opens it, whenever that is."""

    def _create_viewer(self, *args, **kwargs) -> None:
        """Open the viewer, for those who know the token if there is one."""
        with asking(self.cfg.token):
            super()._create_viewer(*args, **kwargs)

    def _log_viewer_url(self, visualizer_name: str, viewer_url: str) -> None:
        """Say where the viewer is, in one line."""
        port = self._viewer._server.get_port()  # another than asked for where that was taken
        print(f"[flow_rl] listening at {url('http', self.cfg.bind_address, port, self.cfg.token)}", flush=True)

    def _set_viser_camera_view(self, pose) -> None:
        """Set the camera of present and of future clients."""
        camera = self._viewer._server.initial_camera
        camera.position, camera.look_at = pose
        camera.fov = math.radians(self._focal_length_to_vertical_fov_degrees())
        super()._set_viser_camera_view(pose)


@contextlib.contextmanager
def asking(token: str | None) -> Iterator[None]:
    """Let servers that viser opens within ask for a token, for which viser itself has no setting."""
    if token is None:
        yield
        return
    serve = websockets.asyncio.server.serve

    def serve_asking(*args, process_request, **how):
        return serve(*args, process_request=TokenCheck(token, process_request), **how)

    with mock.patch.object(websockets.asyncio.server, "serve", serve_asking):
        yield


@configclass
class BrowserVisualizerCfg(ViserVisualizerCfg):
    """Viewer in a browser."""

    class_type: type | str = BrowserVisualizer
    bind_address: str = LOCAL
    token: str | None = None
    """What those who watch have to know."""
