# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Furniture fits together, and data that does not is refused with the reason."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from isaaclab.utils.math import matrix_from_quat, quat_from_euler_xyz

from flow_rl_assets.furniture import Furniture, Joint, Thread
from flow_rl_assets.shapes import FOOT_HEIGHT, Capsule, Frame, Part, perforated_plate
from flow_rl_tasks.furniture.lamp.lamp import lamp
from flow_rl_tasks.furniture.one_leg.one_leg import one_leg
from flow_rl_tasks.furniture.round_table.round_table import round_table

FURNITURE = [one_leg, lamp, round_table]
JOINTS = [(make, index) for make in FURNITURE for index in range(len(make().joints))]
MED_POSITION, MED_YAW = 0.05, math.radians(45)
TABLE = ((-0.2, 0.8), (-0.5, 0.5))
"""Where the table's top begins and ends along x and y [m]."""


def joint_id(case) -> str:
    return f"{case[0].__name__}-{case[0]().joints[case[1]].kind}"


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Transform points, shape (N, 3)."""
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def inside(part: Part, points: np.ndarray) -> np.ndarray:
    """``part.contains`` for many points (N, 3) at once, shape (N,)."""
    found = np.zeros(len(points), dtype=bool)
    for shape in part.shapes:
        x, y, z = (points - shape.pos).T
        if isinstance(shape, Capsule):
            beyond = np.maximum(np.abs(z) - (shape.length / 2 - shape.radius), 0.0)
            found |= x**2 + y**2 + beyond**2 < shape.radius**2
        else:
            c, s = math.cos(shape.yaw), math.sin(shape.yaw)
            local = np.abs(np.stack((c * x + s * y, c * y - s * x, z), axis=1))
            found |= (local < np.divide(shape.size, 2)).all(axis=1)
    return found


def reach(part: Part) -> np.ndarray:
    """Half-widths of a box around the part's origin that contains all of it [m], shape (3,)."""
    widest = np.zeros(3)
    for shape in part.shapes:
        if isinstance(shape, Capsule):
            size = np.array((2 * shape.radius, 2 * shape.radius, shape.length))
        else:
            c, s = abs(math.cos(shape.yaw)), abs(math.sin(shape.yaw))
            x, y, z = shape.size
            size = np.array((c * x + s * y, s * x + c * y, z))
        widest = np.maximum(widest, np.abs(shape.pos) + size / 2)
    return widest


def samples(part: Part, spacing: float = 0.002) -> np.ndarray:
    """Points inside the part on a grid, shape (N, 3)."""
    axes = [np.arange(-half + spacing / 4, half, spacing) for half in reach(part)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return points[inside(part, points)]


def rotation_about_z(angle: float) -> np.ndarray:
    return Frame(rpy=(0.0, 0.0, angle)).matrix()


def seated(joint: Joint, frame: Frame, depth: float | None = None, yaw: float = 0.0) -> np.ndarray:
    """Pose of the part in the frame of the receiving part when the joint is made, shape (4, 4)."""
    seat = frame.matrix() @ Frame((0.0, 0.0, -joint.depth if depth is None else -depth)).matrix()
    return seat @ rotation_about_z(yaw) @ np.linalg.inv(joint.part_frame.matrix())


def width(solid, point: np.ndarray, direction: np.ndarray, limit: float = 0.02, step: float = 1e-5) -> float:
    """Length of the line through ``point`` until ``solid`` begins to differ from what it is there [m]."""
    here = solid(point)
    ends = []
    for sign in (1, -1):
        far = next(s for s in np.arange(0.0, limit, step) if solid(point + sign * s * direction) != here)
        ends.append(far - step / 2)
    return sum(ends)


def test_the_samplers_of_these_tests_agree_with_contains():
    generator = np.random.default_rng(0)
    for make in FURNITURE:
        for part in make().parts.values():
            points = generator.uniform(-1, 1, (400, 3)) * reach(part)
            assert inside(part, points).tolist() == [part.contains(point) for point in points]


@pytest.mark.parametrize("clearance", [0.0015, 0.0007, 0.003])
@pytest.mark.parametrize("case", [case for case in JOINTS if joint_id(case) != "lamp-place"], ids=joint_id)
def test_the_hole_is_wider_than_the_peg_by_the_clearance(case, clearance):
    furniture = case[0]() if clearance == 0.0015 else case[0](clearance)
    joint = furniture.joints[case[1]]
    part, onto = furniture.parts[joint.part], furniture.parts[joint.onto]
    for frame in joint.onto_frames:
        to_onto = frame.matrix()
        to_part = np.linalg.inv(seated(joint, frame)) @ to_onto
        for axis in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)):
            # 14 mm below the mouth of the screws' holes, 5 mm above that of the hub's, whose peg comes from below
            at = np.array((0.0, 0.0, -0.008 if joint.kind == "screw" else 0.003))
            seen = {}
            for name, owner, matrix in (("part", part, to_part), ("onto", onto, to_onto)):

                def solid(point, owner=owner, matrix=matrix):
                    return owner.contains(apply(matrix, point[None])[0])

                seen[name] = width(solid, at, np.array(axis))
            gap = abs(seen["onto"] - seen["part"])
            assert gap == pytest.approx(2 * clearance, abs=3e-5)
            assert furniture.clearance == clearance


