# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Measure the success rate of a policy, with its 95 % interval, and film it."""

import json
from pathlib import Path

from flow_rl_tasks import launch

SAMPLING = {"random": "random_noise_ode", "zero": "zero_noise_ode", "stochastic": "stochastic"}


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
    args.agent_overrides = [word for word in overrides if word.startswith("agent.")]
    env_overrides = [word for word in overrides if word not in args.agent_overrides]

    from flow_rl.utils.checkpoint import load_checkpoint
    from flow_rl.utils.policies import check_sampling

    with launch.one_line_errors():
        for option in ("num_episodes", "video_envs"):
            if getattr(args, option) < 1:
                raise ValueError(f"--{option} {getattr(args, option)} is too few. Valid: 1 or more.")
        launch.refuse_overwrite("--output", args.output, args.overwrite)
        launch.refuse_overwrite("--video", args.video, args.overwrite)
        checkpoint = load_checkpoint(args.checkpoint, args.device) if args.checkpoint else None
        if checkpoint:
            check_sampling(checkpoint, args.sampling)
        # the expert decides at every control step, a trained policy as often as it was trained to
        horizon = checkpoint["flow_rl"]["horizon"] if checkpoint else 1 if args.policy == "expert" else None
        num_envs = min(args.num_envs, args.num_episodes)
        env_cfg = launch.env_config(args, env_overrides, horizon=horizon, num_envs=num_envs)
        horizon = horizon or env_cfg.actions.chunk.horizon
        if args.video:
            film_cfg = launch.env_config(args, env_overrides, horizon=1, num_envs=args.video_envs)
            film_group = launch.add_film(film_cfg)

    from flow_rl.utils.evaluation import evaluate, record_film

    with launch.launch_env(args, env_cfg) as env:
        policy = launch.make_policy(args, env, checkpoint, horizon)
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
    if args.video:
        with launch.launch_env(args, film_cfg) as env:
            policy = launch.make_policy(args, env, checkpoint, horizon)
            title = f"{args.task}  {args.policy or args.checkpoint.stem}"
            record_film(env, policy, args.video, group=film_group, seed=args.seed, horizon=horizon, title=title)
        print(f"[flow_rl] film in {args.video}")


if __name__ == "__main__":
    main()
