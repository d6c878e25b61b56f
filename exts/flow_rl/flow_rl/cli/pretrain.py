# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Pretrain a flow policy on demonstrations by flow matching. No simulator is started."""

import datetime
from collections.abc import Sequence
from pathlib import Path

from flow_rl.cli import options
from flow_rl.utils.check import InputError


def main(argv: Sequence[str] | None = None) -> None:
    """Check the input, learn, write the checkpoint."""
    parser = options.Parser(__doc__, num_envs=None)
    parser.add_argument("--demos", required=True, help="HDF5 file, or data set of Minari or LeRobot")
    parser.add_argument("--obs_keys", nargs="+", help="datasets below obs to learn from; by default the task's")
    parser.add_argument("--filter_key", metavar="KEY", help="learn from the episodes that mask/KEY of the file names")
    parser.add_argument("--output", type=Path, help="checkpoint to write; in the folder of the logs by default")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing checkpoint")
    parser.add_argument("--logger", choices=("tensorboard", "wandb"), help="where curves go")
    parser.twins |= {"logger": ("agent.logger", None, str), "obs_keys": ("agent.obs_keys", None, list)}
    args, overrides = parser.parse(argv)

    from flow_rl.cli import launch
    from flow_rl.demos.convert import as_hdf5
    from flow_rl.demos.reader import load_demos
    from flow_rl.pretrain.trainer import build_policy, check_settings, data_warnings, pretrain

    with options.one_line_errors():
        cfg = launch.agent_config(args.task, "pretrain", "flow_rl.configs.pretrain:PretrainCfg", overrides)
        cfg.seed, cfg.device, cfg.logger = args.seed, args.device, args.logger or cfg.logger
        stamp = datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
        run = f"{stamp}_{cfg.run_name}" if cfg.run_name else stamp
        log_dir = Path("logs", "rsl_rl", cfg.experiment_name, run).resolve()
        output = args.output or log_dir / "pretrained.pt"
        options.refuse_overwrite("--output", output, args.overwrite)
        check_settings(cfg)
        with as_hdf5(args.demos) as path:
            demos = load_demos(path, obs_keys=args.obs_keys or cfg.obs_keys, filter_key=args.filter_key)
        if args.filter_key is None and demos.filter_keys:
            print(f"[flow_rl] all episodes; --filter_key would choose some: {', '.join(demos.filter_keys)}")
        origin = demos.env_args.get("task")
        if origin not in (None, args.task):
            raise InputError(
                f"--demos {args.demos} are of task {origin!r}, not of --task {args.task!r}. Collect demonstrations of "
                "this task with flow-rl collect."
            )
        for warning in data_warnings(cfg, demos):
            print(f"[flow_rl] warning: {warning}")
        build_policy(cfg, demos)  # checks the policy's settings
        size = f"{demos.num_demos} episodes, {len(demos.obs)} samples, O={demos.obs_dim}, A={demos.action_dim}"
        print(f"[flow_rl] {size}")
        metrics = pretrain(cfg, demos, output=output, task=args.task, log_dir=log_dir)
    print(f"[flow_rl] {output} " + " ".join(f"{name}={value:.4f}" for name, value in metrics.items()))
