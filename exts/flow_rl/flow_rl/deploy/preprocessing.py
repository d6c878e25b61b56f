# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""From a frame of a camera to the picture a policy takes, with OpenCV; simulation is tested against the same code.

Frames are bytes (H, W, 3) as OpenCV reads them, pictures bytes (3, h, w) in the order red, green, blue.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from flow_rl.utils.check import require, require_choice

COEFFICIENTS = (4, 5, 8, 12, 14)
"""Numbers of distortion coefficients that OpenCV knows."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """Lens of a camera, as OpenCV's calibration finds it."""

    size: tuple[int, int]
    """Height and width of the frames it holds for [pixels]."""
    matrix: np.ndarray
    """Camera matrix (3, 3) [pixels]."""
    distortion: np.ndarray
    """Distortion coefficients k1, k2, p1, p2, ..., shape (4,), (5,), (8,), (12,) or (14,)."""

    def __post_init__(self):
        """Refuse what is no camera."""
        matrix = np.asarray(self.matrix, dtype=np.float64)
        distortion = np.asarray(self.distortion, dtype=np.float64).reshape(-1)
        again = "calibrate again and write the result with cv2.FileStorage."
        plausible = matrix.shape == (3, 3) and np.isfinite(matrix).all() and matrix[0, 0] > 0 and matrix[1, 1] > 0
        valid = "3 x 3 finite numbers with positive focal lengths"
        require(plausible, "calibration.camera_matrix", matrix.tolist(), valid, again)
        valid = f"{COEFFICIENTS} finite numbers"
        ok = len(distortion) in COEFFICIENTS and np.isfinite(distortion).all()
        require(ok, "calibration.distortion_coefficients", distortion.tolist(), valid, again)
        require(min(self.size) > 0, "calibration.image_height / image_width", self.size, "pixels > 0", again)
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "distortion", distortion)

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """Read a YAML, JSON or XML file with the fields of OpenCV's calibration sample.

        Those are `camera_matrix`, `distortion_coefficients`, `image_width` and `image_height`.
        """
        kinds = "a YAML, JSON or XML file that cv2.FileStorage has written"
        remedy = "write camera_matrix, distortion_coefficients, image_width and image_height with cv2.FileStorage."
        require(Path(path).is_file(), "calibration", str(path), "an existing file", remedy)
        try:
            storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
            nodes = {name: storage.getNode(name) for name in ("camera_matrix", "distortion_coefficients")}
            arrays = {name: node.mat() if node.isMap() else None for name, node in nodes.items()}
            sizes = {name: storage.getNode(name) for name in ("image_height", "image_width")}
            numbers = {name: int(node.real()) if node.isInt() else None for name, node in sizes.items()}
        except (cv2.error, SystemError):
            arrays, numbers = {}, {}
        require(bool(arrays), "calibration", str(path), kinds, remedy)
        for name, value in (arrays | numbers).items():
            require(value is not None, f"{path}: {name}", value, "an OpenCV matrix, or pixels", remedy)
        return cls(tuple(numbers.values()), *arrays.values())

    @functools.cached_property
    def maps(self) -> tuple[np.ndarray, np.ndarray]:
        """Where each pixel of the undistorted frame comes from; its camera matrix stays the same."""
        height, width = self.size
        return cv2.initUndistortRectifyMap(
            self.matrix, self.distortion, None, self.matrix, (width, height), cv2.CV_32FC1
        )

    def undistort(self, frame: np.ndarray) -> np.ndarray:
        """The frame as a camera without distortion would see it, of the same shape."""
        return cv2.remap(frame, *self.maps, cv2.INTER_LINEAR)


@dataclass(frozen=True)
class Preprocessing:
    """Undistorts a frame, cuts it, shrinks it, and orders colours and axes; one object per camera."""

    size: tuple[int, int] = (96, 96)
    """Height and width of the pictures that the policy takes [pixels]."""

    crop: tuple[int, int, int, int] | None = None
    """Top, left, height and width of the part that is used [pixels]; None for the largest middle part of the
    pictures' proportions."""

    colour_order: str = "bgr"
    """Order of the frames' colours, "bgr" as OpenCV reads them, or "rgb"."""

    calibration: Calibration | None = None
    """Lens to undistort; None if the frames are straight already."""

    def __post_init__(self):
        """Refuse settings that fit no frame."""
        require_choice("preprocessing.colour_order", self.colour_order, ("bgr", "rgb"))
        sized = len(self.size) == 2 and min(self.size) > 0
        require(sized, "preprocessing.size", self.size, "height and width > 0", "use (96, 96), as the tasks do.")
        if self.crop is not None:
            inside = len(self.crop) == 4 and min(self.crop) >= 0
            valid = f"top, left >= 0 and at least {self.size[0]} x {self.size[1]} pixels"
            large = inside and self.crop[2] >= self.size[0] and self.crop[3] >= self.size[1]
            require(large, "preprocessing.crop", self.crop, valid, "leave it out to use the middle of the frame.")

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """Picture of bytes (3, h, w) from a frame of bytes (H, W, 3)."""
        is_frame = isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3
        shown = (frame.shape, str(frame.dtype)) if isinstance(frame, np.ndarray) else type(frame).__name__
        remedy = "pass colour frames as cv2.VideoCapture reads them."
        require(is_frame, "frame", shown, "an array of bytes (H, W, 3)", remedy)
        if self.calibration is not None:
            calibrated = self.calibration.size
            remedy = "let the camera send frames of that size, or calibrate it at the present one."
            require(
                frame.shape[:2] == calibrated, "frame size", frame.shape[:2], f"the calibration's {calibrated}", remedy
            )
            frame = self.calibration.undistort(frame)
        top, left, height, width = self.crop or self._middle(*frame.shape[:2])
        fits = top + height <= frame.shape[0] and left + width <= frame.shape[1]
        valid = f"a part of frames of {frame.shape[0]} x {frame.shape[1]} pixels"
        require(fits, "preprocessing.crop", (top, left, height, width), valid, "cut less, or use larger frames.")
        large = height >= self.size[0] and width >= self.size[1]
        valid = f"at least {self.size[0]} x {self.size[1]} pixels"
        require(large, "frame size", (height, width), valid, "use larger frames: these would have to be blown up.")
        picture = frame[top : top + height, left : left + width]
        picture = cv2.resize(picture, self.size[::-1], interpolation=cv2.INTER_AREA)
        if self.colour_order == "bgr":
            picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        return np.ascontiguousarray(picture.transpose(2, 0, 1))

    def _middle(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Top, left, height and width of the largest middle part of the pictures' proportions."""
        scale = min(height / self.size[0], width / self.size[1])
        part = round(scale * self.size[0]), round(scale * self.size[1])
        return (height - part[0]) // 2, (width - part[1]) // 2, *part
