# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Flow-matching policies: pretrained on demonstrations, fine-tuned by reinforcement learning."""

import os

# Checkpoints come from elsewhere: none is executed, whoever calls torch.load, the stock runner included, which would.
# Assigned, since to torch a 0 means "as the caller asks"; and torch.load refuses both variables together.
os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
os.environ.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)
