# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Demonstrations: writing, reading, converting and serving them as action chunks.

The file is the HDF5 layout shared by robomimic and Isaac Lab Mimic, so their tools read ours and we read theirs::

    data                     attrs: total (samples), env_args (JSON: task, versions, seed, quality, ...)
    data/demo_i              attrs: num_samples, success, seed, strategy
    data/demo_i/obs/<group>  (T, O), or images (T, C, H, W) of bytes
    data/demo_i/actions      (T, A)   one row per control tick
    data/demo_i/rewards      (T,)
    data/demo_i/dones        (T,)
    data/demo_i/initial_state/<kind>/<asset>/<quantity>  (1, ...)   see :mod:`flow_rl.demos.states`

Files that were converted have, where the original has them, ``data/demo_i/next_obs/<group>``, whose last row was seen
after the last action, and ``data/demo_i/truncations`` (T,), whether an episode was cut rather than ended.

Images are packed one by one with lzf, which h5py brings along: those of plain scenes shrink five to eight times. In
memory they are raw, height x width x 3 bytes each.
"""
