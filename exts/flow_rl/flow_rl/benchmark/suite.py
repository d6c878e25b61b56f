# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Suites: which learners are measured on which tasks, from which policies, with which seeds and budgets."""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException
from yaml import YAMLError

from flow_rl.configs import learners
from flow_rl.utils.check import InputError, require
from flow_rl.utils.files import expanded_size, read_text

FOLDER = Path(__file__).parent / "suites"
"""Where the suites of this package are."""

MOST = 100_000
"""Values of a suite, aliases counted as often as they stand for something."""


@dataclass
class Demonstrations:
    """What a task's policies are pretrained on: options of ``flow-rl collect``."""

    num_demos: int = 150
    quality: float = 1.0
    num_envs: int = 64
    overrides: list[str] = field(default_factory=list)
    """Further words of the command."""


@dataclass
class TaskEntry:
    """A task, and how the policy is made that all learners begin with."""

    num_envs: int = 64
    """Environments of training and evaluation, unless a learner says otherwise."""
    overrides: list[str] = field(default_factory=list)
    """Words of all commands that start the simulator, such as ``env.episode_length_s=8``."""
    demonstrations: Demonstrations = field(default_factory=Demonstrations)
    pretraining: list[str] = field(default_factory=list)
    """Words of ``flow-rl pretrain``, such as ``agent.num_steps=3000``."""
    env_steps: int | None = None
    """Control steps of training, instead of the suite's."""
    seeds: list[int] | None = None
    """Seeds, instead of the suite's."""
    learners: dict[str, list[str]] = field(default_factory=dict)
    """Words by entry of the suite's learners, for this task alone, such as a value range."""


@dataclass
class LearnerEntry:
    """A learner and its settings under a name of its own."""

    learner: str = ""
    """Its name, as ``flow-rl learners`` lists it; by default the entry's."""
    num_envs: int | None = None
    """Environments, instead of the tasks'."""
    overrides: list[str] = field(default_factory=list)
    """Words of ``flow-rl train``; ``{demonstrations}`` stands for the file of the task's demonstrations."""
    note: str = ""
    """What tables say of its settings; by default "paper" or "ours", after ``presets=paper``."""
    claim: str = ""
    """What a run with these settings would confirm, and what would refute it; no part of what makes a record."""

    @property
    def preset(self) -> str:
        """Whose settings these are."""
        chosen = [word.removeprefix("presets=").split(",") for word in self.overrides if word.startswith("presets=")]
        return self.note or ("paper" if any("paper" in names for names in chosen) else "ours")


@dataclass
class Evaluation:
    """When and how policies are measured: without exploration, on the same episodes each time."""

    every: int = 100_000
    """Control steps between evaluations, over all environments; rounded to iterations."""
    episodes: int = 256
    seed: int = 10_000


@dataclass
class Suite:
    """A suite; the fields of its file."""

    description: str = ""
    overrides: list[str] = field(default_factory=list)
    """Words of all commands that start the simulator, such as ``physics=ovphysx``."""
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    env_steps: int | None = None
    """Control steps of training, over all environments; rounded up to iterations."""
    seconds: float | None = None
    """Seconds of training instead, evaluations not counted; runs end with the first evaluation after them."""
    evaluation: Evaluation = field(default_factory=Evaluation)
    base_seed: int = 0
    """Seed of demonstrations and pretraining."""
    tasks: dict[str, TaskEntry] = field(default_factory=dict)
    learners: dict[str, LearnerEntry] = field(default_factory=dict)

    name: str = ""
    """Name of the file."""

    def seeds_of(self, task: str) -> list[int]:
        """Seeds of a task."""
        own = self.tasks[task].seeds
        return self.seeds if own is None else own

    def all_seeds(self) -> list[int]:
        """Seeds of all tasks, once each, in the order in which they come."""
        return list(dict.fromkeys(seed for task in self.tasks for seed in self.seeds_of(task)))

    def check(self) -> None:
        """Raise an InputError unless the suite makes sense."""
        require(bool(self.tasks), "tasks", dict(self.tasks), "at least one task", "see flow-rl tasks.")
        require(bool(self.learners), "learners", dict(self.learners), "at least one learner", "see flow-rl learners.")
        seeds = {"seeds": self.seeds} | {f"tasks.{task}.seeds": self.seeds_of(task) for task in self.tasks}
        for name, each in seeds.items():
            require(bool(each), name, each, "at least one", "use [0, 1, 2].")
        budgets = [self.env_steps, self.seconds]
        one = budgets.count(None) == 1 and all(budget is None or budget > 0 for budget in budgets)
        require(one, "env_steps, seconds", budgets, "one of them, > 0", "write env_steps: 1000000.")
        for name in ("every", "episodes"):
            value = getattr(self.evaluation, name)
            require(value > 0, f"evaluation.{name}", value, "> 0", "leave it out for the default.")
        known = learners()
        for name, entry in self.learners.items():
            near = difflib.get_close_matches(entry.learner, known)
            remedy = f"did you mean {' or '.join(near)}?" if near else "see flow-rl learners."
            require(entry.learner in known, f"learners.{name}.learner", entry.learner, ", ".join(sorted(known)), remedy)
        for task, entry in self.tasks.items():
            steps, timed = entry.env_steps, self.seconds is not None
            valid = "left out where the suite has seconds" if timed else "> 0"
            require(steps is None or (steps > 0 and not timed), f"tasks.{task}.env_steps", steps, valid, "remove it.")
            unknown = sorted(set(entry.learners) - set(self.learners))
            valid = f"entries of learners, {', '.join(self.learners)}"
            require(not unknown, f"tasks.{task}.learners", unknown, valid, "name one of them.")


def find_suite(word: str) -> Path:
    """Return the file of a suite, given by its path or by the name of one of ours."""
    path = Path(word)
    if path.suffix in (".yaml", ".yml"):
        require(path.is_file(), "SUITE", word, f"a file, or one of {names()}", "check the path.")
        return path
    own = FOLDER / f"{word}.yaml"
    require(own.is_file(), "SUITE", word, f"a file ending in .yaml, or one of {names()}", "choose one of them.")
    return own


def names() -> str:
    """Return the names of our suites."""
    return ", ".join(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def read_suite(word: str) -> Suite:
    """Return a checked suite.

    Raises:
        InputError: If there is no such file, a field is unknown or has a wrong type, or the suite makes no sense.
    """
    path = find_suite(word)
    try:
        size = expanded_size(yaml.safe_load(read_text(path, "a suite in YAML", "see flow-rl benchmark --help.")))
        require(size < MOST, str(path), f"{size} values", f"fewer than {MOST}", "use aliases less.")
        found = OmegaConf.load(path)
        suite = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Suite), found))
    except ConfigKeyError as error:
        raise InputError(f"{path}: no field {error.full_key!r}. Valid: {_valid(error)}.") from None
    except InputError:
        raise
    except (OmegaConfBaseException, YAMLError, ValueError, TypeError, RecursionError, OSError) as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from None
    suite.name = path.stem
    for name, entry in suite.learners.items():
        entry.learner = entry.learner or name
    try:
        suite.check()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return suite


def _valid(error: ConfigKeyError) -> str:
    """Names that stand where an unknown one was found, the nearest first."""
    kind = error.object_type if dataclasses.is_dataclass(error.object_type) else Suite
    fields = [each.name for each in dataclasses.fields(kind) if each.name != "name"]
    wrong = str(error.full_key).rpartition(".")[2]
    return ", ".join(dict.fromkeys([*difflib.get_close_matches(wrong, fields), *fields]))
