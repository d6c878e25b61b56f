# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Refusals that name a remedy."""

import math

import pytest

from flow_rl.utils.check import InputError, require_package


def test_packages_of_extras():
    """What is there is returned; what is not is named together with the extra that brings it."""
    assert require_package("math", "math", "viewers") is math
    with pytest.raises(InputError, match=r"no_such_module is not installed.*pip install no-such.*flow-rl\[export\]"):
        require_package("no_such_module", "no-such", "export")
