# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Whether a checkpoint's parameters mean the same in another policy."""

from __future__ import annotations

from typing import Any

from flow_rl.utils.check import InputError

from .policy_settings import FlowPolicySettings

FREE = (
    *("num_flow_steps", "initial_noise", "intermediate_clip", "obs_clip", "score_clip"),
    *("encoder.shift", "selector.num_candidates", "base.execute_code", "base.deadline"),
)
"""Settings that may differ: they do not change the parameters' meaning."""


def check_compatible(description: dict[str, Any], policy_settings: dict[str, Any], task: str | None = None) -> None:
    """Raise an InputError that lists every way in which a checkpoint does not fit a policy.

    Args:
        description: What a checkpoint of flow_rl says of itself, ``checkpoint["flow_rl"]``.
        policy_settings: The policy's :attr:`FlowPolicy.settings`.
        task: Id of the present task, for the message.
    """
    found, here = _shapes(description["policy"]), _shapes(policy_settings)
    if differ := [name for name in here if found[name] != here[name]]:
        same_task = differ == ["obs_dim"] and task is not None and description.get("task") == task
        old = " One from before parts were seen by their rotation matrices needs env.part_rotation=quat." * same_task
        raise InputError(
            f"checkpoint of another task: {_listed(differ, found, here)} (checkpoint vs here). It was made for task "
            f"{description.get('task') or 'unknown'}, this is {task or 'another'}. Choose a checkpoint of this task, "
            f"or make one with flow-rl pretrain --task {task or '<task>'}.{old}"
        )
    found, here = _network(description["policy"]), _network(policy_settings)
    if differ := _differing(found, here):
        raise InputError(
            f"checkpoint of another network: {_listed(differ, found, here)} (checkpoint vs agent.actor). Build the "
            f"network of the checkpoint by adding to the command: {' '.join(_overrides(differ, found))}"
        )


def pretraining_overrides(made: FlowPolicySettings, wanted: FlowPolicySettings) -> list[str]:
    """Words ``agent.actor.<field>=<value>`` by which pretraining makes a policy that a learner can begin with.

    Args:
        made: Settings of the policy that is pretrained without them.
        wanted: Settings of the learner's policy.
    """
    found, here = ({"image_shapes": ["any"], **policy.values()} for policy in (made, wanted))
    found, here = _network(found), _network(here)
    words = _overrides(_differing(found, here), here)
    if made.regresses() != wanted.regresses():  # which decides what is learnt
        words += [f"agent.actor.{name}={getattr(wanted, name)}" for name in ("num_flow_steps", "initial_noise")]
    return words


def _shapes(settings: dict[str, Any]) -> dict[str, Any]:
    """What the task decides."""
    return {
        "obs_dim": sum(settings["obs_groups"].values()),
        "image_shapes": settings.get("image_shapes", {}),
        "action_dim": settings["action_dim"],
        "horizon": settings["horizon"],
    }


def _network(settings: dict[str, Any]) -> dict[str, Any]:
    """What shapes the networks, by paths such as ``backbone.width``; what is left out is the default."""
    full = FlowPolicySettings.of(settings).values()
    if not settings.get("image_shapes"):
        del full["encoder"]
    leaves = {
        f"{name}.{key}" if isinstance(value, dict) else name: leaf
        for name, value in full.items()
        for key, leaf in (value.items() if isinstance(value, dict) else [(name, value)])
    }
    return {name: leaf for name, leaf in leaves.items() if name not in FREE}


def _differing(found: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """Names of settings by which a policy is not what another can begin with."""
    free = set()
    if found["sampler.frozen_steps"] == 0:  # steps that are frozen now are those of the checkpoint
        free.add("sampler.frozen_steps")
    if found["base.digest"] is not None:  # which tells whether it is the same file, wherever it lies
        free.add("base.source")
    for slot, nothing in (("head", "none"), ("prior", "normal"), ("selector", "none")):
        if found[f"{slot}.kind"] == nothing:  # what is new there begins with nothing
            free |= {name for name in here if name.startswith(f"{slot}.")}
    return [name for name in here if name not in free and found[name] != here[name]]


def _overrides(names: list[str], values: dict[str, Any]) -> list[str]:
    return [f"agent.actor.{name}={str(values[name]).replace(' ', '')}" for name in names]


def _listed(names: list[str], found: dict[str, Any], here: dict[str, Any]) -> str:
    return ", ".join(f"{name} {found[name]} vs {here[name]}" for name in names)
