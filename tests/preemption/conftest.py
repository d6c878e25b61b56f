# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What is compared in a module of helpers is shown where it differs."""

import pytest

pytest.register_assert_rewrite("tests.preemption.training")
