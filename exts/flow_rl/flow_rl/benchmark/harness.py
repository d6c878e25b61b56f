# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Runs what a suite asks for and its records lack, each part as a command that a user could type."""

from __future__ import annotations

import datetime
import functools
import json
import math
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from flow_rl.evaluation.score import score, shown, told
from flow_rl.utils.check import InputError, require

from . import bases, failures, machine, resume
from .bases import Base, Bases
from .command import FLOW_RL, CommandFailed, Stopped, Usage, never, read_curve, run_command, typed
from .lease import claimed, owner_of
from .records import file_name, path_name, read_record, rounded, source, write_json
from .suite import Suite

DEMONSTRATIONS = "{demonstrations}"
"""What stands in a suite's overrides for the file of the task's demonstrations."""

PLAN = "plan.json"
"""File in a suite's folder that says what its runs are and where."""


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
        self.bases = Bases(
            suite,
            (folder / bases.FOLDER).resolve(),
            device,
            command=lambda *words: self._command(*words),
            say=lambda text: self.say(text),
            pause=lambda seconds: self._stop.wait(seconds),
        )
        # each composes configurations, and is asked for several times a run
        self.base, self._agent_config = functools.cache(self.base), functools.cache(self._agent_config)
        self.states: dict[Run, str] = {}
        self._stop, self._lost = threading.Event(), set()
        self._slots: queue.Queue[Mapping[str, str]] = queue.Queue()
        self._slots.put({})
        self.all_runs = runs = [
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

    def run_folder(self, run: Run) -> Path:
        """Folder of what a run leaves beside its record."""
        return self.folder / path_name(run.task) / run.learner / f"seed_{run.seed}"

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
            record = read_record(path)
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

    def run(self, slots: Sequence[Mapping[str, str]] = ({},)) -> list[Run]:
        """Run what is missing; returns the runs that failed.

        Args:
            slots: For each of the commands at a time, variables of its environment beside ours.
        """
        self._slots = queue.Queue()
        for slot in slots:
            self._slots.put(slot)
        missing = self.missing()
        begun_with = self.begun_with(missing)
        self.write_plan(begun_with.values())
        with ThreadPoolExecutor(len(slots)) as pool:

            def made(make: Callable[[Any], None], parts: Iterable[Any]) -> set[Any]:
                """Make parts, once each; returns those that did not fail."""
                parts = list(dict.fromkeys(parts))
                return {part for part, done in zip(parts, pool.map(self._guarded(make), parts), strict=True) if done}

            try:
                tasks = made(self.make_demonstrations, (base.task for base in begun_with.values()))
                policies = made(self.make_base, (base for base in begun_with.values() if base.task in tasks))
                for base in policies:
                    self._warn_of_others(base)
                ready = [run for run in missing if run not in begun_with or begun_with[run] in policies]
                done = made(self.make_run, ready)
            except BaseException:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        return [run for run in missing if run not in done]

    def make_bases(self) -> bool:
        """Make what missing runs begin with, and no run; returns whether it is there."""
        begun_with = self.begun_with(self.missing())
        self.write_plan(begun_with.values())
        wanted = set(begun_with.values())
        return all(
            self._guarded(self.make_demonstrations)(base.task) and self._guarded(self.make_base)(base)
            for base in sorted(wanted, key=lambda base: base.title)
        )

    def write_plan(self, policies: Iterable[Base]) -> None:
        """Say in the suite's folder what its runs and their policies are, for who looks at the folder alone."""
        for base in set(policies):
            folder = self.bases.folder(base)
            entry = {"title": base.title, "folder": os.path.relpath(folder, self.folder)}
            write_json(self.folder / bases.FOLDER / f"{folder.name}.json", entry)
        runs = [
            {
                "title": run.title,
                "folder": os.path.relpath(self.run_folder(run), self.folder),
                "record": os.path.relpath(self.record_path(run), self.folder),
            }
            for run in self.all_runs
        ]
        write_json(self.folder / PLAN, {"suite": self.suite.name, "seconds": self.suite.seconds, "runs": runs})

    def _guarded(self, make: Callable[[Any], None]) -> Callable[[Any], bool]:
        """Let the other parts go on when one fails; the result says whether it did not."""

        def guarded(what: Run | Base | str) -> bool:
            try:
                make(what)
            except CommandFailed as error:
                if isinstance(what, Run):
                    self.states[what] = "stopped" if isinstance(error, Stopped) else "failed"
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

    def begun_with(self, runs: Iterable[Run]) -> dict[Run, Base]:
        """Policies of the runs that begin with one."""
        return {run: self.base(run) for run in runs if not self._begins_with_nothing(run)}

    def make_demonstrations(self, task: str) -> None:
        """Collect what all policies of a task are pretrained on."""
        self.bases.make(Base(task), ("collect",))

    def make_base(self, base: Base) -> None:
        """Pretrain a policy, and measure it."""
        self.bases.make(base, ("pretrain", "evaluate"))

    def _warn_of_others(self, base: Base) -> None:
        """Say which records of the suite began with another policy than the one that is here."""
        digest, others = self.bases.digest(base), []
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

    def make_run(self, run: Run) -> None:
        """Train, and write the record."""
        folder = self.run_folder(run)
        self._lost.discard(folder)
        with claimed(folder, lambda: self._lost.add(folder)) as mine:
            if self.record_path(run).is_file():
                return
            if not mine:
                self.states[run] = "elsewhere"
                self.say(f"{run.title}: {owner_of(folder)} is at it")
                return
            self._train(run, folder)

    def _train(self, run: Run, folder: Path) -> None:
        """Train in a folder that is held, and write the record."""
        self.states[run] = "running"
        before, begun = machine.host(), time.monotonic()
        words = command = self._train_command(run)
        identity = {"settings": self.settings(run), "base": self._digest(run)}
        checkpoint, resumed_after = resume.begin(folder, identity, self._iterations(run))
        if checkpoint is not None:
            self.say(f"{run.title} goes on after {resumed_after[-1]} iterations")
            words = resume.resumed(command, checkpoint, resumed_after[-1])
        log = folder / f"train{len(resumed_after) or ''}.log"
        with failures.noted(folder, log):
            usage = self._command(run.title, words, log, folder, self._deadline(folder))
            curve = read_curve(folder)
            self._require_whole(run, curve, log)
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
            "host": before | {"gpu": usage.gpu, "load_after": machine.host()["load"]},
            "device": self.device,
            "ranks": self.ranks(run),
            "peak_memory_gib": round(usage.memory / 2**20, 2),
            "peak_gpu_memory_gib": usage.gpu_memory,
            "wall_seconds": round(time.monotonic() - begun, 1),
            "resumed_after": resumed_after,
            "date": datetime.date.today().isoformat(),
        }
        write_json(self.record_path(run), record)
        for path in resume.checkpoints(folder)[1:]:
            path.unlink()  # of the way there
        self.states[run] = shown(score(curve[-1]), curve[-1])
        self.say(f"{run.title}: {told(curve[-1])}")

    def _require_whole(self, run: Run, curve: list[dict[str, Any]], log: Path) -> None:
        """Raise unless training went to its end; one that was interrupted also ends without an error."""
        if not curve:
            raise CommandFailed(f"{run.title}: training ended without an evaluation; see {log}")
        iterations, done = self._iterations(run), curve[-1]["iteration"]
        if iterations is not None and done < iterations:
            raise Stopped(f"{run.title}: training ended after {done} of {iterations} iterations; see {log}")
        if iterations is None and curve[-1]["seconds"] < self.suite.seconds:
            raise Stopped(f"{run.title}: training ended before {self.suite.seconds:g} seconds; see {log}")

    def _digest(self, run: Run) -> str | None:
        """Digest of the policy that a run begins with; None for nothing."""
        return None if self._begins_with_nothing(run) else self.bases.digest(self.base(run))

    def _origin(self, run: Run, curve: list[dict[str, Any]]) -> tuple[dict[str, str], dict[str, Any]]:
        """Commands that made what a run began with, and what that was: a policy, or nothing but what its curve says."""
        if not self._begins_with_nothing(run):
            return self.bases.origin(self.base(run))
        return {}, {"digest": None} | {name: curve[0][name] for name in bases.MEASURED if name in curve[0]}

    def _train_command(self, run: Run) -> list[str]:
        suite, settings = self.suite, self.settings(run)
        per_iteration = self.steps_per_iteration(run)
        interval = max(1, round(suite.evaluation.every / per_iteration))
        words = [*FLOW_RL, "train", "--rl_library", "rsl_rl", "--task", run.task, "--device", self.device]
        words += ["--agent", f"{settings['learner']}_cfg_entry_point", "--seed", str(run.seed)]
        if not self._begins_with_nothing(run):
            words += ["--checkpoint", str(self.bases.policy(self.base(run)))]
        words += ["--num_envs", str(settings["num_envs"])]
        if (iterations := self._iterations(run)) is not None:
            words += ["--max_iterations", str(iterations)]
        evaluation = {"interval": interval, "episodes": suite.evaluation.episodes, "seed": suite.evaluation.seed}
        words += [f"agent.eval_{name}={value}" for name, value in evaluation.items()]
        words = [*words, f"agent.save_interval={interval}"]
        if hasattr(self._agent_config(run).algorithm, "save_replay"):
            words += ["agent.algorithm.save_replay=true"]  # or an interrupted run would lose what it learns from
        words += settings["overrides"]
        return [word.replace(DEMONSTRATIONS, str(self.bases.demonstrations(run.task))) for word in words]

    def ranks(self, run: Run) -> int:
        """Processes that train one policy together, as torchrun's options among the learner's words say."""
        return math.prod(_count(self.settings(run)["overrides"], name) for name in ("nproc_per_node", "nnodes"))

    def steps_per_iteration(self, run: Run) -> int:
        """Control steps of an iteration over all environments of all ranks, by the task's and the suite's settings."""
        cfg = self._agent_config(run)
        return cfg.num_steps_per_env * cfg.actor.horizon * self.settings(run)["num_envs"] * self.ranks(run)

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
        folders = re.compile("|".join(re.escape(f"{folder}/") for folder in (self.folder, self.bases.root)))
        return {name: folders.sub("", command) for name, command in commands.items()}

    """
    Details.
    """

    def _command(self, title: str, words: list[str], log: Path, cwd: Path, over: Callable[[], bool] = never) -> Usage:
        """Run a command in a free slot, and say so; see :func:`flow_rl.benchmark.command.run_command`."""
        self.say(title)
        slot = self._slots.get()
        try:
            return run_command(
                *(title, words, log, cwd, over),
                stop=lambda: self._stop.is_set() or cwd in self._lost,
                variables=slot,
                watch_gpu=self.device.startswith("cuda"),
            )
        finally:
            self._slots.put(slot)


def _agent_words(overrides: list[str]) -> list[str]:
    """Those of a command's overrides that concern the agent."""
    words = [word for word in overrides if word.startswith(("agent.", "presets="))]
    return [word.replace(DEMONSTRATIONS, "demos.hdf5") for word in words]  # which file it is changes no policy


def _count(words: list[str], name: str) -> int:
    """Value of a whole option among words; 1 without it."""
    found = re.findall(rf"(?:^| )--{name}[= ](\S+)", " ".join(words).replace("-per-", "_per_"))
    require(all(value.isdigit() for value in found), f"--{name}", found, "a number", "write how many there are.")
    return int(found[-1]) if found else 1
