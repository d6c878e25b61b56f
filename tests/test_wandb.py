# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The pinned wandb fits Isaac Lab and rsl_rl: a run that is announced by one and written by the other arrives."""

from __future__ import annotations

import json

import wandb


def read_history(file) -> list[dict]:
    """Every step that an offline run holds."""
    from wandb.proto.wandb_internal_pb2 import Record
    from wandb.sdk.internal.datastore import DataStore

    store, history = DataStore(), []
    store.open_for_scan(str(file))
    while (data := store.scan_data()) is not None:
        record = Record.FromString(data)
        if record.HasField("history"):
            items = record.history.item
            history.append({item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items})
    return history


def test_offline_run_receives_what_is_logged(tmp_path, wandb_folder):
    from rsl_rl.utils.wandb_log_writer import WandbLogWriter

    from isaaclab_rl.utils.wandb import announce_new_run

    announce_new_run("flow_rl")
    writer = WandbLogWriter(str(tmp_path / "run"), "flow_rl")
    for step, value in enumerate((0.25, 0.5)):
        writer.add_scalar("Metrics/success_rate", value, step)
    writer.stop()
    wandb.teardown()  # ends the process that writes

    (file,) = wandb_folder.glob("offline-run-*/*.wandb")
    assert [(row["_step"], row["Metrics/success_rate"]) for row in read_history(file)] == [(0, 0.25), (1, 0.5)]
    assert list((tmp_path / "run").glob("events.out.tfevents.*"))
