# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A model card, in the form that model hubs read: metadata first, then what a stranger asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from .score import interval, measures_success, score, told
from .training import Training
from .training_report import next_commands, summary


def write_card(training: Training, path: Path, licence: str = "other") -> Path:
    """Write the card of a training's best policy, and return its path.

    Args:
        training: The run.
        path: Where it goes.
        licence: Identifier of the policy's licence, as hubs list them; only its owner knows it.
    """
    described = training.described
    metadata = front_matter(described["task"], described["learner"], licence)
    if training.evaluations:
        metadata["model-index"] = [_index(training, max(training.evaluations, key=score))]
    text = _CARD.format(
        metadata=yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True),
        task=described["task"],
        learner=described["learner"],
        summary=summary(training),
        evaluation=_evaluation(training),
        base=Path(str(training.agent.get("load_checkpoint", ""))).name or "nothing",
        seed=training.agent.get("seed", "unknown"),
        num_envs=training.num_envs or "unknown",
        iterations=training.agent.get("max_iterations", "unknown"),
        revision=described["revision"],
        version=described["version"],
        algorithm=yaml.safe_dump(training.agent.get("algorithm", {}), sort_keys=False),
        commands="\n".join(next_commands(training, training.best.name)),
        licence=licence,
    )
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    return partial.replace(path)


def front_matter(task: str | None, learner: str | None, licence: str) -> dict[str, Any]:
    """Metadata of a policy: library, licence, tags."""
    tags = ["robotics", "reinforcement-learning", "flow-matching", "isaac-lab", task, learner]
    return {
        "library_name": "flow_rl",
        "pipeline_tag": "robotics",
        "license": licence,
        "tags": [tag for tag in tags if tag],
    }


def _index(training: Training, best: dict[str, Any]) -> dict[str, Any]:
    task, known = training.described["task"], measures_success(best)
    low, high = (round(end, 4) for end in interval(best))
    metric = {
        "type": "success_rate" if known else "mean_reward",
        "name": f"{'success' if known else 'return'}, {best['episodes']} episodes, 95 % interval {low} to {high}",
        "value": round(score(best), 4),
    }
    return {
        "name": f"{training.described['learner']}-{task}",
        "results": [
            {
                "task": {"type": "reinforcement-learning", "name": "robot manipulation"},
                "dataset": {"type": task, "name": task},
                "metrics": [metric],
            }
        ],
    }


def _evaluation(training: Training) -> str:
    if not training.evaluations:
        return "It was not evaluated without exploration."
    rows = [f"| {entry['iteration']} | {entry['env_steps']:,} | {told(entry)} |" for entry in training.evaluations]
    return "\n".join(["| Iteration | Control steps | Result, 95 % interval, episodes |", "| --- | --- | --- |", *rows])


_CARD = """---
{metadata}---

# {task}, fine-tuned by {learner}

A flow-matching policy that generates chunks of actions, fine-tuned in simulation with
flow_rl {version} (revision `{revision}`). {summary}

## Training

It began with `{base}`; seed {seed}, {num_envs} environments, {iterations} iterations. Settings of the learner:

```yaml
{algorithm}```

## Evaluation

Episodes of the training task, from a fixed seed, without exploration noise.

{evaluation}

The policy with the best evaluation is kept (`model_best.pt`); because it is chosen among several, its figure is a
little too good. Measure it anew before you rely on it.

## Limits

Success was measured in simulation, for the starts, objects and dynamics of this task alone. Nothing is known of other
scenes or of a real robot, on which speed, force and workspace must be limited.

## Use

```bash
{commands}
```

## Licence

{licence}
"""
