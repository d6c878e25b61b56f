# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What checkpoints hold of a learner, and how a learner goes on from one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flow_rl.models import check_compatible
from flow_rl.utils.checkpoint import check_foreign, describe, on_cpu, upgraded
from flow_rl.utils.rng import rng_state

if TYPE_CHECKING:
    from .base import FlowAlgorithm


def saved(learner: FlowAlgorithm) -> dict:
    """Everything that learning depends on, as tensors and plain values only."""
    states = learner.parts.states(learner.unsaved) | {"optimizer_state_dict": learner.optimizer.state_dict()}
    more = {} if learner.evaluator is None else {"evaluator": learner.evaluator.state_dict()}
    facts = {"stage": "finetune", "learner": learner.name, "task": learner.task, "iteration": learner.iteration}
    facts |= {} if learner.world_size == 1 else {"ranks": learner.world_size}
    return {
        **on_cpu(states),
        **more,
        "rng_state": rng_state(),
        "flow_rl": describe(learner.actor.settings, **facts),
    }


def saved_own(learner: FlowAlgorithm) -> dict:
    """What a rank alone has: what its environments have left, such as a replay, and its random numbers."""
    without = (set(learner.parts) - set(learner.parts.own())) | learner.unsaved
    return {**on_cpu(learner.parts.states(without)), "rng_state": rng_state()}


def _with_own(learner: FlowAlgorithm, checkpoint: dict) -> dict:
    """Put what this rank has of its own in the place of what rank 0 had, and say what a change of ranks means."""
    before, now = checkpoint["flow_rl"].get("ranks", 1), learner.world_size
    if before != now and learner.rank == 0:
        print(
            f"[flow_rl] The checkpoint was written by {before} rank{'s' * (before > 1)} and is read by {now}: "
            "environments begin anew, and so does what others than rank 0 keep of their own, such as a replay."
        )
    if learner.rank == 0:
        return checkpoint
    own = {f"{name}_state_dict" for name in learner.parts.own()} | {"rng_state"}
    common = {key: value for key, value in checkpoint.items() if key not in own}
    return common | (learner.own_state or {})


def load_into(learner: FlowAlgorithm, checkpoint: dict, wanted: dict | None, strict: bool) -> bool:
    """Let a learner go on from a checkpoint of its own kind, or begin with the policy of any other.

    Args:
        learner: Who goes on.
        checkpoint: What the stock runner has read.
        wanted: Which parts to take over, by name; None for all.
        strict: Whether states must hold all parameters.

    Returns:
        Whether the runner shall go on from the checkpoint's iteration.
    """
    check_foreign(checkpoint)
    checkpoint = upgraded(checkpoint)
    found = checkpoint["flow_rl"]
    check_compatible(found, learner.actor.settings, learner.task)
    learner.policy_loaded = True
    if found["stage"] == "pretrain" or found["learner"] != learner.name:
        learner.actor.load_state_dict(checkpoint["actor_state_dict"], strict=strict)
        learner.policy_replaced()
        print(f"[flow_rl] {learner.name} begins with the policy of stage {found['stage']} ({found['learner']}).")
        return False
    checkpoint = _with_own(learner, checkpoint)
    wanted = wanted or {"actor": True, "critic": True, "optimizer": True, "iteration": True}
    learner.parts.load(checkpoint, wanted, learner.optimizer, strict)
    if wanted.get("iteration"):
        learner.iteration = found["iteration"]
        learner.num_iterations = learner.iteration + learner.planned_iterations
        learner.rng_state = checkpoint.get("rng_state")
        if learner.evaluator is not None and "evaluator" in checkpoint:
            learner.evaluator.load_state_dict(checkpoint["evaluator"])
        learner._apply_schedules()
    return bool(wanted.get("iteration"))
