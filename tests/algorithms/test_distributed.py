# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Two processes learn one policy."""

import os
import tempfile
from pathlib import Path

import torch


def _learn(rank: int, folder: str) -> None:
    """One rank: its own environments and seed; leaves its state in a file."""
    from flow_rl.algorithms.score_flow import ScoreFlow
    from tests.algorithms.conftest import make_cfg
    from tests.point_mass import PointMass

    torch.set_num_threads(1)
    store = torch.distributed.FileStore(os.path.join(folder, "store"), 2)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    torch.manual_seed(rank)
    env = PointMass(16 + 8 * rank)
    cfg = make_cfg(target_kl=0.5) | {"multi_gpu": {"global_rank": rank, "local_rank": rank, "world_size": 2}}
    obs = env.get_observations()
    alg = ScoreFlow.construct_algorithm(obs, env, cfg, "cpu")
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


def test_ranks_keep_parameters_and_statistics_equal():
    """After two iterations on different data, parameters, critic normaliser, reward scale and optimiser agree."""
    with tempfile.TemporaryDirectory() as folder:
        # Forked, because importing everything anew in two processes takes longer than all other tests together.
        torch.multiprocessing.start_processes(_learn, args=(folder,), nprocs=2, start_method="fork")
        first, second = (torch.load(Path(folder) / f"rank_{rank}.pt", weights_only=True) for rank in range(2))
    assert not torch.equal(first["obs"][:16], second["obs"][:16])
    for name in ("actor", "critic", "noise_predictor", "score_coefficient", "reward_scaler"):
        for key, value in first[f"{name}_state_dict"].items():
            if (name, key) != ("reward_scaler", "returns"):
                assert torch.equal(value, second[f"{name}_state_dict"][key]), (name, key)
    assert first["reward_scaler_state_dict"]["moments"][0] == 2 * 6 * (16 + 24)
    for index, state in first["optimizer_state_dict"]["state"].items():
        assert torch.equal(state["exp_avg"], second["optimizer_state_dict"]["state"][index]["exp_avg"])
