# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Measure how many control steps per second a task's environments make, without a learner; prints JSON.

One control step is one action of one environment. Choose the engine with ``physics=newton_mjwarp`` or
``physics=ovphysx``.
"""

import json
import time

import torch

from flow_rl.cli import launch, options
from flow_rl.cli.overrides import given
from flow_rl.utils.check import InputError


def main() -> None:
    """Check the input, step the environments, report."""
    parser = options.Parser(__doc__)
    parser.add_argument("--horizon", type=int, help="actions per environment step, by default 4")
    parser.add_argument("--control_steps", type=int, default=320, help="control steps per environment to measure")
    parser.add_argument("--policy", choices=("random", "expert"), default="random", help="who acts")
    args, overrides = parser.parse()
    args.horizon = args.horizon or given(overrides, "env.actions.chunk.horizon") or 4
    with options.one_line_errors():
        if args.policy == "expert" and args.horizon != 1:
            raise InputError(f"--horizon {args.horizon} does not go with --policy expert. Valid: 1.")
        env_cfg = launch.env_config(args, overrides, horizon=args.horizon)

    with launch.launch_env(args, env_cfg) as env, torch.inference_mode():
        env.reset()
        expert = launch.entry_point(args.task, "expert")(env) if args.policy == "expert" else None
        seconds = measure(env, expert, args.control_steps // args.horizon)
    wall, cpu = (torch.tensor(column) / (args.num_envs * args.horizon) for column in zip(*seconds, strict=True))
    result = {
        "task": args.task,
        "physics": type(env_cfg.sim.physics).__name__,
        "device": args.device,
        "num_envs": args.num_envs,
        "horizon": args.horizon,
        "policy": args.policy,
        "control_steps_per_s": round(1.0 / wall.mean().item(), 1),
        "control_steps_per_s_best": round(1.0 / wall.min().item(), 1),
        "control_steps_per_cpu_s": round(1.0 / cpu.mean().item(), 1),
    }
    print(json.dumps(result))


def measure(env, expert, num_steps: int, warm_up: int = 5) -> list[tuple[float, float]]:
    """Wall-clock and processor time [s] of each environment step but the first ones, which record and compile."""
    seconds = []
    for step in range(warm_up + num_steps):
        actions = 2.0 * torch.rand(env.action_space.shape, device=env.device) - 1.0 if expert is None else expert.act()
        start, start_cpu = time.perf_counter(), time.process_time()
        _, _, terminated, truncated, _ = env.step(actions)
        if torch.device(env.device).type == "cuda":
            torch.cuda.synchronize()
        if step >= warm_up:
            seconds.append((time.perf_counter() - start, time.process_time() - start_cpu))
        if expert is not None and len(done := (terminated | truncated).nonzero().squeeze(-1)):
            expert.reset(done)
    return seconds


if __name__ == "__main__":
    main()
