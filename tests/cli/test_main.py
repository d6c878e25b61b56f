# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The command flow-rl: help without delay, mistakes in one line, and what it says of this machine."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys

import gymnasium as gym
import pytest

from flow_rl.cli import doctor, learners, main, options, tasks
from flow_rl.configs import learners as find_learners

OPTIONS = {
    "completion": ["{bash,zsh,fish}", "(default: bash)"],
    "collect": ["--task", "--num_envs", "--num_demos", "--quality", "--keep", "--output", "--overwrite"],
    "data": ["{info,check,filter,convert,replay}"],
    "pretrain": ["--task", "--seed", "--device", "--demos", "--obs_keys", "--output", "--logger"],
    "evaluate": ["--checkpoint", "--package", "--policy", "--sampling", "--delay", "--inference_delay", "--chunking"],
    "compare": ["--checkpoints", "--names", "--video", "(default: 9)"],
    "serve": ["--checkpoint", "--package", "--host", "--port", "--deadline", "(default: 127.0.0.1)"],
    "export": ["--checkpoint", "--output", "--max_change", "--demos", "(default: 4)"],
    "watch": ["--checkpoint", "--particles", "--host", "--port", "(default: 8080)", "(default: 1)"],
    "record": ["--checkpoint", "--particles", "--formats", "(default: outputs/record)"],
    "demo": ["--smoke", "--learner", "score_flow", "(default: 0)"],
    "report": ["RUN", "--license", "(default: other)"],
    "benchmark": [
        "SUITE",
        "--records",
        "--jobs",
        "--list",
        "--launcher",
        "--slurm",
        "--ray",
        "(default: outputs/benchmark)",
    ],
    "bandit": ["--iterations", "--seed"],
    "tasks": ["NAME"],
    "learners": ["NAME", "--task", "--presets"],
    "new": ["{furniture,learner,task}", "--output"],
    "doctor": ["--report"],
}
SLOW = ("torch", "gymnasium", "isaaclab", "warp", "matplotlib")
"""Modules that take long to import."""

CALL = f"""
import sys
from flow_rl.cli.main import main
try:
    main()
finally:
    print("IMPORTED", *[name for name in {SLOW} if name in sys.modules], file=sys.stderr)
"""


def flow_rl(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, which says on stderr what it imported."""
    return subprocess.run([sys.executable, "-c", CALL, *words], capture_output=True, text=True, timeout=120)


def test_help_lists_all_commands():
    run = flow_rl("--help")
    assert run.returncode == 0 and run.stderr.strip() == "IMPORTED"
    listed = [line.split()[0] for line in run.stdout.splitlines() if line.startswith("  ")]
    assert listed == list(main.COMMANDS)
    assert flow_rl().stdout == run.stdout
    assert set(main.COMMANDS) == {*OPTIONS, *main.STOCK}


@pytest.mark.parametrize("command", OPTIONS)
def test_help_of_a_command_imports_nothing_slow(command):
    run = flow_rl(command, "--help")
    assert run.returncode == 0 and run.stderr.strip() == "IMPORTED"
    assert run.stdout.startswith(f"usage: flow-rl {command} ")
    text = " ".join(run.stdout.split())
    assert [option for option in OPTIONS[command] if option not in text] == []
    assert not any(option in text for option in ("--livestream", "--xr", "--kit_args", "--experience", "--anim"))


@pytest.mark.parametrize("words", [["pretrain"], ["evaluate", "--task", "T"], ["collect", "--num_demos", "many"]])
def test_mistakes_are_noticed_before_anything_slow_is_imported(words):
    run = flow_rl(*words)
    assert run.returncode == 2
    assert "error: " in run.stderr and run.stderr.splitlines()[-1] == "IMPORTED"


@pytest.mark.slow
def test_help_of_a_task_lists_its_presets_and_hides_what_isaac_sim_reads():
    run = flow_rl("evaluate", "--task", "FlowRL-Lift-Franka", "--help")
    assert run.returncode == 0
    assert "absolute_pose" in run.stdout and "--viz" in run.stdout
    assert not any(option in run.stdout for option in ("--livestream", "--xr", "--kit_args", "--experience", "--anim"))


def test_unknown_command_names_the_nearest():
    run = flow_rl("evalute")
    assert run.returncode == 2 and run.stdout == ""
    error, _ = run.stderr.splitlines()
    assert error.startswith(
        "[flow_rl] error: no command 'evalute'. Did you mean evaluate? Valid: collect, data, pretrain,"
    )


@pytest.fixture
def stock(monkeypatch):
    """Words that a command of Isaac Lab gets, and the environment in which it gets them."""
    from flow_rl.cli import stock

    def call(*words: str, gpu: bool = False) -> tuple[list[str], str | None]:
        got = []
        monkeypatch.setattr(sys, "argv", ["flow-rl"])
        monkeypatch.setattr(main, "has_gpu", lambda: gpu)
        monkeypatch.setattr(stock, "main", lambda: got.extend(sys.argv[1:]))
        main.main(words)
        return got, os.environ.get("OMP_NUM_THREADS")

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return call


@pytest.mark.parametrize("command", main.STOCK)
def test_stock_commands_take_the_cpu_where_there_is_no_gpu(stock, command, monkeypatch):
    assert stock(command, "--task", "T", gpu=True) == ([command, "--task", "T"], None)
    assert stock(command, "--task", "T") == ([command, "--task", "T", "--device", "cpu"], "1")
    assert stock(command, "--device=cuda:1")[0] == [command, "--device=cuda:1"]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert stock(command)[1] == "3", "the user's choice"


def test_commands_execute_nothing_of_checkpoints():
    """Whatever the user's shell says; torch refuses to load anything where both variables are set."""
    code = "import os, flow_rl.cli.main; print([v for k, v in os.environ.items() if 'WEIGHTS_ONLY' in k])"
    env = os.environ | {"TORCH_FORCE_WEIGHTS_ONLY_LOAD": "0", "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert run.stdout.strip() == "['1']", run.stderr


def test_tasks_are_listed_without_a_simulator():
    run = flow_rl("tasks")
    assert run.returncode == 0, run.stderr
    assert run.stderr.split()[1:] == ["gymnasium"]
    head, *rows = [line.split() for line in run.stdout.splitlines()]
    assert head == ["task", "O", "A", "horizon", "cameras", "expert"]
    assert ["FlowRL-Lift-Franka", "19", "7", "4", "-", "LiftExpert"] in rows
    assert ["FlowRL-Lamp-Med-Franka-Vision", "16", "10", "8", "front,", "wrist", "AssemblyExpert"] in rows
    assert len(rows) == 26


def test_tasks_of_other_packages_need_not_say_everything():
    class Expert:
        pass

    spec = gym.envs.registration.EnvSpec("Other-Task", kwargs={"expert_entry_point": Expert})
    assert tasks.row(spec) == ["Other-Task", "-", "-", "-", "-", "Expert"]


def test_learners_are_listed_without_importing_them():
    run = flow_rl("learners")
    assert run.returncode == 0 and run.stderr.strip() == "IMPORTED"
    for name, target in find_learners().items():
        (line,) = [line for line in run.stdout.splitlines() if line.startswith(f"{name} ")]
        assert target in line and "Fine-tuning by" in line
    assert learners.summary("no_such_package:Class") == "(not installed)"


def test_a_task_is_described_with_its_commands(capsys):
    tasks.main(["FlowRL-Lift-Franka"])
    out = capsys.readouterr().out
    assert out.startswith("Lift a cube with a Franka Panda.\n") and "LiftExpert" in out
    assert "learners: bc_gaussian, dppo," in out
    commands = [line.split()[1] for line in out.splitlines() if line.startswith("flow-rl ")]
    assert commands == ["collect", "pretrain", "train", "evaluate"]
    with pytest.raises(SystemExit):
        tasks.main(["FlowRL-Lift"])
    assert "Valid: 'FlowRL-Can-Franka'" in capsys.readouterr().err


def test_settings_of_a_learner_say_who_set_them(capsys):
    learners.main(["score_flow", "--task", "FlowRL-Square-Franka", "--presets", "paper"])
    rows = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if line[:6] == "agent."}
    assert rows["agent.algorithm.learning_rate"][1:3] == ["3.5e-06", "presets"]
    assert rows["agent.actor.obs_clip"][1:3] == ["5.0", "default"]
    learners.main(["score_flow", "--task", "FlowRL-Square-Franka"])
    rows = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines() if line[:6] == "agent."}
    assert rows["agent.algorithm.learning_rate"][1:3] == ["4e-05", "task"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--task", "FlowRL-Lift-Franka"], "ask for the NAME of a learner"),
        (["score_flaw"], "learner = 'score_flaw' is not valid"),
        (["rldt", "--presets", "paper"], "name it with --task"),
        (["rldt", "--task", "FlowRL-Lift-Franka", "--presets", "papers"], "presets=papers is no choice"),
    ],
)
def test_questions_about_learners_that_have_no_answer(words, message, capsys):
    with pytest.raises(SystemExit) as exit_:
        learners.main(words)
    assert exit_.value.code == 2 and message in capsys.readouterr().err


