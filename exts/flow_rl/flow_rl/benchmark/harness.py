# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Runs what a suite asks for and its records lack, each part as a command that a user could type."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import functools
import hashlib
import json
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from flow_rl.evaluation.score import score, shown, told
from flow_rl.utils.check import InputError, require

from . import resume
from .command import FLOW_RL, CommandFailed, never, read_curve, run_command, typed
from .records import file_name, host, path_name, rounded, source, write_json
from .suite import Suite

LOCK = ".lock"
"""File by which a folder is held."""

DEMONSTRATIONS = "{demonstrations}"
"""What stands in a suite's overrides for the file of the task's demonstrations."""

RECORDING = 3
"""What `flow-rl collect` and `flow-rl pretrain` make of the same settings; raised with a change of it, so that policies
are made anew.

2: on a CPU, episodes that waited for others had been overwritten by those that followed, from their beginnings on.
3: actions repeated past the ends of episodes are not learnt."""

MEASURED = ("success", "ci95", "episodes", "mean_return", "return_std", "return_ci95")
"""What is noted of the policy that learning begins with."""

BASES = "bases"
"""Folder of the policies that learners begin with, beside the suites'."""


@dataclass(frozen=True)
class Run:
    """One training of a suite."""

    task: str
    learner: str
    seed: int

    @property
    def title(self) -> str:
        """How messages call it."""
        return f"{self.task} {self.learner} seed {self.seed}"


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


