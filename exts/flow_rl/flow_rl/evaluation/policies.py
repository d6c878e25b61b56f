# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Policies in the form that evaluation takes: trained ones, the expert, and two baselines."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Literal

import torch
from rsl_rl.utils import resolve_callable
from tensordict import TensorDict

from flow_rl.models import FlowPolicy, FlowPolicySettings, check_compatible
from flow_rl.policies import BaseSettings, Interface, open_policy
from flow_rl.utils.check import require

Sampling = Literal["random", "zero", "stochastic"]
"""How a trained policy draws chunks: the flow from random or from zero noise, or the learner's chain."""


class FunctionPolicy:
    """A policy without memory, as a function of the observations."""

    def __init__(self, function: Callable[[Any], torch.Tensor], actor: FlowPolicy | None = None, flows: bool = False):
        """Wrap a function from observations to chunks (E, H*A).

        Args:
            function: The policy.
            actor: The flow policy behind it, if there is one.
            flows: Whether chunks are simply where that one's flow ends.
        """
        self.act = function
        self.actor, self.flows = actor, flows

    def reset(self, env_ids: torch.Tensor) -> None:
        """Nothing is remembered."""


class ExpertPolicy:
    """A task's scripted expert, which looks at the environment itself."""

    def __init__(self, expert: Any):
        """Wrap an expert; see :class:`flow_rl.demos.collect.Expert`."""
        self.expert = expert

    def act(self, obs: Any) -> torch.Tensor:
        """Return actions, shape (E, A)."""
        return self.expert.act()

    def reset(self, env_ids: torch.Tensor) -> None:
        """Begin new episodes."""
        self.expert.reset(env_ids)


def uniform_policy(shape: tuple[int, int], device: str | torch.device, bound: float) -> FunctionPolicy:
    """Return a policy of uniform actions in [-bound, bound] and shape (E, H*A); bound 0 holds still."""
    return FunctionPolicy(lambda obs: bound * (2.0 * torch.rand(shape, device=device) - 1.0))


def checkpoint_policy(
    checkpoint: dict[str, Any], env: Any, *, action_dim: int, task: str, sampling: Sampling, runner_cfg: dict | None
) -> FunctionPolicy:
    """Return the policy of a checkpoint after checking that it fits the environment.

    Args:
        checkpoint: A checkpoint of flow_rl.
        env: Manager-based environment.
        action_dim: Width A of a single action of the environment.
        task: Name of the task, for messages.
        sampling: How chunks are drawn.
        runner_cfg: Configuration of the checkpoint's learner, needed for stochastic sampling.
    """
    description = checkpoint["flow_rl"]
    settings = description["policy"]
    shapes = env.observation_manager.group_obs_dim
    here = {
        "obs_groups": {name: shapes[name][0] for name in settings["obs_groups"] if name in shapes},
        "image_shapes": {name: list(shapes[name]) for name in settings.get("image_shapes", {}) if name in shapes},
        "action_dim": action_dim,
    }
    check_compatible(description, settings | here, task)
    if sampling == "stochastic":
        return _chain_policy(checkpoint, env, runner_cfg)
    if FlowPolicySettings.of(settings).regresses():
        sampling = "zero"  # it has learnt nothing of other noise
    chosen = description | {"policy": settings | {"initial_noise": sampling}}
    actor = FlowPolicy.from_checkpoint(checkpoint | {"flow_rl": chosen}, env.device)
    return FunctionPolicy(actor, actor, flows=True)


def foreign_policy(
    settings: dict[str, Any], env: Any, *, groups: list[str], chunk: tuple[int, int], sampling: Sampling
) -> FunctionPolicy:
    """Return a policy that somebody else made, as it is.

    Args:
        settings: Fields of :class:`flow_rl.policies.BaseSettings`.
        env: Manager-based environment.
        groups: Observation groups that it may see.
        chunk: Actions H that are executed of each of its chunks, and their size A.
        sampling: "random", or "zero" for a policy that takes noise.
    """
    shapes = env.observation_manager.group_obs_dim
    interface = Interface({name: list(shapes[name]) for name in groups}, *chunk)
    policy = open_policy(BaseSettings(**settings), interface)
    shape = policy.noise_shape
    require(
        sampling == "random" or (sampling == "zero" and shape is not None),
        "--sampling",
        sampling,
        f"random{' or zero' if shape else ''} for {policy.name}",
        "leave it out.",
    )

    def act(obs: Any) -> torch.Tensor:
        seen = {name: obs[name] for name in policy.groups}
        noise = torch.zeros(env.num_envs, *shape, device=env.device) if sampling == "zero" else None
        return policy(seen, noise)[:, : chunk[0]].flatten(1).to(env.device)

    return FunctionPolicy(act)


def check_sampling(checkpoint: dict[str, Any], sampling: Sampling) -> None:
    """Raise a ValueError if a checkpoint knows no exploration noise but shall be sampled with it."""
    require(
        sampling != "stochastic" or checkpoint["flow_rl"]["stage"] == "finetune",
        "--sampling",
        sampling,
        f"random or zero for a checkpoint of stage {checkpoint['flow_rl']['stage']!r}",
        "leave it out; only fine-tuning learns the noise of the stochastic chain.",
    )


def _chain_policy(checkpoint: dict[str, Any], env: Any, runner_cfg: dict[str, Any]) -> FunctionPolicy:
    """Return the policy that explores as its learner did, whose actor is built as the checkpoint says."""
    settings = checkpoint["flow_rl"]["policy"]
    # only settings: what code runs is said by ours, never by a file
    actor_cfg = runner_cfg["actor"] | FlowPolicySettings.of(settings).values()
    obs = TensorDict(env.observation_manager.compute(), batch_size=[env.num_envs], device=env.device)
    learner = resolve_callable(runner_cfg["algorithm"]["class_name"]).construct_algorithm(
        obs,
        SimpleNamespace(num_actions=settings["horizon"] * settings["action_dim"], max_episode_length=1),
        runner_cfg | {"actor": actor_cfg},
        str(env.device),
    )
    learner.load(checkpoint, {"critic": False, "target": False, "replay": False})  # what acts, as it was
    learner.eval_mode()
    actor = learner.actor
    return FunctionPolicy(
        lambda obs: actor.action_normalizer.inverse(learner.explore(actor.get_latent(obs)).chunk), actor
    )
