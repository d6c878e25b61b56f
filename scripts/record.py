# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Record an episode of a policy without a screen: a film, a web page with a timeline, a Rerun recording."""

import os
import tempfile
from pathlib import Path

from flow_rl_tasks import launch

FORMATS = "mp4,page,rrd"


def main() -> None:
    """Check the input, play the episode, and put the complete recordings into the output folder."""
    parser = launch.Parser(__doc__)
    launch.add_watch_options(parser)
    parser.add_argument("--output", type=Path, default=Path("outputs/record"), help="folder for the recordings")
    parser.add_argument("--formats", default=FORMATS, help=f"what to write, of {FORMATS}")
    parser.add_argument("--overwrite", action="store_true", help="replace existing recordings")
    args, overrides = parser.parse()
    os.environ.pop("DISPLAY", None)  # or the film would open a window

    from flow_rl.utils.evaluation import play
    from flow_rl_tasks.recorders import RECORDERS, check_formats

    with launch.one_line_errors():
        formats = args.formats.split(",")
        check_formats(formats)
        files = {RECORDERS[name][0]: RECORDERS[name][1] for name in formats}
        for name in files:
            launch.refuse_overwrite("--output", args.output / name, args.overwrite)
        env_cfg, checkpoint, horizon = launch.watch_config(args, overrides)
        args.output.mkdir(parents=True, exist_ok=True)

    with tempfile.TemporaryDirectory(dir=args.output) as folder:
        env_cfg.sim.visualizer_cfgs = [recorder(path=str(Path(folder, name))) for name, recorder in files.items()]
        with launch.launch_env(args, env_cfg) as env:
            policy = launch.make_policy(args, env, checkpoint, horizon)
            env.chunk_view.follow(policy, args.particles, hold=1.5)
            solved = play(env, policy, seed=args.seed, once=True)
        for name in files:  # complete only now
            os.replace(Path(folder, name), args.output / name)
            print(f"[flow_rl] {args.output / name}")
    print(f"[flow_rl] success in {int(solved.sum())} of {len(solved)} episodes")


if __name__ == "__main__":
    main()