def test_doctor_finds_this_machine_in_order(capsys):
    doctor.main([])
    out = capsys.readouterr().out
    assert "MISSING" not in out
    for name in ("isaaclab", "torch", "warp-lang", "rsl-rl-lib", "newton", "ovphysx", "GPU", "kernels", "robot"):
        assert f" {name} " in out
    assert importlib.metadata.version("torch") in out


def test_doctor_names_what_is_missing_and_the_remedy(capsys, monkeypatch, tmp_path):
    def version(name: str) -> str:
        if name == "newton":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    real = importlib.metadata.version
    (tmp_path / "file").touch()
    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setenv("FLOW_RL_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(SystemExit) as exit_:
        doctor.main([])
    assert exit_.value.code == 1
    lines = {line.split()[1]: line for line in capsys.readouterr().out.splitlines()}
    assert lines["newton"].startswith("MISSING") and "Remedy: install flow-rl again" in lines["newton"]
    assert lines["torch"].startswith("ok")
    assert lines["robot"].startswith("MISSING") and "set FLOW_RL_CACHE to a folder" in lines["robot"]


def test_doctor_says_what_optional_parts_lack(monkeypatch):
    monkeypatch.setattr(doctor, "has_package", lambda name: name != "websockets")
    found = {finding.name: finding for finding in doctor.check_extras()}
    assert found["serve"].remedy == "pip install 'flow-rl[serve]' for it." and not found["serve"].essential
    assert "websockets" in found["serve"].value and found["export"].remedy == ""


def test_doctor_reports_without_names_and_paths_of_the_user(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FLOW_RL_CACHE", str(tmp_path / "cache"))
    doctor.main(["--report"])
    out = capsys.readouterr().out
    assert out.startswith("```text") and out.rstrip().endswith("```") and "rsl-rl-lib" in out
    assert str(tmp_path) not in out and "~/cache" in out


@pytest.mark.parametrize(
    ("default", "shown"), [(0, True), (1.5, True), ("a", True), (None, False), (False, False), ([], False)]
)
def test_help_says_what_holds_without_an_option(default, shown):
    parser = options.Parser("test", num_envs=None)
    parser.add_argument("--option", default=default, help="some words")
    assert ("some words (default: " in parser.format_help()) == shown
