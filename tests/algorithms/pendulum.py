# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Our PPO beside rsl_rl's own on Gymnasium's Pendulum, with the same networks and settings.

``python -m tests.algorithms.pendulum`` writes ``benchmarks/pendulum/ppo.json``: returns without exploration, CPU time.
"""

from __future__ import annotations

import argparse
import datetime
import time
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import torch
from rsl_rl.env import VecEnv
from rsl_rl.runners import OnPolicyRunner
from tensordict import TensorDict

from flow_rl.benchmark.records import host, source, write_json

KINDS = ("flow_rl", "rsl_rl")
OUTPUT = Path(__file__).parents[2] / "benchmarks" / "pendulum" / "ppo.json"
NET = {"hidden_dims": [64, 64], "activation": "elu"}
SAME = {"learning_rate": 1e-3, "gamma": 0.95, "lam": 0.95, "clip_param": 0.2, "entropy_coef": 0.0, "max_grad_norm": 1.0}
SAME |= {"num_learning_epochs": 5, "num_mini_batches": 4}
STD = 0.6


class Pendulum(VecEnv):
    """``Pendulum-v1``, whose episodes end by their limit of 200 steps alone; actions in [-1, 1] are torques / 2."""

    def __init__(self, num_envs: int, seed: int):
        autoreset = {"autoreset_mode": gym.vector.AutoresetMode.SAME_STEP}
        self.envs = gym.make_vec("Pendulum-v1", num_envs, vectorization_mode="sync", vector_kwargs=autoreset)
        self.num_envs, self.num_actions, self.device, self.max_episode_length = num_envs, 1, "cpu", 200
        self.cfg, self.unwrapped = {}, SimpleNamespace(spec=SimpleNamespace(id="Pendulum-v1"))
        self.episode_length_buf = torch.zeros(num_envs, dtype=torch.long)
        self.obs = self.envs.reset(seed=seed)[0]

    def get_observations(self) -> TensorDict:
        return TensorDict({"policy": torch.from_numpy(self.obs).float()}, batch_size=[self.num_envs])

    def step(self, actions):
        self.obs, rewards, _, over, infos = self.envs.step(2.0 * actions.clamp(-1.0, 1.0).numpy())
        last = self.obs.copy()
        for i in np.flatnonzero(over):
            last[i] = infos["final_obs"][i]
        over = torch.from_numpy(over)
        self.episode_length_buf = torch.where(over, 0, self.episode_length_buf + 1)
        extras = {"time_outs": over, "final_obs": {"policy": torch.from_numpy(last).float()}}
        return self.get_observations(), torch.from_numpy(rewards).float(), over.long(), extras


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


def learn(kind: str, seed: int, iterations: int = 120, num_envs: int = 32) -> dict[str, float]:
    """Train once; returns the mean return of 64 episodes played without noise, and what it took."""
    torch.manual_seed(seed)
    runner = OnPolicyRunner(Pendulum(num_envs, seed), config(kind, iterations), device="cpu")
    cpu = time.process_time()
    runner.learn(iterations)
    cpu = time.process_time() - cpu
    policy, env, total = runner.get_inference_policy(device="cpu"), Pendulum(64, 1000), 0.0
    with torch.inference_mode():
        obs = env.get_observations()
        for _ in range(env.max_episode_length):
            obs, rewards, *_ = env.step(policy(obs))
            total += float(rewards.mean())
    steps = iterations * runner.cfg["num_steps_per_env"] * num_envs
    return {"seed": seed, "return": round(total, 1), "env_steps": steps, "cpu_seconds": round(cpu, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    runs = {kind: [] for kind in KINDS}
    for seed in range(args.seeds):
        for kind in KINDS:  # side by side, so that both meet the same load
            runs[kind].append(learn(kind, seed))
    about = {
        "command": "python -m tests.algorithms.pendulum",
        "date": datetime.date.today().isoformat(),
        "host": host(),
    }
    write_json(OUTPUT, about | source() | {"runs": runs})


if __name__ == "__main__":
    main()
