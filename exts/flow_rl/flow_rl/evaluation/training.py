# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What the folder of a training says: read from its files alone, by a page and by a card."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from flow_rl.algorithms.evaluator import BEST, LOG
from flow_rl.utils.check import InputError
from flow_rl.utils.checkpoint import load_checkpoint
from flow_rl.utils.files import read_text, reading, require_kind

from .report import SUCCESS_TAG, Curve, read_scalars


@dataclass(frozen=True)
class Training:
    """A folder such as ``logs/rsl_rl/<learner>/<date>``, of a run that has ended or goes on."""

    folder: Path

    def __post_init__(self):
        if not self.checkpoints:
            raise InputError(
                f"{self.folder} is no folder of a training: it has no model_<iteration>.pt. Valid: a folder such as "
                "logs/rsl_rl/score_flow/2026-01-01_12-00-00. Remedy: name one that flow-rl train has written."
            )

    @cached_property
    def checkpoints(self) -> list[Path]:
        """Checkpoints by iteration."""
        numbered = [path for path in self.folder.glob("model_*.pt") if re.fullmatch(r"model_\d+", path.stem)]
        return sorted(numbered, key=lambda path: int(path.stem.removeprefix("model_")))

    @property
    def best(self) -> Path:
        """Policy of the best evaluation, or the newest where nothing was evaluated."""
        return self.folder / BEST if (self.folder / BEST).is_file() else self.checkpoints[-1]

    @cached_property
    def described(self) -> dict[str, Any]:
        """What the newest checkpoint says of itself: task, learner, policy, versions."""
        return load_checkpoint(self.checkpoints[-1], "cpu")["flow_rl"]

    @cached_property
    def agent(self) -> dict[str, Any]:
        """The learner's configuration."""
        return _read_yaml(self.folder / "params" / "agent.yaml")

    @cached_property
    def num_envs(self) -> int | None:
        """Environments side by side."""
        env = _read_yaml(self.folder / "params" / "env.yaml")
        scene = env.get("scene")
        num = env.get("num_envs") or (scene.get("num_envs") if isinstance(scene, dict) else None)
        return num if isinstance(num, int) else None

    @property
    def steps_per_iteration(self) -> int | None:
        """Control steps over all environments of one rank."""
        decisions = self.agent.get("num_steps_per_env")
        if not isinstance(decisions, int):
            return None
        return self.num_envs and decisions and decisions * self.num_envs * self.described["policy"]["horizon"]

    @cached_property
    def scalars(self) -> dict[str, Curve]:
        """All that was logged, by tag."""
        return read_scalars(self.folder)

    @property
    def exploring(self) -> Curve:
        """Success of the policy that explores, by iteration."""
        return self.scalars.get(SUCCESS_TAG, ([], []))

    @cached_property
    def evaluations(self) -> list[dict[str, Any]]:
        """Evaluations without exploration in the order in which they were made."""
        path = self.folder / LOG
        if not path.is_file():
            return []
        valid, remedy = "an evaluation a line, in JSON", "remove the line that is damaged."
        lines = read_text(path, valid, remedy).splitlines()
        with reading(path, valid, remedy):
            found = [json.loads(line) for line in lines]
        for entry in found:
            require_kind(entry, dict, path, valid, remedy)
        return found

    @property
    def title(self) -> str:
        """Task, learner and seed."""
        return f"{self.described['task']}: {self.described['learner']}, seed {self.agent.get('seed', 'unknown')}"


def _read_yaml(path: Path) -> dict[str, Any]:
    """Plain values of a configuration; tuples and slices of the host's files become lists, objects their text."""
    import yaml

    class Loader(yaml.SafeLoader):
        """Reads what the host writes, without making any object of it."""

    def plain(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> Any:
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        return loader.construct_mapping(node, deep=True) if isinstance(node, yaml.MappingNode) else node.value

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", plain)
    if not path.is_file():
        return {}
    valid, remedy = "a configuration that training wrote", "restore it, or remove it to go without."
    text = read_text(path, valid, remedy)
    with reading(path, valid, remedy):
        values = yaml.load(text, Loader) or {}  # noqa: S506 - a safe loader
    require_kind(values, dict, path, valid, remedy)
    return values
