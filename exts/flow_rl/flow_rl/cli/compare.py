# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Two policies side by side: the same starts, one film, and who solves what."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from flow_rl.cli import options


def main(argv: Sequence[str] | None = None) -> None:
    """Check the input, run both policies in one environment, write the film, then the numbers."""
    parser = options.Parser(__doc__, num_envs=9)
    parser.add_argument("--checkpoints", nargs=2, required=True, metavar="A B", help="policies, or 'expert'")
    parser.add_argument("--names", nargs=2, metavar="NAME", help="what to call them; by default as their files")
    parser.add_argument("--video", type=Path, required=True, help="film to write, .mp4")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing film")
    args, overrides = parser.parse(argv)

    from flow_rl.cli import launch
    from flow_rl.evaluation.episodes import filmed_episodes, has_success
    from flow_rl.evaluation.film import FilmWriter, Reel, side_by_side, tile

    names = args.names or [Path(source).stem for source in args.checkpoints]

    with options.one_line_errors():
        options.refuse_overwrite("--video", args.video, args.overwrite)
        sides = [side(args, source) for source in args.checkpoints]
        policies = [launch.load_policy(each) for each in sides]
        env_cfg = launch.env_config(args, overrides, horizon=1)
        group = launch.add_film(env_cfg)

    reels, solved = [], []
    with launch.launch_env(args, env_cfg) as env:
        for name, each, (source, horizon) in zip(names, sides, policies, strict=True):
            policy = launch.make_policy(each, env, source, horizon)
            reels.append(Reel())
            for images, marks in filmed_episodes(env, policy, group=group, seed=args.seed, horizon=horizon):
                reels[-1].add(tile(images, marks, name))
            solved.append([mark == "success" for mark in marks])
        step, knows_success = env.step_dt, has_success(env)
    with FilmWriter(args.video, fps=1.0 / step) as film:
        for tick in range(max(map(len, reels))):
            title = f"{args.task}  seed {args.seed}"
            picture = side_by_side(*(reel[tick] for reel in reels), title, f"{tick * step:.1f} s")
            film.add(picture)
        film.add(picture, repeat=round(2.0 / step))
    print(report(names, solved) if knows_success else "the environment does not say what a success is")
    print(f"[flow_rl] film in {args.video}")


def side(args: argparse.Namespace, source: str) -> argparse.Namespace:
    """Return the options of one policy: the expert's, a checkpoint's or, for a folder, an exported package's."""
    kind = "policy" if source == "expert" else "package" if Path(source).is_dir() else "checkpoint"
    options = dict.fromkeys(("policy", "package", "checkpoint", "base", "expert", "execute", "ensemble"))
    options |= {kind: source if kind == "policy" else Path(source), "sampling": "random", "quality": 1.0}
    options["execute_code"] = False
    return argparse.Namespace(**vars(args), **options)


def report(names: list[str], solved: list[list[bool]]) -> str:
    """Return both success rates, and how many starts only one of the two solves; ``solved`` has a row for each."""
    from flow_rl.evaluation.statistics import wilson_interval

    lines, total = [], len(solved[0])
    for name, row in zip(names, solved, strict=True):
        low, high = wilson_interval(sum(row), total)
        lines.append(f"{name}: {sum(row)} of {total}, {sum(row) / total:.1%} [{low:.1%}, {high:.1%}]")
    pairs = list(zip(*solved, strict=True))
    only = [pairs.count(pair) for pair in ((True, False), (False, True))]
    both, neither = pairs.count((True, True)), pairs.count((False, False))
    lines.append(f"only {names[0]}: {only[0]}, only {names[1]}: {only[1]}, both: {both}, neither: {neither}")
    return "\n".join(lines)
