# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Evaluation inside training: on episodes of its own, without exploration, with the best policy kept."""

from __future__ import annotations

import copy
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tensordict import TensorDict

from flow_rl.evaluation.score import lies_below, measures_success, score, shown, told
from flow_rl.evaluation.statistics import mean_interval, wilson_interval
from flow_rl.ranks.collective import from_first, gathered
from flow_rl.utils.check import require
from flow_rl.utils.checkpoint import load_checkpoint, on_cpu, save_checkpoint
from flow_rl.utils.files import append, brief
from flow_rl.utils.rng import preserved_rng

if TYPE_CHECKING:
    from .base import FlowAlgorithm

LOG = "evaluations.jsonl"
"""File in a run's folder with one line for each evaluation."""
BEST = "model_best.pt"
"""File in a run's folder with the policy of the best evaluation, and all that goes on from there."""


@dataclass(frozen=True)
class EvaluatorSettings:
    """When and how training evaluates; the fields of the runner's configuration that begin alike."""

    eval_interval: int = 0
    eval_episodes: int = 256
    eval_seed: int = 10000
    rollback: bool = False
    rollback_patience: int = 2

    def check(self) -> None:
        """Raise an InputError unless all are valid."""
        remedy = "use 5, or 0 for no evaluation."
        require(self.eval_interval >= 0, "agent.eval_interval", self.eval_interval, ">= 0", remedy)
        require(self.eval_episodes >= 1, "agent.eval_episodes", self.eval_episodes, ">= 1", "use 256.")
        require(self.rollback_patience >= 1, "agent.rollback_patience", self.rollback_patience, ">= 1", "use 2.")
        needed = not self.rollback or self.eval_interval > 0
        require(needed, "agent.rollback", True, "false without evaluations", "set agent.eval_interval=5 as well.")


