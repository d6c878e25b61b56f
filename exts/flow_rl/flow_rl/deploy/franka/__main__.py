# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Run an exported policy on a Franka: ``python -m flow_rl.deploy.franka --package FOLDER --host IP --objects FILE``."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from flow_rl.deploy.objects import open_objects
from flow_rl.deploy.package import PolicyPackage
from flow_rl.deploy.runner import NOISES, PolicyRunner
from flow_rl.utils.check import require

from .arm import FrankaArm, RobotError
from .driver import FrankaDriver
from .settings import FrankaCfg


def main(argv: Sequence[str] | None = None) -> None:
    """Connect, ask, run, and say what became of it."""
    args = make_parser().parse_args(argv)
    try:
        run(args)
    except (ValueError, OSError, RobotError) as error:
        sys.exit(f"[flow_rl] error: {error}")


def make_parser() -> argparse.ArgumentParser:
    """Options; each limit of :class:`FrankaCfg` is one."""
    parser = argparse.ArgumentParser(prog="python -m flow_rl.deploy.franka", description=__doc__.split(":")[0])
    parser.add_argument("--package", type=Path, required=True, help="folder that flow-rl export wrote")
    parser.add_argument("--host", required=True, help="address of the robot")
    parser.add_argument(
        "--objects", help="poses of objects: a JSON file that a tracker keeps writing, or module:function"
    )
    parser.add_argument(
        "--camera", nargs="+", default=[], metavar="NAME=SOURCE", help="pictures: number of a camera, or a film's path"
    )
    parser.add_argument("--duration", type=float, default=30.0, help="length of the run [s]")
    parser.add_argument("--dry_run", action="store_true", help="print what would be commanded, and command nothing")
    parser.add_argument("--yes", action="store_true", help="ask nobody, neither at the start nor after a reflex")
    parser.add_argument("--no_realtime", action="store_true", help="accept a computer without a real-time kernel")
    parser.add_argument("--home", action="store_true", help="find the hand's widest opening first")
    parser.add_argument("--to_start", action="store_true", help="go to the posture where episodes begin first")
    policy = parser.add_argument_group("policy, see flow_rl.deploy.PolicyRunner")
    policy.add_argument("--execute", type=int, help="actions of a chunk that are executed before the next plan")
    policy.add_argument("--ensemble", type=float, help="average plans with this exponent")
    policy.add_argument("--action_latency", type=int, help="control steps by which this robot acts late")
    policy.add_argument("--noise", choices=NOISES, help="where the flow starts")
    policy.add_argument("--max_change", type=float, help="greatest change of an action per control step")
    policy.add_argument("--seed", type=int, default=0, help="seed of the noise")
    limits = parser.add_argument_group("limits")
    for item in fields(FrankaCfg):
        sizes = {"nargs": len(item.default), "type": float} if isinstance(item.default, tuple) else {}
        sizes = sizes or {"type": type(item.default)}
        shown = item.metadata["help"] + f" (default: {item.default})"
        limits.add_argument(f"--{item.name}", default=item.default, help=shown, **sizes)
    return parser


def run(args: argparse.Namespace) -> None:
    """Run a policy as the options say."""
    values = {item.name: getattr(args, item.name) for item in fields(FrankaCfg)}
    cfg = FrankaCfg(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})
    require(args.duration > 0.0, "--duration", args.duration, "seconds > 0", "use 30, the default.")
    package = PolicyPackage(args.package)
    named = ("execute", "ensemble", "action_latency", "noise", "max_change", "seed")
    runner = PolicyRunner(package, max_age=cfg.max_age, **{name: getattr(args, name) for name in named})
    objects = open_objects(args.objects) if args.objects else dict
    with contextlib.ExitStack() as stack:
        sources = {name: stack.enter_context(camera).newest for name, camera in open_cameras(args.camera, package)}
        confirm = {"confirm": lambda question: print(question) or True} if args.yes else {}
        arm = FrankaArm(args.host, cfg, realtime=not args.no_realtime)
        stack.callback(arm.close)
        driver = FrankaDriver(arm, runner, objects, cfg, sources=sources, dry_run=args.dry_run, **confirm)
        require(
            bool(args.objects) or not driver.observer.objects,
            "--objects",
            args.objects,
            f"poses of {', '.join(driver.observer.objects)}, which the policy observes",
            "see flow_rl.deploy.objects.PoseFile.",
        )
        for tool in filter(None, (driver.observer.tool, driver.commander.tool)):
            arm.check_tool(tool)
        prepare(arm, driver, args)
        outcome = driver.run(args.duration)
    latency = runner.latency()
    print(f"[flow_rl] {outcome.reason}; {outcome.steps} control steps, {outcome.held} of them held")
    print(f"[flow_rl] {outcome.recoveries} recoveries; a step every {1e3 * outcome.period_p50:.1f} ms, p99", end=" ")
    print(
        f"{1e3 * outcome.period_p99:.1f} ms; a decision p50 {latency['p50_ms']:.2f} ms, p99 {latency['p99_ms']:.2f} ms"
    )


def open_cameras(named: Sequence[str], package: PolicyPackage) -> list[tuple[str, object]]:
    """Cameras for a package's pictures, by name."""
    given = dict(item.partition("=")[::2] for item in named)
    valid = ", ".join(f"{name}=0" for name in package.cameras) or "none: the policy has no cameras"
    require(set(given) == set(package.cameras), "--camera", list(named), valid, "name each camera of the policy once.")
    if not given:
        return []
    from flow_rl.deploy.video import VideoCamera  # here, because it needs OpenCV

    sources = {name: int(value) if value.isdecimal() else value for name, value in given.items()}
    return [(name, VideoCamera(source, package.preprocessing(name))) for name, source in sources.items()]


def prepare(arm: FrankaArm, driver: FrankaDriver, args: argparse.Namespace) -> None:
    """Home the hand, and go to the posture where episodes begin, where asked for and confirmed."""
    if args.dry_run:
        return
    if args.home and driver.confirm("The fingers will open and close."):
        arm.home_fingers()
    if args.to_start and driver.confirm("The arm will go to the posture where episodes begin, whatever is in its way."):
        (robot,) = driver.runner.package.contract["robots"].values()
        arm.move_joints(np.array(robot["start"][:7]), 5.0, wait=True)


if __name__ == "__main__":
    main()
