# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A simulated Franka behind libfranka's network protocol, in a process of its own: its 1 kHz must not share our GIL.

franky-sim knows neither contacts' forces nor reflexes; both are added here, as the real robot shows them: the motion is
aborted, the state says why, and further motions are refused until the errors are recovered from.
"""

import contextlib
import json
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

START = (0.0, -0.2, 0.0, -2.5, 0.0, 2.3, 0.785)
"""Posture at which it begins [rad], the one of our tasks: the hand points down, 0.3 m above the table."""

CARTESIAN_REFLEX = 7
"""Place of ``cartesian_reflex`` among libfranka's errors."""


class SimulatedFranka:
    """The process, seen from a test."""

    def __init__(self, cube: tuple[float, float, float] | None = None):
        """Start it.

        Args:
            cube: Where a cube of 5 cm begins [m]; None for none.
        """
        command = [sys.executable, "-m", "tests.deploy.simulated_franka", json.dumps(cube)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.host = self._answer()

    def ask(self, question: str, value: Any = None) -> Any:
        """Ask for a ``report``, or give it a ``reflex`` (that one can recover from, or not) or a ``force`` [N]."""
        self._process.stdin.write(json.dumps([question, value]) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait(timeout=20)

    def _answer(self) -> Any:
        line = self._process.stdout.readline()
        assert line, "the simulated robot has ended"
        return json.loads(line)


@contextlib.contextmanager
def simulated_franka(cube: tuple[float, float, float] | None = None) -> Iterator[SimulatedFranka]:
    """Run a simulated robot."""
    robot = SimulatedFranka(cube)
    try:
        yield robot
    finally:
        robot.close()


def main() -> None:
    """Serve until standard input ends."""
    import numpy as np
    from franky_sim import SimulationServer, franka_robot_protocol, mujoco_simulator, simulation_server
    from franky_sim.franka_robot_server import FrankaRobotServer

    status = franka_robot_protocol.MoveStatus
    reply = franka_robot_protocol.BaseCommand.send_response
    recovery = franka_robot_protocol.AutomaticErrorRecoveryCommand
    recovery_status = franka_robot_protocol.AutomaticErrorRecoveryStatus

    class Server(FrankaRobotServer):
        """With forces, reflexes and counts of what it was told."""

        reflex, recoverable, force = False, True, 0.0

        def __init__(self, *args):
            super().__init__(*args)
            self.counts = {"commands": 0, "motions": 0, "recoveries": 0, "steps": 0}

        @property
        def robot_state(self):
            self.counts["steps"] += 1
            state = super().robot_state
            wrench = (0.0, 0.0, self.force, 0.0, 0.0, 0.0)
            errors = tuple(self.reflex and i == CARTESIAN_REFLEX for i in range(41))
            mode = franka_robot_protocol.RobotMode.kReflex if self.reflex else state.robot_mode
            return state.replace(
                O_F_ext_hat_K=wrench, K_F_ext_hat_K=wrench, errors=errors, reflex_reason=errors, robot_mode=mode
            )

        def start_motion(self, *args):
            if self.reflex:
                raise RuntimeError("motion in spite of an error")
            self.counts["motions"] += 1
            super().start_motion(*args)

        def start_reflex(self, recoverable: bool) -> None:
            motion, self.recoverable = self.current_motion_id, recoverable
            self.stop_motion(send_preemption_signal=False)
            self.reset_current_motion_id()
            self.reflex = True
            if motion:
                command = franka_robot_protocol.RobotCommand.kMove
                reply(self._tcp_socket, command, motion, status.kReflexAborted)

        def _handle_udp_command(self, data):
            self.counts["commands"] += 1
            super()._handle_udp_command(data)

    def recover(self, server: Server) -> None:
        server.counts["recoveries"] += 1
        server.reflex = server.reflex and not server.recoverable
        refused = recovery_status.kManualErrorRecoveryRequiredRejected
        self.reply(refused if server.reflex else recovery_status.kSuccess)

    recovery.handle = recover
    simulation_server.FrankaRobotServer = Server
    cube = json.loads(sys.argv[1])
    with mujoco_simulator.MujocoSimulator() as sim:
        damping = tuple(0.04 * stiffness for stiffness in mujoco_simulator.MUJOCO_DEFAULT_KP)  # follows as closely
        robot = sim.add_robot(initial_q=START, initial_hand_width=0.08, kv=damping)
        if cube is not None:
            body = ET.SubElement(sim.worldbody, "body", name="cube", pos=" ".join(map(str, cube)))
            ET.SubElement(body, "freejoint")
            ET.SubElement(body, "geom", type="box", size="0.025 0.025 0.025", mass="0.1", friction="2 0.05 0.001")
        with SimulationServer(sim) as simulation:
            (server,) = simulation.robot_servers
            todo = []
            sim.register_post_step_callback(lambda _: [todo.pop(0)() for _ in todo[:]])
            simulation.run_async()
            print(json.dumps(robot.hostname), flush=True)
            for line in sys.stdin:
                question, value = json.loads(line)
                done = threading.Event()
                answer = None

                def do(question=question, value=value, done=done) -> None:
                    nonlocal answer
                    if question == "reflex":
                        server.start_reflex(value)
                    elif question == "force":
                        server.force = value
                    else:
                        answer = server.counts | {
                            "tool": list(robot.state.O_T_EE[12:15]),
                            "width": robot.hand_width,
                            "cube": None if cube is None else sim.data.body("cube").xpos.tolist(),
                            "quat": None if cube is None else np.roll(sim.data.body("cube").xquat, -1).tolist(),
                        }
                    done.set()

                todo.append(do)
                done.wait()
                print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
