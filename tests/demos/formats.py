# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What tests of files of other people share."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from flow_rl.configs.pretrain import PretrainCfg
from flow_rl.demos.convert import LEROBOT, as_hdf5
from flow_rl.demos.reader import Demos, load_demos
from flow_rl.pretrain.trainer import pretrain

needs_lerobot = pytest.mark.skipif(LEROBOT not in os.environ, reason=f"{LEROBOT} names no Python that has lerobot")


def learn(source: str | Path, *obs_keys: str, num_steps: int = 1) -> Demos:
    """Take a step of pretraining on a file of any format, and return what was learnt from."""
    with as_hdf5(source) as path:
        demos = load_demos(path, obs_keys=obs_keys or ("policy",))
        cfg = PretrainCfg(device="cpu", num_steps=num_steps, batch_size=4)
        cfg.actor.hidden_dims, cfg.actor.encoder.width, cfg.actor.encoder.output_dim = [8], 16, 8
        pretrain(cfg, demos, output=path.with_name("policy.pt"), progress=False)
        assert path.with_name("policy.pt").is_file()
    return demos


def picture(steps: int, size: int = 64, seed: int = 0) -> np.ndarray:
    """Smooth pictures (T, H, W, 3) of bytes, which films keep well."""
    ramp = np.linspace(0, 160, size)
    shade = ramp[:, None] + 10 * np.arange(steps)[:, None, None] + 5 * seed
    return np.repeat(np.broadcast_to(shade, (steps, size, size))[..., None], 3, axis=3).astype(np.uint8)
