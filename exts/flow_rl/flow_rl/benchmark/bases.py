# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Policies that runs begin with: made once, for all suites and processes that ask for the same."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from . import failures
from .command import FLOW_RL, CommandFailed, Stopped, typed
from .lease import claimed, owner_of
from .records import path_name, write_json
from .suite import Suite

FOLDER = "bases"
"""Folder of the policies, beside the suites'."""

STATE = "base.json"
"""File in a policy's folder that says which of its parts are made, and how."""

RECORDING = 3
"""What `flow-rl collect` and `flow-rl pretrain` make of the same settings; raised with a change of it, so that policies
are made anew.

2: on a CPU, episodes that waited for others had been overwritten by those that followed, from their beginnings on.
3: actions repeated past the ends of episodes are not learnt."""

PARTS = ("collect", "pretrain", "evaluate")
"""Commands that make a policy, in their order."""

MEASURED = ("success", "ci95", "episodes", "mean_return", "return_std", "return_ci95")
"""What is noted of the policy that learning begins with."""

WAIT = 5.0
"""Seconds between looks at what another process makes."""


@dataclass(frozen=True)
class Base:
    """A policy that learners begin with."""

    task: str
    words: tuple[str, ...] = ()
    """What its pretraining is told beyond what the suite says, for learners that need a policy of another kind."""

    @property
    def title(self) -> str:
        """How messages call it."""
        return " ".join([self.task, *self.words])


class Bases:
    """The policies of a suite, and the folder where they are made.

    Demonstrations, pretraining and evaluation are kept as soon as each is whole. What another process is making is
    waited for.
    """

    def __init__(
        self,
        suite: Suite,
        folder: Path,
        device: str,
        command: Callable[[str, list[str], Path, Path], Any],
        say: Callable[[str], None],
        pause: Callable[[float], bool],
    ):
        """Build it.

        Args:
            suite: What asks for them.
            folder: Where each policy gets a folder.
            device: Where everything is computed.
            command: Runs a command; see :meth:`flow_rl.benchmark.harness.Harness._command`.
            say: Told of what is waited for.
            pause: Waits for some seconds; returns whether everything shall end meanwhile.
        """
        self.suite, self.root, self.device, self.command = suite, folder, device, command
        self.say, self.pause = say, pause
        self.begun = time.time()

    def folder(self, base: Base) -> Path:
        """Folder of a policy, named by all that a suite says of it: others are other folders."""
        digest = hashlib.sha256(json.dumps(self.settings(base), sort_keys=True).encode()).hexdigest()
        return self.root / f"{path_name(base.task)}-{digest[:8]}"

    def demonstrations(self, task: str) -> Path:
        """File of a task's demonstrations."""
        return self.folder(Base(task)) / "demos.hdf5"

    def policy(self, base: Base) -> Path:
        """File of a policy."""
        return self.folder(base) / "pretrained.pt"

    def digest(self, base: Base) -> str:
        """Digest of a policy that is made."""
        return self._state(base)["digest"]

    def origin(self, base: Base) -> tuple[dict[str, str], dict[str, Any]]:
        """Commands that made a policy, and what it is and does."""
        demonstrations, state = self._state(Base(base.task)), self._state(base)
        measured = json.loads((self.folder(base) / "pretrained.json").read_text())
        commands = {"collect": demonstrations["commands"]["collect"], **state["commands"]}
        return commands, {"digest": state["digest"]} | {name: measured[name] for name in MEASURED if name in measured}

    def make(self, base: Base, parts: tuple[str, ...]) -> None:
        """Make what is missing of some parts of a policy; another process that is at it is waited for.

        Raises:
            CommandFailed: If a part failed, here or meanwhile elsewhere.
        """
        folder, told = self.folder(base), False
        while self.missing(base, parts):
            with claimed(folder) as mine:
                if mine:
                    for name in self.missing(base, parts):
                        self._make(base, name)
                    return
                if not told:
                    self.say(f"{base.title}: waiting for {owner_of(folder)}, which is at its policy")
                    told = True
            if self.pause(WAIT):
                raise Stopped(f"{base.title}: its policy is not made yet")
            if failures.since(folder, self.begun):
                raise CommandFailed(f"{base.title}: {owner_of(folder)} failed at its policy; see {folder}")

    def missing(self, base: Base, parts: tuple[str, ...] = PARTS) -> list[str]:
        """Parts of a policy that are not made; demonstrations are those of the task's own policy."""
        commands = self._commands(base)
        made = {name: self._state(Base(base.task) if name == "collect" else base)["commands"] for name in parts}
        return [name for name in parts if name not in made[name] or not commands[name][0].is_file()]

    def _make(self, base: Base, name: str) -> None:
        """Make a part of a policy whose folder is held."""
        folder, (output, words) = self.folder(base), self._commands(base)[name]
        start = time.monotonic()
        output.unlink(missing_ok=True)
        with failures.noted(folder, log := folder / f"{name}.log"):
            self.command(f"{base.title} {name}", words, log, folder)
        state = self._state(base)
        state["commands"][name] = typed(words)
        state.setdefault("seconds", {})[name] = round(time.monotonic() - start, 1)
        if name == "pretrain":
            state["digest"] = hashlib.sha256(output.read_bytes()).hexdigest()
        write_json(folder / STATE, state)

    def _state(self, base: Base) -> dict[str, Any]:
        """What is known of a policy, or what is known before anything is made of it."""
        known = self.folder(base) / STATE
        new = {"settings": self.settings(base), "commands": {}}
        return json.loads(known.read_text()) if known.is_file() else new

    def settings(self, base: Base) -> dict[str, Any]:
        """All that a suite says of a policy."""
        entry = self.suite.tasks[base.task]
        return {
            "recording": RECORDING,
            "demonstrations": asdict(entry.demonstrations),
            "pretraining": [*entry.pretraining, *base.words],
            "overrides": [*self.suite.overrides, *entry.overrides],
            "seed": self.suite.base_seed,
            "evaluation": {"episodes": self.suite.evaluation.episodes, "seed": self.suite.evaluation.seed},
            "num_envs": entry.num_envs,
            "device": self.device,
        }

    def _commands(self, base: Base) -> dict[str, tuple[Path, list[str]]]:
        """What each command writes, and its words."""
        suite, entry = self.suite, self.suite.tasks[base.task]
        demos, folder = entry.demonstrations, self.folder(base)
        common, seed = ["--task", base.task, "--device", self.device], ["--seed", str(suite.base_seed)]
        words = [*suite.overrides, *entry.overrides]
        paths = {"collect": self.demonstrations(base.task)}
        paths |= {"pretrain": self.policy(base), "evaluate": folder / "pretrained.json"}
        sizes = ["--num_demos", str(demos.num_demos), "--quality", str(demos.quality), "--num_envs"]
        collect = [*common, *seed, *sizes, str(demos.num_envs), *words, *demos.overrides]
        pretrain = [*common, *seed, "--demos", str(paths["collect"]), *entry.pretraining, *base.words]
        measure = ["--num_episodes", str(suite.evaluation.episodes), "--num_envs", str(entry.num_envs)]
        evaluate = [*common, "--checkpoint", str(paths["pretrain"]), *measure, "--seed", str(suite.evaluation.seed)]
        commands = {"collect": collect, "pretrain": pretrain, "evaluate": [*evaluate, *words]}
        return {
            name: (paths[name], [*FLOW_RL, name, *command, "--output", str(paths[name])])
            for name, command in commands.items()
        }
