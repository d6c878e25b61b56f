# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Looking at films in tests."""

from pathlib import Path

import imageio_ffmpeg
import numpy as np


def read_film(path: Path) -> list[np.ndarray]:
    """Pictures of a film, shape (height, width, 3), RGB."""
    frames = imageio_ffmpeg.read_frames(str(path))
    width, height = next(frames)["size"]
    return [np.frombuffer(frame, dtype=np.uint8).reshape(height, width, 3) for frame in frames]


def count_pixels(picture: np.ndarray, marker: str) -> int:
    """Number of pixels in the colour of a marker: ``"chosen"`` or ``"sampled"`` chunks, ``"failure"`` of an episode."""
    red, green, blue = picture.astype(int).transpose(2, 0, 1)
    masks = {
        "chosen": (red > 150) & (green < 0.6 * red) & (blue < 0.3 * red),
        "sampled": (blue > 150) & (red < 0.4 * blue) & (green < 0.8 * blue),
        "failure": (red > 150) & (abs(green - blue) < 20) & (green < 0.5 * red),
    }
    return int(masks[marker].sum())
