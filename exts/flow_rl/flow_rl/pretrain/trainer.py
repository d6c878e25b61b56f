# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Pretraining of a flow policy on demonstrations: flow matching on action chunks, entirely on the device."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import torch

from flow_rl.demos.chunks import OBS_GROUP, ChunkDataset
from flow_rl.demos.outliers import describe_outliers, within_percentiles
from flow_rl.demos.reader import Demos
from flow_rl.flows import cosine
from flow_rl.flows.times import TimeLaw
from flow_rl.models import FlowPolicy
from flow_rl.objectives import flow_matching_loss
from flow_rl.utils.check import require, require_choice, require_device, require_package
from flow_rl.utils.checkpoint import describe, save_checkpoint
from flow_rl.utils.progress import progress_bar

if TYPE_CHECKING:
    from flow_rl.configs.pretrain import PretrainCfg

_VALIDATION_ROWS = {False: 4096, True: 512}
"""Rows on which the held-out loss is measured, without and with images."""


def pretrain(
    cfg: PretrainCfg,
    demos: Demos,
    *,
    output: str | Path,
    task: str | None = None,
    log_dir: str | Path | None = None,
    progress: bool = True,
) -> dict[str, float]:
    """Write a checkpoint of a policy that imitates the demonstrations and return the last metrics.

    Until the last step, what has been learnt is kept beside it, see :func:`unfinished`.

    Args:
        cfg: Settings of the policy and of the optimisation.
        demos: Demonstrations.
        output: Checkpoint to write at the end.
        task: Task of the demonstrations, kept in the checkpoint.
        log_dir: Where to log; nothing is logged when None.
        progress: Whether to show a progress bar.

    Raises:
        ValueError: A setting makes no sense, or the policy is no longer finite; no such policy is saved.
    """
    check_settings(cfg)
    torch.manual_seed(cfg.seed)
    data, validation = ChunkDataset(demos, cfg.actor.horizon, cfg.device).split(cfg.validation_fraction, cfg.seed)
    policy = build_policy(cfg, demos)
    average = copy.deepcopy(policy)  # what is validated and saved
    optimizer = torch.optim.AdamW(policy.parameters(), lr=cfg.learning_rate, weight_decay=cfg.weight_decay)
    max_grad_norm = math.inf if cfg.max_grad_norm is None else cfg.max_grad_norm

    logger = MetricLogger(cfg, log_dir)
    facts = {"task": task, "num_demos": demos.num_demos}
    losses = []
    metrics: dict[str, float] = {}
    with progress_bar(cfg.num_steps, "pretrain", "step", show=progress) as bar:
        for step in range(1, cfg.num_steps + 1):
            optimizer.param_groups[0]["lr"] = learning_rate(cfg, step)
            loss = chunk_loss(policy, cfg, *data.sample(cfg.batch_size), augment=True)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(policy.parameters(), max_grad_norm)
            optimizer.step()
            # short at first, so that the average forgets the initial weights
            update_average(average, policy, min(cfg.ema_decay, step / (step + 10)))
            losses.append(loss.detach())
            if step % cfg.log_interval == 0 or step == cfg.num_steps:
                check_finite(average, step)
                metrics = {"loss": float(torch.stack(losses).mean()), "learning_rate": learning_rate(cfg, step)}
                if validation is not None:
                    metrics["validation_loss"] = validation_loss(average, cfg, validation)
                losses.clear()
                logger.log(metrics, step)
                shown = {name: f"{value:.3f}" for name, value in metrics.items() if name.endswith("loss")}
                bar.set_postfix(shown, refresh=False)
            if step % cfg.save_interval == 0 and step < cfg.num_steps:
                check_finite(average, step)
                save(average, cfg, unfinished(output), step=step, **facts, **metrics)
            bar.update()
    logger.close()
    save(average, cfg, output, step=cfg.num_steps, **facts, **metrics)
    unfinished(output).unlink(missing_ok=True)
    return metrics


def unfinished(output: str | Path) -> Path:
    """Where the average is kept every ``save_interval`` steps, in case that the run does not reach its end."""
    output = Path(output)
    return output.with_name(f"{output.stem}-unfinished{output.suffix}")


def check_settings(cfg: PretrainCfg) -> None:
    """Raise a ValueError about the first setting that makes no sense; the policy checks its own."""
    for name in ("num_steps", "batch_size", "log_interval", "save_interval"):
        value = getattr(cfg, name)
        require(value >= 1, f"agent.{name}", value, "an integer >= 1", "leave it out to use the default.")
    require(cfg.learning_rate > 0, "agent.learning_rate", cfg.learning_rate, "> 0", "use 1e-3, the default.")
    bounded = cfg.max_grad_norm is None or cfg.max_grad_norm > 0
    require(bounded, "agent.max_grad_norm", cfg.max_grad_norm, "> 0 or null", "use null for no bound.")
    require(0 <= cfg.ema_decay < 1, "agent.ema_decay", cfg.ema_decay, "[0, 1)", "use 0 for no averaging.")
    require_choice("agent.normalization", cfg.normalization, ("min_max", "quantile"))
    require_choice("agent.time_law", cfg.time_law, get_args(TimeLaw))
    denoises = cfg.actor.sampler.kind == "denoising"
    valid = "uniform for a denoising policy, whose levels of noise are learnt alike"
    require(not denoises or cfg.time_law == "uniform", "agent.time_law", cfg.time_law, valid, "use uniform.")
    frozen, field = cfg.actor.sampler.frozen_steps, "agent.actor.sampler.frozen_steps"
    require(frozen == 0, field, frozen, "0 in pretraining, where all is learnt", "set it when fine-tuning.")
    base, field = cfg.actor.base.source, "agent.actor.base.source"
    require(
        base is None, field, base, "null in pretraining, which learns a flow of its own", "set it in flow-rl train."
    )
    require_choice("agent.logger", cfg.logger, ("tensorboard", "wandb"))
    require_device("agent.device", cfg.device)


