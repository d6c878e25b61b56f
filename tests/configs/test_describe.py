# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Settings as a reader wants them: all fields, who set each, and what it is."""

import dataclasses
from dataclasses import dataclass, field

from flow_rl.configs.describe import describe_settings, field_summaries


@dataclass
class Inner:
    width: int = 1
    """Width, e.g. in pixels. More of it."""


@dataclass
class Base:
    gamma: float = 0.9
    """Discount
    per decision."""

    inner: Inner = field(default_factory=Inner)


@dataclass
class Outer(Base):
    name: str = "a"
    gone: object = None

    gamma: float = 0.99


def test_summaries_are_first_sentences_and_inherited():
    assert field_summaries(Outer) == {"gamma": "Discount per decision"}
    assert field_summaries(Inner) == {"width": "Width, e.g. in pixels"}


def test_each_field_says_who_set_it():
    layers = {
        "default": Outer(gone=1),
        "task": Outer(gone=1, name="b", inner=Inner(2)),
        "presets": Outer(gone=dataclasses.MISSING, name="a", inner=Inner(2)),
    }
    found = {each.path: each[1:3] for each in describe_settings(layers)}
    assert found == {"agent.gamma": (0.99, "default"), "agent.inner.width": (2, "task"), "agent.name": ("a", "presets")}
