# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The driver's decisions, with an arm that does at once what it is told, on a clock that only waiting moves."""

from types import SimpleNamespace

import numpy as np
import pytest

from flow_rl.deploy import PolicyPackage, PolicyRunner
from flow_rl.deploy.franka import FrankaCfg, FrankaDriver, RobotError
from flow_rl.deploy.franka.__main__ import make_parser, open_cameras
from flow_rl.deploy.franka.gripper import Fingers
from flow_rl.deploy.observer import ArmState, ObjectPose
from flow_rl.utils.check import InputError
from tests.deploy.lift import RELATIVE_POSE, lift_contract

DOWN = np.array([1.0, 0.0, 0.0, 0.0])
PERIOD = 0.1


class Arm:
    """Records what it is told, and is where it was led."""

    def __init__(self, clock):
        self._clock = clock
        self.position, self.joints = np.array([0.5, 0.0, 0.3]), np.zeros(7)
        self.force, self.recovers = np.zeros(3), True
        self.told, self.times, self.reads = [], [], 0
        self.at = {}
        """What happens at the n-th reading."""

    def read(self):
        self.reads += 1
        self.at.get(self.reads, lambda: None)()
        return ArmState(self.position, DOWN, np.zeros(6), self.joints, 0.08, self.force, self._clock.now)

    def forward(self, joints):
        return np.array([0.5, joints[0], 0.3])

    def move_tool(self, position, quaternion, seconds):
        self._tell("tool", position)
        self.position = position

    def move_joints(self, joints, seconds):
        self._tell("joints", joints)
        self.joints = joints

    def set_fingers(self, is_open):
        if ("fingers", is_open) not in self.told:
            self._tell("fingers", is_open)

    def brake(self):
        self._tell("brake", None)

    def recover(self):
        self.told.append(("recover", None))
        return self.recovers

    def _tell(self, kind, value):
        self.told.append((kind, value))
        self.times.append(self._clock.now)

    def moves(self):
        return [value for kind, value in self.told if kind in ("tool", "joints")]


class Package(PolicyPackage):
    """Lift's contract with a network that a test plays."""

    def __init__(self, contract, plan):
        self.contract, self._plan = contract, plan

    def infer(self, vectors, pictures, noise):
        return np.broadcast_to(np.asarray(self._plan(vectors[0]), dtype=np.float32), (1, *self.chunk_shape))


@pytest.fixture
def setup():
    """Makes a driver of a policy that says the same forever, or what a function makes of its observations."""

    def make(action=(0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0), contract=None, cfg=None, answers=None, **options):
        clock = SimpleNamespace(now=100.0)
        arm = Arm(clock)
        plan = action if callable(action) else lambda vector: action
        runner = PolicyRunner(Package(contract or lift_contract(), plan), max_age=0.2, execute=1, noise="zero")
        it = SimpleNamespace(clock=clock, arm=arm, lines=[], questions=[], age=0.0, seen=True)
        answers = iter(answers or [])

        def confirm(question):
            it.questions.append(question)
            return next(answers, True)

        def sleep(seconds):
            clock.now += seconds

        def objects():
            return {"object": ObjectPose(np.array([0.6, 0.0, 0.02]), DOWN, clock.now - it.age)} if it.seen else {}

        it.driver = FrankaDriver(
            arm,
            runner,
            objects,
            cfg or FrankaCfg(),
            confirm=confirm,
            report=it.lines.append,
            clock=lambda: clock.now,
            sleep=sleep,
            **options,
        )
        return it

    return make


def test_ten_decisions_a_second(setup):
    it = setup()
    outcome = it.driver.run(1.0)
    assert outcome.reason == "time is over" and outcome.steps == 10 and outcome.held == 0
    np.testing.assert_allclose(np.diff(it.arm.times[1:-1]), PERIOD)
    np.testing.assert_allclose(it.arm.position, [0.6, 0.0, 0.3])  # 10 times 0.2 * 5 cm
    assert it.arm.told[-1][0] == "brake" and it.arm.told[1] == ("fingers", True)
    assert outcome.period_p50 == pytest.approx(PERIOD) and outcome.recoveries == 0


def test_nothing_moves_without_a_yes(setup):
    it = setup(answers=[False])
    assert it.driver.run(1.0).reason == "not confirmed"
    assert it.arm.told == [] and "FlowRL-Lift-Franka will move" in it.questions[0]


def test_a_dry_run_only_prints(setup):
    it = setup(dry_run=True)
    outcome = it.driver.run(1.0)
    assert outcome.steps == 10 and it.arm.told == [] and it.questions == []
    assert len(it.lines) == 10
    assert it.lines[0].startswith("1: would lead to tool [0.51, 0.0, 0.3] m") and it.lines[0].endswith("fingers open")


