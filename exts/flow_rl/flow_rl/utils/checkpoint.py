# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Checkpoints: rsl_rl's dictionary plus a plain description of the policy, readable without executing pickled code."""

from __future__ import annotations

import copy
import functools
import importlib.metadata
import os
import subprocess
import uuid
from pathlib import Path

import torch

from .check import InputError
from .files import is_file, reading, require_kind, require_plain_archive

FORMAT = 1
"""Version of the description; it changes when older files can no longer be read."""

WRITTEN, AGAIN = "what flow-rl pretrain or training writes", "make it again with flow-rl pretrain."
"""What files should hold, and what to do if they do not."""

FORMER_SETTINGS = ("obs_groups", "image_shapes", "action_dim", "horizon", "num_flow_steps", "hidden_dims", "activation")
FORMER_SETTINGS += ("time_embedding_dim", "prediction", "initial_noise", "obs_scaling", "intermediate_clip", "obs_clip")
FORMER_SETTINGS += ("score_clip", "encoder")
"""What descriptions said of the policy before that had a place of its own."""

FORMER_FACTS = ("obs_dim", "score_coefs")
"""What they said besides and is known otherwise today."""


def describe(policy_settings: dict, *, stage: str, learner: str | None, task: str | None, **more: object) -> dict:
    """Description stored under "flow_rl" in a checkpoint.

    Args:
        policy_settings: Plain values from :attr:`FlowPolicy.settings`.
        stage: "pretrain" or "finetune".
        learner: Name of the learner that wrote it; None for pretraining.
        task: Id of the task; None if unknown.
        more: Further plain values.
    """
    source = {"version": importlib.metadata.version("flow-rl"), "revision": revision(), "format": FORMAT}
    return {"policy": policy_settings, "stage": stage, "learner": learner, "task": task, **more} | source


@functools.cache
def revision() -> str | None:
    """Git commit of this code, ending in "-dirty" when files differ from it; None without git or a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def save_checkpoint(path: str | Path, checkpoint: dict) -> None:
    """Write a checkpoint that every machine can read; an interrupted write leaves the old file as it was."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # not a file of tempfile, which only its owner may read, whatever the umask says
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with partial.open("xb") as file:
            torch.save(on_cpu(checkpoint), file)
            file.flush()
            os.fsync(file.fileno())  # or a machine that dies may keep the name without the contents
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def on_cpu(value: object) -> object:
    """The same dictionaries and lists with all tensors on the CPU, for readers without the writer's GPU.

    The stock ``play`` reads checkpoints to where they were written from, and fails where there is no such device.
    """
    if isinstance(value, torch.Tensor):
        return value.cpu()
    if isinstance(value, dict):
        copied = copy.copy(value)  # of the same kind, with the versions that modules note in their state
        copied.update((key, on_cpu(item)) for key, item in value.items())
        return copied
    if isinstance(value, list | tuple):
        return type(value)(map(on_cpu, value))
    return value


def load_checkpoint(path: str | Path, device: str | torch.device = "cpu") -> dict:
    """Read a checkpoint of pretraining or of a learner, refusing anything that would execute code.

    Raises:
        FileNotFoundError: There is no such file.
        InputError: The file is damaged or no checkpoint of flow_rl.
    """
    path = Path(path)
    if not is_file(path):
        raise FileNotFoundError(f"--checkpoint {path} does not exist. Make one with flow-rl pretrain.")
    try:
        require_plain_archive(path)
        checkpoint = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"--checkpoint {path} cannot be read: it is truncated, or not a file of tensors and plain values only "
            f"({type(error).__name__}). Valid: files written by flow-rl pretrain or by training. Make it again."
        ) from error
    check_foreign(checkpoint, str(path))
    with reading(path, WRITTEN, AGAIN):
        checkpoint = upgraded(checkpoint)
        policy = checkpoint["flow_rl"]["policy"]
        for value in (policy, policy.get("base") or {}, policy["obs_groups"], policy.get("image_shapes") or {}):
            require_kind(value, dict, path, WRITTEN, AGAIN)
        require_kind(policy["horizon"], int, path, WRITTEN, AGAIN)
    return checkpoint


def check_foreign(checkpoint: object, origin: str = "the checkpoint") -> None:
    """Raise an InputError unless this is a checkpoint of flow_rl."""
    if not isinstance(checkpoint, dict) or not {"flow_rl", "actor_state_dict"} <= checkpoint.keys():
        raise InputError(
            f"{origin} holds no flow policy. Valid: checkpoints written by flow-rl pretrain or by a learner. "
            "Make one with flow-rl pretrain."
        )
    for name in ("flow_rl", "actor_state_dict"):
        if not isinstance(checkpoint[name], dict):
            raise InputError(
                f"{origin} is damaged: {name} is a {type(checkpoint[name]).__name__}. "
                "Make it again with flow-rl pretrain."
            )
    if checkpoint["flow_rl"].get("format") != FORMAT:
        raise InputError(
            f"{origin} has format {checkpoint['flow_rl'].get('format')}; this version of flow_rl reads {FORMAT}. "
            "Make it again with flow-rl pretrain."
        )


def upgraded(checkpoint: dict) -> dict:
    """The same checkpoint with its description of the policy below "policy"; once it stood among the other facts."""
    description = checkpoint["flow_rl"]
    if "policy" in description:
        return checkpoint
    policy = {name: description[name] for name in FORMER_SETTINGS if name in description}
    facts = {name: value for name, value in description.items() if name not in {*FORMER_SETTINGS, *FORMER_FACTS}}
    state = dict(checkpoint["actor_state_dict"])
    if description.get("score_coefs") is not None:
        state.setdefault("score_coefs", torch.tensor(description["score_coefs"]))
    return checkpoint | {"flow_rl": {"policy": policy, **facts}, "actor_state_dict": state}
