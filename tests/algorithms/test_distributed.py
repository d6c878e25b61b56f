# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Two processes learn one policy."""

import os
import tempfile
from pathlib import Path

import pytest
import torch
from rsl_rl.utils import resolve_callable


def _learn(rank: int, folder: str, learner: str, settings: dict) -> None:
    """One rank: its own environments and seed; leaves its state in a file."""
    from flow_rl.testing import PointMass
    from tests.algorithms.conftest import make_cfg

    torch.set_num_threads(1)
    store = torch.distributed.FileStore(os.path.join(folder, "store"), 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    torch.manual_seed(rank)
    env = PointMass(16 + 8 * rank)
    cfg = make_cfg(learner, **settings) | {"multi_gpu": {"global_rank": rank, "local_rank": rank, "world_size": 2}}
    obs = env.get_observations()
    alg = resolve_callable(cfg["algorithm"]["class_name"]).construct_algorithm(obs, env, cfg, "cpu")
    alg.train_mode()
    alg.broadcast_parameters()
    for _ in range(2):
        with torch.inference_mode():
            for _ in range(cfg["num_steps_per_env"]):
                obs, rewards, dones, extras = env.step(alg.act(obs))
                alg.process_env_step(obs, rewards, dones, extras)
            alg.compute_returns(obs)
        alg.update()
    torch.save(alg.save() | {"obs": obs["policy"]}, os.path.join(folder, f"rank_{rank}.pt"))
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("learner", "settings"),
    [
        ("score_flow", {"target_kl": 0.5}),
        ("rldt", {"num_critic_updates": 4, "target_repeat": 2, "num_actor_updates": 2, "critic_batch_size": 8}),
    ],
)
def test_ranks_keep_parameters_and_statistics_equal(learner, settings):
    """After two iterations on different data, parameters, statistics and optimiser agree; the replays are their own."""
    with tempfile.TemporaryDirectory() as folder:
        # Forked, because importing everything anew in two processes takes longer than all other tests together.
        arguments = (folder, learner, settings)
        torch.multiprocessing.start_processes(_learn, args=arguments, nprocs=2, start_method="fork")
        first, second = (torch.load(Path(folder) / f"rank_{rank}.pt", weights_only=True) for rank in range(2))
    assert not torch.equal(first["obs"][:16], second["obs"][:16])
    names = {key.removesuffix("_state_dict") for key in first if key.endswith("_state_dict")}
    assert {"actor", "critic"} < names
    for name in names - {"replay", "optimizer", "probe"}:
        for key, value in first[f"{name}_state_dict"].items():
            if (name, key) != ("reward_scaler", "returns"):
                assert torch.equal(value, second[f"{name}_state_dict"][key]), (name, key)
    if learner == "score_flow":
        assert first["reward_scaler_state_dict"]["moments"][0] == 2 * 6 * (16 + 24)
    for index, state in first["optimizer_state_dict"]["state"].items():
        assert torch.equal(state["exp_avg"], second["optimizer_state_dict"]["state"][index]["exp_avg"])
