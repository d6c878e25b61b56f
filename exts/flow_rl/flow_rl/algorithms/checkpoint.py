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
    return {
        **on_cpu(states),
        **more,
        "rng_state": rng_state(),
        "flow_rl": describe(learner.actor.settings, **facts),
    }


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
    wanted = wanted or {"actor": True, "critic": True, "optimizer": True, "iteration": True}
    learner.parts.load(checkpoint, wanted, learner.optimizer, strict)
    if wanted.get("iteration"):
        learner.iteration = found["iteration"]
        learner.num_iterations = learner.iteration + learner.planned_iterations
        learner.rng_state = checkpoint["rng_state"]
        if learner.evaluator is not None and "evaluator" in checkpoint:
            learner.evaluator.load_state_dict(checkpoint["evaluator"])
        learner._apply_schedules()
    return bool(wanted.get("iteration"))
