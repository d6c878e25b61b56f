# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Measure the success rate of a policy, with its 95 % interval, and film it."""

import json
from pathlib import Path

from flow_rl_tasks import launch

SAMPLING = {"random": "random_noise_ode", "zero": "zero_noise_ode", "stochastic": "stochastic"}
TILE = (240, 180)
"""Size of one environment's picture in a film [pixels]."""


def main() -> None:
    """Check the input, run the episodes, write the numbers, then the film."""
    parser = launch.Parser(__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--checkpoint", type=Path, help="pretrained or fine-tuned policy")
    source.add_argument("--policy", choices=("expert", "zero", "random"), help="a policy without a checkpoint")
    parser.add_argument("--sampling", choices=SAMPLING, default="random", help="noise of the flow")
    parser.add_argument("--quality", type=float, default=1.0, help="skill of the expert in [0, 1]")
    parser.add_argument("--num_episodes", type=int, default=256, help="episodes, rounded up to a multiple of num_envs")
    parser.add_argument("--output", type=Path, help="JSON file for the numbers")
    parser.add_argument("--video", type=Path, help="film to write, .mp4")
    parser.add_argument("--video_envs", type=int, default=9, help="environments in the film")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    args, overrides = parser.parse()

    with launch.one_line_errors():
        if args.num_episodes < 1:
            raise ValueError(f"--num_episodes {args.num_episodes} is not a number of episodes. Valid: 1 or more.")
        launch.refuse_overwrite("--output", args.output, args.overwrite)
        launch.refuse_overwrite("--video", args.video, args.overwrite)
        expert_type = launch.entry_point(args.task, "expert") if args.policy == "expert" else None
        checkpoint = load(args)
        horizon = 1 if expert_type else checkpoint["flow_rl"]["horizon"] if checkpoint else None
        num_envs = min(args.num_envs, args.num_episodes)
        env_cfg = launch.env_config(args, overrides, horizon=horizon, num_envs=num_envs)
        horizon = horizon or env_cfg.actions.chunk.horizon
        film_cfg = launch.env_config(args, overrides, horizon=1, num_envs=args.video_envs) if args.video else None
        film_group = launch.add_film(film_cfg, *TILE) if film_cfg else None

    from flow_rl.utils.evaluation import evaluate, record_film

    with launch.launch_env(args, env_cfg) as env:
        policy = make_policy(args, env, checkpoint, expert_type, horizon)
        result = evaluate(env, policy, args.num_episodes, seed=args.seed, horizon=horizon)
    result |= {
        "task": args.task,
        "policy": args.policy or checkpoint["flow_rl"]["stage"],
        "checkpoint": args.checkpoint and str(args.checkpoint),
        "sampling": None if args.policy else SAMPLING[args.sampling],
        "seed": args.seed,
        "num_envs": num_envs,
        "overrides": overrides,
    }
    print(json.dumps(result, indent=2))
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(json.dumps(result, indent=2) + "\n")
    if film_cfg is not None:
        with launch.launch_env(args, film_cfg) as env:
            policy = make_policy(args, env, checkpoint, expert_type, horizon)
            title = f"{args.task}  {args.policy or args.checkpoint.stem}"
            record_film(env, policy, args.video, group=film_group, seed=args.seed, horizon=horizon, title=title)
        print(f"[flow_rl] film in {args.video}")


def load(args) -> dict | None:
    """Return the checkpoint, if one is asked for."""
    from flow_rl.utils.checkpoint import load_checkpoint

    return load_checkpoint(args.checkpoint, args.device) if args.checkpoint else None


def make_policy(args, env, checkpoint: dict | None, expert_type, horizon: int):
    """Return the policy for an environment; a checkpoint must fit it."""
    from flow_rl.models import FlowPolicy
    from flow_rl.utils.checkpoint import check_compatible
    from flow_rl.utils.policies import CheckpointPolicy, ExpertPolicy, NoisePolicy

    tick_dim = env.action_manager.total_action_dim // env.cfg.actions.chunk.horizon
    if expert_type:
        return ExpertPolicy(expert_type(env, quality=args.quality, seed=args.seed))
    if args.policy:
        return NoisePolicy(env.num_envs, horizon * tick_dim, env.device, scale=float(args.policy == "random"))
    with launch.one_line_errors():
        facts = checkpoint["flow_rl"]
        obs_dim = sum(env.observation_manager.group_obs_dim[group][0] for group in facts["obs_groups"])
        check_compatible(checkpoint, facts | {"obs_dim": obs_dim, "action_dim": tick_dim}, args.task)
        initial_noise = "zero" if args.sampling == "zero" else "random"
        checkpoint = checkpoint | {"flow_rl": facts | {"initial_noise": initial_noise}}
        return CheckpointPolicy(FlowPolicy.from_checkpoint(checkpoint, env.device))


if __name__ == "__main__":
    main()