def test_targets_stay_in_the_workspace(setup):
    it = setup(action=(1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0))
    it.driver.run(2.0)
    upper, lower = np.array(FrankaCfg().workspace_upper), np.array(FrankaCfg().workspace_lower)
    assert np.all(np.array(it.arm.moves()) <= upper) and np.all(np.array(it.arm.moves()) >= lower)
    np.testing.assert_allclose(it.arm.position, [upper[0], 0.0, lower[2]])


def test_a_tool_out_of_the_workspace_is_not_moved(setup):
    it = setup()
    it.arm.position = np.array([0.5, 0.0, 0.7])
    with pytest.raises(InputError, match="tool = .*0.7.*lead the arm there by hand"):
        it.driver.run(1.0)
    assert it.arm.told == []


def test_a_tool_that_is_pushed_out_of_the_workspace_ends_the_run(setup):
    it = setup()
    it.arm.at[5] = lambda: setattr(it.arm, "position", np.array([0.5, 0.5, 0.3]))
    outcome = it.driver.run(1.0)
    assert "the tool is 0.100 m outside of the workspace" in outcome.reason
    assert it.arm.told[-1][0] == "brake" and len(it.arm.moves()) == 3


def test_a_force_ends_the_run(setup):
    it = setup()
    it.arm.at[5] = lambda: setattr(it.arm, "force", np.array([0.0, 20.0, 15.0]))
    assert it.driver.run(1.0).reason == "the tool feels a force of 25.0 N, more than 20 N"
    assert it.arm.told[-1][0] == "brake" and len(it.arm.moves()) == 3


def test_small_motions_are_left_out(setup):
    """Or a tool that hangs a little below its target would sink with every step."""
    it = setup(action=(0.005, 0.0, 0.0, 0.0, 0.0, 0.01, 1.0))
    it.driver.run(1.0)
    assert it.arm.moves() == []


def test_lost_observations_hold_the_arm_and_end_the_run(setup):
    it = setup()
    it.arm.at[4] = lambda: setattr(it, "seen", False)
    outcome = it.driver.run(10.0)
    assert outcome.reason == "held for 2 s: observation 'object_pos' is missing"
    assert it.lines == ["held: observation 'object_pos' is missing"]
    assert len(it.arm.moves()) == 2 and 20 <= outcome.held <= 21
    assert [kind for kind, _ in it.arm.told[3:]] == ["brake"] * (outcome.held + 1)


def test_late_observations_hold_the_arm_until_they_are_young_again(setup):
    it = setup()
    it.arm.at[4] = lambda: setattr(it, "age", 0.3)
    it.arm.at[8] = lambda: setattr(it, "age", 0.1)
    outcome = it.driver.run(1.0)
    assert outcome.reason == "time is over" and outcome.held == 4
    assert it.lines == ["held: observation 'object_pos' is more than 0.2 s old", "goes on"]


def test_a_busy_computer_ends_the_run(setup):
    it = setup()

    def pause():
        it.clock.now += 0.5

    it.arm.at[5] = pause
    assert "late: this computer is too busy" in it.driver.run(1.0).reason
    assert it.arm.told[-1][0] == "brake"


def test_a_little_lateness_is_not_caught_up(setup):
    it = setup()

    def pause():
        it.clock.now += 0.25

    it.arm.at[5] = pause
    assert it.driver.run(2.0).reason == "time is over"
    assert (
        np.diff([time for (kind, _), time in zip(it.arm.told, it.arm.times, strict=True) if kind == "tool"]).min()
        > 0.04
    )


def stop():
    raise RobotError("cartesian_reflex")


def test_a_reflex_is_recovered_from_where_the_person_agrees(setup):
    it = setup()
    it.arm.at[5] = stop
    outcome = it.driver.run(1.0)
    assert outcome.reason == "time is over" and outcome.recoveries == 1 and len(it.questions) == 2
    assert it.lines == ["the robot has stopped: cartesian_reflex"] and ("recover", None) in it.arm.told


@pytest.mark.parametrize("agrees, recovers", [(False, True), (True, False)])
def test_nothing_is_commanded_after_an_error(setup, agrees, recovers):
    it = setup(answers=[True, agrees])
    it.arm.at[5], it.arm.recovers = stop, recovers
    outcome = it.driver.run(1.0)
    assert outcome.reason.startswith("cartesian_reflex") and len(it.arm.moves()) == 3
    assert it.arm.told[-1][0] == ("recover" if agrees else "tool")


def test_reflexes_are_not_recovered_from_for_ever(setup):
    it = setup(cfg=FrankaCfg(max_recoveries=2))
    it.arm.at = dict.fromkeys((5, 8, 11, 14), stop)
    outcome = it.driver.run(5.0)
    assert outcome.reason == "cartesian_reflex" and outcome.recoveries == 2


