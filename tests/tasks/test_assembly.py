# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""State of assemblies and forces of threads, from poses and velocities that are set by hand."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import warp as wp

from isaaclab.managers import RewardTermCfg
from isaaclab.utils.math import (
    axis_angle_from_quat,
    combine_frame_transforms,
    matrix_from_quat,
    quat_apply,
    quat_from_angle_axis,
    quat_from_euler_xyz,
    quat_mul,
)

from flow_rl_assets.furniture import Furniture
from flow_rl_tasks.furniture.lamp.lamp import LAMP
from flow_rl_tasks.furniture.one_leg.one_leg import ONE_LEG
from flow_rl_tasks.furniture.round_table.round_table import ROUND_TABLE
from flow_rl_tasks.mdp.assembly import Assembly
from flow_rl_tasks.mdp.assembly_kernel import LIFTED, SLACK
from flow_rl_tasks.mdp.rewards import newly_made

GRAVITY = 9.81
INERTIA = (7.2e-5, 7.0e-5, 1.6e-5)
"""About the leg's [kg m^2]; all parts of the bench have it."""

COM = (0.001, -0.002, -0.006)
"""Centre of mass of all parts in their own frames [m]; off the axis, so that no arm is forgotten."""

SCREW = ONE_LEG.joints[0]
ADVANCE = SCREW.thread.pitch / (2 * math.pi)
START, END = SCREW.thread.engage_depth, SCREW.thread.turn


def tensor(values) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float32)


