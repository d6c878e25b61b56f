# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Isaac Lab's own commands take our task, our learners and our checkpoints, without a word of ours around them."""

import ctypes.util
import os
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest
import torch

from isaaclab_rl.entrypoints.common import write_run_manifest

from flow_rl.configs import learners
from flow_rl.configs.compose import build
from flow_rl.evaluation.report import read_scalar
from flow_rl.models import FlowPolicy
from flow_rl.utils.checkpoint import describe, load_checkpoint, save_checkpoint
from tests.commands import run_python
from tests.films import count_pixels, read_film

TASK = ["--task", "FlowRL-Lift-Franka", "--device", "cpu"]
SMALL = ["agent.actor.hidden_dims=[32,32]", "agent.num_steps_per_env=12", "env.episode_length_s=8"]
"""Twelve decisions of four control steps: two iterations outlast an episode, so that its outcome is logged."""

pytestmark = [pytest.mark.sim, pytest.mark.slow]


def isaaclab(folder: Path, *words: str, module: str = "isaaclab") -> subprocess.CompletedProcess:
    """Run a stock command in a folder."""
    return run_python("-m", module, *words, cwd=folder)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory) -> Path:
    """A checkpoint as pretraining writes it, of an untrained policy."""
    path = tmp_path_factory.mktemp("stock") / "pretrained.pt"
    settings = {
        "obs_groups": {"policy": 19},
        "action_dim": 7,
        "horizon": 4,
        "num_flow_steps": 4,
        "hidden_dims": [32, 32],
    }
    policy = FlowPolicy.from_settings(settings)
    facts = describe(policy.settings, stage="pretrain", learner=None, task="FlowRL-Lift-Franka")
    states = {"actor_state_dict": policy.state_dict(), "critic_state_dict": {}, "optimizer_state_dict": {}}
    save_checkpoint(path, {**states, "iter": 0, "infos": None, "flow_rl": facts})
    return path


