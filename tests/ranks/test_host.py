# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What Isaac Lab's command is told of ranks."""

from __future__ import annotations

import argparse
import contextlib
from types import SimpleNamespace

import pytest
import torch

from flow_rl.ranks import host


def test_help_names_what_starts_ranks_and_what_num_envs_means():
    def add(parser: argparse.ArgumentParser, agent_default: str) -> None:
        parser.add_argument("--num_envs", type=int, help="Number of environments to simulate.")
        parser.add_argument("--agent", default=agent_default)

    common, parser = SimpleNamespace(add_common_train_args=add), argparse.ArgumentParser()
    host.document(common)
    common.add_common_train_args(parser, agent_default="ppo")
    text = " ".join(parser.format_help().split())
    assert (
        "--nproc_per_node N" in text and "--max_restarts K" in text and f"--num_envs NUM_ENVS {host.NUM_ENVS}" in text
    )
    assert parser.parse_args([]).agent == "ppo"


@pytest.mark.parametrize(("device", "seen"), [("cpu", (False, "cpu")), ("cuda:0", (True, "cuda:0"))])
def test_ranks_on_cpus_are_not_given_a_gpu(device, seen):
    """The host chooses a GPU for what it knows to be distributed; seeds and folders by rank follow from that, too."""
    found = []

    @contextlib.contextmanager
    def launch(cfg, args):
        found.append((args.distributed, cfg.sim.device))
        yield "physics"

    args = argparse.Namespace(device=device, distributed=True)
    with host._on_cpus(launch)(SimpleNamespace(sim=SimpleNamespace(device="cuda:0")), args) as physics:
        assert physics == "physics" and args.distributed
    assert found == [seen]


def test_each_rank_has_the_gpu_of_its_number(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert host.own_device("cuda") == "cuda:1" and host.own_device("cpu") == "cpu"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert host.own_device("cuda:0") == "cuda:0", "a launcher that shows each rank one GPU"
