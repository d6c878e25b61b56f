# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What the person at the robot reads: a package's contract in prose and tables."""

from __future__ import annotations

from typing import Any

from .package import LAST_ACTIONS, LATENCY

MANUAL = """# {task}

A policy that acts {rate:g} times per second: every {chunk_seconds:g} s it looks, and plans the next {horizon} actions.
It was {origin} at revision
`{revision}`, and exported on {created}. `policy.yaml` is the full contract; this is its digest.

## Run it

Copy this folder to the robot's computer, which needs Python 3.10 or newer, `numpy` and `onnxruntime`{opencv}. In the
folder, `python -m flow_rl.deploy .` verifies that all is as it was exported and says how long a decision takes.

```python
import sys

sys.path.insert(0, "path/to/this/folder")
from flow_rl.deploy import PolicyRunner

runner = PolicyRunner("path/to/this/folder", execute={horizon})  # refuses a folder that has changed in any byte
{reset}while True:
    chunk = runner.act(observations, stamp=measured_at)  # clock: time.monotonic()
    if chunk.is_held:
        print(chunk.reason)  # something is missing, wrong or old: the robot is held
    for due, action in zip(chunk.times, chunk.actions):
        execute(action, at=due)  # your robot
```
{franka}
## Before the first motion

- Check each observation below against your robot: order, unit, frame, sign of quaternions. `test_vectors.npz` holds
  {num_vectors} observations of the simulator to compare orders of magnitude with.
- Start near the initial posture below, with the workspace empty and the emergency stop in your hand.
- Try `PolicyRunner(..., max_change=0.1)` first: it bounds how much an action may change per control step.
{late}- Look at `runner.latency()`: {period:g} s is all the time there is until the next action.
  Where that is too little, `PolicyRunner(..., inference_delay=N)` plans N control steps ahead; see its documentation.

## Observations

Float32, by name. Where something is out of order, the runner holds and says what.

{observations}

{frames}
{cameras}
## Actions

Shape ({horizon}, {size}), float32, within their limits; each lasts {period:g} s.

{actions}

## Robot in simulation

{robots}
"""

FRANKA = """
On a Franka this folder brings its own driver, which needs `franky-control` too and begins with what it would do:

```bash
python -m flow_rl.deploy.franka --package . --host ADDRESS --objects poses.json --dry_run
```
"""


def manual(contract: dict[str, Any]) -> str:
    """README.md of a package."""
    control, actions = contract["control"], contract["actions"]
    must_start = actions["start"] is None
    learner = f"fine-tuned with {contract['learner']}" if contract["learner"] else "pretrained on demonstrations"
    return MANUAL.format(
        task=contract["task"],
        rate=1.0 / control["period"],
        period=control["period"],
        chunk_seconds=control["period"] * control["chunk_length"],
        horizon=control["chunk_length"],
        size=len(actions["lower"]),
        origin=f"{learner} (iteration {contract['iteration']})",
        created=contract["created"],
        revision=contract["revision"],
        num_vectors=contract["num_test_vectors"],
        late=_late(contract),
        franka=FRANKA if _is_franka(contract) else "",
        opencv=", `opencv-python` for its cameras" if contract["cameras"] else "",
        reset="runner.reset(start=present_pose_as_an_action)  # its actions are absolute\n" if must_start else "",
        observations=_table(
            ("Name", "Numbers", "Unit", "Frame", "Of", "What it is"),
            [
                (f"`{term['name']}`", term["shape"][0], term["units"], term["frame"], _entities(term["of"]))
                + (term["description"],)
                for term in contract["observations"]
            ],
        ),
        frames="\n".join(f"- {name}: {text}" for name, text in contract["frames"].items()),
        cameras=_cameras(contract["cameras"]),
        actions=_table(
            ("Columns", "Name", "Meaning", "Unit", "Scale", "Offset", "When held"),
            [
                (f"{term['first']} to {term['first'] + term['size'] - 1}", f"`{term['name']}`", term["meaning"])
                + (term["units"], term.get("scale", "-"), term.get("offset", "-"))
                + ("stays as it was" if term["hold"] == "last" else "zero: no motion",)
                for term in actions["terms"]
            ],
        ),
        robots="\n\n".join(
            f"`{name}`\n\n"
            + _table(
                ("Joint", "At the start", "Limits", "Stiffness", "Damping"),
                [
                    (f"`{joint}`", f"{start:.4g}", f"{low:.4g} to {high:.4g}", f"{stiffness:g}", f"{damping:g}")
                    for joint, start, (low, high), stiffness, damping in zip(
                        *(robot[key] for key in ("joints", "start", "limits", "stiffness", "damping")), strict=True
                    )
                ],
            )
            for name, robot in contract["robots"].items()
        ),
    )


def _is_franka(contract: dict[str, Any]) -> bool:
    """Whether the policy is for one Franka."""
    joints = [robot["joints"] for robot in contract["robots"].values()]
    return len(joints) == 1 and joints[0][0].startswith("panda")


def _late(contract: dict[str, Any]) -> str:
    """What to do about latency where the policy observes it."""
    terms = {term["name"]: term["shape"][0] for term in contract["observations"]}
    if not {LAST_ACTIONS, LATENCY} <= set(terms):
        return ""
    most = terms[LAST_ACTIONS] // len(contract["actions"]["lower"])
    return (
        "- Measure how many control steps pass between a command and its motion, and say so: "
        f"`PolicyRunner(..., action_latency=N)`,\n  N from 0 to {most}. "
        f"It then fills in `{LAST_ACTIONS}` and `{LATENCY}` by itself.\n"
    )


def _cameras(cameras: list[dict[str, Any]]) -> str:
    """Section about cameras, where there are any."""
    if not cameras:
        return ""
    table = _table(
        ("Name", "Pixels", "Focal length [pixels]", "Mounted on", "At [m]", "Orientation (x, y, z, w), -z looks ahead"),
        [
            (f"`{camera['name']}`", " x ".join(map(str, camera["size"])), f"{camera['intrinsics'][0][0]:.4g}")
            + (f"`{camera['mount']}`", camera["position"], [round(value, 4) for value in camera["orientation"]])
            for camera in cameras
        ],
    )
    return f"""
## Cameras

Pictures are bytes (3, height, width), red, green, blue. `runner.package.preprocessing("{cameras[0]["name"]}",
calibration=Calibration.load("lens.yaml"))` makes them of OpenCV's frames: undistort, cut the middle, shrink by area.

{table}
"""


def _entities(parameters: dict[str, Any]) -> str:
    """What a term looks at: entities of the scene with their bodies or joints."""
    entities = [value for value in parameters.values() if isinstance(value, dict)]
    parts = [", ".join(entity.get("bodies", entity.get("joints", []))) for entity in entities]
    named = [
        f"{entity['entity']} ({part})" if part else entity["entity"]
        for entity, part in zip(entities, parts, strict=True)
    ]
    return "; ".join(named + [str(value) for key, value in parameters.items() if key == "names"]) or "-"


def _table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    """Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)
