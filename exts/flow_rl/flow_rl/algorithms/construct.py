# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""From the runner's configuration to a learner."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from rsl_rl.env import VecEnv
from rsl_rl.utils import resolve_class, resolve_obs_groups
from tensordict import TensorDict

from flow_rl.models import CriticView
from flow_rl.utils.check import require, require_device

from .evaluator import Evaluator, EvaluatorSettings

if TYPE_CHECKING:
    from .base import FlowAlgorithm


def construct(learner: type[FlowAlgorithm], obs: TensorDict, env: VecEnv, cfg: dict, device: str) -> FlowAlgorithm:
    """Build actor, critic and learner; see :meth:`FlowAlgorithm.construct_algorithm`."""
    require_device("agent.device", device)
    _check_obs_groups(cfg["obs_groups"], obs)
    cfg["obs_groups"] = resolve_obs_groups(obs, cfg["obs_groups"], ["actor", "critic"])
    actor_class, actor_cfg = resolve_class(cfg["actor"])
    critic_class, critic_cfg = resolve_class(cfg["critic"])
    alg_class, alg_cfg = resolve_class(cfg["algorithm"])
    settings = alg_class.settings_class.parse(alg_cfg)
    actor = actor_class(obs, cfg["obs_groups"], "actor", env.num_actions, **actor_cfg)
    require(
        actor.base is None or alg_class.keeps_base,
        "agent.actor.base.source",
        actor.cfg.base.source,
        f"null for {alg_class.__name__}, which needs gradients of a flow of its own",
        "leave it out, or take a learner that leaves the base as it is: dsrl, residual or resip.",
    )
    view = CriticView.make(actor, obs, cfg["obs_groups"]["critic"])
    critic_groups = cfg["obs_groups"]["critic"]
    if view is not None:
        # the stock wrapper's observations do not say where they are
        obs, critic_groups = view.to(device)(obs.to(device)), view.groups
    critic = critic_class(obs, {"critic": critic_groups}, "critic", learner.critic_dim(env.num_actions), **critic_cfg)
    evaluation = EvaluatorSettings(
        **{field.name: cfg[field.name] for field in fields(EvaluatorSettings) if field.name in cfg}
    )
    algorithm = alg_class(
        env,
        actor,
        critic,
        settings,
        obs=obs,
        view=view,
        num_steps=cfg["num_steps_per_env"],
        num_iterations=cfg["max_iterations"],
        device=device,
        multi_gpu_cfg=cfg.get("multi_gpu"),
    )
    evaluation.check()
    if evaluation.eval_interval > 0 and hasattr(env, "step"):
        rank = (cfg.get("multi_gpu") or {}).get("global_rank", 0)
        algorithm.evaluator = Evaluator(algorithm, evaluation, num_steps=cfg["num_steps_per_env"], rank=rank)
    if (mode := cfg.get("torch_compile_mode")) is not None:
        remedy = "leave it out: what agent.actor.base.source names is not compiled."
        require(actor.base is None, "agent.torch_compile_mode", mode, "null upon a base", remedy)
        algorithm.compile(mode)
    if (chunk_view := getattr(getattr(env, "unwrapped", env), "chunk_view", None)) is not None:
        chunk_view.sample_chunks = actor.sample_chunks  # a viewer is open
    return algorithm


def _check_obs_groups(obs_groups: dict[str, list[str]], obs: TensorDict) -> None:
    """Refuse cameras and other groups that the environment does not have."""
    for name, groups in obs_groups.items():
        require(
            not isinstance(groups, str) and set(groups) <= set(obs.keys()),
            f"agent.obs_groups.{name}",
            groups,
            f"a list of groups of this environment, {sorted(obs.keys())}",
            'write a list such as ["policy","front"] of what the task shows; cameras are those of -Vision variants.',
        )
