# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Pictures for a policy from a camera or a film, through OpenCV."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from flow_rl.utils.check import require

from .preprocessing import Preprocessing


class VideoCamera:
    """The newest picture of a camera; frames are read in a thread, because those that wait in a driver grow old.

    A film plays at its own speed, as if it were a camera. When frames end, the newest picture stays and grows old, so
    that a :class:`flow_rl.deploy.PolicyRunner` holds the robot::

        with VideoCamera(0, runner.package.preprocessing("wrist")) as camera:
            loop.poll("wrist", camera.newest)
    """

    def __init__(
        self, source: int | str | Path, preprocessing: Preprocessing, clock: Callable[[], float] = time.monotonic
    ):
        """Open a camera.

        Args:
            source: Number of a camera, or address or path of a film, as cv2.VideoCapture takes them.
            preprocessing: Makes pictures (3, h, w) of its frames.
            clock: Present time [s].
        """
        self._capture = cv2.VideoCapture(source if isinstance(source, int) else str(source))
        remedy = "connect it, or correct the number or path."
        require(self._capture.isOpened(), "source", source, "a camera or film that OpenCV can open", remedy)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        self._pause = 0.0 if isinstance(source, int) else 1.0 / max(self._capture.get(cv2.CAP_PROP_FPS), 1.0)
        self._preprocessing, self._clock = preprocessing, clock
        self._newest: tuple[np.ndarray | None, float] = (None, clock())
        self._error: Exception | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def newest(self) -> tuple[np.ndarray | None, float]:
        """Newest picture, bytes (3, h, w), or None before the first, and when it was taken [s].

        Raises:
            Exception: Whatever the preprocessing raised about a frame; nothing is read after that.
        """
        if self._error is not None:
            raise self._error
        return self._newest

    def close(self) -> None:
        """Stop reading and release the camera."""
        self._stop.set()
        self._thread.join()
        self._capture.release()

    def __enter__(self) -> VideoCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> None:
        """Keep the newest picture until the frames end."""
        while not self._stop.is_set():
            arrived, frame = self._capture.read()
            if not arrived:
                return
            stamp = self._clock()  # before the preprocessing, which would make the picture seem younger than it is
            try:
                self._newest = (self._preprocessing(frame), stamp)
            except Exception as error:  # an end of this thread would be silent
                self._error = error
                return
            self._stop.wait(self._pause)
