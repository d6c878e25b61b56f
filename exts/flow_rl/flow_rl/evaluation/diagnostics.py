# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What the log of a training says besides losses: what each number is, what is healthy, what to do."""

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
    remedy: str
    """What to change if it does not."""


DIAGNOSTICS = (
    Diagnostic(
        ("policy_move", "policy_distance"),
        "mean squared change of the velocity at fixed observations, noise and times, in this iteration and since "
        "the beginning",
        "the first small and steady; the second flattens as success does",
        "lower `agent.algorithm.learning_rate`; on-policy lower `agent.algorithm.clip_param`",
    ),
    Diagnostic(
        ("policy_distance_m",),
        "metres between where chunks lead the tool now and at the beginning",
        "below the play of parts that are inserted: RLDT's success on OneLeg turned at 1.5 mm",
        "`agent.algorithm.reference=pretrained`, a higher `agent.algorithm.reference_coef`, or a "
        "`agent.algorithm.reference_budget`",
    ),
    Diagnostic(
        ("policy_chunk_distance",),
        "distance of chunks from those of the beginning for the same noise, per coordinate in [-1, 1]",
        "well below `policy_spread` where precision matters",
        "as for `policy_distance_m`",
    ),
    Diagnostic(
        ("policy_spread",),
        "distance of two chunks for the same observation",
        "stays or shrinks; growth comes before collapse",
        "stop, or roll back; lower the learning rate",
    ),
    Diagnostic(
        ("policy_bend",),
        "how far the steps of the flow deviate from a straight line to its end",
        "stays; RLDT's field is evaluated at landing points",
        "raise `agent.algorithm.consistency_coef`",
    ),
    Diagnostic(
        ("grad_norm_actor", "grad_norm_critic", "skipped_steps"),
        "norms before clipping; optimiser steps left out because they were not finite",
        "no trend; 0",
        "lower the learning rate; look at observations and rewards",
    ),
    Diagnostic(
        ("explained_variance", "foresight"),
        "of the critic: share of the returns' variance; correlation with returns of chunks not trained on yet",
        "above 0.5; above 0.2",
        "more `agent.algorithm.critic_warmup` or `agent.algorithm.num_critic_updates`; privileged observations for "
        "the critic",
    ),
    Diagnostic(
        ("calibration_error",),
        "predicted against realised returns, by decile of the prediction",
        "small beside the returns",
        "check `agent.algorithm.value_range` and `agent.algorithm.time_limit_is_terminal`",
    ),
    Diagnostic(
        ("batch_age", "batch_new", "batch_old"),
        "RLDT: mean age of its batches [iterations], shares of the newest and of eight or older",
        "the age grows until the replay is full, then stays",
        "`agent.algorithm.capacity`, `agent.algorithm.new_fraction`",
    ),
    Diagnostic(
        ("seconds_act", "seconds_critic", "seconds_actor", "seconds_update"),
        "where an iteration's time goes; the rest of the stock log's collection time is the simulator's",
        "the simulator's is the largest",
        "fewer updates, or more environments",
    ),
    Diagnostic(
        ("agreement",),
        "RLDT: 1 if all critics' gradients agree, 0 if they are noise",
        "rises while it learns",
        "longer warm-up; more trajectories per iteration",
    ),
)
"""In the order in which a reader should look."""


def markdown_table() -> str:
    """The table of the documentation."""
    rows = [
        (", ".join(f"`{name}`" for name in each.scalars), each.meaning, each.healthy, each.remedy)
        for each in DIAGNOSTICS
    ]
    head = [("`Loss/...`", "What it is", "Healthy", "If not"), ("---",) * 4]
    return "\n".join(f"| {' | '.join(row)} |" for row in head + rows)
