# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Fine-tune a policy on an environment that knows nothing of flow policies: Gymnasium's, or a task of Isaac Lab.

Options, folders and files are those of Isaac Lab's command with rsl_rl.
"""

import argparse
import contextlib
import datetime
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flow_rl.cli import dry_run, options, preemption
from flow_rl.cli.stock import SUFFIX
from flow_rl.ranks import host, launcher
from flow_rl.utils.check import require_choice


def main(argv: Sequence[str] | None = None) -> None:
    """Check the input and learn."""
    parser = options.Parser(__doc__, num_envs=40)
    parser.add_argument("--agent", default="score_flow", help="learner, see flow-rl learners")
    parser.add_argument("--rl_library", choices=("rsl_rl",), default="rsl_rl", help="the only one here")
    parser.add_argument("--checkpoint", help="pretrained or fine-tuned policy to begin with, or latest, or best")
    parser.add_argument("--max_iterations", type=int, help="iterations of the learner")
    parser.add_argument("--distributed", action="store_true", help="one of several ranks, started by torchrun")
    parser.add_argument("--run_timestamp", help="name of the run's folder, the same for all ranks")
    parser.add_argument("--experiment_name", help="folder of the runs under logs/rsl_rl")
    parser.add_argument("--run_name", help="suffix of the run's folder")
    preemption.add_options(parser)
    dry_run.add_option(parser)
    parser.add_argument("--logger", choices=("tensorboard", "wandb"), help="where curves go")
    parser.add_argument("--log_project_name", help="project of wandb's logger")
    parser.add_argument("--num_envs", type=int, help=f"{host.NUM_ENVS} (default: 40)")
    launcher.add_options(parser)
    with options.one_line_errors():
        words = preemption.as_overrides(sys.argv[1:] if argv is None else argv)
    args, overrides = parser.parse(words)

    from flow_rl.cli import launch, stock
    from flow_rl.configs import learners
    from flow_rl.configs.compose import build

    rank = int(os.getenv("RANK", "0")) if args.distributed else 0
    if args.distributed:
        args.device, args.distributed = host.own_device(args.device), False  # or the host would choose
    with options.one_line_errors():
        learner = args.agent.removesuffix(SUFFIX)
        require_choice("--agent", learner, learners())
        env_overrides = options.split_overrides(args, overrides)
        cfg = launch.agent_config(args.task, learner, learners()[learner], args.agent_overrides)
        apply_options(cfg, args)
        args.seed = cfg.seed = args.seed + rank
        env_cfg = launch.env_config(args, env_overrides, horizon=cfg.actor.horizon)
        if args.dry_run:
            plain = launch.env_config(args, [], horizon=cfg.actor.horizon, num_envs=parser.default_num_envs)
            own = launch.agent_config(args.task, learner, learners()[learner], [])
            layers = {"default": build(learner), "task": own, "command line": cfg}
            dry_run.show({"task": plain, "command line": env_cfg}, layers)
            return
        root = Path("logs", "rsl_rl", cfg.experiment_name).resolve()
        stamp = args.run_timestamp or datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
        log_dir = root / (f"{stamp}_{cfg.run_name}" if cfg.run_name else stamp)
        checkpoint = find_checkpoint(args, root)

    import torch

    from isaaclab_rl.entrypoints.common import dump_train_configs, write_run_manifest

    from flow_rl.envs.vec_env import ChunkVecEnv
    from flow_rl.preemption.runner import PreemptibleRunner
    from flow_rl.preemption.signals import leave_when_asked

    leave_when_asked()
    torch.manual_seed(cfg.seed)
    env_cfg.log_dir = str(log_dir if rank == 0 else log_dir / f"rank_{rank}")
    if rank == 0:
        print(f"[flow_rl] logs in {log_dir}")
        write_run_manifest(str(log_dir), library="rsl_rl", task=args.task, metadata={"agent": learner + SUFFIX})
    with stock.one_line_refusals(words), launch.launch_env(args, env_cfg) as env:
        settings = launch.runner_dict(cfg)
        runner = PreemptibleRunner(ChunkVecEnv(env), settings, log_dir=str(log_dir), device=cfg.device)
        if checkpoint is not None:
            runner.load(checkpoint, map_location=cfg.device)
        dump_train_configs(env_cfg.log_dir, env_cfg.to_dict(), cfg)
        with contextlib.suppress(KeyboardInterrupt):
            runner.learn(cfg.max_iterations, init_at_random_ep_len=cfg.init_at_random_ep_len)
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def apply_options(cfg: Any, args: argparse.Namespace) -> None:
    """Let options say what they do in Isaac Lab's command."""
    cfg.device = args.device
    fields = {"max_iterations": args.max_iterations, "run_name": args.run_name, "logger": args.logger}
    fields |= {"experiment_name": args.experiment_name, "wandb_project": args.log_project_name}
    for name, value in fields.items():
        if value is not None:
            setattr(cfg, name, value)


def find_checkpoint(args: argparse.Namespace, root: Path) -> str | None:
    """Return the file that ``--checkpoint`` means.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    from isaaclab_rl.entrypoints.common import CHECKPOINT_SELECTORS, resolve_checkpoint_selector

    from flow_rl.cli import stock

    if args.checkpoint in CHECKPOINT_SELECTORS:
        resolve = stock.newest_or_best(resolve_checkpoint_selector)
        metadata = {"agent": args.agent.removesuffix(SUFFIX) + SUFFIX}
        return resolve(str(root), args.checkpoint, library="rsl_rl", task=args.task, metadata=metadata)
    if args.checkpoint is not None and not Path(args.checkpoint).is_file():
        raise FileNotFoundError(f"--checkpoint {args.checkpoint!r} is not a file. Valid: a policy, latest or best.")
    return args.checkpoint
