# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Our PPO beside rsl_rl's own, and our SAC beside Stable-Baselines3's, on Gymnasium's Pendulum with equal settings.

``python -m tests.algorithms.pendulum ppo`` (or ``sac``) writes ``benchmarks/pendulum/ppo.json``: returns without
exploration, CPU time. Our SAC is ``dsrl`` on an identity flow, whose noise is the action.
"""

from __future__ import annotations

import argparse
import datetime
import time
from importlib.metadata import version
from pathlib import Path

import torch
from rsl_rl.runners import OnPolicyRunner

from flow_rl.benchmark.machine import host
from flow_rl.benchmark.records import source, write_json
from flow_rl.envs.gym_env import GymEnv, GymEnvCfg
from flow_rl.envs.vec_env import ChunkVecEnv

FOLDER = Path(__file__).parents[2] / "benchmarks" / "pendulum"
NET = {"hidden_dims": [64, 64], "activation": "elu"}
SAME = {"learning_rate": 1e-3, "gamma": 0.95, "lam": 0.95, "clip_param": 0.2, "entropy_coef": 0.0, "max_grad_norm": 1.0}
SAME |= {"num_learning_epochs": 5, "num_mini_batches": 4}
STD = 0.6
SAC = {"learning_rate": 1e-3, "gamma": 0.99, "batch_size": 256, "steps": 10_000}
"""Networks are those of Stable-Baselines3, two layers of 256 with ReLU; a step of the critics and of the actor for each
step of the environment."""


def pendulum(num_envs: int, seed: int) -> ChunkVecEnv:
    """``Pendulum-v1``, whose episodes end by their limit of 200 steps alone; actions in [-1, 1] are torques / 2."""
    return ChunkVecEnv(GymEnv(GymEnvCfg(task="gym:Pendulum-v1", num_envs=num_envs, seed=seed)))


def config(kind: str, iterations: int) -> dict:
    """Configuration of one of :data:`KINDS`, as the runner takes it."""
    from isaaclab.utils import to_dict
    from isaaclab_rl.rsl_rl import (
        RslRlMLPModelCfg,
        RslRlOnPolicyRunnerCfg,
        RslRlPpoAlgorithmCfg,
        handle_deprecated_rsl_rl_cfg,
    )

    from flow_rl.configs.compose import build

    runner = {"num_steps_per_env": 64, "max_iterations": iterations, "device": "cpu"}
    if kind == "flow_rl":
        rates = dict.fromkeys(("final_learning_rate", "critic_learning_rate", "final_critic_learning_rate"), 1e-3)
        algorithm = SAME | rates | {"std": STD, "std_max": 1.0, "target_kl": None}
        fields = {f"algorithm.{name}": value for name, value in algorithm.items()} | runner
        fields |= {f"{model}.{name}": value for model in ("actor", "critic") for name, value in NET.items()}
        cfg = build("ppo", {"ppo": fields | {"actor.horizon": 1}})
    else:
        noise = RslRlMLPModelCfg.GaussianDistributionCfg(init_std=STD)
        own = {"schedule": "fixed", "desired_kl": 0.01, "value_loss_coef": 1.0, "use_clipped_value_loss": True}
        cfg = RslRlOnPolicyRunnerCfg(
            actor=RslRlMLPModelCfg(**NET, obs_normalization=True, distribution_cfg=noise),
            critic=RslRlMLPModelCfg(**NET, obs_normalization=True),
            algorithm=RslRlPpoAlgorithmCfg(**SAME, **own),
            obs_groups={"actor": ["policy"], "critic": ["policy"]},
            save_interval=iterations,
            experiment_name="pendulum",
            **runner,
        )
    return to_dict(handle_deprecated_rsl_rl_cfg(cfg, version("rsl-rl-lib")))


def learn_ppo(kind: str, seed: int, iterations: int = 120, num_envs: int = 32) -> dict[str, float]:
    """Train once; returns the mean return of 64 episodes played without noise, and what it took."""
    torch.manual_seed(seed)
    runner = OnPolicyRunner(pendulum(num_envs, seed), config(kind, iterations), device="cpu")
    cpu = time.process_time()
    runner.learn(iterations)
    cpu = time.process_time() - cpu
    total = played(runner.get_inference_policy(device="cpu"))
    steps = iterations * runner.cfg["num_steps_per_env"] * num_envs
    return {"seed": seed, "return": round(total, 1), "env_steps": steps, "cpu_seconds": round(cpu, 1)}


def played(policy, num_envs: int = 64) -> float:
    """Mean return of whole episodes; ``policy`` takes observations by group."""
    env, total = pendulum(num_envs, 1000), 0.0
    with torch.inference_mode():
        obs = env.get_observations()
        for _ in range(env.max_episode_length):
            obs, rewards, *_ = env.step(policy(obs))
            total += float(rewards.mean())
    return total


def sac_config(iterations: int) -> dict:
    """Configuration of ``dsrl`` with which it is SAC, given a flow that changes nothing."""
    from isaaclab.utils import to_dict
    from isaaclab_rl.rsl_rl import handle_deprecated_rsl_rl_cfg

    from flow_rl.configs.compose import build

    net, rate = {"hidden_dims": [256, 256], "activation": "relu"}, SAC["learning_rate"]
    rates = ("learning_rate", "final_learning_rate", "critic_learning_rate", "final_critic_learning_rate")
    algorithm = dict.fromkeys((*rates, "temperature_learning_rate"), rate) | {"from_scratch": True, "variant": "SAC"}
    algorithm |= {"time_limit_is_terminal": False, "window": 1, "new_fraction": 0.0, "balance_successes": False}
    algorithm |= {"num_critic_updates": 500, "num_actor_updates": 500, "target_repeat": 1, "critic_warmup": 1}
    algorithm |= {"critic_batch_size": SAC["batch_size"], "actor_batch_size": SAC["batch_size"], "warmup_steps": 0}
    algorithm |= {"initial_temperature": 1.0, "target_entropy": -1.0, "gamma": SAC["gamma"], "capacity": 40}
    fields = {f"algorithm.{name}": value for name, value in algorithm.items()}
    fields |= {f"{model}.{name}": value for model in ("actor", "critic") for name, value in net.items()}
    fields |= {"num_steps_per_env": 50, "max_iterations": iterations, "device": "cpu", "actor.horizon": 1}
    cfg = build("dsrl", {"dsrl": fields | {"actor.prior.bound": 1.0}})
    return to_dict(handle_deprecated_rsl_rl_cfg(cfg, version("rsl-rl-lib")))


def learn_sac(kind: str, seed: int, steps: int = SAC["steps"]) -> dict[str, float]:
    """The same of SAC, from as many steps and updates."""
    torch.manual_seed(seed)
    if kind == "flow_rl":
        cfg = sac_config(steps // 500)
        runner = OnPolicyRunner(pendulum(10, seed), cfg, device="cpu")
        with torch.no_grad():
            for parameter in runner.alg.actor.velocity.parameters():
                parameter.zero_()
        cpu = time.process_time()
        runner.learn(cfg["max_iterations"])
        policy = runner.get_inference_policy(device="cpu")
    else:
        import gymnasium
        from stable_baselines3 import SAC as Theirs

        shared = {"learning_rate": SAC["learning_rate"], "gamma": SAC["gamma"], "batch_size": SAC["batch_size"]}
        theirs = Theirs("MlpPolicy", gymnasium.make("Pendulum-v1"), seed=seed, device="cpu", **shared)
        cpu = time.process_time()
        theirs.learn(steps)

        def policy(obs):
            # whose actions are torques
            return torch.as_tensor(theirs.predict(obs["policy"].numpy(), deterministic=True)[0]) / 2.0

    cpu = time.process_time() - cpu
    return {"seed": seed, "return": round(played(policy), 1), "env_steps": steps, "cpu_seconds": round(cpu, 1)}


COMPARED = {"ppo": (learn_ppo, ("flow_rl", "rsl_rl")), "sac": (learn_sac, ("flow_rl", "stable_baselines3"))}
"""By learner: what trains it once, and whose it is."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("learner", choices=COMPARED)
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    learn, kinds = COMPARED[args.learner]
    runs = {kind: [] for kind in kinds}
    for seed in range(args.seeds):
        for kind in kinds:  # side by side, so that both meet the same load
            runs[kind].append(learn(kind, seed))
    about = {
        "command": f"python -m tests.algorithms.pendulum {args.learner}",
        "date": datetime.date.today().isoformat(),
        "host": host() | {"gpu": None},
    }
    write_json(FOLDER / f"{args.learner}.json", about | source() | {"runs": runs})


if __name__ == "__main__":
    main()