def test_what_goes_wrong_elsewhere_brakes_the_arm(setup):
    it = setup()

    def broken(vector):
        raise OSError("the camera is gone")

    it = setup(action=broken)
    with pytest.raises(OSError, match="the camera is gone"):
        it.driver.run(1.0)
    assert [kind for kind, _ in it.arm.told] == ["brake"]


def test_the_keyboard_ends_the_run(setup):
    it = setup()

    def interrupt():
        raise KeyboardInterrupt

    it.arm.at[5] = interrupt
    assert it.driver.run(1.0).reason == "stopped by the keyboard"
    assert it.arm.told[-1][0] == "brake"


def test_joints_that_lead_out_of_the_workspace_end_the_run(setup):
    contract = lift_contract()
    term = RELATIVE_POSE | {"kind": "RelativeJointPositionAction", "size": 7, "scale": [0.2] * 7, "offset": [0.0] * 7}
    contract["actions"] |= {"terms": [term]}
    it = setup(contract=contract, action=(0.5,) + (0.0,) * 6)
    assert "leads the tool out of the workspace, to [0.5, 0.5, 0.3] m" in it.driver.run(1.0).reason
    np.testing.assert_allclose(np.array(it.arm.moves())[:, 0], [0.1, 0.2, 0.3, 0.4])


def test_observations_from_elsewhere(setup):
    """Sources are asked at each decision, and what they say is as old as they say."""
    contract = lift_contract()
    extra = {"name": "kettle", "group": "policy", "shape": [1], "units": "-", "frame": "-", "description": "", "of": {}}
    contract["observations"] = [*contract["observations"], extra]
    vectors = []
    it = setup(
        contract=contract,
        action=lambda vector: vectors.append(vector) or np.zeros(7),
        sources={"kettle": lambda: ([0.7], 100.0)},
    )
    outcome = it.driver.run(0.5)
    assert vectors[0][-1] == np.float32(0.7)
    assert outcome.held == 2 and it.lines == ["held: observation 'kettle' is more than 0.2 s old"]


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"max_speed": 0.0}, "max_speed = 0.0"),
        ({"max_force": float("nan")}, "max_force = nan"),
        ({"stretch": 0.5}, "stretch = 0.5"),
        ({"workspace_lower": (0.3, 0.5, 0.0)}, "workspace_lower"),
        ({"max_recoveries": -1}, "max_recoveries = -1"),
    ],
)
def test_limits_that_make_no_sense(fields, message):
    with pytest.raises(InputError, match=message):
        FrankaCfg(**fields)


def test_each_limit_is_an_option():
    words = ["--package", "p", "--host", "h", "--max_speed", "0.1", "--workspace_lower", "0.3", "-0.1", "0.02"]
    args = make_parser().parse_args(words)
    assert (
        args.max_speed == 0.1 and args.workspace_lower == [0.3, -0.1, 0.02] and args.max_force == FrankaCfg().max_force
    )
    assert "[N]" in make_parser().format_help()


def test_cameras_are_those_of_the_policy():
    package = SimpleNamespace(cameras={})
    assert open_cameras([], package) == []
    with pytest.raises(InputError, match="--camera = .*front=0"):
        open_cameras(["front=0"], SimpleNamespace(cameras={"wrist": (3, 8, 8), "front": (3, 8, 8)}))
    with pytest.raises(InputError, match="the policy has no cameras"):
        open_cameras(["front=0"], package)


class Gripper:
    """Its commands end when a test says so."""

    width, max_width = 0.08, 0.08

    def __init__(self):
        import threading

        self.calls, self.end, self.fails = [], threading.Semaphore(0), False

    def move(self, width, speed):
        self._do("open")

    def grasp(self, *args, **kwargs):
        self._do("close")

    def _do(self, call):
        self.calls.append(call)
        assert self.end.acquire(timeout=10.0)
        if self.fails:
            raise OSError("jammed")


def wait(condition):
    import time

    end = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_fingers_end_what_they_do_and_then_do_what_was_wanted_last():
    gripper = Gripper()
    fingers = Fingers(gripper, 0.05, 20.0)
    for is_open in (False, True, False, True):
        fingers.want(is_open)
        if gripper.calls == []:
            wait(lambda: gripper.calls == ["close"])
    gripper.end.release()
    wait(lambda: gripper.calls == ["close", "open"])
    fingers.want(False)
    fingers.forget()
    gripper.end.release(2)
    fingers.close()
    assert gripper.calls == ["close", "open"]


def test_what_the_fingers_could_not_do_is_said():
    gripper = Gripper()
    gripper.fails = True
    fingers = Fingers(gripper, 0.05, 20.0)
    fingers.want(False)
    gripper.end.release()
    wait(lambda: fingers._error is not None)
    with pytest.raises(OSError, match="jammed"):
        fingers.check()
    fingers.check()
    fingers.close()
