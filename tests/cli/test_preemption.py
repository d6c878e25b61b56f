# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What a command of training says of preemption reaches the runner, of Isaac Lab's command and of ours."""

from __future__ import annotations

import signal

import pytest

from flow_rl.cli.preemption import as_overrides
from flow_rl.preemption.signals import Preemption, leave_when_asked
from flow_rl.utils.check import InputError
from flow_rl.utils.checkpoint import load_checkpoint
from tests.commands import Python, run_python
from tests.preemption.training import curves


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--task", "T"], ["--task", "T"]),
        (["--grace", "5", "a.b=1"], ["a.b=1", "agent.grace=5.0"]),
        (["--run_name", "lift"], ["--run_name", "lift"]),
        (["--resume=auto", "--run_name", "lift"], ["--run_timestamp", "lift", "agent.resume=true"]),
        (
            ["--resume", "auto", "--run_timestamp", "7", "--run_name=lift"],
            ["--run_timestamp", "7", "--run_name=lift", "agent.resume=true"],
        ),
        (["--no-resume_optimizer_state"], ["--no-resume_optimizer_state"]),  # the host's
    ],
)
def test_options_become_overrides(words, found):
    assert as_overrides(words) == found


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--resume", "auto"], "pass --run_name lift_seed0"), (["--grace", "-1"], "--grace = -1.0 is not valid")],
)
def test_options_that_cannot_be_followed(words, message):
    with pytest.raises(InputError, match=message):
        as_overrides(words)


def test_a_signal_is_noted_once_and_the_grace_counts_from_then():
    preemption = Preemption(60.0)
    with preemption:
        signal.raise_signal(signal.SIGUSR1)
        assert preemption.asked and not preemption.overdue
        signal.raise_signal(signal.SIGTERM)
        preemption.grace = 0.0
    assert preemption.name == "SIGUSR1" and preemption.overdue


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_command_that_has_not_begun_ends_alike(number, capsys):
    former = signal.getsignal(number)
    leave_when_asked()
    with pytest.raises(SystemExit, match="143"):
        signal.raise_signal(number)
    signal.signal(number, former)
    assert capsys.readouterr().err.endswith("nothing is lost. Repeat the same command.\n")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGKILL])
def test_a_command_goes_on(number, tmp_path):
    """Ours, with an environment of Gymnasium's: the same words until it is done."""
    words = ["-m", "flow_rl.cli.main", "train", "--env", "gym:Pendulum-v1", "--agent", "rldt", "--num_envs", "4"]
    words += ["--max_iterations", "8", "--resume", "auto", "--run_name", "swing", "--device", "cpu"]
    words += ["agent.num_steps_per_env=20", "agent.save_interval=2", "agent.algorithm.from_scratch=true"]
    words += ["agent.algorithm.num_critic_updates=16", "agent.algorithm.save_replay=true"]
    words += ["agent.algorithm.num_actor_updates=2"]
    folder = tmp_path / "logs" / "rsl_rl" / "rldt" / "swing"
    first = Python(*words, cwd=tmp_path)
    while not (folder / "model_2.pt").exists() and first.poll() is None:
        first.process.join(0.05)
    first.send_signal(number)
    out, error = first.communicate()
    assert first.returncode == (143 if number == signal.SIGUSR1 else -number), error[-2000:]
    assert number == signal.SIGKILL or "[flow_rl] SIGUSR1: stopped after" in out
    again = run_python(*words, cwd=tmp_path)
    assert again.returncode == 0, again.stderr[-2000:]
    assert "the environments begin anew, because no checkpoint holds their state." in again.stdout
    assert load_checkpoint(folder / "model_7.pt")["flow_rl"]["iteration"] == 8
    assert [step for step, _ in curves(folder)["Loss/learning_rate"]] == list(range(8))
    assert [path.name for path in folder.parent.iterdir()] == ["swing"]
    done = run_python(*words, cwd=tmp_path)
    assert done.returncode == 0 and "nothing is left to do" in done.stdout


@pytest.mark.sim
@pytest.mark.slow
def test_isaac_labs_command_goes_on(tmp_path):
    """With a simulator, whose environments begin anew."""
    words = ["-m", "flow_rl.cli.main", "train", "--rl_library", "rsl_rl", "--task", "FlowRL-Lift-Franka"]
    words += ["--num_envs", "4", "--max_iterations", "4", "--resume", "auto", "--run_name", "lift", "--device", "cpu"]
    words += ["--grace", "60", "agent.num_steps_per_env=4", "agent.save_interval=1", "physics=newton_mjwarp"]
    words += ["agent.algorithm.from_scratch=true", "agent.actor.hidden_dims=[32,32]"]
    folder = tmp_path / "logs" / "rsl_rl" / "score_flow" / "lift"
    first = Python(*words, cwd=tmp_path)
    while not (folder / "model_0.pt").exists() and first.poll() is None:
        first.process.join(0.05)
    first.send_signal(signal.SIGTERM)
    out, error = first.communicate()
    assert first.returncode == 143, error[-2000:]
    assert "[flow_rl] SIGTERM: stopped after" in out and "repeat the same command." in out
    again = run_python(*words, cwd=tmp_path)
    assert again.returncode == 0, again.stderr[-2000:]
    assert again.stdout.count("the environments begin anew, because no checkpoint holds their state.\n") == 1
    assert [step for step, _ in curves(folder)["Loss/learning_rate"]] == list(range(4))
