# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Warp kernels, each beside the torch function that defines it."""

from .scans import lambda_scan
from .svgd import svgd_diagnostics, svgd_field

__all__ = ["lambda_scan", "svgd_diagnostics", "svgd_field"]
