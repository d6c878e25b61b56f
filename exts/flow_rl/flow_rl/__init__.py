# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Flow-matching policies: pretrained on demonstrations, fine-tuned by reinforcement learning."""
