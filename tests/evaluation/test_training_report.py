# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A page and a card about a training, from what lies in its folder."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from flow_rl.cli import report
from flow_rl.evaluation import diagnostics
from flow_rl.evaluation.diagnostics import DIAGNOSTICS
from flow_rl.evaluation.training import Training
from flow_rl.testing import PointMass, make_runner
from flow_rl.utils.check import InputError

ENTRIES = [
    {"iteration": 0, "env_steps": 0, "success": 0.25, "successes": 16, "episodes": 64, "ci95": [0.16, 0.37]},
    {"iteration": 1, "env_steps": 384, "success": 0.75, "successes": 48, "episodes": 64, "ci95": [0.63, 0.84]},
    {"iteration": 2, "env_steps": 768, "success": 0.5, "successes": 32, "episodes": 64, "ci95": [0.38, 0.62]},
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder of two iterations on the point mass, without evaluations, as the host leaves it."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("run")
    runner = make_runner("score_flow", PointMass(32), log_dir=folder)
    runner.learn(2)
    (folder / "params").mkdir()
    (folder / "params" / "agent.yaml").write_text(yaml.safe_dump(runner.cfg | {"seed": 3}))
    (folder / "params" / "env.yaml").write_text("scene:\n  num_envs: 32\n  eye: !!python/tuple [1, 2]\n")
    return folder


@pytest.fixture
def folder(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def evaluated(folder, entries):
    (folder / "evaluations.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def test_page_and_card_say_what_was_reached(folder, capsys):
    evaluated(folder, ENTRIES)
    (folder / "film.mp4").write_bytes(b"film")
    report.main([str(folder), "--license", "mit"])
    wrote = [f"[flow_rl] wrote {folder / name}" for name in ("report.html", "card.md")]
    assert capsys.readouterr().out.splitlines() == wrote
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2 and page.count("data:video/mp4;base64,") == 1
    assert "Success went from 25.0% [16.0%, 37.0%] of 64 to 50.0% [38.0%, 62.0%] of 64 episodes after 768" in page
    assert "the best evaluation, after 384, was 75.0%" in page
    assert "http" not in re.sub(r"data:[^\"]+", "", page), "it opens from disk"
    metadata, text = (folder / "card.md").read_text().removeprefix("---\n").split("---\n", 1)
    metadata = yaml.safe_load(metadata)
    assert metadata["license"] == "mit" and {"PointMass", "score_flow"} <= set(metadata["tags"])
    (result,) = metadata["model-index"][0]["results"]
    assert result["metrics"][0]["value"] == 0.75 and result["dataset"]["name"] == "PointMass"
    assert "| 2 | 768 | 50.0% [38.0%, 62.0%] of 64 |" in text and "seed 3, 32 environments" in text
    assert str(folder) not in text, "a card is for others"


def test_diagnostics_are_shown_beside_what_is_healthy(folder):
    report.write(folder)
    page = (folder / "report.html").read_text()
    shown = [each for each in DIAGNOSTICS if each.meaning.replace("'", "&#x27;") in page]
    logged = {tag.removeprefix("Loss/") for tag in Training(folder).scalars}
    assert shown == [each for each in DIAGNOSTICS if logged & set(each.scalars)] and len(shown) > 4


def test_a_training_without_evaluations_says_how_to_get_them(folder):
    report.write(folder)
    page, card = (folder / "report.html").read_text(), (folder / "card.md").read_text()
    assert "agent.eval_interval=5" in page and "agent.eval_interval=5" in card
    assert "model-index" not in card and "not evaluated without exploration" in card
    assert page.count("data:image/png;base64,") == 2, "success while exploring is drawn all the same"


def test_returns_stand_where_success_is_unknown(folder):
    entry = {"iteration": 0, "env_steps": 0, "success": None, "ci95": None, "episodes": 8, "mean_return": 1234.5}
    evaluated(folder, [entry | {"return_std": 10.0, "return_ci95": [1226.1, 1242.9]}])
    report.write(folder)
    assert "The mean return went from 1,234.5 [1,226.1, 1,242.9] of 8" in (folder / "report.html").read_text()
    (result,) = yaml.safe_load((folder / "card.md").read_text().split("---\n")[1])["model-index"][0]["results"]
    (metric,) = result["metrics"]
    assert (metric["type"], metric["value"]) == ("mean_reward", 1234.5)


def test_configurations_are_read_without_making_objects(folder):
    (folder / "params" / "env.yaml").write_text("num_envs: 4\nf: !!python/object/apply:os.system ['touch pwned']\n")
    assert Training(folder).num_envs == 4
    assert not (folder / "pwned").exists()


def test_other_folders_are_refused(tmp_path, capsys):
    with pytest.raises(InputError, match=r"is no folder of a training: it has no model_<iteration>.pt"):
        Training(tmp_path)
    with pytest.raises(SystemExit):
        report.main([str(tmp_path)])
    assert capsys.readouterr().err.count("\n") == 1


def test_the_documentation_shows_the_same_table():
    page = Path(__file__).parents[2] / "exts/flow_rl/docs/howto/read_log.md"
    assert diagnostics.markdown_table() in page.read_text()
