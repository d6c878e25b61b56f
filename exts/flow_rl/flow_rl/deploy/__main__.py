# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Verify a package on the computer that shall run it, and time it: ``python -m flow_rl.deploy PACKAGE``."""

import argparse
import sys
from pathlib import Path

import numpy as np

from .package import VECTORS, PolicyPackage
from .runner import PolicyRunner


def main() -> None:
    """Check the package, act on its test vectors, and print how long it takes."""
    parser = argparse.ArgumentParser(prog="python -m flow_rl.deploy", description=__doc__)
    parser.add_argument("package", type=Path, help="folder that flow-rl export wrote")
    parser.add_argument("--num_calls", type=int, default=1000, help="decisions to time")
    args = parser.parse_args()
    try:
        package = PolicyPackage(args.package)
        report = rehearse(package, args.num_calls)
    except (ValueError, OSError) as error:
        sys.exit(f"[flow_rl] error: {error}")
    task, period = package.contract["task"], package.period
    print(f"{task}: intact, the test vectors come out")
    print(f"{report['calls']} decisions on one thread: p50 {report['p50_ms']:.2f} ms, p99 {report['p99_ms']:.2f} ms")
    print(f"an action lasts {1e3 * period:g} ms, a chunk {1e3 * period * package.chunk_shape[0]:g} ms")


def rehearse(package: PolicyPackage, num_calls: int) -> dict[str, float]:
    """Let a runner act on the test vectors, one after the other, and return :meth:`.PolicyRunner.latency`."""
    runner = PolicyRunner(package)
    runner.reset(np.array(package.contract["actions"]["at_initial_posture"]))
    with np.load(package.folder / VECTORS) as vectors:
        vectors = dict(vectors)
    sizes = [int(np.prod(term["shape"])) for term in package.observations]
    for i in range(num_calls):
        row = i % len(vectors["obs"])
        parts = np.split(vectors["obs"][row], np.cumsum(sizes)[:-1])
        seen = {
            term["name"]: part.reshape(term["shape"]) for term, part in zip(package.observations, parts, strict=True)
        }
        seen |= {name: vectors[f"camera.{name}"][row] for name in package.cameras}
        chunk = runner.act(seen)
        if chunk.is_held:
            raise ValueError(f"test vector {row} of {package.folder} holds the robot: {chunk.reason}")
    return runner.latency()


if __name__ == "__main__":
    main()
