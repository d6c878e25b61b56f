# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What off-policy learners learn of values: an ensemble, its target, and returns that end in the target's values."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from tensordict import TensorDict

from flow_rl.kernels import lambda_scan
from flow_rl.models import QEnsemble
from flow_rl.objectives import calibration_error
from flow_rl.ranks.collective import count
from flow_rl.utils.check import require

from .optimizer import GroupedAdamW
from .settings import OffPolicySettings

WINDOWS = ("latent", "action", "targets", "valid")
"""What the loss needs of sampled windows."""

NextChunks = Callable[[TensorDict], tuple[torch.Tensor, torch.Tensor | None]]
"""Chunks (draws, N, H * A) at observations (N,), and what is added to their values (draws, N), if anything is."""


class TdCritic:
    """Fits an ensemble of action values to TD(lambda) returns of a replay's windows (S, N, W).

    Returns end in the values of a target that follows the ensemble slowly: of the policy's next chunks, or of the next
    observation where a dueling critic knows them.
    """

    def __init__(self, ensemble: QEnsemble, settings: OffPolicySettings):
        """Copy the ensemble's networks, of M members, as the target."""
        most, taken = ensemble.num_members, settings.bootstrap_members
        require(
            taken is None or taken <= most,
            "agent.algorithm.bootstrap_members",
            taken,
            f"at most the {most} members of agent.critic.num_members, or null",
            "lower it, or raise agent.critic.num_members.",
        )
        self.ensemble, self.settings = ensemble, settings
        self.target = copy.deepcopy(ensemble.mlp).requires_grad_(False)

    @torch.no_grad()
    def add_targets(self, batch: TensorDict, next_chunks: NextChunks) -> TensorDict:
        """Windows with `latent` in the place of `obs`, and with `targets` (S, N, W, F), one for each estimate.

        Those are returns; a dueling critic's V gets its own, and its A the difference of returns and V.
        """
        obs = batch.pop("obs")  # (S, N, W + 1)
        batch["latent"] = self.ensemble.get_latent(obs[:, :, :-1])
        if self.ensemble.dueling:
            values = self.state_values(obs.flatten()).view(*obs.batch_size)
            value, following = values[..., :-1], values[..., 1:]
            near, far = self.settings.lam, self.settings.value_lam
            near, far = (self.returns(batch, following, lam) for lam in (near, near if far is None else far))
            targets = [far, near - value]
        else:
            next_obs = obs[:, :, 1:].flatten()
            following = self.chunk_values(next_obs, *next_chunks(next_obs)).view(batch["reward"].shape)
            targets = [self.returns(batch, following, self.settings.lam)]
        batch["targets"] = torch.stack(targets, dim=-1)
        return batch

    def state_values(self, obs: TensorDict) -> torch.Tensor:
        """Values (N,) of observations (N,), by the target of a dueling critic."""
        return self.combine(self.target.value(self.ensemble.get_latent(obs).unsqueeze(0)).squeeze(-1))

    def chunk_values(self, obs: TensorDict, chunks: torch.Tensor, bonus: torch.Tensor | None = None) -> torch.Tensor:
        """Values (N,) of chunks (draws, N, H * A) at observations (N,) by the target, bonuses (draws, N) included."""
        values = self.member_values(obs, chunks)
        return self.combine((values if bonus is None else values + bonus).mean(dim=1))

    def member_values(self, obs: TensorDict, chunks: torch.Tensor) -> torch.Tensor:
        """Values (M, draws, N) of chunks (draws, N, H * A) at observations (N,) by the target's members."""
        latent = self.ensemble.get_latent(obs).expand(len(chunks), -1, -1)
        pairs = torch.cat([latent, chunks], dim=-1).flatten(0, 1)
        return self.target(pairs.unsqueeze(0)).squeeze(-1).unflatten(1, chunks.shape[:2])

    def combine(self, values: torch.Tensor) -> torch.Tensor:
        """The members' values (M, N), or those of a few of them drawn for each N, as one (N,), within the bounds."""
        if (taken := self.settings.bootstrap_members) is not None:
            values = values.gather(0, torch.rand_like(values).topk(taken, dim=0).indices)
        value = self.reduce(values)
        return value if self.settings.value_range is None else value.clamp(*self.settings.value_range)

    def reduce(self, values: torch.Tensor) -> torch.Tensor:
        """The members' values (M, N) as one (N,), without bounds."""
        if self.settings.bootstrap == "min":
            return values.amin(dim=0)
        value = values.mean(dim=0)
        if self.settings.bootstrap != "mean":
            value = value - self.settings.bootstrap * values.std(dim=0, correction=0)
        return value

    def returns(self, batch: TensorDict, next_values: torch.Tensor, lam: float) -> torch.Tensor:
        """TD(lambda) returns of windows (S, N, W)."""
        # The scan runs over the first dimension, time.
        columns = [batch["reward"], next_values, batch["terminated"], batch["truncated"]]
        reward, *others = (column.flatten(0, 1).T for column in columns)
        return lambda_scan(reward, *others, self.settings.gamma, lam).T.reshape(next_values.shape)

    def loss(
        self,
        latent: torch.Tensor,
        action: torch.Tensor,
        targets: torch.Tensor,
        valid: torch.Tensor,
        num_valid: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Sum over members of half the mean squared error, and values (M, N).

        Inputs are (M or 1, N, ...); targets have a last dimension for the critic's estimates. The sum of errors is
        divided by `num_valid` (M or 1, 1).
        """
        estimates = self.ensemble.estimates(latent, action)  # (M, N, F)
        error = (estimates - targets).square().sum(dim=-1) * valid
        return 0.5 * (error / num_valid.expand(len(estimates), 1)).sum(), estimates.sum(dim=-1)

    def step(self, batch: TensorDict, optimizer: GroupedAdamW) -> dict[str, torch.Tensor]:
        """One step of all members, each on its own trajectories, then of the target; returns scalars for the log."""
        latent, action, targets, valid = (batch[name].flatten(1, 2) for name in WINDOWS)
        loss, values = self.loss(latent, action, targets, valid, count(valid, dim=-1))
        norms = optimizer.minimize(loss)
        with torch.no_grad():
            parameters = list(self.target.parameters()), list(self.ensemble.mlp.parameters())
            torch._foreach_lerp_(*parameters, 1.0 - self.settings.target_momentum)
            num_valid = count(valid)
            return {
                "critic": loss.detach(),
                "q_mean": (values.mean(dim=0) * valid).sum() / num_valid,
                "q_spread": values.std(dim=0, correction=0).mean(),
                "target_mean": (targets[..., 0] * valid).sum() / num_valid,
                "grad_norm_critic": norms["grad_norm_critic"],
            }

    @torch.no_grad()
    def foresight(self, batch: TensorDict) -> dict[str, torch.Tensor]:
        """What the ensemble's predictions for windows (1, N, W) are worth, as scalars for the log.

        `foresight` is the correlation with their targets; of a dueling critic it is A's, which also says what V has
        missed of states. Without any, the policy follows noise. `calibration_error` is that of values, or of V.
        """
        latent, action, targets, valid = (batch[name].flatten(1, 2) for name in WINDOWS)
        estimates = self.ensemble.estimates(latent, action).mean(dim=0)  # (N, F)
        error = calibration_error(estimates[:, 0], targets[0, :, 0], valid[0])
        predicted, target, weight = estimates[:, -1], targets[0, :, -1], valid[0] / valid[0].sum().clamp(min=1)
        predicted, target = (x - (weight * x).sum() for x in (predicted, target))
        spread = ((weight * predicted.square()).sum() * (weight * target.square()).sum()).sqrt()
        return {
            "foresight": (weight * predicted * target).sum() / spread.clamp(min=1e-12),
            "calibration_error": error,
        }

    def compile(self, mode: str) -> None:
        """Compile the loss; in "reduce-overhead" mode it becomes a CUDA graph."""
        self.loss = torch.compile(self.loss, mode=mode)
