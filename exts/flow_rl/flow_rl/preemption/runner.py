# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The stock runner, which can be stopped by a scheduler and goes on in the same folder."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
import torch
from rsl_rl.env import VecEnv

from flow_rl.algorithms.base import FlowAlgorithm
from flow_rl.algorithms.evaluator import LOG
from flow_rl.ranks.runner import RankRunner
from flow_rl.utils.check import InputError, require, require_package
from flow_rl.utils.files import brief

from .folder import claim, clear_partial, cut_lines, intact_checkpoints
from .logger import RunLogger
from .signals import EXIT_CODE, Preemption, Stopped

GRACE = 20.0
"""Seconds that an iteration may still take when a signal has come, unless settings say otherwise."""


class PreemptibleRunner(RankRunner):
    """Ends with a checkpoint when a scheduler asks for it, and goes on from the newest one of its folder.

    SIGTERM and SIGUSR1 let it finish the present iteration, or stop that after `agent.grace` seconds between two
    decisions or two steps of the optimiser; then it writes a checkpoint and ends with exit code 143. Several ranks
    end after the same iteration, whatever it takes.

    With `agent.resume` it begins from the newest intact checkpoint of its own folder, whatever :meth:`load` is asked
    for afterwards, and `max_iterations` are those of the whole run. Environments go on where they were if they offer
    `state_dict` and `load_state_dict`; others are reset with a seed that no earlier start has had.
    """

    logger_class = RunLogger

    def __init__(self, env: VecEnv, train_cfg: dict, log_dir: str | None = None, device: str = "cpu"):
        """Build the learner, and let it go on if it is to.

        Args:
            env: The environments.
            train_cfg: Settings of runner and learner.
            log_dir: Folder of the run; None for none.
            device: Where learning happens.

        Raises:
            InputError: If the run cannot go on.
        """
        super().__init__(env, train_cfg, log_dir, device)
        self.began = self.done = 0
        """Numbers of iterations with which the run began, and that lie behind."""
        self.kept: Path | None = None
        """Newest checkpoint of this run."""
        self.unwritten: Path | None = None
        """Checkpoint that could not be written and is still due."""
        self.same_episodes = False
        """Whether the environments have gone on where they were."""
        self.lock: IO[str] | None = None
        self.preemption: Preemption | None = None
        if self.cfg.get("resume") and log_dir is not None:
            self._resume(Path(log_dir))

    """
    The stock runner's methods.
    """

    def learn(self, num_learning_iterations: int, init_at_random_ep_len: bool = False) -> None:
        """Run the iterations that are left of so many.

        Raises:
            SystemExit: With exit code 143, if a signal asked for an end.
        """
        if self.logger.first_row is None:
            left, self.done = num_learning_iterations, self.current_learning_iteration
        else:
            left = num_learning_iterations - (self.done - self.began)
        if left <= 0:
            print(f"[flow_rl] This run has all of its {num_learning_iterations} iterations: nothing is left to do.")
            return
        self.logger.after_step, self.logger.after_iteration = self._check_grace, self._check_signal
        hook = self.alg.optimizer.register_step_pre_hook(lambda *_: self._check_grace())
        with contextlib.ExitStack() as cleanup, Preemption(self.cfg.get("grace", GRACE)) as self.preemption:
            cleanup.callback(hook.remove)
            if self.lock is not None:
                cleanup.callback(self.lock.close)
            try:
                super().learn(left, init_at_random_ep_len and not self.same_episodes)
            except Stopped:
                self._leave()
        self._require_written()

    def save(self, path: str, infos: dict | None = None) -> None:
        """Write a checkpoint, whole or not at all, when all rows that lead to it are written.

        If that fails, because the disk is full or a network's is gone, training goes on, and the next iteration's is
        written instead.
        """
        self.logger.flush()
        try:
            super().save(path, (infos or {}) | {"run": self._state()})
        except OSError as error:
            self.unwritten = Path(path)
            newest = f"the newest is {self.kept}" if self.kept else "there is none yet"
            print(
                f"[flow_rl] warning: checkpoint {path} could not be written ({brief(error)}); {newest}. Training goes "
                "on, and tries again after the next iteration.",
                flush=True,
            )
            return
        self.kept, self.unwritten = Path(path), None

    def load(
        self, path: str, load_cfg: dict | None = None, strict: bool = True, map_location: str | None = None
    ) -> dict | None:
        """Begin with a checkpoint, unless the run has gone on already; returns what else it holds."""
        if self.kept is not None and self.logger.first_row is not None:
            return None
        infos = super().load(path, load_cfg, strict, map_location)
        if isinstance(self.alg, FlowAlgorithm):  # the stock runner would repeat an iteration
            self.current_learning_iteration = self.alg.iteration
        self.began = self.done = self.current_learning_iteration
        return infos

    """
    Going on.
    """

    def _resume(self, folder: Path) -> None:
        """Go on from the newest intact checkpoint of the run's folder, if there is one."""
        ours = isinstance(self.alg, FlowAlgorithm)
        require(ours, "agent.resume", True, "false for learners that are not flow_rl's", "leave --resume out.")
        rank_0 = not self.logger.disable_logs
        if rank_0:
            self.lock = claim(folder)
            clear_partial(folder)
        if self.cfg.get("logger") == "wandb":
            require_package("wandb", "wandb", "wandb")
            from .wandb_writer import recall_run

            recall_run(folder)
        path, checkpoint = next(intact_checkpoints(folder), (None, None))
        if checkpoint is not None:
            self._go_on(path, checkpoint)
        elif rank_0:
            print(f"[flow_rl] No checkpoint to go on from in {folder}: this run begins.")
        self.logger.first_row = self.current_learning_iteration
        if rank_0:
            cut_lines(folder / LOG, None if checkpoint is None else self.alg.iteration)

    def _go_on(self, path: Path, checkpoint: dict) -> None:
        found, alg = checkpoint["flow_rl"], self.alg
        run, iteration = (checkpoint["infos"] or {}).get("run"), found["iteration"]
        require(
            found["learner"] == alg.name and run is not None,
            "--run_name",
            path.parent.name,
            f"the name of a run of {alg.name} that was begun with --resume auto, or a new name",
            "choose another name.",
        )
        alg.planned_iterations = max(run["began"] + self.cfg["max_iterations"] - iteration, 0)
        self.load(str(path), map_location=self.device)
        if alg.evaluator is not None:
            alg.evaluator.recall_best()
        self.began, self.kept = run["began"], path
        task = self.env.unwrapped
        if "env" in run and run["num_envs"] == self.env.num_envs and not self.is_distributed:
            task.load_state_dict(run["env"])
            self.same_episodes, environments = True, "so do the environments"
        else:
            environments = "the environments begin anew, because no checkpoint holds their state"
            if hasattr(task, "reset"):
                task.reset(seed=self._fresh_seed(iteration))
        self.logger.load_state_dict(run["logger"], self.same_episodes)
        self.logger.began = self.began
        print(f"[flow_rl] This run goes on after {iteration} iterations, from {path}; {environments}.")

    def _fresh_seed(self, iteration: int) -> int:
        """Seed of episodes that begin after so many iterations: not the first ones' again."""
        numbers = np.random.SeedSequence((self.cfg["seed"], self.gpu_global_rank, iteration))
        return int(numbers.generate_state(1)[0] >> 1)

    def _state(self) -> dict[str, Any]:
        """What the run needs besides its learner, as tensors and plain values."""
        state = {"began": self.began, "num_envs": self.env.num_envs, "logger": self.logger.state_dict()}
        if hasattr(self.env.unwrapped, "load_state_dict") and not self.is_distributed:
            state["env"] = self.env.unwrapped.state_dict()
        return state

    """
    Stopping.
    """

    def _check_grace(self) -> None:
        """Stop within an iteration when the grace is over; ranks would wait for each other in vain."""
        if self.preemption.overdue and not self.is_distributed:
            raise Stopped

    def _check_signal(self, iteration: int) -> None:
        """Stop after an iteration if any rank has been asked to."""
        self.done, asked = iteration + 1, self.preemption.asked
        if self.unwritten is not None:
            self.save(str(self.unwritten.with_name(f"model_{iteration}.pt")))
        if self.is_distributed:
            flag = torch.tensor(float(asked), device=self.device)
            torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
            asked = bool(flag.item())
        if asked:
            raise Stopped

    def _leave(self) -> NoReturn:
        """Write a checkpoint unless the newest is as new, say how to go on, and end."""
        said = self._keep()
        if not self.logger.disable_logs:
            print(f"[flow_rl] {self.preemption.name or 'A signal to another rank'}: {said}.", flush=True)
        self.logger.flush()
        self.logger.stop_logging_writer()
        if self.is_distributed:
            torch.distributed.barrier()  # a rank that ends takes the others with it, also the one that writes
        self._require_written()
        raise SystemExit(EXIT_CODE)

    def _require_written(self) -> None:
        """Raise an InputError if the last checkpoint is not there."""
        if self.unwritten is not None:
            newest = f"What is there is {self.kept}" if self.kept else "None was written before"
            raise InputError(
                f"{self.unwritten} could not be written, and training has ended. {newest}. Remedy: make room, and go "
                "on from there."
            )

    def _keep(self) -> str:
        """Keep the last iteration; returns what there is, and how to go on with it."""
        if self.logger.log_dir is None:
            return f"stopped after {self.done} iterations; without a folder nothing is written"
        path = Path(self.logger.log_dir, f"model_{self.done - 1}.pt")
        again = self.logger.first_row is not None
        if self.done == self.began:
            return "stopped in the first iteration, nothing is written; repeat the same command"
        if path != self.kept and self.logger.writer is not None:
            self.save(str(path))
        if self.unwritten is not None:
            return f"stopped after {self.done} iterations, and {path} could not be written"
        go_on = "repeat the same command" if again else f"go on with --checkpoint {path}"
        return f"stopped after {self.done} iterations, {path} is written; {go_on}"