class Bench:
    """Parts as free bodies without an engine, standing in for an environment.

    The bodies of one part follow each other, environment by environment, unlike in the index of the parts.
    """

    def __init__(self, furniture: Furniture, num_envs: int = 2, substep: float = 0.005, com=COM):
        self.furniture, self.num_envs, self.device = furniture, num_envs, "cpu"
        self.step_dt, self.extras, self.dt = 0.1, {}, substep
        self.names = list(furniture.parts)
        self.mass = [part.mass for part in furniture.parts.values()]
        self.scene = {name: self._asset(part.mass, com) for name, part in furniture.parts.items()}
        physics = SimpleNamespace(num_substeps=round(0.1 / substep))
        cfg = SimpleNamespace(dt=0.1, gravity=(0.0, 0.0, -GRAVITY), physics=physics)
        self.sim = SimpleNamespace(cfg=cfg, physics_manager=SimpleNamespace(register_body_forces=self._register))
        count = num_envs * len(self.names)
        self.com = torch.tensor(com, dtype=torch.float32).expand(count, 3)
        self.pose = torch.zeros(count, 7)
        self.pose[:, 6] = 1.0
        self.pose[:, 0] = torch.arange(count) * 3.0  # far from each other
        self.velocity, self.force = torch.zeros(count, 6), torch.zeros(count, 6)
        self.assembly = Assembly(self, furniture)

    def _asset(self, mass: float, com) -> SimpleNamespace:
        data = {
            "body_com_pose_b": torch.tensor((*com, 0.0, 0.0, 0.0, 1.0)).expand(self.num_envs, 1, 7),
            "body_mass": torch.full((self.num_envs, 1), mass),
            "body_inertia": torch.diag(torch.tensor(INERTIA)).flatten().expand(self.num_envs, 1, 9),
        }
        return SimpleNamespace(data=SimpleNamespace(**{k: SimpleNamespace(torch=v) for k, v in data.items()}))

    def _register(self, parts, callback) -> wp.array:
        assert parts == list(self.scene.values())
        self.callback = callback
        index = torch.arange(self.num_envs * len(parts), dtype=torch.int32).view(len(parts), -1).T.contiguous()
        return wp.array(index.numpy(), dtype=int, device="cpu")

    def body(self, name: str, env: int = 0) -> int:
        return self.names.index(name) * self.num_envs + env

    def update(self) -> None:
        """Measure and compute forces, as an engine does at every substep."""
        self.force.zero_()
        arrays = [(self.pose, wp.transform), (self.velocity, wp.spatial_vector), (self.force, wp.spatial_vector)]
        self.callback(*(wp.from_torch(values, dtype=dtype) for values, dtype in arrays))

    def mate(
        self, joint: int, env: int = 0, depth=None, lateral=0.0, tilt=0.0, yaw=0.0, frame=0, upside_down=False
    ) -> None:
        """Put a part into its place, or beside it: depth [m], lateral [m], tilt [rad], and yaw [rad] about the axis."""
        data = self.furniture.joints[joint]
        onto = self.pose[self.body(data.onto, env)].unsqueeze(0)
        seat = tensor(data.onto_frames[frame].transform())
        pos, quat = combine_frame_transforms(onto[:, :3], onto[:, 3:], seat[:, :3], seat[:, 3:])
        spin = quat_from_angle_axis(tensor(yaw), tensor((0.0, 0.0, 1.0)))
        lean = quat_from_angle_axis(tensor(tilt + math.pi * upside_down), tensor((0.6, 0.8, 0.0)))
        depth = data.depth if depth is None else depth
        # the shift is not along an axis of the hole
        pos, quat = combine_frame_transforms(
            pos, quat, tensor((0.6 * lateral, -0.8 * lateral, -depth)), quat_mul(lean, spin)
        )
        own = tensor(data.part_frame.transform())
        assert data.part_frame.rpy == (0.0, 0.0, 0.0)
        pos, quat = combine_frame_transforms(pos, quat, -own[:, :3], own[:, 3:])
        self.pose[self.body(data.part, env)] = torch.cat((pos, quat), dim=1)[0]

    def screw(self, turn: float, env: int = 0, steps: int = 20, **place) -> None:
        """Engage the first joint's peg and turn it on the helix by ``turn`` [rad]."""
        for angle in np.linspace(0.0, turn, steps + 1):
            self.mate(0, env, depth=START + 1e-5 + ADVANCE * angle, yaw=-angle, **place)
            self.update()

    def wrench(self, name: str, env: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        """Force and torque on a part, shapes (3,)."""
        force = self.force[self.body(name, env)].clone()
        return force[:3], force[3:]

    def com_pos(self, name: str, env: int = 0) -> torch.Tensor:
        """Centre of mass of a part in the world, shape (3,)."""
        body = self.body(name, env)
        return self.pose[body, :3] + quat_apply(self.pose[body : body + 1, 3:], self.com[body : body + 1])[0]

    def integrate(self, name: str, env: int = 0, spin: torch.Tensor | None = None) -> None:
        """Move a free body under its forces and its weight by one substep of semi-implicit Euler.

        A hand may hold it at an angular velocity ``spin`` [rad/s].
        """
        body, mass, inertia = self.body(name, env), self.furniture.parts[name].mass, torch.tensor(INERTIA)
        force, torque = self.wrench(name, env)
        com, quat = self.com_pos(name, env), self.pose[body : body + 1, 3:]
        self.velocity[body, :3] += self.dt * (force / mass - torch.tensor((0.0, 0.0, GRAVITY)))
        rotation = matrix_from_quat(quat)[0]
        own = rotation @ torch.diag(inertia) @ rotation.T
        if spin is None:
            spin = self.velocity[body, 3:]
            spin = spin + self.dt * torch.linalg.solve(own, torque - torch.linalg.cross(spin, own @ spin))
        self.velocity[body, 3:] = spin
        com = com + self.dt * self.velocity[body, :3]
        angle = spin.norm() * self.dt
        turn = quat_from_angle_axis(angle.unsqueeze(0), (spin / spin.norm().clamp(min=1e-9)).unsqueeze(0))
        quat = torch.nn.functional.normalize(quat_mul(turn, quat), dim=1)
        self.pose[body, 3:] = quat[0]
        self.pose[body, :3] = com - quat_apply(quat, self.com[body : body + 1])[0]


def tilted_pose() -> torch.Tensor:
    """Pose of a receiving part that is neither level nor at the origin, shape (7,)."""
    quat = quat_from_euler_xyz(*(torch.tensor([angle]) for angle in (0.4, -0.3, 0.9)))
    return torch.cat((tensor((0.3, -0.2, 0.5)), quat), dim=1)[0]


@pytest.fixture
def one_leg() -> Bench:
    return Bench(ONE_LEG)


# -- what is made -----------------------------------------------------------------------------------------------------

PLAIN = {"place": (LAMP, 1), "insert": (ROUND_TABLE, 1)}


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize(
    ("axis", "sign"), [("depth", 1), ("depth", -1), ("lateral", 1), ("tilt", 1), ("tilt", -1)], ids=str
)
def test_a_joint_is_made_within_its_tolerances_only(kind, axis, sign):
    furniture, index = PLAIN[kind]
    joint = furniture.joints[index]
    # all three differ, so that none may stand in for another
    assert len({joint.depth_tolerance, joint.lateral_tolerance, joint.tilt_tolerance}) == 3
    tolerance = getattr(joint, f"{axis}_tolerance")
    for share, made in ((0.0, 1), (0.95, 1), (1.05, 0)):
        bench = Bench(furniture)
        off = {axis: sign * share * tolerance + (joint.depth if axis == "depth" else 0.0)}
        bench.mate(index, **off)
        bench.update()
        assert bench.assembly.made[0, index] == made, share
        measured = getattr(bench.assembly, axis)[0, index]
        assert measured == pytest.approx(off[axis] if axis == "depth" else abs(off[axis]), abs=2e-4)
        assert bench.assembly.made[1].sum() == 0, "the other environment has nothing to do with it"
        assert bench.force.abs().max() == 0.0, "only screws push"


@pytest.mark.parametrize("kind", PLAIN)
def test_upside_down_is_not_made(kind):
    furniture, index = PLAIN[kind]
    bench = Bench(furniture)
    bench.mate(index, upside_down=True)
    bench.update()
    assert bench.assembly.made[0, index] == 0
    assert bench.assembly.tilt[0, index] == pytest.approx(math.pi, abs=1e-3)


def test_joints_are_measured_in_the_frame_of_the_receiving_part():
    bench = Bench(LAMP)
    bench.pose[bench.body("base")] = tilted_pose()
    bench.mate(1, yaw=1.0)
    bench.update()
    assert bench.assembly.made[0].tolist() == [0, 1]
    assert bench.assembly.depth[0, 1] == pytest.approx(LAMP.joints[1].depth, abs=1e-5)


@pytest.mark.parametrize("turn", [0.97, 1.03])
def test_a_screw_is_made_by_its_turn(one_leg, turn):
    one_leg.screw(turn * END)
    assembly = one_leg.assembly
    assert assembly.engaged[0, 0] == 1
    assert assembly.turn[0, 0] == pytest.approx(turn * END, abs=1e-3)
    assert assembly.made[0, 0] == int(turn > 1.0)
    assert assembly.complete().tolist() == [turn > 1.0, False]


@pytest.mark.parametrize(
    "off",
    [
        {"depth": SCREW.depth + 1.1 * SCREW.depth_tolerance},
        {"depth": SCREW.depth - 1.1 * SCREW.depth_tolerance},
        {"lateral": 1.05 * SCREW.lateral_tolerance},
        {"tilt": 1.05 * SCREW.tilt_tolerance},
    ],
    ids=str,
)
def test_a_turned_screw_that_is_out_of_place_is_not_made(one_leg, off):
    one_leg.screw(0.99 * END)
    one_leg.mate(0, yaw=-1.0 * END - 0.005, **off)
    one_leg.update()
    assert one_leg.assembly.engaged[0, 0] == 1 and one_leg.assembly.turn[0, 0] > END
    assert one_leg.assembly.made[0, 0] == 0
    one_leg.mate(0, yaw=-1.0 * END - 0.005, **{k: SCREW.depth if k == "depth" else 0.9 * v for k, v in off.items()})
    one_leg.update()
    assert one_leg.assembly.made[0, 0] == 1, "back within its tolerances"


@pytest.mark.parametrize(
    ("off", "engaged"),
    [
        ({"depth": START + 1e-4}, 1),
        ({"depth": START - 1e-4}, 0),
        ({"depth": START + 1e-3, "lateral": 0.95 * SCREW.lateral_tolerance}, 1),
        ({"depth": START + 1e-3, "lateral": 1.05 * SCREW.lateral_tolerance}, 0),
        ({"depth": START + 1e-3, "tilt": 0.95 * SCREW.tilt_tolerance}, 1),
        ({"depth": START + 1e-3, "tilt": 1.05 * SCREW.tilt_tolerance}, 0),
        ({"depth": START + 1e-3, "upside_down": True}, 0),
    ],
    ids=str,
)
def test_a_peg_engages_when_it_stands_in_its_hole(one_leg, off, engaged):
    one_leg.mate(0, **off)
    one_leg.update()
    assert one_leg.assembly.engaged[0].tolist() == [engaged]
    assert bool(one_leg.force.abs().max() > 0.0) == bool(engaged)


@pytest.mark.parametrize("frame", range(len(SCREW.onto_frames)))
def test_any_of_the_holes_will_do(one_leg, frame):
    one_leg.pose[one_leg.body("top")] = tilted_pose()
    one_leg.screw(1.02 * END, frame=frame)
    assert one_leg.assembly.made[0, 0] == 1
    assert one_leg.assembly.frame[0, 0] == frame
    assert one_leg.assembly.lateral[0, 0] < 1e-4


def test_a_made_placement_comes_apart_and_earns_nothing_the_second_time():
    bench = Bench(LAMP)
    reward = newly_made(RewardTermCfg(func=newly_made, weight=1.0), bench)
    earned = []

    def tick(**place) -> int:
        bench.mate(1, **place)
        bench.update()
        earned.append((reward(bench) * bench.step_dt)[0].item())
        return bench.assembly.made[0, 1].item()

    joint = LAMP.joints[1]
    assert tick(depth=joint.depth - 0.05) == 0
    assert tick() == 1
    assert tick(depth=joint.depth - joint.depth_tolerance - 0.001) == 1, "a small shake leaves it made"
    assert tick(depth=joint.depth - joint.depth_tolerance - 0.015) == 0
    assert tick() == 1
    assert tick(lateral=joint.lateral_tolerance + 0.015) == 0
    assert tick() == 1
    assert tick(tilt=math.radians(40)) == 0
    assert earned == pytest.approx([0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    bench.assembly.reset(torch.tensor([0]))
    reward.reset(torch.tensor([0]))
    assert tick() == 1 and earned[-1] == pytest.approx(1.0), "a new episode pays again"


def test_a_screw_that_is_pulled_out_is_no_longer_made(one_leg):
    reward = newly_made(RewardTermCfg(func=newly_made, weight=1.0), one_leg)
    one_leg.screw(1.02 * END)
    assert (reward(one_leg) * one_leg.step_dt).tolist() == pytest.approx([1.0, 0.0])
    one_leg.mate(0, depth=START - 0.8 * SLACK)
    one_leg.update()
    assert one_leg.assembly.engaged[0, 0] == 1, "within the slack"
    one_leg.mate(0, depth=START - 1.2 * SLACK)
    one_leg.update()
    assembly = one_leg.assembly
    assert (assembly.made[0, 0], assembly.engaged[0, 0], assembly.turn[0, 0]) == (0, 0, 0.0)
    assert one_leg.force.abs().max() == 0.0
    one_leg.mate(0, depth=START + 0.001)
    one_leg.update()
    assert assembly.made[0, 0] == 0 and assembly.turn[0, 0] == 0.0, "the turn starts anew"
    one_leg.screw(1.02 * END)
    assert assembly.made[0, 0] == 1
    assert reward(one_leg).abs().max() == 0.0


@pytest.mark.parametrize("off", [{"lateral": 2.1 * SCREW.lateral_tolerance}, {"tilt": math.radians(21)}], ids=str)
def test_a_thread_lets_go_of_a_peg_that_jams(one_leg, off):
    one_leg.screw(1.0)
    one_leg.mate(0, depth=START + 0.001, yaw=-1.0, **off)
    one_leg.update()
    assert one_leg.assembly.engaged[0, 0] == 0 and one_leg.force.abs().max() == 0.0


# -- turning ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start_yaw", [0.0, 3.0, -3.0])
def test_turns_accumulate_over_revolutions_in_both_directions(one_leg, start_yaw):
    """Clockwise seen from above counts as positive; the depth is held, so that the peg stays engaged."""
    turns = np.concatenate((np.linspace(0.0, 6 * math.pi, 61), np.linspace(6 * math.pi, -5 * math.pi, 101)))
    for turn in turns:
        one_leg.mate(0, depth=START + 0.001, yaw=start_yaw - turn)
        one_leg.update()
        assert one_leg.assembly.turn[0, 0] == pytest.approx(turn, abs=2e-3)


def test_the_turn_is_that_relative_to_the_hole(one_leg):
    """Turning the table about the standing leg counts like turning the leg in the opposite direction."""
    leg = None
    for angle in np.linspace(0.0, 1.0, 11):
        quat = quat_from_angle_axis(tensor(angle), tensor((0.0, 0.0, 1.0)))
        one_leg.pose[one_leg.body("top"), 3:] = quat[0]
        one_leg.mate(0, depth=START + 0.001, yaw=-angle)
        leg = one_leg.pose[one_leg.body("leg"), 3:].clone() if leg is None else leg
        assert torch.allclose(one_leg.pose[one_leg.body("leg"), 3:], leg, atol=1e-5), "the leg itself does not turn"
        one_leg.update()
    assert one_leg.assembly.turn[0, 0] == pytest.approx(1.0, abs=1e-3)


def test_turning_before_engaging_does_not_count(one_leg):
    for yaw in np.linspace(0.0, -4.0, 9):
        one_leg.mate(0, depth=START - 0.002, yaw=yaw)
        one_leg.update()
    one_leg.mate(0, depth=START + 1e-4, yaw=-4.0)
    one_leg.update()
    assert one_leg.assembly.engaged[0, 0] == 1 and one_leg.assembly.turn[0, 0] == 0.0


# -- forces -----------------------------------------------------------------------------------------------------------


def test_forces_are_those_of_engaged_pegs_only(one_leg):
    one_leg.mate(0, env=0, depth=START - 0.001)
    one_leg.mate(0, env=1, depth=START - 0.001)
    one_leg.update()
    assert one_leg.force.abs().max() == 0.0, "before engaging"
    one_leg.mate(0, env=1, depth=START + 0.001)
    one_leg.update()
    for name in one_leg.names:
        assert one_leg.force[one_leg.body(name, 0)].abs().max() == 0.0, "the other environment"
        assert one_leg.force[one_leg.body(name, 1)].abs().max() > 0.0
    one_leg.assembly.reset(torch.tensor([1], dtype=torch.int32))
    assert one_leg.assembly.engaged[1, 0] == 0
    one_leg.mate(0, env=1, depth=-0.1)
    one_leg.update()
    assert one_leg.force.abs().max() == 0.0, "after the reset"


def test_a_reset_takes_apart_the_named_environments_only():
    bench = Bench(ONE_LEG, num_envs=3)
    for env in range(3):
        bench.screw(1.02 * END, env=env)
    assembly = bench.assembly
    buffers = ("engaged", "made", "turn", "most_made")
    before = {name: getattr(assembly, name).clone() for name in buffers}
    assert all((values != 0).all() for values in before.values())
    assembly.reset([1])
    for name, values in before.items():
        now = getattr(assembly, name)
        assert (now[1] == 0).all() and torch.equal(now[[0, 2]], values[[0, 2]]), name
    bench.update()
    assert assembly.made[:, 0].tolist() == [1, 0, 1], "a peg left in the hole has to be turned again"
    assert assembly.turn[1, 0] == 0.0
    assembly.reset()
    assert not assembly.made.any() and not assembly.most_made.any()


@pytest.mark.parametrize("pose", ["level", "tilted"])
def test_forces_act_along_the_hole_and_cancel_out(one_leg, pose):
    """The net force is zero, and so is the net torque about any point, whatever the motion."""
    if pose == "tilted":
        one_leg.pose[one_leg.body("top")] = tilted_pose()
    one_leg.screw(1.0)
    one_leg.mate(0, depth=START + 0.003, lateral=0.002, tilt=0.05, yaw=-1.1)
    one_leg.velocity[one_leg.body("leg")] = torch.tensor((0.03, -0.02, 0.05, 0.7, -0.4, -1.5))
    one_leg.velocity[one_leg.body("top")] = torch.tensor((-0.01, 0.04, 0.02, -0.2, 0.3, 0.6))
    one_leg.update()
    assert one_leg.assembly.engaged[0, 0] == 1
    (force, torque), (reaction, countertorque) = one_leg.wrench("leg"), one_leg.wrench("top")
    top = one_leg.body("top")
    axis = quat_apply(one_leg.pose[top : top + 1, 3:], tensor((0.0, 0.0, 1.0)))[0]
    assert force.norm() > 0.1
    assert torch.linalg.cross(force, axis).norm() < 1e-5 * force.norm()
    assert (force + reaction).norm() < 1e-6
    for point in (torch.zeros(3), torch.tensor((0.5, -1.0, 2.0))):
        about = torch.linalg.cross(one_leg.com_pos("leg") - point, force) + torque
        about += torch.linalg.cross(one_leg.com_pos("top") - point, reaction) + countertorque
        assert about.norm() < 1e-5


@pytest.mark.parametrize("pose", ["level", "tilted"])
def test_a_peg_at_rest_on_the_helix_is_carried(one_leg, pose):
    """The thread takes the share of the weight that is along the hole; the rest is the contacts'."""
    top = one_leg.body("top")
    if pose == "tilted":
        one_leg.pose[top] = tilted_pose()
    one_leg.mate(0, depth=START + 1e-6)
    one_leg.update()
    force, torque = one_leg.wrench("leg")
    axis = quat_apply(one_leg.pose[top : top + 1, 3:], tensor((0.0, 0.0, 1.0)))[0]
    assert axis[2] == (1.0 if pose == "level" else pytest.approx(0.88, abs=0.01))
    weight = ONE_LEG.parts["leg"].mass * GRAVITY
    assert force.tolist() == pytest.approx((weight * axis[2] * axis).tolist(), abs=1e-3)
    assert torque.abs().max() < 1e-6


def test_moving_together_costs_no_force(one_leg):
    """Hole and peg that turn and fly like one body are pushed as if at rest."""
    top, leg = one_leg.body("top"), one_leg.body("leg")
    one_leg.pose[top] = tilted_pose()
    one_leg.screw(1.0)
    at_rest = one_leg.wrench("leg")
    velocity, spin = torch.tensor((0.3, -0.5, 0.2)), torch.tensor((1.5, -2.0, 0.7))
    arm = one_leg.com_pos("leg") - one_leg.com_pos("top")
    one_leg.velocity[top] = torch.cat((velocity, spin))
    one_leg.velocity[leg] = torch.cat((velocity + torch.linalg.cross(spin, arm), spin))
    one_leg.update()
    for moving, resting in zip(one_leg.wrench("leg"), at_rest, strict=True):
        assert torch.allclose(moving, resting, atol=1e-5)


@pytest.mark.parametrize("off", [0.001, -0.001])
def test_the_spring_pulls_onto_the_helix(one_leg, off):
    one_leg.screw(2.0)
    one_leg.mate(0, depth=START + ADVANCE * 2.0 + off, yaw=-2.0)
    one_leg.update()
    weight = ONE_LEG.parts["leg"].mass * GRAVITY
    assert one_leg.wrench("leg")[0][2] == pytest.approx(weight + SCREW.thread.stiffness * off, rel=2e-2)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_tilted_peg_is_straightened(one_leg, sign):
    one_leg.mate(0, depth=START + 0.001, tilt=sign * 0.06)
    one_leg.update()
    leg = one_leg.body("leg")
    lean = axis_angle_from_quat(one_leg.pose[leg : leg + 1, 3:])[0]
    torque = one_leg.wrench("leg")[1]
    assert torch.dot(torque, lean) < 0.0 and torch.linalg.cross(torque, lean).norm() < 1e-5
    # about 0.28 N m/rad: what 5 ms can integrate is more than the thread's own stiffness
    assert torque.norm() == pytest.approx(SCREW.thread.tilt_stiffness * math.sin(0.06), rel=1e-3)


@pytest.mark.parametrize("sign", [1, -1])
def test_friction_resists_turning(one_leg, sign):
    one_leg.screw(1.0)
    one_leg.velocity[one_leg.body("leg"), 5] = 2.0 * sign
    one_leg.update()
    assert one_leg.wrench("leg")[1].tolist() == pytest.approx([0.0, 0.0, -sign * 2.0 * SCREW.thread.drag], abs=1e-5)


def test_a_broken_environment_gets_no_forces_and_leaves_others_alone():
    bench, reference = Bench(ONE_LEG, num_envs=3), Bench(ONE_LEG, num_envs=3)
    for env in range(3):
        bench.screw(1.02 * END, env=env)
        reference.screw(1.02 * END, env=env)
    bench.pose[bench.body("leg", 1)] = math.nan
    bench.update()
    reference.update()
    assert bench.assembly.made[:, 0].tolist() == [1, 0, 1]
    assert torch.isfinite(bench.force).all()
    for name in bench.names:
        assert bench.force[bench.body(name, 1)].abs().max() == 0.0
        for env in (0, 2):
            assert torch.equal(bench.force[bench.body(name, env)], reference.force[reference.body(name, env)])
    assert bench.assembly.engaged[1, 0] == 0 and bench.assembly.turn[1, 0] == 0.0
    bench.assembly.reset([1])
    bench.pose[bench.body("leg", 1)] = reference.pose[reference.body("leg", 1)]
    bench.screw(1.02 * END, env=1)
    assert bench.assembly.made[:, 0].tolist() == [1, 1, 1], "a reset repairs it"


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("what", [slice(0, 3), slice(3, 7)], ids=("position", "orientation"))
@pytest.mark.parametrize("name", ["top", "leg"])
def test_no_broken_pose_makes_a_joint(one_leg, name, what, value):
    one_leg.screw(1.02 * END)
    one_leg.pose[one_leg.body(name), what] = value
    one_leg.update()
    assert one_leg.assembly.made[0, 0] == 0 and one_leg.assembly.engaged[0, 0] == 0
    assert one_leg.force.abs().max() == 0.0


# -- motion -----------------------------------------------------------------------------------------------------------

SUBSTEPS = [0.005, 0.01]


@pytest.mark.parametrize("rate", [3.0, 8.0, -2.0])
@pytest.mark.parametrize("substep", SUBSTEPS)
def test_a_turned_peg_follows_the_analytic_screw(substep, rate):
    """Turned at a constant rate [rad/s], the free peg advances by the pitch per revolution."""
    bench = Bench(ONE_LEG, substep=substep, com=(0.0, 0.0, COM[2]))
    bench.screw(3.0)
    start, turned = bench.com_pos("leg")[2].item(), bench.assembly.turn[0, 0].item()
    for step in range(1, round(1.0 / substep) + 1):
        bench.integrate("leg", spin=torch.tensor((0.0, 0.0, -rate)))
        bench.update()
        assert bench.assembly.turn[0, 0] - turned == pytest.approx(rate * step * substep, abs=1e-3)
        on_helix = START + ADVANCE * bench.assembly.turn[0, 0]
        assert bench.assembly.depth[0, 0] == pytest.approx(on_helix, abs=1e-4)
    advance = start - bench.com_pos("leg")[2].item()
    assert advance == pytest.approx(SCREW.thread.pitch * rate * 1.0 / (2 * math.pi), abs=1e-4)
    assert bench.assembly.engaged[0, 0] == 1 and bench.assembly.lateral[0, 0] < 1e-3


@pytest.mark.parametrize("substep", SUBSTEPS)
@pytest.mark.parametrize("push", ["axial", "tilt", "spin"])
def test_a_released_peg_comes_to_rest(substep, push):
    """Its energy, that of the springs included, never exceeds what it began with, and is lost."""
    bench = Bench(ONE_LEG, substep=substep)
    bench.screw(1.0)
    body, mass = bench.body("leg"), ONE_LEG.parts["leg"].mass
    off = 0.001 if push == "axial" else 0.0
    tilt = math.radians(2.0) if push == "tilt" else 0.0
    bench.mate(0, depth=START + ADVANCE + off, yaw=-1.0, tilt=tilt)
    bench.velocity[body, 5] = -3.0 if push == "spin" else 0.0
    bench.update()
    data = {name: values[0, 0] for name, values in bench.assembly._thread.items()}

    def energy() -> float:
        rotation = matrix_from_quat(bench.pose[body : body + 1, 3:])[0]
        spin = rotation.T @ bench.velocity[body, 3:]
        error = START + ADVANCE * bench.assembly.turn[0, 0] - bench.assembly.depth[0, 0]
        kinetic = 0.5 * mass * bench.velocity[body, :3].square().sum() + 0.5 * (torch.tensor(INERTIA) * spin**2).sum()
        spring = 0.5 * data["stiffness"] * error**2
        return float(kinetic + spring + data["tilt_stiffness"] * (1.0 - math.cos(bench.assembly.tilt[0, 0])))

    history = [energy()]
    for _ in range(round(2.0 / substep)):
        bench.integrate("leg")
        bench.update()
        history.append(energy())
    assert max(history) <= 1.05 * history[0]
    assert max(history[len(history) // 2 :]) < 0.02 * history[0]
    assert bench.assembly.engaged[0, 0] == 1
    assert bench.assembly.lateral[0, 0] < SCREW.lateral_tolerance


@pytest.mark.parametrize("substep", SUBSTEPS)
def test_a_peg_left_alone_stays(substep):
    bench = Bench(ONE_LEG, substep=substep)
    bench.screw(2.0)
    depth = bench.assembly.depth[0, 0].item()
    for _ in range(round(5.0 / substep)):
        bench.integrate("leg")
        bench.update()
    assert bench.assembly.depth[0, 0] == pytest.approx(depth, abs=5e-5)
    assert bench.assembly.turn[0, 0] == pytest.approx(2.0, abs=1e-3)


def test_stiffness_is_limited_to_what_a_substep_can_integrate():
    stiff = replace(ONE_LEG, joints=(replace(SCREW, thread=replace(SCREW.thread, stiffness=1e6, damping=1e4)),))
    for substep in SUBSTEPS:
        data = Bench(stiff, substep=substep).assembly._thread
        mass = ONE_LEG.parts["leg"].mass
        assert (data["stiffness"] * substep**2 <= mass).all() and (data["damping"] * substep <= mass).all()
        weak = Bench(ONE_LEG, substep=substep).assembly._thread
        assert (weak["stiffness"] == SCREW.thread.stiffness).all()


def test_threads_carry_the_pegs_of_their_own_environments():
    bench = Bench(ONE_LEG)
    drawn = torch.tensor([[0.08], [0.115]])
    bench.scene["leg"].data.body_mass.torch = drawn
    bench.assembly.weigh()
    for env in range(2):
        bench.mate(0, env, depth=START + 1e-5)
    bench.update()
    forces = torch.stack([bench.wrench("leg", env)[0][2] for env in range(2)])
    torch.testing.assert_close(forces, GRAVITY * drawn.squeeze(1), rtol=2e-2, atol=0.0)


# -- phases -----------------------------------------------------------------------------------------------------------


def test_phases_are_logged_for_the_last_episodes():
    bench = Bench(ONE_LEG, num_envs=4)
    bench.assembly.reset()
    rates = bench.extras["log"]
    names = [f"Metrics/leg_{phase}_rate" for phase in Assembly.PHASES]
    assert set(names) == set(rates) and all(rates[name] == 0.0 for name in names)
    for env in range(4):
        bench.mate(0, env=env, depth=-0.3)
    bench.update()
    bench.pose[bench.body("leg", 1), 2] += 1.5 * LIFTED
    bench.mate(0, env=2, depth=START + 0.001)
    bench.screw(1.02 * END, env=3)
    bench.assembly.reset()
    # inserting from 0.3 m above lowers the leg: only one was lifted
    assert [bench.extras["log"][name].item() for name in names] == pytest.approx([0.25, 0.5, 0.25, 0.25])


def test_broken_data_is_refused_when_the_assembly_is_made():
    broken = replace(ONE_LEG)
    broken.parts = {**ONE_LEG.parts, "leg": replace(ONE_LEG.parts["leg"], mass=0.0)}
    with pytest.raises(ValueError, match="mass=0.0 must be positive"):
        Bench(broken)