class Evaluator:
    """Measures a learner's policy every few iterations, and goes back to the best one when it is lost.

    All environments are reset before an evaluation, with the same seed each time, and again after it, so that the
    episodes of training that it interrupts are left out. Random numbers of training go on as if nothing had been.
    """

    def __init__(self, learner: FlowAlgorithm, settings: EvaluatorSettings, *, num_steps: int, rank: int = 0):
        """Build the evaluator.

        Args:
            learner: Whose policy is measured.
            settings: When and how.
            num_steps: Decisions per environment and iteration, to count control steps.
            rank: This process's, which seeds its own episodes.

        Raises:
            InputError: If the environment cannot be evaluated.
        """
        self.learner, self.settings, self.rank = learner, settings, rank
        self.task = learner.env.unwrapped
        require(
            hasattr(self.task, "termination_manager") and hasattr(self.task, "reset"),
            "agent.eval_interval",
            settings.eval_interval,
            "0 for this environment, which has no reset and no termination manager",
            "set it to 0, and evaluate checkpoints afterwards.",
        )
        steps = num_steps * learner.env.num_envs * learner.actor.cfg.horizon
        self.steps_per_iteration = steps * learner.world_size
        self.obs: TensorDict | None = None
        """Observations after the resets that follow an evaluation; what the runner holds is from before."""
        self.state: dict[str, Any] = {"best": None, "falls": 0, "seconds": 0.0, "cpu_seconds": 0.0, "step_scale": 1.0}
        self.best_parts: dict[str, dict] | None = None
        self._clocks: tuple[float, float] | None = None
        self._unwritten: list[str] = []
        self._unwritten_best: dict | None = None

    """
    Calls of the learner.
    """

    def begin(self) -> None:
        """Measure the policy that learning begins with, and start the clocks."""
        if self.learner.iteration == 0 and self.state["best"] is None:
            self.evaluate()
        self._clocks = self._now()

    def after_iteration(self) -> dict[str, float]:
        """Evaluate if it is time to; numbers for the log."""
        self._stop_clocks()
        numbers = {}
        last = self.learner.iteration == self.learner.num_iterations
        if last or self.learner.iteration % self.settings.eval_interval == 0:
            numbers = self.evaluate()
        self._clocks = self._now()
        return numbers

    def state_dict(self) -> dict[str, Any]:
        """Plain values for checkpoints."""
        return copy.deepcopy(self.state) | {"updates": self.learner.optimizer.num_steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint; the best policy itself is read from its file when it is needed."""
        self.state = copy.deepcopy(state)
        self.learner.optimizer.num_steps = self.state.pop("updates")
        self.learner.scale_steps(self.state["step_scale"])

    def recall_best(self) -> None:
        """Let the policy in the run's folder be the best if it is, although it was measured after the checkpoint."""
        if self.folder is None or not (self.folder / BEST).is_file():
            return
        best = load_checkpoint(self.folder / BEST)["evaluator"]["best"]
        if self.state["best"] is None or score(best) > score(self.state["best"]):
            self.state["best"] = best

    """
    Details.
    """

    def evaluate(self) -> dict[str, float]:
        """Measure the policy, keep it if it is the best, and note the result; numbers for the log."""
        start = time.perf_counter()
        result = self._reduced(self._episodes())
        entry = {
            "iteration": self.learner.iteration,
            "env_steps": self.learner.iteration * self.steps_per_iteration,
            "updates": self.learner.optimizer.num_steps,
            "ranks": self.learner.world_size,
            "seconds": round(self.state["seconds"], 2),
            "cpu_seconds": round(self.state["cpu_seconds"], 2),
            **result,
        }
        is_best = self.state["best"] is None or score(entry) > score(self.state["best"])
        if is_best:
            self.state["best"], self.state["falls"] = entry, 0
            self.best_parts = on_cpu(copy.deepcopy(self._policy_parts()))
        self._write(entry, is_best)
        numbers = {}
        if measures_success(entry):
            low, high = entry["ci95"]
            numbers = {"eval_success": entry["success"], "eval_success_low": low, "eval_success_high": high}
        numbers |= {"eval_return": entry["mean_return"], "eval_seconds": time.perf_counter() - start}
        if self.settings.rollback and not is_best:
            numbers["rollback"] = float(self._roll_back(entry))
        return numbers

    @torch.inference_mode()
    def _episodes(self) -> dict[str, float]:
        """Run the episodes of this rank, then reset the environments for training."""
        from flow_rl.evaluation.episodes import evaluate
        from flow_rl.evaluation.policies import FunctionPolicy

        learner = self.learner
        learner.eval_mode()
        with preserved_rng():
            result = evaluate(
                self.task,
                FunctionPolicy(learner.actor),
                math.ceil(self.settings.eval_episodes / learner.world_size),
                seed=self.settings.eval_seed + self.rank,
                horizon=learner.actor.cfg.horizon,
                progress=False,
            )
        learner.parts.train()
        obs, _ = self.task.reset()
        self.obs = TensorDict(obs, batch_size=[learner.env.num_envs])
        learner.begin_training()
        return result

    def _reduced(self, result: dict[str, Any]) -> dict[str, Any]:
        """Counts and means over all ranks."""
        episodes, mean = result["episodes"], result["mean_return"]
        squares = (episodes - 1) * result["return_std"] ** 2 + episodes * mean**2
        sums = [episodes, round((result["success"] or 0) * episodes), mean * episodes, squares]
        sums.append(result["mean_episode_length"] * episodes)
        sums = [sum(values) for values in zip(*gathered(sums), strict=True)]
        one = {"outcomes": result["outcomes"]} if self.learner.world_size == 1 else {}
        episodes, successes, mean = round(sums[0]), round(sums[1]), sums[2] / sums[0]
        deviation = math.sqrt(max(sums[3] - episodes * mean**2, 0.0) / max(episodes - 1, 1))
        known = measures_success(result)
        return {
            **one,
            "success": successes / episodes if known else None,
            "ci95": list(wilson_interval(successes, episodes)) if known else None,
            "successes": successes if known else None,
            "episodes": episodes,
            "mean_return": mean,
            "return_std": deviation,
            "return_ci95": list(mean_interval(mean, deviation, episodes)),
            "mean_episode_length": sums[4] / sums[0],
        }

    def _write(self, entry: dict[str, Any], is_best: bool) -> None:
        """Print the result; note it in the run's folder, and keep the policy there if it is the best."""
        if self.rank != 0:
            return
        best = self.state["best"]
        print(
            f"[flow_rl] evaluation after {entry['iteration']} iterations, {entry['env_steps']:,} control steps: "
            f"{told(entry)}" + ("" if is_best else f"; the best, after {best['iteration']}: {shown(score(best), best)}")
        )
        if self.folder is None:
            return
        if is_best:
            # as the stock runner writes them, with the iteration that is behind
            more = {"iter": max(self.learner.iteration - 1, 0), "infos": None}
            self._unwritten_best = self.learner.save() | more
        self._unwritten.append(json.dumps(entry) + "\n")
        try:
            self._write_files()
        except OSError as error:  # such as a full disk
            self._unwritten_best = copy.deepcopy(on_cpu(self._unwritten_best))  # learning goes on with the tensors
            print(
                f"[flow_rl] warning: {LOG} or {BEST} in {self.folder} could not be written ({brief(error)}). Training "
                "goes on, and tries again after the next evaluation."
            )

    def _write_files(self) -> None:
        """Write what is still due: lines of the log, and the best policy."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._unwritten:
            append(self.folder / LOG, "".join(self._unwritten))
            self._unwritten.clear()
        if self._unwritten_best is not None:
            save_checkpoint(self.folder / BEST, self._unwritten_best)
            self._unwritten_best = None

    @property
    def folder(self) -> Path | None:
        """Folder of the run, if it has one."""
        folder = getattr(getattr(self.task, "cfg", None), "log_dir", None)
        return Path(folder) if folder else None

    def _policy_parts(self) -> dict[str, dict]:
        """State of the policy and of all else that learns with it."""
        learning = {
            name: any(parameter.requires_grad for parameter in module.parameters())
            for name, module in self.learner.parts.items()
        }
        return {name: self.learner.parts[name].state_dict() for name in learning if learning[name] and name != "critic"}

    def _read_best(self) -> dict[str, dict] | None:
        """The best policy's parts in the run's folder, if they are there."""
        if self.folder is None or not (self.folder / BEST).is_file():
            return None
        saved = torch.load(self.folder / BEST, map_location="cpu", weights_only=True)
        return {name: saved[f"{name}_state_dict"] for name in self._policy_parts()}

    def _roll_back(self, entry: dict[str, Any]) -> bool:
        """Return to the best policy if several evaluations in a row lie significantly below it."""
        best = self.state["best"]
        self.state["falls"] = self.state["falls"] + 1 if lies_below(entry, best) else 0
        if self.state["falls"] < self.settings.rollback_patience:
            return False
        if self.best_parts is None:
            self.best_parts = from_first(self._read_best())
        if self.best_parts is None:
            return False
        for name, state in self.best_parts.items():
            self.learner.parts[name].load_state_dict(state)
        self.state["falls"], self.state["step_scale"] = 0, 0.5 * self.state["step_scale"]
        self.learner.scale_steps(self.state["step_scale"])
        self.learner.stand_still()
        if self.rank == 0:
            print(
                f"[flow_rl] rollback: {shown(score(entry), entry)} is significantly below {shown(score(best), best)} "
                f"for {self.settings.rollback_patience} evaluations. Learning goes on from the policy after "
                f"{best['iteration']} iterations, with steps of {self.state['step_scale']:g} times the size."
            )
        return True

    def _now(self) -> tuple[float, float]:
        return time.perf_counter(), time.process_time()

    def _stop_clocks(self) -> None:
        if self._clocks is not None:
            seconds, cpu = (now - start for start, now in zip(self._clocks, self._now(), strict=True))
            self.state["seconds"] += seconds
            self.state["cpu_seconds"] += sum(gathered(cpu))
        self._clocks = None
