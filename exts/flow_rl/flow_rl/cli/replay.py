# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Play the actions of demonstrations without looking, and count which episodes still succeed: data replay FILE ...

Task and overrides are those of the collection unless others are given.

They begin where they were recorded, if the file tells (initial_state, as flow-rl collect and Isaac Lab Mimic write), or
else where the environment's resets put them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flow_rl.cli import options
from flow_rl.demos.convert import as_hdf5
from flow_rl.demos.episodes import Episode, read_hdf5
from flow_rl.utils.check import InputError, require

if TYPE_CHECKING:
    import torch

SETTLED = ("env.seed=", "env.scene.num_envs=", "env.sim.device=")
"""Overrides of a collection that a replay decides anew."""


def main(argv: Sequence[str]) -> None:
    """Check the input, play the episodes, print which succeed, then film the first ones."""
    words, episodes = list(argv), []
    if words and not words[0].startswith("-"):
        with options.one_line_errors(), as_hdf5(words[0]) as path:
            recording = read_hdf5(path, with_obs=False)
            episodes = [episode for episode in recording.episodes if len(episode)]
            words = as_collected(words, recording.env_args)
    parser = options.Parser(__doc__)
    parser.add_argument("file", help="file, folder or name of a data set")
    parser.add_argument("--first", type=int, metavar="N", help="only the first N episodes")
    parser.add_argument("--video", type=Path, help="film of the first episodes to write, .mp4")
    parser.add_argument("--video_envs", type=int, default=9, help="episodes in the film")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing film")
    args, overrides = parser.parse(words)

    from flow_rl.cli import launch
    from flow_rl.evaluation.episodes import record_film
    from flow_rl.evaluation.replay import ReplayPolicy, has_starts, replay
    from flow_rl.evaluation.statistics import wilson_interval

    with options.one_line_errors():
        for option in ("first", "video_envs"):
            value = getattr(args, option)
            require(value is None or value >= 1, f"--{option}", value, "1 or more", "leave it out.")
        options.refuse_overwrite("--video", args.video, args.overwrite)
        episodes = episodes[: args.first]
        require(bool(episodes), "file", args.file, "one whose episodes have samples", "collect some.")
        num_envs = min(args.num_envs, len(episodes))
        env_cfg = launch.env_config(args, overrides, horizon=1, num_envs=num_envs)
        if args.video:
            shown = min(args.video_envs, len(episodes))
            film_cfg = launch.env_config(args, overrides, horizon=1, num_envs=shown)
            group = launch.add_film(film_cfg)
    with launch.launch_env(args, env_cfg) as env:
        with options.one_line_errors():
            fit(env, episodes, args.file)
        holds = held(env)
        solved = replay(env, episodes, holds, seed=args.seed)
    recorded = has_starts(episodes)
    starts = "where they were recorded" if recorded else f"resets of seed {args.seed}, not where they were recorded"
    low, high = wilson_interval(sum(solved), len(solved))
    print(f"[flow_rl] starts: {starts}")
    print(f"[flow_rl] {sum(solved)} of {len(solved)} episodes succeed, {sum(solved) / len(solved):.1%}", end=" ")
    print(f"[{low:.1%}, {high:.1%}]; recorded as successes: {marked(episodes)}")
    print("[flow_rl] outcomes " + "".join(str(int(each)) for each in solved))
    if args.video:
        with launch.launch_env(args, film_cfg) as env:
            policy = ReplayPolicy(env, episodes[:shown], holds)
            title = f"{args.task}  {Path(args.file).name}"
            record_film(env, policy, args.video, group=group, seed=args.seed, horizon=1, title=title)
        print(f"[flow_rl] film in {args.video}")


def as_collected(words: list[str], origin: dict[str, Any]) -> list[str]:
    """Return a command line that also says what ``env_args`` of the file, its first word, say of task and overrides."""
    own = [word for word in words[1:] if "=" in word and not word.startswith("-")]
    options_ = [word for word in words if word not in own]
    recorded = [word for word in origin.get("overrides", ()) if not word.startswith(SETTLED)]
    if not {"--task", "--env"} & set(words):
        remedy = "pass --task."
        require(bool(origin.get("task")), "--task", None, "the task of the file, which does not name it", remedy)
        options_ += ["--task", origin["task"]]
    return [*options_, *recorded, *own]


def fit(env: Any, episodes: Sequence[Episode], source: str) -> None:
    """Raise an InputError unless an environment takes the actions of the episodes, and knows where they begin."""
    from flow_rl.demos.states import scene_state
    from flow_rl.evaluation.replay import has_starts

    width = env.action_manager.total_action_dim
    found = {episode.actions.shape[1] for episode in episodes}
    require(found == {width}, source, f"actions of sizes {sorted(found)}", f"{width} here", "pass another --task.")
    if has_starts(episodes):
        here = {path: tuple(value.shape[1:]) for path, value in scene_state(env).items()}
        for episode in episodes:
            there = {path: value.shape for path, value in episode.start.items()}
            if there != here:
                odd = sorted(path for path in here.keys() | there.keys() if here.get(path) != there.get(path))
                raise InputError(
                    f"{source} begins in a scene that this one is not: {', '.join(odd)} differ. Valid: the task, and "
                    "the overrides, with which it was collected."
                )


def held(env: Any) -> torch.Tensor:
    """Return which actions go on when a demonstration is over, shape (A,): a gripper's, but no changes of pose."""
    import torch

    from flow_rl_tasks.core.contract import describe_task

    holds = torch.ones(env.action_manager.total_action_dim)
    if not hasattr(env.cfg, "set_camera"):
        return holds  # of others, and nobody knows here what its actions mean
    try:
        terms = describe_task(env, [], [])["actions"]["terms"]
    except InputError:
        return holds
    for term in terms:
        holds[term["first"] : term["first"] + term["size"]] = float(term["hold"] == "last")
    return holds


def marked(episodes: Sequence[Episode]) -> str:
    """Return how many episodes are marked as successes, and of how many."""
    marks = [bool(episode.facts["success"]) for episode in episodes if "success" in episode.facts]
    return f"{sum(marks)} of {len(marks)}" if marks else "not marked"