@pytest.fixture(scope="module")
def trained(pretrained) -> Path:
    """Folder of a run of two iterations from the pretrained policy."""
    run = isaaclab(
        pretrained.parent,
        *["train", "--rl_library", "rsl_rl", *TASK, "--checkpoint", str(pretrained), "--num_envs", "8"],
        *["--max_iterations", "2", "physics=newton_mjwarp", *SMALL],
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return next((pretrained.parent / "logs" / "rsl_rl").glob("score_flow/*/"))


def test_train_logs_and_saves(trained):
    """Two iterations leave checkpoints that load without pickled code, and every curve that a user looks for."""
    assert load_checkpoint(trained / "model_1.pt", "cpu")["flow_rl"]["stage"] == "finetune"
    for tag in ("Loss/ratio", "Loss/kl", "Loss/alpha_0", "Loss/sigma_3", "Train/mean_reward", "Metrics/success_rate"):
        assert read_scalar(trained, tag)[0], tag
    assert read_scalar(trained, "Loss/ratio_error_first")[1] == pytest.approx([0.0, 0.0], abs=1e-5)


def test_latest_goes_on_where_it_stopped(trained, pretrained):
    """`--checkpoint latest` finds the run and continues its count of iterations; Hydra overrides reach the learner."""
    run = isaaclab(
        pretrained.parent,
        *["train", "--rl_library", "rsl_rl", *TASK, "--checkpoint", "latest", "--num_envs", "8"],
        *["--max_iterations", "1", "physics=newton_mjwarp", *SMALL, "agent.algorithm.clip_param=0.02"],
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert "Learning iteration 1/2" in run.stdout
    newest = max(trained.parent.iterdir())
    assert newest != trained
    assert "clip_param: 0.02" in (newest / "params" / "agent.yaml").read_text()


@pytest.mark.parametrize("learner", sorted(set(learners()) - {"score_flow"}))
def test_every_other_learner_trains(learner, pretrained):
    """`--agent <learner>_cfg_entry_point` is all that another learner needs."""
    # the pretrained policy flows; DPPO's denoises, those of Gaussians regress
    other = learner in ("dppo", "bc_gaussian", "ppo")
    begin = ["agent.algorithm.from_scratch=true"] if other else ["--checkpoint", str(pretrained)]
    settings = build(learner).algorithm
    few = ["agent.algorithm.critic_warmup=0"]
    if hasattr(settings, "num_critic_updates"):
        few.append("agent.algorithm.num_critic_updates=16")
    run = isaaclab(
        pretrained.parent,
        *["train", "--rl_library", "rsl_rl", *TASK, "--agent", f"{learner}_cfg_entry_point", "--num_envs", "4"],
        *["--max_iterations", "1", "physics=newton_mjwarp", *SMALL, *begin, *few],
    )
    assert run.returncode == 0, run.stderr[-2000:]
    checkpoint = next((pretrained.parent / "logs" / "rsl_rl" / learner).glob("*/model_0.pt"))
    assert load_checkpoint(checkpoint, "cpu")["flow_rl"]["learner"] == learner


def test_play_films_and_exports(trained, pretrained):
    """`isaaclab play --video` writes a film and both exports of the policy, and those agree with it."""
    if ctypes.util.find_library("EGL") is None:
        pytest.skip("no EGL: filming through the Newton viewer needs Mesa's libEGL")
    run = isaaclab(
        pretrained.parent,
        *["play", "--rl_library", "rsl_rl", *TASK, "--checkpoint", str(trained / "model_1.pt"), "--num_envs", "2"],
        *["--video", "--video_length", "4", "--viz", "newton_gl", "physics=newton_mjwarp", SMALL[0]],
    )
    assert run.returncode == 0, run.stderr[-2000:]
    (path,) = trained.rglob("*.mp4")
    film = read_film(path)
    assert max(count_pixels(picture, "chosen") for picture in film) > 50, "where chunks lead is to be seen"
    assert max(count_pixels(picture, "sampled") for picture in film) > 200, "and what else the policy might have done"
    assert (trained / "exported" / "policy.onnx").exists()
    exported = torch.jit.load(str(trained / "exported" / "policy.pt"))
    checkpoint = load_checkpoint(trained / "model_1.pt", "cpu")
    policy = FlowPolicy.from_checkpoint(checkpoint).eval()
    obs, noise = torch.randn(5, 19), torch.randn(5, 28)
    latent = policy.get_latent({"policy": obs})
    expected = policy.action_normalizer.inverse(policy.sample(latent, noise))
    torch.testing.assert_close(exported(obs, noise), expected)
    session = onnxruntime.InferenceSession(trained / "exported" / "policy.onnx")
    (actions,) = session.run(None, {"obs": obs[:1].numpy(), "noise": noise[:1].numpy()})
    torch.testing.assert_close(torch.from_numpy(actions), expected[:1].detach(), atol=1e-5, rtol=1e-4)


def test_training_without_a_policy_names_the_remedy(tmp_path):
    """Starting from nothing is refused with the command that makes a policy."""
    run = isaaclab(
        tmp_path,
        *[
            "train",
            "--rl_library",
            "rsl_rl",
            *TASK,
            "--num_envs",
            "2",
            "--max_iterations",
            "1",
            "physics=newton_mjwarp",
        ],
        module="flow_rl.cli.main",
    )
    assert run.returncode == 2 and "Traceback" not in run.stdout + run.stderr
    assert "flow-rl pretrain --task FlowRL-Lift-Franka" in run.stdout + run.stderr
    assert "from_scratch=true" in run.stdout + run.stderr
    assert not list(tmp_path.rglob("model_*.pt"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_missing_gpu_is_named(tmp_path):
    """A GPU that is not there is refused with the devices that are."""
    words = ["train", "--rl_library", "rsl_rl", "--task", "FlowRL-Lift-Franka", "--device", "cuda:0"]
    run = isaaclab(tmp_path, *words, "--num_envs", "2", "--max_iterations", "1")
    assert run.returncode != 0
    assert "--device = 'cuda:0' is not valid. Valid: cpu on this machine." in run.stdout + run.stderr


CASES = [("train", "model_0.pt"), ("train", "latest"), ("play", "model_0.pt"), ("play", "latest")]


@pytest.mark.parametrize(("command", "checkpoint"), CASES)
def test_checkpoint_that_would_execute_code_is_refused(command, checkpoint, tmp_path):
    """In one line, by path and by selector; nothing is executed, nothing that existed is touched."""
    marker, run_folder = tmp_path / "executed", tmp_path / "logs/rsl_rl/score_flow/2026-01-01_00-00-00"

    class Evil:
        def __reduce__(self):
            return (Path.touch, (marker,))

    run_folder.mkdir(parents=True)
    torch.save({"actor_state_dict": Evil()}, run_folder / "model_0.pt")
    agent = {"agent": "rsl_rl_cfg_entry_point"}
    write_run_manifest(str(run_folder), library="rsl_rl", task=TASK[1], metadata=agent)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    words = ["--checkpoint", checkpoint if checkpoint == "latest" else str(run_folder / checkpoint)]
    words += ["--num_envs", "2", "physics=newton_mjwarp", SMALL[0]]
    arguments = ["-m", "flow_rl.cli.main", command, "--rl_library", "rsl_rl", *TASK, *words]
    if (command, checkpoint) == CASES[0]:
        # a user's own settings are no way around it; in a true process, because protection begins with an import
        env = os.environ | {"TORCH_FORCE_WEIGHTS_ONLY_LOAD": "0", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}
        run = subprocess.run([sys.executable, *arguments], cwd=tmp_path, env=env, capture_output=True, text=True)
    else:
        run = run_python(*arguments, cwd=tmp_path)
    assert run.returncode == 2, run.stderr[-2000:]
    assert "Traceback" not in run.stdout + run.stderr
    assert run.stderr.splitlines()[-1].startswith(f"[flow_rl] error: {words[0]} {words[1]} is refused")
    assert not marker.exists()
    assert {path: path.read_bytes() for path in before} == before


def test_stock_package_executes_no_checkpoint(tmp_path):
    """Isaac Lab's command without a word of ours around it finds the tasks, and with them the protection."""
    code = "import os, flow_rl_tasks; print([v for k, v in os.environ.items() if 'WEIGHTS_ONLY' in k])"
    env = os.environ | {"TORCH_FORCE_WEIGHTS_ONLY_LOAD": "0", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert run.stdout.strip() == "['1']", run.stderr