@pytest.mark.parametrize("make", FURNITURE)
def test_pegs_end_in_their_frames(make):
    """Just above the tip the part is solid on its axis, just below it is not; the tip is as wide as a round one."""
    for joint in make().joints:
        if joint.kind == "screw":
            solid, matrix = make().parts[joint.part].contains, joint.part_frame.matrix()
            assert solid(apply(matrix, np.array([[0.0, 0.0, 2e-5]]))[0])
            assert not solid(apply(matrix, np.array([[0.0, 0.0, -2e-5]]))[0])
            assert not solid(apply(matrix, np.array([[0.006, 0.0, 0.001]]))[0])


@pytest.mark.parametrize("case", JOINTS, ids=joint_id)
def test_a_made_joint_needs_no_penetration(case):
    furniture = case[0]()
    joint = furniture.joints[case[1]]
    part, onto = furniture.parts[joint.part], furniture.parts[joint.onto]
    yaws = np.linspace(0.0, math.pi / 2, 5) if joint.kind == "screw" else (0.0, math.radians(3), math.pi / 2)
    points, receiving = samples(part), samples(onto)
    for frame, yaw in itertools.product(joint.onto_frames, yaws):
        pose = seated(joint, frame, yaw=yaw)
        assert not inside(onto, apply(pose, points)).any()
        assert not inside(part, apply(np.linalg.inv(pose), receiving)).any()


@pytest.mark.parametrize("case", JOINTS, ids=joint_id)
def test_parts_can_be_brought_in_from_above(case):
    """From the approach on, nothing is met along the axis; beside it the part clears the receiving one."""
    furniture = case[0]()
    joint = furniture.joints[case[1]]
    part, onto = furniture.parts[joint.part], furniture.parts[joint.onto]
    points = samples(part, 0.003)
    for height in np.linspace(0.0, joint.approach, 8):
        assert not inside(onto, apply(seated(joint, joint.onto_frames[0], joint.depth - height), points)).any()
    raised = seated(joint, joint.onto_frames[0], joint.depth - joint.approach)
    for angle in np.linspace(0.0, 2 * math.pi, 8, endpoint=False):
        shift = Frame((0.02 * math.cos(angle), 0.02 * math.sin(angle), 0.0)).matrix()
        assert not inside(onto, apply(shift @ raised, points)).any()


@pytest.mark.parametrize("make", FURNITURE)
def test_the_whole_furniture_fits(make):
    """All parts in the frame of the first, each at the first place of its joint."""
    furniture = make()
    first = next(iter(furniture.parts))
    poses = {first: np.eye(4)}
    for joint in furniture.joints:
        poses[joint.part] = poses[joint.onto] @ seated(joint, joint.onto_frames[0])
    assert poses.keys() == furniture.parts.keys(), "every part is joined"
    for a, b in itertools.permutations(poses, 2):
        seen = apply(np.linalg.inv(poses[b]) @ poses[a], samples(furniture.parts[a]))
        assert not inside(furniture.parts[b], seen).any(), (a, b)


@pytest.mark.parametrize("case", [case for case in JOINTS if joint_id(case).split("-")[1] != "screw"], ids=joint_id)
def test_parts_come_to_rest_at_the_depth_of_the_joint(case):
    """What is not screwed sinks until solid meets solid, about where the joint is made."""
    furniture = case[0]()
    joint = furniture.joints[case[1]]
    part, onto = furniture.parts[joint.part], furniture.parts[joint.onto]
    depth = joint.depth + joint.depth_tolerance / 3
    pose = seated(joint, joint.onto_frames[0], depth)
    bottom = -reach(part)[2]
    around = np.arange(-0.1, 0.1, 0.001)
    x, y = (grid.ravel() for grid in np.meshgrid(around, around))
    heights = np.concatenate(
        [np.stack((x, y, np.full_like(x, bottom + up)), axis=1) for up in (5e-5, FOOT_HEIGHT + 5e-5)]
    )
    lowest = heights[inside(part, heights)]
    assert len(lowest) and inside(onto, apply(pose, lowest)).any()


