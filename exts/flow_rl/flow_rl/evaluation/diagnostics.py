# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What the log of a training says besides losses: what each number is, and what is healthy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Diagnostic:
    """Scalars that are read together."""

    scalars: tuple[str, ...]
    """Names under ``Loss/`` in TensorBoard."""
    meaning: str
    """What they are, with units."""
    healthy: str
    """What a training that goes well shows."""


DIAGNOSTICS = (
    Diagnostic(
        ("policy_move", "policy_distance"),
        "mean squared change of the velocity at fixed states, noise and times, in this iteration and since the start",
        "the first small and steady; the second flattens as success does",
    ),
    Diagnostic(
        ("policy_distance_m",),
        "distance between where chunks lead the tool and where they led it at the beginning [m]",
        "below the play of parts that are inserted: RLDT's success on OneLeg turned at 1.5 mm",
    ),
    Diagnostic(
        ("policy_chunk_distance",),
        "how far chunks from the same noise are from those of the beginning, per coordinate in [-1, 1]",
        "well below `policy_spread` where precision matters",
    ),
    Diagnostic(
        ("policy_spread",),
        "how far two chunks for the same state are apart, likewise",
        "stays or shrinks; growth comes before collapse",
    ),
    Diagnostic(
        ("policy_bend",),
        "how far the steps of the flow point from where it ends",
        "stays; RLDT's field is computed where they point",
    ),
    Diagnostic(
        ("grad_norm_actor", "grad_norm_critic", "skipped_steps"),
        "norms before clipping; steps left out because they were not finite",
        "no trend; 0",
    ),
    Diagnostic(
        ("explained_variance", "foresight"),
        "what the critic knows: share of the returns' variance, correlation for chunks it has not learnt from",
        "above 0.5; above 0.2",
    ),
    Diagnostic(
        ("calibration_error",),
        "predicted against realised returns, by decile of the prediction",
        "small beside the returns",
    ),
    Diagnostic(
        ("batch_age", "batch_new", "batch_old"),
        "RLDT: mean age of what it learns from [iterations], shares of the newest and of eight or older",
        "the age grows until the replay is full, then stays",
    ),
    Diagnostic(
        ("seconds_act", "seconds_critic", "seconds_actor", "seconds_update"),
        "where an iteration's time goes [s]; what is left of the stock log's collection is the simulator's",
        "the simulator's is the largest",
    ),
    Diagnostic(
        ("agreement",),
        "RLDT: 1 if all critics' gradients agree, 0 if they are noise",
        "rises while it learns",
    ),
)
"""In the order in which a reader should look."""


def markdown_table() -> str:
    """The table of the documentation."""
    rows = [
        f"| {', '.join(f'`{name}`' for name in each.scalars)} | {each.meaning} | {each.healthy} |"
        for each in DIAGNOSTICS
    ]
    return "\n".join(["| `Loss/...` | What it is | Healthy |", "| --- | --- | --- |", *rows])
