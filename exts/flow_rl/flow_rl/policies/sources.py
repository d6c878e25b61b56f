# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""From the words that name a policy to the policy."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

from flow_rl.deploy.package import CONTRACT
from flow_rl.utils.check import InputError, require

from .foreign import FunctionPolicy, OnnxPolicy, TorchScriptPolicy
from .frozen import FrozenPolicy, Interface, refusal
from .own import CheckpointPolicy, PackagePolicy
from .settings import FIELD, BaseSettings

VALID = (
    "a checkpoint of flow_rl, a folder that flow-rl export wrote, a TorchScript or ONNX file, a function "
    "module:function, or a policy server ws://host:port"
)
SERVER = re.compile(r"(wss?://|openpi:).+")
FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def open_policy(settings: BaseSettings, interface: Interface) -> FrozenPolicy:
    """Open the policy that settings name.

    Args:
        settings: Where it is, and what it may do.
        interface: What the environment shows and takes.

    Raises:
        InputError: If there is none, or it does not fit the environment.
    """
    settings.check()
    kind = kind_of(settings.source)
    require(
        settings.execute_code or not kind.is_code,
        FIELD + "source",
        settings.source,
        "a program only if it may run here, with all that this user may do",
        f"if you trust who wrote it, set {FIELD}execute_code=true, or pass --execute_code to evaluate and record.",
    )
    policy = kind(settings, interface)
    check_fits(policy, interface)
    require(
        settings.digest in (None, policy.digest),
        FIELD + "source",
        settings.source,
        f"the file of SHA-256 {settings.digest}, upon which learning was done",
        "put that file back, or learn again upon the present one.",
    )
    return policy


def open_own(path: Path, execute_code: bool = False) -> FrozenPolicy:
    """Open a checkpoint or a package of flow_rl, which say by themselves what they see.

    Args:
        path: File or folder.
        execute_code: Whether a program may run upon which a checkpoint was learnt.
    """
    return (PackagePolicy if path.is_dir() else CheckpointPolicy)(BaseSettings(str(path), execute_code))


def kind_of(source: str) -> type[FrozenPolicy]:
    """What kind of policy words name, without opening it.

    Raises:
        InputError: If they name none.
    """
    if SERVER.fullmatch(source):
        from .client import ServerPolicy  # here, because it needs packages that nothing else does

        return ServerPolicy
    path = Path(source).expanduser()
    if path.is_dir():
        _refuse_lerobot(path)
        remedy = "name the folder that flow-rl export wrote, or a file within this one."
        require((path / CONTRACT).is_file(), FIELD + "source", source, VALID, remedy)
        return PackagePolicy
    if path.is_file():
        if path.suffix == ".onnx":
            return OnnxPolicy
        return TorchScriptPolicy if _is_torchscript(path) else CheckpointPolicy
    remedy = "check the path, as seen from where this command runs."
    require(bool(FUNCTION.fullmatch(source)), FIELD + "source", source, VALID, remedy)
    return FunctionPolicy


def check_exportable(source: str) -> None:
    """Raise an InputError if what was learnt upon such a policy can never be exported with it; nothing is opened."""
    if (why := kind_of(source).why_not_exported) is not None:
        raise refusal(source, why)


def check_fits(policy: FrozenPolicy, interface: Interface) -> None:
    """Raise an InputError unless a policy sees what the environment shows, and acts as it takes."""
    there = interface.shapes
    wrong = {name: shape for name, shape in policy.groups.items() if there.get(name) != list(shape)}
    require(
        not wrong,
        FIELD + "source",
        f"{policy.name}, which sees {policy.groups}",
        f"one that sees some of {there}, the groups of agent.obs_groups.actor",
        f"add {', '.join(wrong)} to agent.obs_groups.actor, or choose a policy of this task.",
    )
    require(
        policy.action_dim == interface.action_dim and policy.horizon >= interface.horizon,
        FIELD + "source",
        f"{policy.name}, whose chunks are ({policy.horizon}, {policy.action_dim})",
        f"one with {interface.horizon} or more actions of size {interface.action_dim}",
        "choose a policy of this task, or a smaller agent.actor.horizon.",
    )


def _is_torchscript(path: Path) -> bool:
    """Whether a file of PyTorch holds a program beside its tensors."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in name for name in archive.namelist())
    except Exception:  # noqa: BLE001 - whatever is wrong with it, whoever reads it says so
        return False


def _refuse_lerobot(folder: Path) -> None:
    """Say what to do with a policy of LeRobot."""
    try:
        kind = json.loads((folder / "config.json").read_text())["type"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return
    raise InputError(
        f"{FIELD}source = {str(folder)!r} is a policy of LeRobot ({kind}), whose package asks for an older numpy than "
        "Isaac Lab brings. Remedy: serve it from an environment of its own, with a server that speaks openpi's "
        f"protocol, and set {FIELD}source=ws://127.0.0.1:8000."
    )
