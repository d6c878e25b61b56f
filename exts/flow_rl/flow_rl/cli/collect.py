# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Collect demonstrations of a task's scripted expert into an HDF5 file in the robomimic / Isaac Lab Mimic layout."""

from collections.abc import Sequence
from pathlib import Path

from flow_rl.cli import options
from flow_rl.utils.check import InputError
from flow_rl.utils.files import brief


def main(argv: Sequence[str] | None = None) -> None:
    """Check the input, drive the expert, write the file."""
    parser = options.Parser(__doc__)
    parser.add_argument("--num_demos", type=int, default=150, help="episodes to write")
    options.add_expert_options(parser)
    parser.add_argument("--keep", choices=("successful", "all"), default="successful", help="episodes to write")
    parser.add_argument("--output", type=Path, help="file to write; data/<task>.hdf5 by default")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    args, overrides = parser.parse(argv)

    from flow_rl.cli import launch

    with options.one_line_errors():
        if args.num_demos < 1:
            raise InputError(f"--num_demos {args.num_demos} is not a number of episodes. Valid: 1 or more.")
        if not 0.0 <= args.quality <= 1.0:
            raise InputError(f"--quality {args.quality} is out of range. Valid: 0 (clumsy) to 1 (skilled).")
        make_expert = launch.expert_maker(args)
        output = args.output or Path("data") / f"{args.task.replace(':', '-')}.hdf5"
        options.refuse_overwrite("--output", output, args.overwrite)
        # no more environments than episodes are wanted: all of them are written, the quick and the slow ones
        env_cfg = launch.env_config(args, overrides, horizon=1, num_envs=min(args.num_envs, args.num_demos))

    from flow_rl.demos.collect import collect
    from flow_rl.demos.writer import DemoWriter

    origin = {
        "env_name": args.task,
        "task": args.task,
        "seed": args.seed,
        "quality": args.quality,
        "overrides": overrides,
        "versions": launch.versions(),
    }
    with (
        launch.launch_env(args, env_cfg) as env,
        DemoWriter(output, env_args=origin | {"fps": round(1.0 / env.step_dt, 6)}, overwrite=args.overwrite) as writer,
    ):
        expert = make_expert(env)
        try:
            rate = collect(env, expert, writer, args.num_demos, seed=args.seed, keep=args.keep)
        except KeyboardInterrupt:
            raise SystemExit(
                f"\n[flow_rl] stopped: {writer.num_demos} of {args.num_demos} episodes in {output}"
            ) from None
        except RuntimeError as error:
            raise SystemExit(f"[flow_rl] error: {error}") from None
        except OSError as error:
            kept = f"{writer.num_demos} of {args.num_demos} episodes are safe in {output}"
            raise SystemExit(f"[flow_rl] error: {brief(error)}; {kept}. Remedy: make room.") from None
    told = "" if rate is None else f" (expert success {rate:.1%})"
    print(f"[flow_rl] {writer.num_demos} episodes, {writer.num_samples} samples in {output}{told}")
