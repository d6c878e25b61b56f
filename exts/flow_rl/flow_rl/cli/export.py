# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Export a policy as a package that runs on a robot with numpy and onnxruntime; see flow_rl.deploy."""

from collections.abc import Sequence
from pathlib import Path

from flow_rl.cli import options

NUM_STEPS = 8
"""Decisions of each environment from which test vectors are made."""

NUM_COMPARED = 10_000
"""Most observations of demonstrations on which package and checkpoint are compared."""


def main(argv: Sequence[str] | None = None) -> None:
    """Check the input, look at the task, write the package."""
    parser = options.Parser(__doc__, num_envs=4)
    parser.add_argument("--checkpoint", type=Path, required=True, help="pretrained or fine-tuned policy")
    parser.add_argument("--output", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--max_change", type=float, help="greatest change of an action per control step; none if left out"
    )
    parser.add_argument("--demos", type=Path, help="HDF5 file: compare package and checkpoint on its observations")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing package")
    args, overrides = parser.parse(argv)

    from flow_rl.cli import launch
    from flow_rl.demos.reader import load_demos
    from flow_rl.deploy.export import check_trained
    from flow_rl.policies.sources import check_exportable
    from flow_rl.utils.check import require
    from flow_rl.utils.checkpoint import load_checkpoint

    with options.one_line_errors():
        options.refuse_overwrite("--output", args.output, args.overwrite)
        refuse_foreign_folder(args.output)
        bounded = args.max_change is None or args.max_change > 0
        require(bounded, "--max_change", args.max_change, "> 0", "leave it out for no bound.")
        checkpoint = load_checkpoint(args.checkpoint)
        facts = checkpoint["flow_rl"]
        settings = facts["policy"]
        task = args.task.split(":")[-1]
        remedy = f"pass --task {facts['task']}, or a checkpoint of {task}."
        require(facts["task"] in (None, task), "--checkpoint", f"for task {facts['task']}", f"one for {task}", remedy)
        if (base := settings.get("base", {}).get("source")) is not None:
            check_exportable(base)
        check_trained(checkpoint)
        env_cfg = launch.env_config(args, overrides, horizon=settings["horizon"])
        shown = [*settings["obs_groups"], *settings.get("image_shapes", {})]
        demos = args.demos and load_demos(args.demos, obs_keys=shown)

    import numpy as np
    import torch

    from flow_rl.deploy.export import compare, export_package, package_size
    from flow_rl.models import FlowPolicy
    from flow_rl_tasks.core.contract import describe_task

    with launch.launch_env(args, env_cfg) as env, options.one_line_errors():
        samples = record(env, args, checkpoint)
        contract = describe_task(env, list(settings["obs_groups"]), list(settings.get("image_shapes", {})))
    contract["actions"]["max_change"] = args.max_change and [args.max_change] * settings["action_dim"]
    contract = {
        "flow_rl": facts["version"],
        **{name: facts[name] for name in ("task", "stage", "learner", "revision")},
        "iteration": facts.get("iteration", 0),
        "checkpoint": args.checkpoint.name,
        "num_test_vectors": len(next(iter(samples.values()))),
        **contract,
    }
    policy = FlowPolicy.from_checkpoint(checkpoint)
    package = export_package(policy, contract, samples, args.output)
    print(f"[flow_rl] package of {package_size(args.output) / 1e6:.2f} MB in {args.output}, intact and verified")
    if demos:
        num = min(NUM_COMPARED, len(demos.obs))
        rows = np.random.default_rng(args.seed).choice(len(demos.obs), num, replace=False)
        images = {name: torch.from_numpy(demos.images[name][rows]) for name in facts.get("image_shapes", {})}
        worst = compare(policy, package, torch.from_numpy(demos.obs[rows]).float(), images)
        print(f"[flow_rl] on {num} observations of {args.demos} it differs from the checkpoint by at most {worst:.1e}")


def refuse_foreign_folder(path: Path) -> None:
    """Raise rather than replace a folder that is no package."""
    from flow_rl.deploy.package import CONTRACT

    if path.exists() and not (path / CONTRACT).is_file():
        raise FileExistsError(f"--output {str(path)!r} exists and is no package. Valid: a new folder, or a package.")


def record(env, args, checkpoint: dict) -> dict:
    """Return the observations, shapes (N, ...), of a few decisions of the policy."""
    import torch

    from flow_rl.evaluation.policies import checkpoint_policy

    settings = checkpoint["flow_rl"]["policy"]
    options = {"action_dim": settings["action_dim"], "task": args.task, "sampling": "random", "runner_cfg": None}
    policy = checkpoint_policy(checkpoint, env, **options)
    obs, _ = env.reset(seed=args.seed)
    seen = []
    with torch.inference_mode():
        for _ in range(NUM_STEPS):
            seen.append(
                {name: obs[name].cpu().clone() for name in [*settings["obs_groups"], *settings.get("image_shapes", {})]}
            )
            obs, *_ = env.step(policy.act(obs))
    return {name: torch.cat([each[name] for each in seen]) for name in seen[0]}
