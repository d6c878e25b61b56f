# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Policies that act from pictures: from demonstrations to an iteration of each learner, and what seeing is worth."""

import json

import imageio_ffmpeg
import pytest
import torch

from flow_rl.utils.checkpoint import load_checkpoint
from tests.scripts.test_chain import run
from tests.scripts.test_stock_commands import isaaclab

TASK = ["--task", "FlowRL-Lift-Franka-Vision", "--device", "cpu"]
SCENE = ["physics=ovphysx", "env.image_size=48", "env.episode_length_s=15"]
NET = "agent.actor.encoder.width=64"

pytestmark = [pytest.mark.sim, pytest.mark.slow]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("vision")


@pytest.fixture(scope="module")
def clone(folder):
    """Pretrains a small policy on what the given observations show of 300 clumsy demonstrations."""
    words = ["--num_demos", 300, "--quality", 0.6, "--num_envs", 32, "--output", folder / "demos.hdf5"]
    run(folder, "collect_demos", *TASK, *SCENE, *words)

    def pretrain(name: str, obs_keys: str):
        path = folder / f"{name}.pt"
        few = ["agent.num_steps=2000", "agent.batch_size=64", "agent.learning_rate=2e-3"]
        words = ["--demos", folder / "demos.hdf5", "--output", path, *few, NET]
        run(folder, "pretrain", *TASK, *words, f"agent.obs_keys={obs_keys}")
        return path

    return pretrain


@pytest.fixture(scope="module")
def seeing(clone):
    return clone("seeing", "[policy,front,wrist]")


def test_a_policy_that_sees_beats_a_blind_one(folder, clone, seeing):
    """Who feels only the arm does not know where the cube is; the intervals of success do not overlap."""
    results = {}
    for name, path in (("seeing", seeing), ("blind", clone("blind", "[policy]"))):
        words = ["--num_episodes", 32, "--num_envs", 32, "--output", f"{name}.json"]
        words += ["--video", "film.mp4", "--video_envs", 4] if name == "seeing" else []
        run(folder, "evaluate", *TASK, *SCENE, "--checkpoint", path, *words)
        results[name] = json.loads((folder / f"{name}.json").read_text())
    assert results["seeing"]["ci95"][0] > results["blind"]["ci95"][1], results
    frames = imageio_ffmpeg.read_frames(str(folder / "film.mp4"))
    assert next(frames)["codec"] == "h264" and len(list(frames)) > 10


@pytest.mark.parametrize("learner", ["score_flow", "rldt"])
def test_learners_fine_tune_what_sees(learner, folder, seeing):
    """An iteration in four environments, of whole episodes because RLDT keeps no others, changes the encoders too."""
    few = [NET, "env.episode_length_s=2", "agent.num_steps_per_env=8", "agent.algorithm.critic_warmup=0"]
    if learner == "rldt":
        few += ["agent.algorithm.num_critic_updates=16", "agent.algorithm.critic_batch_size=8"]
        few += ["agent.algorithm.num_actor_updates=2", "agent.algorithm.actor_batch_size=16"]
    words = ["--agent", f"{learner}_cfg_entry_point", "--checkpoint", str(seeing), "--num_envs", "4"]
    out = isaaclab(folder, "train", "--rl_library", "rsl_rl", *TASK, *words, "--max_iterations", "1", *SCENE, *few)
    assert out.returncode == 0, out.stderr[-2000:]
    (path,) = (folder / "logs" / "rsl_rl" / learner).glob("*/model_0.pt")
    before, after = (load_checkpoint(file, "cpu")["actor_state_dict"] for file in (seeing, path))
    encoders = [name for name in before if name.startswith("observer.encoder.")]
    moved = [name for name in encoders if not torch.equal(before[name], after[name])]
    assert moved, "the encoders have stayed as they were"
