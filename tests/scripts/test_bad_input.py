# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Wrong input to a script ends in one clear line, an exit code that is not 0, and no file touched."""

import argparse
import re
import runpy
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from flow_rl.cli import launch, options, pretrain
from flow_rl.demos.writer import DemoWriter
from flow_rl.models import FlowPolicy, FlowPolicySettings
from flow_rl.utils.checkpoint import describe, save_checkpoint

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
TASK = ["--task", "FlowRL-Lift-Franka"]
VISION = ["--task", "FlowRL-Lift-Franka-Vision"]


@pytest.fixture
def script(monkeypatch, capsys, tmp_path):
    """Run a script in an empty folder and return its exit code and its error."""
    monkeypatch.chdir(tmp_path)

    def run(name: str, *words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", [name, *map(str, words)])
        files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        code = 0
        try:
            runpy.run_path(str(SCRIPTS / f"{name}.py"), run_name="__main__")
        except SystemExit as exit_:
            code = exit_.code
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == files
        return code, capsys.readouterr().err.partition("error: ")[2].strip()

    return run


@pytest.fixture
def demos(tmp_path):
    """Demonstrations with the dimensions of the lift task."""
    path = tmp_path / "demos.hdf5"
    rng = np.random.default_rng(0)
    with DemoWriter(path, env_args={"task": "FlowRL-Lift-Franka"}) as writer:
        for _ in range(3):
            obs, actions = {"policy": rng.normal(size=(5, 19))}, rng.normal(size=(5, 7))
            writer.write(obs=obs, actions=actions, rewards=np.zeros(5), dones=np.zeros(5), success=True)
    return path


@pytest.fixture
def pickled(tmp_path):
    """A file that would execute code when unpickled."""

    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    path = tmp_path / "evil.pt"
    torch.save({"actor_state_dict": Evil()}, path)
    return path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--task", "FlowRL-Lfit-Franka"], "FlowRL-Lfit-Franka.* is not registered.*Did you mean FlowRL-Lift-Franka"),
        ([*TASK, "agent.num_stepz=3"], r"agent\.num_stepz=3.* names no field.*agent\.num_steps"),
        ([*TASK, "agent.num_steps=many"], r"agent\.num_steps=many.*Valid: a value of type int"),
        ([*TASK, "agent.obs_keys=[policy"], r"agent\.obs_keys=\[policy.* cannot be read"),
        ([*TASK, "env.decimation=3"], r"env\.decimation=3.*Valid: agent\."),
        ([*TASK, "agent.actor.num_flow_steps=0"], r"agent\.actor\.num_flow_steps = 0.*Valid.*>= 1"),
        ([*TASK, "agent.actor.horizon=0"], r"horizon"),
        ([*TASK, "agent.actor.prediction=z"], r"agent\.actor\.prediction = 'z'.*'v', 'x'"),
        ([*TASK, "--obs_keys", "images"], r"no dataset 'obs/images'.*\['policy'\]"),
        ([*TASK, "--nonsense"], r"unrecognized argument '--nonsense'"),
    ],
)
def test_pretrain_refuses(script, demos, words, message):
    code, line = script("pretrain", "--demos", demos, "--output", "new.pt", *words)
    assert code == 2
    assert re.search(message, line), line


