# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Films can be played in a browser and mark the outcome of each environment."""

import imageio_ffmpeg
import numpy as np
import pytest

from flow_rl.evaluation.film import FilmWriter, Reel, side_by_side, tile


def test_tile_places_every_environment_and_colours_its_outcome():
    images = np.stack([np.full((60, 81, 3), 40 * i, dtype=np.uint8) for i in range(3)])
    picture = tile(images, ["running", "success", "failure"], "title")
    assert picture.shape[0] % 2 == picture.shape[1] % 2 == 0
    for value in (0, 40, 80):
        assert (picture == value).all(axis=2).sum() > 0.7 * 60 * 81
    colours = [tuple(c) for c in np.unique(picture.reshape(-1, 3), axis=0)]
    assert (34, 160, 84) in colours and (206, 64, 56) in colours


def test_the_header_fits_above_a_single_small_tile():
    title = "FlowRL-Kitchen-Complete-Franka  expert  12.3 s"
    header = tile(np.zeros((1, 60, 240, 3), dtype=np.uint8), ["running"], title)[:30].astype(int)
    count = header[..., 1] - header[..., 0] > 60  # green
    words = header.sum(axis=2) < 3 * 120
    assert words.any() and count.any()
    assert np.flatnonzero((words & ~count).any(axis=0)).max() < np.flatnonzero(count.any(axis=0)).min()


def test_a_reel_keeps_its_pictures_and_stays_at_the_last():
    ramp = np.arange(64, dtype=np.uint8)[None].repeat(48, axis=0)
    pictures = [np.stack((4 * ramp, np.full_like(ramp, 30 * i), 252 - 4 * ramp), axis=2) for i in range(3)]
    reel = Reel()
    for picture in pictures:
        reel.add(picture)
    assert len(reel) == 3
    for index, expected in ((0, 0), (2, 2), (7, 2)):
        assert np.abs(reel[index].astype(int) - pictures[expected]).max() < 16


def test_halves_keep_their_sides_below_the_title():
    left, right = (np.full((40, 500, 3), value, dtype=np.uint8) for value in (60, 200))
    picture = side_by_side(left, right, "title", "1.0 s")
    assert picture.shape == (74, 1002, 3)
    assert (picture[34:, :500] == 60).all() and (picture[34:, -500:] == 200).all()
    words = np.flatnonzero((picture[:34].astype(int).sum(axis=2) > 500).any(axis=0))
    assert words.min() < 20 and words.max() > 980


def test_film_is_h264_with_all_frames(tmp_path):
    path = tmp_path / "film.mp4"
    rng = np.random.default_rng(0)
    with FilmWriter(path, fps=10) as film:
        for _ in range(4):
            film.add(rng.integers(0, 255, (64, 96, 3), dtype=np.uint8), repeat=2)
        assert not path.exists()
    reader = imageio_ffmpeg.read_frames(str(path))
    facts = next(reader)
    assert facts["codec"] == "h264" and facts["pix_fmt"].startswith("yuv420p") and facts["size"] == (96, 64)
    assert sum(1 for _ in reader) == film.num_frames == 8


def test_failed_film_keeps_the_old_one(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), FilmWriter(path, fps=10) as film:
        film.add(np.zeros((64, 96, 3), dtype=np.uint8))
        raise RuntimeError
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
