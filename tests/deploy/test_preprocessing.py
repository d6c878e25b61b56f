# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Frames become pictures without torch: straight, cut, small, and in the order that policies take."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from flow_rl.deploy.preprocessing import Calibration, Preprocessing

HEIGHT, WIDTH = 480, 640
MATRIX = np.array([[500.0, 0.0, 319.5], [0.0, 500.0, 239.5], [0.0, 0.0, 1.0]])
BARREL = np.array([-0.3, 0.08, 0.001, -0.001, 0.0])


def frame(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def write_calibration(path, **values) -> None:
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    fields = {
        "camera_matrix": MATRIX,
        "distortion_coefficients": BARREL,
        "image_width": WIDTH,
        "image_height": HEIGHT,
    }
    for name, value in (fields | values).items():
        if value is not None:
            storage.write(name, value)
    storage.release()


def test_neither_torch_nor_a_simulator_is_needed():
    code = """
import sys
for name in ("torch", "isaaclab", "warp", "h5py", "rsl_rl", "tensordict"):
    sys.modules[name] = None  # importing it raises
import numpy as np
from flow_rl.deploy.preprocessing import Preprocessing
print(Preprocessing()(np.zeros((480, 640, 3), np.uint8)).shape)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == "(3, 96, 96)", run.stderr


def test_pictures_are_bytes_channels_first_in_the_order_of_policies():
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    frame[..., 0], frame[..., 1], frame[..., 2] = 10, 20, 30
    picture = Preprocessing()(frame)
    assert picture.dtype == np.uint8 and picture.shape == (3, 96, 96) and picture.flags.c_contiguous
    assert picture[:, 0, 0].tolist() == [30, 20, 10], "OpenCV's frames begin with blue"
    assert Preprocessing(colour_order="rgb")(frame)[:, 0, 0].tolist() == [10, 20, 30]


def test_the_middle_is_used_unless_a_part_is_named():
    columns = np.broadcast_to(np.arange(WIDTH)[None, :, None] // 4, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    middle = Preprocessing(size=(480, 480))(columns)
    assert np.array_equal(middle[0], columns[:, 80:560, 0])
    part = Preprocessing(size=(100, 50), crop=(20, 30, 100, 50))(columns)
    assert np.array_equal(part[0], columns[20:120, 30:80, 0])


def test_shrinking_takes_means():
    big = frame()
    small = Preprocessing(size=(96, 96), crop=(0, 0, 384, 384), colour_order="rgb")(big)
    means = big[:384, :384].reshape(96, 4, 96, 4, 3).astype(np.float64).mean(axis=(1, 3)).transpose(2, 0, 1)
    assert np.abs(small - means).max() <= 0.5 + 1e-9


def test_without_distortion_undistorting_changes_nothing():
    straight = Calibration((HEIGHT, WIDTH), MATRIX, np.zeros(5))
    assert np.array_equal(straight.undistort(frame()), frame())


@pytest.mark.parametrize("ending", ["yml", "json", "xml"])
def test_calibrations_are_read_as_opencv_writes_them(tmp_path, ending):
    path = tmp_path / f"camera.{ending}"
    write_calibration(path)
    calibration = Calibration.load(path)
    assert calibration.size == (HEIGHT, WIDTH)
    np.testing.assert_allclose(calibration.matrix, MATRIX)
    np.testing.assert_allclose(calibration.distortion, BARREL)


def distorted_board(edge: int, rows: int, columns: int) -> np.ndarray:
    """Frame of a checkerboard with so many inner corners and squares of `edge` pixels, through a distorting lens."""
    fine = 4  # samples per pixel and axis, for smooth edges
    x, y = np.meshgrid(*[(np.arange(fine * size) + 0.5) / fine - 0.5 for size in (WIDTH, HEIGHT)])
    # where each sample of the distorted frame lies on the straight board
    points = np.stack([x, y], axis=-1).reshape(-1, 1, 2)
    straight = cv2.undistortPoints(points, MATRIX, BARREL, P=MATRIX).reshape(*x.shape, 2)
    start = np.array([(WIDTH - 1 - (columns + 1) * edge) / 2, (HEIGHT - 1 - (rows + 1) * edge) / 2])
    cell = np.floor((straight - start) / edge)
    inside = ((cell >= 0) & (cell <= [columns, rows])).all(axis=-1)
    board = np.where(inside & (cell.sum(axis=-1) % 2 == 0), 0, 255).astype(np.uint8)
    return cv2.resize(cv2.cvtColor(board, cv2.COLOR_GRAY2BGR), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def bend(image: np.ndarray, rows: int, columns: int) -> float:
    """Greatest distance of corners from the straight line through their row [pixels]."""
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    found, corners = cv2.findChessboardCorners(gray, (columns, rows))
    assert found
    corners = cv2.cornerSubPix(gray, corners, (7, 7), (-1, -1), (cv2.TERM_CRITERIA_EPS, 0, 1e-3))
    lines = corners.reshape(rows, columns, 2).astype(np.float64)
    lines -= lines.mean(axis=1, keepdims=True)
    normals = np.linalg.svd(lines)[2][:, 1]  # (rows, 2)
    return np.abs(np.einsum("rcd,rd->rc", lines, normals)).max()


def test_lines_of_a_checkerboard_become_straight():
    board = distorted_board(60, 6, 9)
    assert bend(board, 6, 9) > 5.0
    assert bend(Calibration((HEIGHT, WIDTH), MATRIX, BARREL).undistort(board), 6, 9) < 0.3


def test_distortion_belongs_to_the_size_it_was_found_at():
    preprocessing = Preprocessing(calibration=Calibration((HEIGHT, WIDTH), MATRIX, BARREL))
    assert preprocessing(frame()).shape == (3, 96, 96)
    with pytest.raises(
        ValueError, match=r"frame size = \(240, 320\) .*calibration's \(480, 640\).*Remedy: let the camera"
    ):
        preprocessing(np.zeros((240, 320, 3), np.uint8))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": (0, 96)}, r"preprocessing.size = \(0, 96\).*Valid: height and width > 0.*Remedy"),
        ({"colour_order": "hsv"}, r"preprocessing.colour_order = 'hsv'.*'bgr', 'rgb'.*Remedy"),
        ({"crop": (0, 0, 50, 50)}, r"preprocessing.crop = \(0, 0, 50, 50\).*at least 96 x 96.*Remedy"),
        ({"crop": (-1, 0, 100, 100)}, r"preprocessing.crop = \(-1, 0, 100, 100\).*top, left >= 0.*Remedy"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Preprocessing(**settings)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, r"frame = 'NoneType'.*bytes \(H, W, 3\).*Remedy"),
        (np.zeros((480, 640), np.uint8), r"frame = \(\(480, 640\), 'uint8'\)"),
        (np.zeros((480, 640, 3), np.float32), "float32"),
        (np.zeros((3, 480, 640), np.uint8), r"\(3, 480, 640\)"),
        (np.zeros((90, 640, 3), np.uint8), r"frame size = \(90, 90\).*at least 96 x 96.*Remedy"),
    ],
)
def test_bad_frames_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        Preprocessing()(given)


def test_a_part_beyond_the_frame_is_refused():
    with pytest.raises(ValueError, match=r"crop = \(400, 0, 100, 100\).*a part of frames of 480 x 640"):
        Preprocessing(crop=(400, 0, 100, 100))(frame())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"camera_matrix": None}, "camera_matrix = None.*Remedy: write camera_matrix"),
        ({"camera_matrix": np.eye(2)}, "calibration.camera_matrix = .*3 x 3"),
        ({"camera_matrix": -MATRIX}, "calibration.camera_matrix = .*positive focal lengths"),
        ({"distortion_coefficients": np.zeros(3)}, r"calibration.distortion_coefficients = .*\(4, 5, 8, 12, 14\)"),
        ({"distortion_coefficients": np.full(5, np.nan)}, "calibration.distortion_coefficients = .*finite"),
        ({"image_width": None}, "image_width = None"),
        ({"image_height": 0}, r"image_height / image_width = \(0, 640\)"),
    ],
)
def test_bad_calibrations_are_refused(tmp_path, values, message):
    write_calibration(tmp_path / "camera.yml", **values)
    with pytest.raises(ValueError, match=message):
        Calibration.load(tmp_path / "camera.yml")


def test_files_that_are_no_calibration_are_refused(tmp_path):
    with pytest.raises(ValueError, match="calibration = .*missing.yml.*an existing file.*Remedy"):
        Calibration.load(tmp_path / "missing.yml")
    for text in ("", "no calibration", "{ not json", "image_width: [1, 2"):
        (tmp_path / "other.yml").write_text(text)
        with pytest.raises(ValueError, match="Remedy: write camera_matrix"):
            Calibration.load(tmp_path / "other.yml")
