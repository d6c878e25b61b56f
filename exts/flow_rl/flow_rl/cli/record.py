# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Record an episode of a policy without a screen: a film, a web page with a timeline, a Rerun recording."""

import os
import tempfile
from collections.abc import Sequence
from ctypes.util import find_library
from pathlib import Path

from flow_rl.cli import options
from flow_rl.utils.check import require, require_choice

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
        require(
            "mp4" not in formats or find_library("EGL") is not None,
            "--formats",
            "mp4",
            "page and rrd on this machine, which lacks libEGL",
            "install it (package libegl1), or pass --formats page,rrd.",
        )
        env_cfg, checkpoint, horizon = launch.watch_config(args, overrides)
        args.output.mkdir(parents=True, exist_ok=True)

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
