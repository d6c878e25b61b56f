# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Watch a policy in the browser: the scene, where its chunks lead, and what else it might have done."""

import contextlib
import time
from collections.abc import Callable, Sequence

from flow_rl.cli import options
from flow_rl.utils.listening import token_for


def main(argv: Sequence[str] | None = None) -> None:
    """Check the input, open the viewer, and play until interrupted."""
    parser = options.Parser(__doc__, num_envs=1)
    options.add_watch_options(parser)
    parser.add_argument("--port", type=int, default=8080, help="port of the viewer")
    args, overrides = parser.parse(argv)

    from flow_rl.cli import launch

    with options.one_line_errors():
        token = token_for(args.host, args.port)
        env_cfg, checkpoint, horizon = launch.watch_config(args, overrides)

    from flow_rl.evaluation.episodes import play
    from flow_rl_tasks.core.browser import BrowserVisualizerCfg

    env_cfg.sim.visualizer_cfgs = [BrowserVisualizerCfg(bind_address=args.host, port=args.port, token=token)]
    with launch.launch_env(args, env_cfg) as env:
        policy = launch.make_policy(args, env, checkpoint, horizon)
        env.chunk_view.follow(policy, args.particles)
        env.sim.add_render_callback("real_time", pace(env.physics_dt))
        with contextlib.suppress(KeyboardInterrupt):
            play(env, policy, seed=args.seed, once=False)


def pace(dt: float) -> Callable[[object], None]:
    """Return a callback that waits until ``dt`` [s] have passed since the last call."""
    last = time.perf_counter()

    def wait(_: object) -> None:
        nonlocal last
        time.sleep(max(0.0, last + dt - time.perf_counter()))
        last = time.perf_counter()

    return wait
