# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""From nothing to a fine-tuned flow policy: collect, pretrain, evaluate, fine-tune, evaluate, report.

Every phase is a command of its own, the one a user would type. Finished phases are kept: a rerun after Ctrl-C goes on
where the last one stopped. Open ``report.html`` in the output folder first.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import re
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from flow_rl.cli import options
from flow_rl.configs import learners
from flow_rl.evaluation.report import SUCCESS_TAG, plot_learning_curve, read_scalar, write_report
from flow_rl.utils.files import read_json, require_kind

FLOW_RL = ["-m", "flow_rl.cli.main"]
"""The command ``flow-rl`` behind a Python that need not have it on its path."""

TASK = "FlowRL-Lift-Franka"


@dataclass
class Scale:
    """How much of everything a run does."""

    num_envs: int = 64
    num_demos: int = 50
    quality: float = 0.15
    """Skill of the demonstrator in [0, 1]: low enough that behaviour cloning is capped."""
    pretrain_steps: int = 3000
    """Optimiser steps of pretraining."""
    iterations: int | None = None
    """Fine-tuning iterations; None for as many as the learner's configuration says."""
    episodes: int = 512
    """Episodes of each evaluation."""
    film_envs: int = 9


FULL = Scale()
SMOKE = Scale(num_envs=16, num_demos=16, pretrain_steps=200, iterations=3, episodes=16, film_envs=4)


class Demo:
    """The phases of one run and what is known of them, kept in ``phases.json`` inside the output folder."""

    def __init__(self, folder: Path, settings: dict):
        self.folder, self.settings = folder, settings
        self.state_file = folder / "phases.json"
        self.phases: dict[str, dict] = {}
        folder.mkdir(parents=True, exist_ok=True)
        if self.state_file.exists():
            valid, remedy = "the phases of a demo", "remove it to begin anew, or choose another --output."
            state = read_json(self.state_file, valid, remedy)
            for name in ("settings", "phases"):
                require_kind(state.get(name), dict, f"{name} of {self.state_file}", valid, remedy)
            found = state["settings"]
            others = [f"{name}={found.get(name)!r}" for name in settings if found.get(name) != settings[name]]
            if others:
                sys.exit(
                    f"[flow_rl] error: --output {folder} holds a demo with other settings ({', '.join(others)}) and is "
                    "left untouched. Choose another --output, or repeat the command with those settings to continue it."
                )
            self.phases = state["phases"]
        else:
            self._save()

    def run(self, title: str, command: list[str], *, cwd: Path | None = None, follow=None) -> None:
        """Run a command unless it has finished before; its output goes to ``<n>_<title>.log``.

        Args:
            title: Name of the phase.
            command: Arguments behind the environment's Python.
            cwd: Folder to run in.
            follow: Called with each line of output, to show progress; without it the terminal shows the output itself.
        """
        if title in self.phases:
            print(f"[flow_rl] {title}: done before, {self.phases[title]['seconds']:.0f} s")
            return
        print(f"[flow_rl] {title}", flush=True)
        start = time.monotonic()
        log = self.folder / f"{title.replace(' ', '_')}.log"
        pipe = subprocess.PIPE if follow else None
        with log.open("w") if follow else open(os.devnull, "w") as sink:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=cwd,
                stdout=pipe,
                stderr=subprocess.STDOUT if follow else None,
                text=True,
            )
            try:
                for line in process.stdout or ():
                    sink.write(line)
                    follow(line)
                code = process.wait()
            except KeyboardInterrupt:
                process.wait()
                sys.exit(f"\n[flow_rl] stopped during '{title}'. The same command continues with the finished phases.")
        if code != 0:
            hint = f"; see {log}" if follow else ""
            if follow:
                print("".join(log.read_text().splitlines(keepends=True)[-15:]), file=sys.stderr)
            sys.exit(f"[flow_rl] '{title}' failed with exit code {code}{hint}.")
        self.phases[title] = {"seconds": round(time.monotonic() - start, 1), "command": _readable(command)}
        self._save()

    def _save(self) -> None:
        partial = self.state_file.with_suffix(".partial")
        partial.write_text(json.dumps({"settings": self.settings, "phases": self.phases}, indent=2))
        partial.replace(self.state_file)


def _readable(command: list[str]) -> str:
    """The command as a user would type it."""
    return "flow-rl " + shlex.join(command[len(FLOW_RL) :])


class TrainingBar:
    """Progress bar fed by the lines that the stock runner prints."""

    def __init__(self):
        self.bar = None

    def __call__(self, line: str) -> None:
        """Take one line of the runner's output."""
        if match := re.search(r"Learning iteration (\d+)/(\d+)", line):
            if self.bar is None:
                self.bar = tqdm(total=int(match[2]), desc="fine-tune", unit="it")
            self.bar.update(int(match[1]) + 1 - self.bar.n)
            if self.bar.n == self.bar.total:
                self.bar.close()
        elif self.bar is not None and (match := re.search(rf"{SUCCESS_TAG}:\s+(\S+)", line)):
            self.bar.set_postfix(success=match[1])


def _last_checkpoint(logs: Path) -> Path:
    """Checkpoint with the highest iteration of the newest run under a folder."""
    runs = sorted({path.parent for path in logs.rglob("model_[0-9]*.pt")})
    return max(runs[-1].glob("model_[0-9]*.pt"), key=lambda path: int(path.stem.removeprefix("model_")))