def test_pretrain_refuses_a_policy_that_is_no_longer_finite(demos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["--demos", str(demos), "--device", "cpu", "--output", "new.pt"]
    with pytest.raises(SystemExit) as exit_:
        pretrain.main([*TASK, *words, "agent.num_steps=3", "agent.learning_rate=1e38", "agent.actor.hidden_dims=[8]"])
    line = capsys.readouterr().err.splitlines()[-1]
    assert exit_.value.code == 2 and line.startswith("[flow_rl] error: ") and "finite" in line
    assert not (tmp_path / "new.pt").exists()


def test_pretrain_refuses_to_overwrite_and_other_tasks(script, demos, tmp_path):
    (tmp_path / "old.pt").write_bytes(b"precious")
    code, line = script("pretrain", *TASK, "--demos", demos, "--output", "old.pt")
    assert code == 2 and "old.pt" in line and "--overwrite" in line
    with DemoWriter(tmp_path / "other.hdf5", env_args={"task": "Elsewhere"}) as writer:
        one = np.zeros((2, 3))
        writer.write(obs={"policy": one}, actions=one, rewards=one[:, 0], dones=one[:, 0])
    code, line = script("pretrain", *TASK, "--demos", "other.hdf5", "--output", "new.pt")
    assert code == 2 and "'Elsewhere'" in line


def test_demonstrations_of_states_and_of_pictures_are_told_apart(script, demos, tmp_path):
    code, line = script("pretrain", *VISION, "--demos", demos, "--output", "new.pt")
    assert code == 2 and "no dataset 'obs/front'. Valid observation keys of this file: ['policy']" in line
    assert "-Vision" in line
    pictures = tmp_path / "pictures.hdf5"
    with DemoWriter(pictures, env_args={"task": VISION[1]}) as writer:
        obs = {"policy": np.zeros((2, 9)), "front": np.zeros((2, 3, 96, 96), np.uint8)}
        obs["wrist"] = obs["front"]
        writer.write(obs=obs, actions=np.zeros((2, 7)), rewards=np.zeros(2), dones=np.zeros(2))
    code, line = script("pretrain", *TASK, "--demos", pictures, "--output", "new.pt")
    assert code == 2 and "are of task 'FlowRL-Lift-Franka-Vision', not of --task 'FlowRL-Lift-Franka'" in line
    code, line = script("pretrain", *VISION, "--demos", pictures, "--output", "new.pt", "agent.obs_keys=[policy,side]")
    assert code == 2 and re.search(r"no dataset 'obs/side'\. Valid .*\['front', 'policy', 'wrist'\].*--obs_keys", line)
    code, line = script("pretrain", *VISION, "--demos", pictures, "--output", "new.pt", "agent.actor.encoder.patch=7")
    assert code == 2 and re.search(r"encoder\.patch = 7 .*Valid: a divisor of .*96 x 96\. Remedy: .*patch", line)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
@pytest.mark.parametrize("name", ["pretrain", "evaluate", "collect_demos"])
def test_missing_gpu_is_named(script, name):
    required = {"pretrain": ["--demos", "x"], "evaluate": ["--policy", "zero"], "collect_demos": []}[name]
    code, line = script(name, *TASK, *required, "--device", "cuda:0")
    assert code == 2 and "--device" in line and "cuda:0" in line and "cpu" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--quality", "1.5"], "--quality 1.5"),
        (["--num_demos", "0"], "--num_demos 0"),
        (["--output", "demos.hdf5"], "exists already"),
        (["--num_envs", "0"], "--num_envs 0"),
    ],
)
def test_collect_refuses(script, demos, words, message):
    code, line = script("collect_demos", *TASK, *words)
    assert code == 2 and message in line


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("record", ["--formats", "mp4,gif"], r"--formats = 'gif'.*'mp4', 'page', 'rrd'"),
        ("record", ["--formats", "rrd", "--output", "."], r"episode\.rrd' exists already.*--overwrite"),
        ("record", ["--particles", "-1"], r"--particles: -1.*0 or more"),
        ("watch", ["--viz", "rerun"], r"--viz = .*rerun.*Remedy: leave it out"),
        ("watch", ["env.sim.dtt=3"], "'env.sim.dtt=3' names no field"),
    ],
)
def test_watching_refuses(script, tmp_path, name, words, message):
    (tmp_path / "episode.rrd").write_bytes(b"precious")
    code, line = script(name, *TASK, "--policy", "expert", *words)
    assert code == 2 and re.search(message, line, re.DOTALL), line


@pytest.mark.parametrize("bug", [KeyError("obs_scaling"), AttributeError("no attribute"), ValueError("of torch")])
def test_bugs_keep_their_traceback(bug):
    """One line is for what the user can mend."""
    with pytest.raises(type(bug)), options.one_line_errors():
        raise bug


def test_a_port_that_is_taken_is_named(script):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code, line = script("watch", *TASK, "--policy", "expert", "--port", port)
    assert code == 2 and f"--port = {port}" in line and f"--port {port + 1}" in line


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("env.actions.chunk.horizon=3", "horizon=3 does not divide decimation=4"),
        ("env.sim.dtt=3", "'env.sim.dtt=3' names no field.*Valid: .*dt"),
        ("physics=bullet", "bullet.*newton_mjwarp"),
    ],
)
def test_evaluate_refuses_settings_of_the_environment(script, word, message):
    code, error = script("evaluate", *TASK, "--policy", "zero", word)
    assert code == 2 and re.search(message, error, re.DOTALL), error


def test_compare_refuses(script, demos):
    film = ["--video", "film.mp4"]
    code, line = script("compare", *TASK, *film, "--checkpoints", "expert", "none.pt")
    assert code == 2 and "none.pt does not exist" in line
    code, line = script("compare", *TASK, "--video", demos, "--checkpoints", "expert", "expert")
    assert code == 2 and "exists already" in line and "--overwrite" in line


