# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Measure the success rate of a policy, with its 95 % interval, and film it.

Exported packages run as on a robot. Each value of --delay, --sensor_noise and --dropped_frames makes one more row of
the table that is printed for them.
"""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from flow_rl.cli import options
from flow_rl.deploy.chunking import METHODS
from flow_rl.utils.check import InputError, require


def integers(text: str) -> list[int]:
    """Return whole numbers that commas separate."""
    return [int(word) for word in text.split(",")]


def numbers(text: str) -> list[float]:
    """Return numbers that commas separate."""
    return [float(word) for word in text.split(",")]


CONDITIONS = {
    "delay": (integers, "ages of what it sees [control steps]"),
    "sensor_noise": (numbers, "standard deviations of noise on observations, as shares of their spread"),
    "dropped_frames": (numbers, "probabilities that a picture does not arrive"),
}
"""What a robot's policy has to put up with; see :class:`flow_rl.evaluation.packaged.Conditions`."""


def main(argv: Sequence[str] | None = None) -> None:
    """Check the input, run the episodes, write the numbers, then the film."""
    parser = options.Parser(__doc__)
    options.add_policy_options(parser)
    parser.add_argument("--num_episodes", type=int, default=256, help="episodes, rounded up to a multiple of num_envs")
    for name, (kind, description) in CONDITIONS.items():
        parser.add_argument(f"--{name}", type=kind, default=[], metavar="A,B,...", help=f"package: {description}")
    text = "control steps that making a chunk takes, while the former one runs; see --chunking"
    parser.add_argument("--inference_delay", type=int, default=0, metavar="D", help=text)
    text = (
        "how a chunk joins the former one: not at all, written over, or guided (real-time chunking, not for packages)"
    )
    parser.add_argument("--chunking", choices=METHODS, default="naive", help=text)
    parser.add_argument("--output", type=Path, help="JSON file for the numbers")
    parser.add_argument("--video", type=Path, help="film to write, .mp4")
    parser.add_argument("--video_envs", type=int, default=9, help="environments in the film")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    args, overrides = parser.parse(argv)

    from flow_rl.cli import launch
    from flow_rl.evaluation.episodes import evaluate, record_film

    env_overrides = options.split_overrides(args, overrides)
    with options.one_line_errors():
        for option in ("num_episodes", "video_envs"):
            if getattr(args, option) < 1:
                raise InputError(f"--{option} {getattr(args, option)} is too few. Valid: 1 or more.")
        options.refuse_overwrite("--output", args.output, args.overwrite)
        options.refuse_overwrite("--video", args.video, args.overwrite)
        conditions = list_conditions(args)
        source, horizon = launch.load_policy(args)
        chunking = launch.real_time(args, source)
        if chunking is not None and args.checkpoint:
            horizon = chunking.execute  # the environment executes what there is until the next decision
        num_envs = min(args.num_envs, args.num_episodes)
        env_cfg = launch.env_config(args, env_overrides, horizon=horizon, num_envs=num_envs)
        horizon = horizon or launch.chunk_horizon(env_cfg)
        if args.video:
            # a film shows every action of a chunk
            film_overrides = [word for word in env_overrides if not word.startswith("env.actions.chunk.horizon=")]
            film_cfg = launch.env_config(args, film_overrides, horizon=1, num_envs=args.video_envs)
            film_group = launch.add_film(film_cfg)

    results = {}
    with launch.launch_env(args, env_cfg) as env:
        for each in conditions:
            policy = launch.make_policy(args, env, source, horizon, each, chunking)
            results[str(each)] = evaluate(env, policy, args.num_episodes, seed=args.seed, horizon=horizon)
            if args.package:
                results[str(each)]["latency"] = policy.runners[0].latency()
    result = results[str(conditions[0])]
    if args.package:
        print_table(results)
        result["conditions"] = {name: row["success"] for name, row in results.items()}
    result |= {
        "task": args.task,
        "policy": args.policy or args.base or (source.contract if args.package else source["flow_rl"])["stage"],
        "checkpoint": args.checkpoint and str(args.checkpoint),
        "package": args.package and str(args.package),
        "sampling": options.SAMPLING[args.sampling] if args.checkpoint else None,
        "chunking": chunking and dataclasses.asdict(chunking),
        "seed": args.seed,
        "num_envs": num_envs,
        "overrides": overrides,
    }
    print(json.dumps(result, indent=2))
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(json.dumps(result, indent=2) + "\n")
    if args.video:
        with launch.launch_env(args, film_cfg) as env:
            policy = launch.make_policy(args, env, source, horizon, chunking=chunking)
            title = f"{args.task}  {args.policy or args.base or (args.checkpoint or args.package).stem}"
            record_film(env, policy, args.video, group=film_group, seed=args.seed, horizon=horizon, title=title)
        print(f"[flow_rl] film in {args.video}")


def list_conditions(args: argparse.Namespace) -> list:
    """Return what to measure: first nothing in the way, then each condition by itself."""
    from flow_rl.evaluation.packaged import Conditions

    rows = [{}] + [{name: value} for name in CONDITIONS for value in getattr(args, name)]
    if not args.package:
        given = {f"--{name}": getattr(args, name) for name in (*CONDITIONS, "ensemble")}
        for option, value in given.items():
            require(value in (None, []), option, value, "nothing, without --package", "export the policy first.")
    if not args.package and not args.checkpoint:
        given = {f"--{name}": getattr(args, name) for name in ("execute", "inference_delay")}
        for option, value in given.items():
            valid = "nothing, without --checkpoint or --package"
            require(value in (None, 0), option, value, valid, "leave it out: of others' chunks all is executed.")
    return list(dict.fromkeys(Conditions(**row) for row in rows))


def print_table(results: dict[str, dict]) -> None:
    """Print the success under each condition."""
    print("| Condition | Success | 95 % interval | Episodes |\n| --- | --- | --- | --- |")
    for name, row in results.items():
        low, high = row["ci95"]
        print(f"| {name} | {row['success']:.1%} | [{low:.1%}, {high:.1%}] | {row['episodes']} |")