def main(argv: Sequence[str] | None = None) -> None:
    """Run or continue the phases, then write summary, curve and report."""
    parser = options.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("outputs/demo"), help="folder for everything that is made")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random")
    parser.add_argument("--task", default=TASK, help="gym id of the task, see flow-rl tasks")
    names = ", ".join(sorted(learners()))
    parser.add_argument("--learner", default="score_flow", choices=sorted(learners()), metavar="NAME", help=names)
    parser.add_argument("--smoke", action="store_true", help="a few minutes: prove that every phase runs")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="env.FIELD=VALUE",
        help="overrides of the environment in every phase; by default env.episode_length_s=8 on Lift, too short for "
        "clumsy policies to try again and again",
    )
    args = parser.parse_args(argv)

    import torch
    import yaml

    from flow_rl.cli import launch
    from flow_rl.utils.checkpoint import load_checkpoint, revision

    scale = SMOKE if args.smoke else FULL
    folder = args.output.resolve()
    cuda = torch.cuda.is_available()
    # On a CPU the PhysX preset steps faster, on a GPU Newton runs in a CUDA graph.
    where = ["--device", "cuda:0"] if cuda else ["--device", "cpu", "physics=ovphysx"]
    overrides = args.overrides or (["env.episode_length_s=8"] if args.task == TASK else [])
    where += overrides
    chosen = {"task": args.task, "learner": args.learner, "seed": args.seed, "overrides": overrides}
    demo = Demo(folder, chosen | asdict(scale))
    demos, pretrained = folder / "demos.hdf5", folder / "pretrained.pt"
    common = ["--task", args.task, "--seed", str(args.seed)]

    def evaluate(title: str, checkpoint: Path, name: str) -> dict:
        numbers = ["--num_envs", str(scale.num_envs), "--num_episodes", str(scale.episodes)]
        film = ["--video", str(folder / f"{name}.mp4"), "--video_envs", str(scale.film_envs)]
        output = ["--output", str(folder / f"{name}.json"), "--overwrite"]
        # A seed of its own: neither the demonstrations nor the training saw these episodes.
        seed = ["--seed", str(args.seed + 10_000)]
        words = [*FLOW_RL, "evaluate", "--task", args.task, *seed, "--checkpoint", str(checkpoint)]
        demo.run(title, [*words, *numbers, *film, *output, *where])
        return json.loads((folder / f"{name}.json").read_text())

    numbers = ["--num_envs", str(scale.num_envs), "--num_demos", str(scale.num_demos), "--quality", str(scale.quality)]
    demo.run("collect", [*FLOW_RL, "collect", *common, *numbers, "--output", str(demos), "--overwrite", *where])
    demo.run(
        "pretrain",
        [
            *[*FLOW_RL, "pretrain", *common],
            *["--demos", str(demos), "--output", str(pretrained), "--overwrite"],
            f"agent.num_steps={scale.pretrain_steps}",
            *launch.pretraining_words(args.task, args.learner, []),
        ],
    )
    before = evaluate("evaluate before", pretrained, "before")
    demo.run(
        "fine-tune",
        [
            *[*FLOW_RL, "train", "--rl_library", "rsl_rl", *common],
            *["--agent", f"{args.learner}_cfg_entry_point", "--checkpoint", str(pretrained)],
            *["--num_envs", str(scale.num_envs)],
            *(["--max_iterations", str(scale.iterations)] if scale.iterations else []),
            *where,
        ],
        cwd=folder,
        follow=TrainingBar(),
    )
    finetuned = _last_checkpoint(folder / "logs")
    after = evaluate("evaluate after", finetuned, "after")

    agent = yaml.safe_load((finetuned.parent / "params" / "agent.yaml").read_text())
    per_iteration = (
        agent["num_steps_per_env"] * scale.num_envs * load_checkpoint(finetuned, "cpu")["flow_rl"]["policy"]["horizon"]
    )
    summary = {
        "task": args.task,
        "learner": args.learner,
        "seed": args.seed,
        "smoke": args.smoke,
        "pretrained": before,
        "finetuned": after,
        "checkpoints": {"pretrained": str(pretrained), "finetuned": str(finetuned)},
        "env_steps": agent["max_iterations"] * per_iteration,
        "env_steps_per_iteration": per_iteration,
        "phases": demo.phases,
        "wall_time_s": round(sum(phase["seconds"] for phase in demo.phases.values()), 1),
        "peak_memory_gib": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20, 2),
        "date": datetime.date.today().isoformat(),
        "hardware": torch.cuda.get_device_name() if cuda else f"{platform.machine()} CPU, {os.cpu_count()} cores",
        "versions": {name: importlib.metadata.version(name) for name in ("flow-rl", "isaaclab", "rsl-rl-lib", "torch")}
        | {"revision": revision()},
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    plot_learning_curve(summary, read_scalar(finetuned.parent, SUCCESS_TAG), folder / "learning_curve.png")
    report = write_report(summary, folder)
    for name, result in (("pretrained", before), ("fine-tuned", after)):
        low, high = result["ci95"]
        print(f"[flow_rl] {name}: {result['success']:.1%} of {result['episodes']} episodes [{low:.1%}, {high:.1%}]")
    print(f"[flow_rl] open {report}")
