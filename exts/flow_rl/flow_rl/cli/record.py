# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Record an episode of a policy without a screen: a film, a web page with a timeline, a Rerun recording."""

import argparse
import os
import tempfile
from collections.abc import Sequence
from ctypes.util import find_library
from pathlib import Path
from typing import Any

from flow_rl.cli import options
from flow_rl.utils.check import require, require_choice
from flow_rl.utils.names import is_gym

FILES = {"mp4": "episode.mp4", "page": "episode.html", "rrd": "episode.rrd"}
"""Names of the recordings of each format."""


def main(argv: Sequence[str] | None = None) -> None:
    """Check the input, play the episode, and put the complete recordings into the output folder."""
    parser = options.Parser(__doc__, num_envs=1)
    options.add_watch_options(parser)
    parser.add_argument("--output", type=Path, default=Path("outputs/record"), help="folder for the recordings")
    parser.add_argument("--formats", default=",".join(FILES), help="what to write: a comma-separated list")
    parser.add_argument("--overwrite", action="store_true", help="replace existing recordings")
    args, overrides = parser.parse(argv)

    from flow_rl.cli import launch

    formats = args.formats.split(",")
    with options.one_line_errors():
        for name in formats:
            require_choice("--formats", name, FILES)
            options.refuse_overwrite("--output", args.output / FILES[name], args.overwrite)
        if is_gym(args.task):
            require(formats == ["mp4"], "--formats", args.formats, "mp4 for gym:<id>", "pass --formats mp4.")
        require(
            "mp4" not in formats or find_library("EGL") is not None,
            "--formats",
            "mp4",
            "page and rrd on this machine, which lacks libEGL",
            "install it (package libegl1), or pass --formats page,rrd.",
        )
        if is_gym(args.task):
            source, horizon = launch.load_policy(args)
            env_cfg = launch.env_config(args, options.split_overrides(args, overrides), horizon=1)
        else:
            env_cfg, checkpoint, horizon = launch.watch_config(args, overrides)
        args.output.mkdir(parents=True, exist_ok=True)
    if is_gym(args.task):
        record_gym(args, env_cfg, source, horizon or 1)
        return

    os.environ.pop("DISPLAY", None)  # or the film would open a window
    from flow_rl.evaluation.episodes import play
    from flow_rl_tasks.core.recorders import RECORDERS

    with tempfile.TemporaryDirectory(dir=args.output) as folder:
        paths = {name: Path(folder, FILES[name]) for name in formats}
        env_cfg.sim.visualizer_cfgs = [RECORDERS[name](path=str(path)) for name, path in paths.items()]
        with launch.launch_env(args, env_cfg) as env:
            policy = launch.make_policy(args, env, checkpoint, horizon)
            env.chunk_view.follow(policy, args.particles, hold=1.5)
            solved = play(env, policy, seed=args.seed, once=True)
        for path in paths.values():  # complete only now
            os.replace(path, args.output / path.name)
            print(f"[flow_rl] {args.output / path.name}")
    print(f"[flow_rl] success in {int(solved.sum())} of {len(solved)} episodes")


def record_gym(args: argparse.Namespace, env_cfg: Any, source: Any, horizon: int) -> None:
    """Film an episode of a Gymnasium environment as it renders itself."""
    from flow_rl.cli import launch
    from flow_rl.evaluation.episodes import has_success, record_film

    group = launch.add_film(env_cfg, 480, 480)
    with launch.launch_env(args, env_cfg) as env, tempfile.TemporaryDirectory(dir=args.output) as folder:
        policy = launch.make_policy(args, env, source, horizon)
        film = Path(folder, FILES["mp4"])
        solved = record_film(env, policy, film, group=group, seed=args.seed, horizon=horizon, title=args.task)
        os.replace(film, args.output / film.name)
        if has_success(env):
            print(f"[flow_rl] success in {solved} of {env.num_envs} episodes")
    print(f"[flow_rl] {args.output / FILES['mp4']}")