def test_evaluate_refuses_what_is_no_checkpoint(script, demos, pickled, tmp_path):
    code, line = script("evaluate", *TASK, "--checkpoint", "none.pt")
    assert code == 2 and "none.pt does not exist" in line
    for path in (demos, pickled):
        code, line = script("evaluate", *TASK, "--checkpoint", path)
        assert code == 2 and "cannot be read" in line
    assert not (tmp_path / "executed").exists()
    torch.save({"model": {}}, tmp_path / "foreign.pt")
    code, line = script("evaluate", *TASK, "--checkpoint", "foreign.pt")
    assert code == 2 and "holds no flow policy" in line


def test_evaluate_knows_when_there_is_no_noise_to_sample(script, demos):
    from flow_rl.configs.pretrain import PretrainCfg
    from flow_rl.demos.reader import load_demos
    from flow_rl.pretrain.trainer import pretrain

    cfg = PretrainCfg(device="cpu", num_steps=1)
    cfg.actor.hidden_dims = [8]
    pretrain(cfg, load_demos(demos), output=demos.with_name("p.pt"), progress=False)
    code, line = script("evaluate", *TASK, "--checkpoint", "p.pt", "--sampling", "stochastic")
    assert code == 2 and "stage 'pretrain'" in line


@pytest.fixture
def untrained(tmp_path) -> Path:
    """A checkpoint of a learner that has not begun."""
    policy = FlowPolicy.from_settings({"obs_groups": {"policy": 19}, "action_dim": 7, "horizon": 4})
    facts = describe(policy.settings, stage="finetune", learner="rldt", task="FlowRL-Lift-Franka", iteration=0)
    save_checkpoint(tmp_path / "untrained.pt", {"actor_state_dict": policy.state_dict(), "iter": 0, "flow_rl": facts})
    return tmp_path / "untrained.pt"


def test_checkpoint_does_not_choose_code(untrained):
    """A description that names a class to call is refused, by whoever builds the policy."""
    checkpoint = torch.load(untrained)
    checkpoint["flow_rl"]["policy"]["class_name"] = "os:abort"
    save_checkpoint(untrained, checkpoint)
    options = {"package": None, "base": None, "sampling": "stochastic", "execute_code": False, "agent_overrides": []}
    args = argparse.Namespace(checkpoint=untrained, device="cpu", **options)
    description = launch.load_policy(args)[0]["flow_rl"]
    for build in (FlowPolicySettings.of, FlowPolicy.from_settings):
        with pytest.raises(ValueError, match=r"agent.actor = \['class_name'\] is not valid"):
            build(description["policy"])


def test_export_refuses(script, untrained, tmp_path):
    words = ["--checkpoint", untrained, "--output"]
    code, line = script("export", *TASK, *words, "new")
    assert code == 2 and "'stage finetune, learner rldt, iteration 0'" in line and "pretrain it" in line
    code, line = script("export", "--task", "FlowRL-Can-Franka", *words, "new")
    assert code == 2 and "for task FlowRL-Lift-Franka" in line and "pass --task FlowRL-Lift-Franka" in line
    code, line = script("export", *TASK, *words, "new", "--max_change", "-1")
    assert code == 2 and "--max_change = -1.0" in line
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("precious")
    code, line = script("export", *TASK, *words, "thesis")
    assert code == 2 and "exists already and is left untouched" in line
    code, line = script("export", *TASK, *words, "thesis", "--overwrite")
    assert code == 2 and "is no package" in line


def test_conditions_are_for_packages(script, untrained, tmp_path):
    words = [*TASK, "--checkpoint", untrained]
    for option, value in (("--delay", "1"), ("--sensor_noise", "0.1"), ("--ensemble", "0.1")):
        code, line = script("evaluate", *words, option, value)
        assert code == 2 and f"{option} = " in line and "export the policy first" in line
    code, line = script("evaluate", *TASK, "--package", tmp_path)
    assert code == 2 and "has no policy.yaml" in line


def test_chunks_leave_no_gap(script, untrained):
    """Delays that a chunk cannot bridge, and policies whose chunks are not ours to cut."""
    words = ["evaluate", *TASK, "--checkpoint", untrained]
    code, line = script(*words, "--inference_delay", "3")
    assert code == 2 and "inference_delay = 3" in line and "0 to 2 control steps" in line
    code, line = script(*words, "--inference_delay", "1", "--execute", "4")
    assert code == 2 and "execute = 4" in line and "1 to 3" in line
    code, line = script("evaluate", *TASK, "--policy", "zero", "--inference_delay", "1")
    assert code == 2 and "--inference_delay = 1" in line and "without --checkpoint or --package" in line
