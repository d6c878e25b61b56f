# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Tiled films of many environments, with success marked per tile."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from flow_rl.utils.check import require_package

# colours as RGB, the order of camera images
_INK, _PAPER = (32, 36, 44), (247, 248, 250)
_MARKS = {"running": (150, 158, 170), "success": (34, 160, 84), "failure": (206, 64, 56), "ended": (37, 99, 235)}
_GAP, _HEADER = 6, 34


def tile(images: np.ndarray, marks: Sequence[str], title: str = "") -> np.ndarray:
    """Return one RGB picture of all environments below a title line.

    Args:
        images: Camera pictures, shape (E, height, width, 3), uint8 RGB.
        marks: ``"running"``, ``"success"``, ``"failure"``, or ``"ended"`` where success is not known, of each
            environment; sets the frame's colour.
        title: Text of the header; a count of successes, or of those that ended, is added on its right.
    """
    num, height, width = images.shape[:3]
    columns = math.ceil(math.sqrt(num))
    rows = math.ceil(num / columns)
    size = (_HEADER + rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP)
    # H.264 with 4:2:0 colour wants even sides
    canvas = np.full((size[0] + size[0] % 2, size[1] + size[1] % 2, 3), _PAPER, dtype=np.uint8)
    for index, (image, mark) in enumerate(zip(images, marks, strict=True)):
        top = _HEADER + _GAP + (index // columns) * (height + _GAP)
        left = _GAP + (index % columns) * (width + _GAP)
        canvas[top : top + height, left : left + width] = image
        _draw_mark(canvas[top - 3 : top + height + 3, left - 3 : left + width + 3], mark)
    counted = "ended" if "ended" in marks else "success"
    count = f"{counted} {marks.count(counted)}/{num}"
    margin = _GAP + 2
    scale = 0.6 * min(1.0, (canvas.shape[1] - 3 * margin) / (_text_width(title) + _text_width(count)))
    _text(canvas, title, (margin, 24), _INK, scale)
    _text(canvas, count, (canvas.shape[1] - _text_width(count, scale) - margin, 24), _MARKS[counted], scale)
    return canvas


def side_by_side(left: np.ndarray, right: np.ndarray, title: str, note: str = "") -> np.ndarray:
    """Return two pictures of equal size next to each other, below a line with a title and, on its right, a note."""
    rule = np.full((left.shape[0], 2, 3), _MARKS["running"], dtype=np.uint8)
    halves = np.concatenate((left, rule, right), axis=1)
    header = np.full((_HEADER, halves.shape[1], 3), _INK, dtype=np.uint8)
    _text(header, title, (_GAP + 2, 24), _PAPER)
    _text(header, note, (halves.shape[1] - _text_width(note) - _GAP - 2, 24), _PAPER)
    return np.concatenate((header, halves))


class Reel:
    """Pictures in memory, compressed to a tenth, from which a film can be cut later; the last one stays for ever."""

    def __init__(self):
        """Begin without pictures."""
        self._pictures: list[np.ndarray] = []

    def add(self, picture: np.ndarray) -> None:
        """Append one picture, shape (height, width, 3)."""
        self._pictures.append(cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, 95))[1])

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self._pictures)

    def __getitem__(self, index: int) -> np.ndarray:
        """The picture at an index, or the last one."""
        return cv2.imdecode(self._pictures[min(index, len(self) - 1)], cv2.IMREAD_COLOR)


class FilmWriter:
    """Encodes RGB pictures as H.264, which browsers play; the file appears when the film is complete."""

    def __init__(self, path: str | Path, fps: float):
        """Prepare the film.

        Args:
            path: File to write, ending in .mp4; an existing film is replaced when the new one is complete.
            fps: Pictures per second.
        """
        self.path = Path(path)
        self.fps = fps
        self.num_frames = 0
        self._partial = self.path.with_name(f".{self.path.stem}.partial.mp4")
        self._encoder = None

    def add(self, picture: np.ndarray, repeat: int = 1) -> None:
        """Append one picture, shape (height, width, 3), shown ``repeat`` times."""
        if self._encoder is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._encoder = require_package("imageio_ffmpeg", "imageio-ffmpeg", "viewers").write_frames(
                str(self._partial),
                (picture.shape[1], picture.shape[0]),
                fps=self.fps,
                codec="libx264",
                pix_fmt_out="yuv420p",
                macro_block_size=2,
                output_params=["-crf", "23", "-movflags", "+faststart"],
                ffmpeg_log_level="error",
            )
            self._encoder.send(None)
        for _ in range(repeat):
            self._encoder.send(np.ascontiguousarray(picture))
            self.num_frames += 1

    def __enter__(self) -> FilmWriter:
        return self

    def __exit__(self, error: type | None, *_: object) -> None:
        self.close(complete=error is None)

    def close(self, complete: bool = True) -> None:
        """End the film; what is not complete disappears."""
        if self._encoder is None:
            return
        self._encoder.close()
        if complete:
            os.replace(self._partial, self.path)
        else:
            self._partial.unlink(missing_ok=True)


def _draw_mark(area: np.ndarray, mark: str) -> None:
    """Frame a tile in the colour of its outcome and write the outcome into its corner."""
    color = _MARKS[mark]
    thickness = 2 if mark == "running" else 6
    cv2.rectangle(area, (0, 0), (area.shape[1] - 1, area.shape[0] - 1), color, thickness)
    if mark != "running":
        label_width = _text_width(mark, 0.45) + 10
        cv2.rectangle(area, (0, 0), (label_width, 20), color, cv2.FILLED)
        _text(area, mark, (5, 15), (255, 255, 255), 0.45)


def _text(canvas: np.ndarray, text: str, position: tuple[int, int], color: tuple[int, int, int], scale: float = 0.6):
    """Write one line with its lower left corner at ``position`` (x, y)."""
    cv2.putText(canvas, text, position, cv2.FONT_HERSHEY_SIMPLEX, scale, color, 1, cv2.LINE_AA)


def _text_width(text: str, scale: float = 0.6) -> int:
    """Return the width of a line [pixels]."""
    return cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0]