@pytest.mark.parametrize("rpy", [(0.0, 0.0, 0.0), (0.0, math.pi / 2, 0.0), (0.3, -1.1, 2.5), (-2.0, 0.4, -3.0)])
def test_frames_agree_with_isaac_lab(rpy):
    frame = Frame((0.1, -0.2, 0.3), rpy)
    quat = quat_from_euler_xyz(*(torch.tensor([angle], dtype=torch.float64) for angle in rpy))
    own = torch.tensor([frame.quat()], dtype=torch.float64)
    assert torch.allclose(own * torch.sign((own * quat).sum()), quat, atol=1e-6)
    assert np.allclose(matrix_from_quat(own)[0].numpy(), frame.matrix()[:3, :3], atol=1e-6)
    assert frame.matrix()[:3, 3].tolist() == [0.1, -0.2, 0.3] and frame.matrix()[3].tolist() == [0, 0, 0, 1]
    assert frame.transform() == (0.1, -0.2, 0.3, *frame.quat())


@pytest.mark.parametrize("make", FURNITURE)
def test_parts_stand_on_the_table_and_have_mass(make):
    for name, part in make().parts.items():
        matrix = part.start.matrix()
        heights = []
        for shape in part.shapes:
            if isinstance(shape, Capsule):
                half = shape.length / 2 - shape.radius
                ends = np.array(shape.pos) + [[0, 0, half], [0, 0, -half]]
                heights.append(apply(matrix, ends)[:, 2].min() - shape.radius)
            else:
                c, s = math.cos(shape.yaw), math.sin(shape.yaw)
                corners = np.array(list(itertools.product((-0.5, 0.5), repeat=3))) * shape.size
                corners = corners @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) + shape.pos
                heights.append(apply(matrix, corners)[:, 2].min())
        assert min(heights) == pytest.approx(0.0, abs=0.001), name
        assert 0.01 < part.mass < 2.0


@pytest.mark.parametrize("make", FURNITURE)
def test_starts_do_not_overlap(make):
    """At the corners of the shifts and at random turns, and nothing hangs over the table's edge."""
    generator = np.random.default_rng(1)
    furniture = make()
    points = {name: samples(part, 0.004) for name, part in furniture.parts.items()}

    def draw(part: Part, corner: tuple[int, int]) -> np.ndarray:
        turn = rotation_about_z(generator.choice((-1, 1, generator.uniform(-1, 1))) * MED_YAW)
        turn[:3, :3] = turn[:3, :3] @ part.start.matrix()[:3, :3]
        turn[:3, 3] = np.add(part.start.pos, (*(MED_POSITION * np.array(corner)), 0.0))
        return turn

    corners = list(itertools.product((-1, 1), repeat=2))
    for a, b in itertools.combinations(furniture.parts, 2):
        for corner_a, corner_b, _ in itertools.product(corners, corners, range(6)):
            pose_a, pose_b = draw(furniture.parts[a], corner_a), draw(furniture.parts[b], corner_b)
            in_env = apply(pose_a, points[a])
            assert not inside(furniture.parts[b], apply(np.linalg.inv(pose_b), in_env)).any(), (a, b)
            assert all(((low < in_env[:, i]) & (in_env[:, i] < high)).all() for i, (low, high) in enumerate(TABLE))


def test_a_perforated_plate_is_the_plate_minus_its_holes():
    size, pos, hole = (0.2, 0.1, 0.02), (0.01, 0.02, 0.03), 0.024
    holes = [(x, y) for x in (-0.05, 0.03) for y in (-0.02, 0.02)]
    boxes = perforated_plate(size, holes, hole, pos)
    volume = math.prod(size) - len(holes) * hole**2 * size[2]
    assert sum(math.prod(box.size) for box in boxes) == pytest.approx(volume)
    assert all(min(box.size) > 0.0 for box in boxes)
    for point in np.random.default_rng(0).uniform(-0.5, 0.5, (2000, 3)) * size:
        in_hole = any(max(abs(point[0] - x), abs(point[1] - y)) < hole / 2 for x, y in holes)
        assert sum(box.contains(point + pos) for box in boxes) == (0 if in_hole else 1)