class Harness:
    """A suite, the folder where its parts are made, and the folder of its records.

    A run whose record exists is never repeated. A run that was interrupted goes on from its last checkpoint, with all
    that it has learnt from and with environments that begin anew; its record says after which iterations. Policies to
    begin with are made once, for all suites that ask for the same; demonstrations, pretraining and evaluation are kept
    as soon as each is whole. A learner that needs a policy of another kind gets one of its own, from the same
    demonstrations and as many steps.
    """

    def __init__(
        self,
        suite: Suite,
        folder: Path,
        records: Path,
        device: str,
        say: Callable[[str], None] = print,
        only: Sequence[str] = (),
    ):
        """Build the harness.

        Args:
            suite: What to run.
            folder: Where demonstrations, policies and logs go; a folder per suite is made in it, and one for policies.
            records: Where records go; a folder per suite is made in it.
            device: Where everything is computed.
            say: Told of what begins, ends or fails.
            only: Patterns like those of file names; a run whose title fits none of them is left out.

        Raises:
            InputError: If no run is left.
        """
        self.suite, self.device, self.say = suite, device, say
        self.folder, self.records = (folder / suite.name).resolve(), (records / suite.name).resolve()
        self.bases = (folder / BASES).resolve()
        # each composes configurations, and is asked for several times a run
        self.base, self._agent_config = functools.cache(self.base), functools.cache(self._agent_config)
        self.states: dict[Run, str] = {}
        runs = [
            Run(task, name, seed)
            for seed in suite.all_seeds()
            for task in suite.tasks
            if seed in suite.seeds_of(task)
            for name in suite.learners
        ]
        self.runs = [run for run in runs if not only or any(fnmatch(run.title, pattern) for pattern in only)]
        """Seeds vary slowest, so that every pair of task and learner has a first result soon."""
        titles = "; ".join(run.title for run in runs[: len(suite.tasks) * len(suite.learners)])
        require(bool(self.runs), "--only", list(only), f"patterns that fit a run: {titles}", "use '*OneLeg* rldt *'.")

    def record_path(self, run: Run) -> Path:
        """File of a run's record."""
        return self.records / file_name(run.task, run.learner, run.seed)

    def missing(self) -> list[Run]:
        """Runs without a record.

        Raises:
            InputError: If a record was made with other settings than the suite's.
        """
        missing = []
        for run in self.runs:
            path = self.record_path(run)
            if not path.is_file():
                missing.append(run)
                continue
            record = json.loads(path.read_text())
            found, wanted = record.get("settings"), self.settings(run)
            if found != wanted:
                differ = [name for name in wanted if (found or {}).get(name) != wanted[name]]
                raise InputError(
                    f"{path} was made with other settings than the suite's ({', '.join(differ)}) and is left "
                    "untouched. Give the changed entry or suite another name, or remove the record to run it again."
                )
            self.states[run] = shown(score(record["final"]), record["final"])
        return missing

    def settings(self, run: Run) -> dict[str, Any]:
        """All that a suite says of a run."""
        suite, task, learner = self.suite, self.suite.tasks[run.task], self.suite.learners[run.learner]
        return {
            "learner": learner.learner,
            "num_envs": learner.num_envs or task.num_envs,
            "overrides": [*suite.overrides, *task.overrides, *learner.overrides, *task.learners.get(run.learner, [])],
            "demonstrations": asdict(task.demonstrations),
            "pretraining": list(task.pretraining),
            "base_seed": suite.base_seed,
            "env_steps": task.env_steps or suite.env_steps,
            "seconds": suite.seconds,
            "evaluation": asdict(suite.evaluation),
        }

    def run(self, jobs: int = 1) -> list[Run]:
        """Run what is missing, ``jobs`` at a time; returns the runs that failed."""
        missing = self.missing()
        bases = {run: self.base(run) for run in missing if not self._begins_with_nothing(run)}
        with ThreadPoolExecutor(jobs) as pool:

            def made(make: Callable[[Any], None], parts: Iterable[Any]) -> set[Any]:
                """Make parts, once each; returns those that did not fail."""
                parts = list(dict.fromkeys(parts))
                return {part for part, done in zip(parts, pool.map(self._guarded(make), parts), strict=True) if done}

            tasks = made(self.make_demonstrations, (base.task for base in bases.values()))
            policies = made(self.make_base, (base for base in bases.values() if base.task in tasks))
            for base in policies:
                self._warn_of_others(base)
            done = made(self.make_run, (run for run in missing if run not in bases or bases[run] in policies))
        return [run for run in missing if run not in done]

    def _guarded(self, make: Callable[[Any], None]) -> Callable[[Any], bool]:
        """Let the other parts go on when one fails; the result says whether it did not."""

        def guarded(what: Run | Base | str) -> bool:
            try:
                make(what)
            except CommandFailed as error:
                if isinstance(what, Run):
                    self.states[what] = "failed"
                self.say(str(error))
                return False
            return True

        return guarded

    """
    Parts.
    """

    def base(self, run: Run) -> Base:
        """Policy that a run begins with."""
        from flow_rl.cli import launch

        settings, pretraining = self.settings(run), self.suite.tasks[run.task].pretraining
        launch.find_task(run.task)
        words = _agent_words(settings["overrides"])
        return Base(run.task, tuple(launch.pretraining_words(run.task, settings["learner"], words, pretraining)))

    def make_demonstrations(self, task: str) -> None:
        """Collect what all policies of a task are pretrained on."""
        self._make(Base(task), ["collect"])

    def make_base(self, base: Base) -> None:
        """Pretrain a policy, and measure it."""
        self._make(base, ["pretrain", "evaluate"])

    def _make(self, base: Base, parts: list[str]) -> None:
        """Make what is missing of some parts of a policy."""
        folder, commands = self.base_folder(base), self._base_commands(base)

        def missing() -> list[str]:
            made = self._base_state(base)["commands"]
            return [name for name in parts if name not in made or not commands[name][0].is_file()]

        with self._claimed(folder) as mine:
            if missing() and not mine:
                raise CommandFailed(f"{base.title}: another process is at its policy; run the suite again later")
            for name in missing():
                output, words = commands[name]
                start = time.monotonic()
                output.unlink(missing_ok=True)
                self._command(f"{base.title} {name}", words, folder / f"{name}.log", folder)
                state = self._base_state(base)
                state["commands"][name] = typed(words)
                state.setdefault("seconds", {})[name] = round(time.monotonic() - start, 1)
                if name == "pretrain":
                    state["digest"] = hashlib.sha256(output.read_bytes()).hexdigest()
                write_json(folder / "base.json", state)

    def _warn_of_others(self, base: Base) -> None:
        """Say which records of the suite began with another policy than the one that is here."""
        digest, others = self._base_state(base)["digest"], []
        for run in self.runs:
            path = self.record_path(run)
            if run.task == base.task and path.is_file() and not self._begins_with_nothing(run):
                known = json.loads(path.read_text()).get("base", {})
                others += [path.name] if self.base(run) == base and known.get("digest") != digest else []
        if others:
            self.say(
                f"{base.title}: {len(others)} records, such as {others[0]}, began with another policy, made elsewhere "
                "or from other demonstrations, and cannot be compared with new ones. Choose another --records to begin "
                "anew."
            )

    def _base_state(self, base: Base) -> dict[str, Any]:
        """What is known of a policy, or what is known before anything is made of it."""
        known = self.base_folder(base) / "base.json"
        new = {"settings": self._base_settings(base), "commands": {}}
        return json.loads(known.read_text()) if known.is_file() else new

    def base_folder(self, base: Base) -> Path:
        """Folder of a policy, named by all that a suite says of it: others are other folders."""
        digest = hashlib.sha256(json.dumps(self._base_settings(base), sort_keys=True).encode()).hexdigest()
        return self.bases / f"{path_name(base.task)}-{digest[:8]}"

    def _base_settings(self, base: Base) -> dict[str, Any]:
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

    def _base_commands(self, base: Base) -> dict[str, tuple[Path, list[str]]]:
        """What each command writes, and its words."""
        suite, entry = self.suite, self.suite.tasks[base.task]
        demos, folder = entry.demonstrations, self.base_folder(base)
        common, seed = ["--task", base.task, "--device", self.device], ["--seed", str(suite.base_seed)]
        words = [*suite.overrides, *entry.overrides]
        paths = {"collect": self._demonstrations(base.task)}
        paths |= {"pretrain": folder / "pretrained.pt", "evaluate": folder / "pretrained.json"}
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

    def make_run(self, run: Run) -> None:
        """Train, and write the record."""
        folder = self.folder / path_name(run.task) / run.learner / f"seed_{run.seed}"
        with self._claimed(folder) as mine:
            if not mine or self.record_path(run).is_file():
                return
            self.states[run] = "running"
            before, begun = host(), time.monotonic()
            words = command = self._train_command(run)
            identity = {"settings": self.settings(run), "base": self._digest(run)}
            checkpoint, resumed_after = resume.begin(folder, identity, self._iterations(run), keep=LOCK)
            if checkpoint is not None:
                self.say(f"{run.title} goes on after {resumed_after[-1]} iterations")
                words = resume.resumed(command, checkpoint, resumed_after[-1])
            log = folder / f"train{len(resumed_after) or ''}.log"
            memory = self._command(run.title, words, log, folder, self._deadline(folder))
            curve = read_curve(folder)
            if not curve:
                raise CommandFailed(f"{run.title}: training ended without an evaluation; see {log}")
            commands, start = self._origin(run, curve)
            entry = self.suite.learners[run.learner]
            record = {
                "suite": self.suite.name,
                "task": run.task,
                "learner": run.learner,
                "algorithm": entry.learner,
                "seed": run.seed,
                "preset": entry.preset,
                "settings": self.settings(run),
                "commands": self._portable(commands | {"train": typed(command)}),
                "base": start,
                "final": rounded(curve[-1], outcomes=True),
                "best": rounded(max(curve, key=score)),
                "curve": [rounded(point) for point in curve],
                **source(),
                "host": before | {"load_after": host()["load"]},
                "device": self.device,
                "peak_memory_gib": round(memory / 2**20, 2),
                "wall_seconds": round(time.monotonic() - begun, 1),
                "resumed_after": resumed_after,
                "date": datetime.date.today().isoformat(),
            }
            write_json(self.record_path(run), record)
            for path in resume.checkpoints(folder)[1:]:
                path.unlink()  # of the way there
        self.states[run] = shown(score(curve[-1]), curve[-1])
        self.say(f"{run.title}: {told(curve[-1])}")

    def _digest(self, run: Run) -> str | None:
        """Digest of the policy that a run begins with; None for nothing."""
        return None if self._begins_with_nothing(run) else self._base_state(self.base(run))["digest"]

    def _origin(self, run: Run, curve: list[dict[str, Any]]) -> tuple[dict[str, str], dict[str, Any]]:
        """Commands that made what a run began with, and what that was: a policy, or nothing but what its curve says."""
        if self._begins_with_nothing(run):
            commands, measured = {}, curve[0]
        else:
            base = self.base(run)
            demonstrations, state = self._base_state(Base(run.task)), self._base_state(base)
            commands = {"collect": demonstrations["commands"]["collect"], **state["commands"]}
            measured = json.loads((self.base_folder(base) / "pretrained.json").read_text())
        return commands, {"digest": self._digest(run)} | {name: measured[name] for name in MEASURED if name in measured}

    def _train_command(self, run: Run) -> list[str]:
        suite, settings = self.suite, self.settings(run)
        per_iteration = self.steps_per_iteration(run)
        interval = max(1, round(suite.evaluation.every / per_iteration))
        words = [*FLOW_RL, "train", "--rl_library", "rsl_rl", "--task", run.task, "--device", self.device]
        words += ["--agent", f"{settings['learner']}_cfg_entry_point", "--seed", str(run.seed)]
        if not self._begins_with_nothing(run):
            words += ["--checkpoint", str(self.base_folder(self.base(run)) / "pretrained.pt")]
        words += ["--num_envs", str(settings["num_envs"])]
        if (iterations := self._iterations(run)) is not None:
            words += ["--max_iterations", str(iterations)]
        evaluation = {"interval": interval, "episodes": suite.evaluation.episodes, "seed": suite.evaluation.seed}
        words += [f"agent.eval_{name}={value}" for name, value in evaluation.items()]
        words = [*words, f"agent.save_interval={interval}"]
        if hasattr(self._agent_config(run).algorithm, "save_replay"):
            words += ["agent.algorithm.save_replay=true"]  # or an interrupted run would lose what it learns from
        words += settings["overrides"]
        return [word.replace(DEMONSTRATIONS, str(self._demonstrations(run.task))) for word in words]

    def _demonstrations(self, task: str) -> Path:
        """File of a task's demonstrations."""
        return self.base_folder(Base(task)) / "demos.hdf5"

    def steps_per_iteration(self, run: Run) -> int:
        """Control steps of an iteration over all environments, by the task's and the suite's settings."""
        cfg = self._agent_config(run)
        return cfg.num_steps_per_env * cfg.actor.horizon * self.settings(run)["num_envs"]

    def _iterations(self, run: Run) -> int | None:
        """Iterations of a run; None where seconds end it."""
        steps = self.settings(run)["env_steps"]
        return None if steps is None else math.ceil(steps / self.steps_per_iteration(run))

    def _begins_with_nothing(self, run: Run) -> bool:
        return self._agent_config(run).algorithm.from_scratch

    def _agent_config(self, run: Run) -> Any:
        """The learner's configuration on its task, by the suite's settings."""
        from flow_rl.cli import launch
        from flow_rl.configs import learners

        settings = self.settings(run)
        name, words = settings["learner"], _agent_words(settings["overrides"])
        launch.find_task(run.task)
        return launch.agent_config(run.task, name, learners()[name], words)

    def _deadline(self, folder: Path) -> Callable[[], bool]:
        """Whether a run has trained for the suite's seconds, as its last evaluation says."""
        limit = self.suite.seconds

        def over() -> bool:
            curve = read_curve(folder) if limit is not None else []
            return bool(curve) and curve[-1]["seconds"] >= limit

        return over

    def _portable(self, commands: dict[str, str]) -> dict[str, str]:
        """Commands without this machine's folders."""
        folders = re.compile("|".join(re.escape(f"{folder}/") for folder in (self.folder, self.bases)))
        return {name: folders.sub("", command) for name, command in commands.items()}

    """
    Details.
    """

    def _command(self, title: str, words: list[str], log: Path, cwd: Path, over: Callable[[], bool] = never) -> int:
        """Run a command, and say so; see :func:`flow_rl.benchmark.command.run_command`."""
        self.say(title)
        return run_command(title, words, log, cwd, over)

    @contextlib.contextmanager
    def _claimed(self, folder: Path) -> Iterator[bool]:
        """Hold a folder against other processes of the harness; yields whether nobody else has it."""
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOCK).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
                return
            yield True


def _agent_words(overrides: list[str]) -> list[str]:
    """Those of a command's overrides that concern the agent."""
    words = [word for word in overrides if word.startswith(("agent.", "presets="))]
    return [word.replace(DEMONSTRATIONS, "demos.hdf5") for word in words]  # which file it is changes no policy