def check_finite(policy: FlowPolicy, step: int) -> None:
    """Raise a ValueError if a parameter is not finite; the average never forgets such a value."""
    finite = torch.stack([parameter.isfinite().all() for parameter in policy.parameters()]).all()
    require(
        bool(finite),
        f"the policy's parameters at step {step}",
        "NaN or infinity",
        "finite numbers; nothing was saved at this step",
        "lower agent.learning_rate, or bound the gradients with agent.max_grad_norm=1.0.",
    )


def build_policy(cfg: PretrainCfg, demos: Demos) -> FlowPolicy:
    """Return a fresh policy whose normalisers know the demonstrations."""
    data = {
        "obs_groups": {OBS_GROUP: demos.obs_dim},
        "image_shapes": {name: list(frames.shape[1:]) for name, frames in demos.images.items()},
        "action_dim": demos.action_dim,
    }
    policy = FlowPolicy.from_settings(cfg.actor.values() | data)
    obs, actions = demos.obs, demos.actions
    if cfg.normalization == "quantile":
        obs, actions = within_percentiles(obs), within_percentiles(actions)
    policy.fit(torch.from_numpy(obs), torch.from_numpy(actions))
    return policy.to(cfg.device)


def data_warnings(cfg: PretrainCfg, demos: Demos) -> list[str]:
    """Return what would spoil learning from these demonstrations: outliers that set their scales."""
    if cfg.normalization == "quantile":
        return []
    arrays = {"obs": demos.obs, "actions": demos.actions}
    found = (describe_outliers(key, values, demos.names, demos.lengths) for key, values in arrays.items())
    return [warning for warning in found if warning]


def chunk_loss(
    policy: FlowPolicy,
    cfg: PretrainCfg,
    obs: dict[str, torch.Tensor],
    chunks: torch.Tensor,
    is_data: torch.Tensor,
    augment: bool = False,
) -> torch.Tensor:
    """Return the loss of a batch, see :meth:`ChunkDataset.sample`, with fresh noise and times.

    A policy of one step from zero noise learns there alone: its loss is that of regression.
    """
    latent = policy.get_latent(obs, augment=augment)
    actions = policy.action_normalizer(chunks).clamp(-1.0, 1.0)  # nothing beyond is played
    if policy.cfg.regresses():
        noise, times = torch.zeros_like(actions), torch.zeros_like(actions[:, :1])
    else:
        times, noise = policy.sampler.training_times(len(actions), cfg.time_law), torch.randn_like(actions)
    return flow_matching_loss(
        lambda x, t: policy.velocity_field(x, t, latent), actions, noise, times, policy.sampler.compared(), is_data
    )


@torch.no_grad()
def validation_loss(policy: FlowPolicy, cfg: PretrainCfg, dataset: ChunkDataset) -> float:
    """Return the loss on held-out episodes, with the same draws at every call and no effect on the training's draws."""
    # noise and times are drawn where learning happens, also where the data is too large to live there
    devices = [cfg.device] if torch.device(cfg.device).type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(0)
        return float(chunk_loss(policy, cfg, *dataset.sample(_VALIDATION_ROWS[bool(policy.image_shapes)])))


def learning_rate(cfg: PretrainCfg, step: int) -> float:
    """Return the learning rate of a step: a linear warm-up on top of half a cosine."""
    warmup = min(step / max(cfg.warmup_steps, 1), 1.0)
    return warmup * cosine(cfg.learning_rate, cfg.final_learning_rate, step / cfg.num_steps)


@torch.no_grad()
def update_average(average: torch.nn.Module, model: torch.nn.Module, decay: float) -> None:
    """Move the averaged parameters towards the model's."""
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1.0 - decay)


def save(policy: FlowPolicy, cfg: PretrainCfg, output: str | Path, **facts: object) -> None:
    """Write the checkpoint in the runner's format, so that every stock command takes it."""
    checkpoint = {
        "actor_state_dict": policy.state_dict(),
        "critic_state_dict": {},
        "optimizer_state_dict": {},
        "iter": 0,
        "infos": None,
        "flow_rl": describe(policy.settings, stage="pretrain", learner=None, seed=cfg.seed, **facts),
    }
    save_checkpoint(output, checkpoint)


class MetricLogger:
    """Writes numbers to TensorBoard and, if asked, to Weights & Biases."""

    def __init__(self, cfg: PretrainCfg, log_dir: str | Path | None):
        self._writer = None
        if log_dir is None:
            return
        if cfg.logger == "wandb":
            wandb = require_package("wandb", "wandb", "wandb")
            wandb.init(project=cfg.wandb_project, dir=str(log_dir), config=cfg.to_dict(), sync_tensorboard=True)
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(log_dir))
        self._wandb = cfg.logger == "wandb"

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Record the metrics of a step below ``Pretrain/``."""
        if self._writer is not None:
            for name, value in metrics.items():
                self._writer.add_scalar(f"Pretrain/{name}", value, step)

    def close(self) -> None:
        """Flush and finish."""
        if self._writer is not None:
            self._writer.close()
            if self._wandb:
                import wandb

                wandb.finish()