@pytest.mark.parametrize(
    ("holes", "reason"),
    [
        ([(0.0, 0.0), (0.03, 0.03)], "not on a grid, add"),
        ([(0.045, 0.0)], "reach beyond the plate"),
        ([(0.0, -0.04)], "reach beyond the plate"),
    ],
)
def test_a_plate_refuses_holes(holes, reason):
    with pytest.raises(ValueError, match=reason):
        perforated_plate((0.1, 0.1, 0.02), holes, 0.02)


def with_joint(**changes) -> Furniture:
    """The one_leg furniture with a changed joint."""
    furniture = one_leg()
    return Furniture("broken", furniture.parts, (replace(furniture.joints[0], **changes),))


def with_part(name: str, **changes) -> Furniture:
    """The one_leg furniture with a changed part."""
    furniture = one_leg()
    return Furniture("broken", furniture.parts | {name: replace(furniture.parts[name], **changes)}, furniture.joints)


THREAD = Thread(engage_depth=0.02)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"part": "arm"}, r"joints\[0\].part='arm' is not a part. Valid: top, leg"),
        ({"onto": "arm"}, r"joints\[0\].onto='arm' is not a part. Valid: top, leg"),
        ({"onto": "leg"}, r"joints\[0\] joins 'leg' to itself"),
        ({"kind": "glue"}, r"kind='glue' is unknown. Valid: insert, screw, place"),
        ({"thread": None}, r"joints\[0\].thread=None does not go with kind='screw': a screw needs a thread"),
        ({"kind": "insert"}, r"joints\[0\].thread=.* does not go with kind='insert'"),
        ({"onto_frames": ()}, "onto_frames is empty"),
        ({"depth": 0.03}, r"depth=0.03 m, but its thread ends at 0.024. m"),
        ({"thread": replace(THREAD, pitch=0.012)}, "depth=0.02425 m, but its thread ends at 0.0285 m"),
        ({"thread": replace(THREAD, pitch=-0.006)}, "thread.pitch=-0.006 must be positive"),
        ({"thread": replace(THREAD, turn=0.0)}, "thread.turn=0.0 must be positive"),
        ({"thread": replace(THREAD, engage_depth=0.0)}, "thread.engage_depth=0.0 must be positive"),
        ({"thread": replace(THREAD, stiffness=math.nan)}, "thread.stiffness=nan must be positive"),
        ({"depth_tolerance": 0.0}, r"joints\[0\].depth_tolerance=0.0 must be positive"),
        ({"lateral_tolerance": -0.001}, r"joints\[0\].lateral_tolerance=-0.001 must be positive"),
        ({"tilt_tolerance": 0.0}, r"joints\[0\].tilt_tolerance=0.0 must be positive"),
        ({"onto_frames": (Frame((0.3, 0.0, 0.0155)),)}, r"onto_frames\[0\].*lies off 'top'"),
        ({"onto_frames": (Frame((0.0, 0.0, 0.0155)),)}, r"onto_frames\[0\].*'leg' and 'top' would overlap"),
        ({"onto_frames": (one_leg().joints[0].onto_frames[0], Frame((0.0, 0.0, 0.0155)))}, r"onto_frames\[1\]"),
        ({"onto_frames": (Frame((0.05625, 0.05625, 0.0155), (math.pi / 2, 0.0, 0.0)),)}, r"onto_frames\[0\]"),
        ({"onto_frames": (Frame((0.05625, 0.05625, -0.0155)),)}, r"onto_frames\[0\]"),
    ],
    ids=str,
)
def test_a_broken_joint_is_refused(change, reason):
    with pytest.raises(ValueError, match=reason):
        with_joint(**change)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mass": 0.0}, r"broken: parts\['leg'\].mass=0.0 must be positive"),
        ({"mass": math.nan}, r"parts\['leg'\].mass=nan must be positive"),
        ({"shapes": ()}, r"parts\['leg'\].shapes is empty"),
    ],
    ids=str,
)
def test_a_broken_part_is_refused(change, reason):
    with pytest.raises(ValueError, match=reason):
        with_part("leg", **change)


@pytest.mark.parametrize("make", FURNITURE)
def test_a_negative_clearance_is_refused(make):
    with pytest.raises(ValueError, match=r"clearance=-0.0005 m is negative.*0 or more"):
        make(-0.0005)
    assert make(0.0).clearance == 0.0


def test_checks_can_be_repeated_after_a_change():
    furniture = one_leg()
    furniture.validate()
    furniture.parts["leg"].mass = -1.0
    with pytest.raises(ValueError, match="mass=-1.0"):
        furniture.validate()
