# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Offer a policy to clients that speak openpi's websocket protocol, such as openpi-client, until interrupted.

Observations come under the names of the task's observation groups, pictures as bytes, uint8. Beyond this machine,
clients need the token that is printed, or that of FLOW_RL_TOKEN; nothing is encrypted.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from flow_rl.cli import options
from flow_rl.utils.check import require, require_device
from flow_rl.utils.listening import LOCAL, token_for, url


def main(argv: Sequence[str] | None = None) -> None:
    """Check the input, open the policy, and serve."""
    parser = options.ArgumentParser(description=__doc__)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--checkpoint", type=Path, help="pretrained or fine-tuned policy")
    source.add_argument("--package", type=Path, help="exported policy: a folder that flow-rl export wrote")
    parser.add_argument("--host", default=LOCAL, help="address to listen at; 0.0.0.0 for all of this machine's")
    parser.add_argument("--port", type=int, default=8000, help="port to listen at; 0 for any that is free")
    parser.add_argument("--deadline", type=float, default=10.0, help="longest time for an answer [s]")
    parser.add_argument("--sampling", choices=("random", "zero"), default="random", help="noise where none is sent")
    parser.add_argument("--seed", type=int, default=0, help="seed of the noise")
    parser.add_argument("--device", help="where to compute, such as cpu or cuda:0 (default: a GPU if there is one)")
    options.add_code_option(parser)
    args = parser.parse_args(argv)

    import asyncio

    import torch

    with options.one_line_errors():
        from flow_rl.policies.server import PolicyServer
        from flow_rl.policies.sources import open_own

        require(args.deadline > 0, "--deadline", args.deadline, "seconds > 0", "use 10, the default.")
        token = token_for(args.host, args.port)
        device = args.device or ("cuda:0" if torch.cuda.is_available() else "cpu")
        require_device("--device", device)
        policy = open_own(args.checkpoint or args.package, args.execute_code)
        torch.manual_seed(args.seed)
        server = PolicyServer(
            policy, deadline=args.deadline, noise=args.sampling, device=device, facts={"server": "flow_rl"}, token=token
        )

        def listening(port: int) -> None:
            seen = ", ".join(f"{name} {tuple(shape)}" for name, shape in policy.groups.items())
            print(f"[flow_rl] {policy.name}, which takes {seen} and gives ({policy.horizon}, {policy.action_dim})")
            print(f"[flow_rl] listening at {url('ws', args.host, port, token)}", flush=True)

        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(server.run(args.host, args.port, listening))
