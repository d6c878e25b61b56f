# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What our commands share once their command line is read: tasks, configurations, policies, the environment.

Isaac Lab is imported where it is needed: it takes seconds, and pretraining does without most of it.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import yaml

import flow_rl_tasks  # noqa: F401 - registers the tasks
from flow_rl.cli.options import one_line_errors, split_overrides
from flow_rl.cli.overrides import check_override, check_overrides, given, parse_value
from flow_rl.configs.compose import build, load, resolve, set_field
from flow_rl.deploy import PolicyPackage
from flow_rl.deploy.chunking import Chunking
from flow_rl.utils.check import InputError, require, require_package
from flow_rl.utils.listening import LOCAL, token_for
from flow_rl.utils.names import is_gym
from flow_rl.utils.plugins import load_tasks

if TYPE_CHECKING:
    from flow_rl.evaluation.episodes import Policy
    from flow_rl.evaluation.packaged import Conditions

SELECTORS = ("env.", "agent.", "physics=", "renderer=", "presets=")
"""What words of a command line begin with that choose presets or override settings."""


@contextlib.contextmanager
def _host_refusals() -> Iterator[None]:
    """Turn the errors with which Isaac Lab refuses settings of an environment into our own."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise InputError(str(error)) from error


def find_task(task: str) -> gym.envs.registration.EnvSpec:
    """Return the registration of a task, or raise an InputError that lists the valid ones."""
    if is_gym(task):
        from flow_rl.envs.names import find_spec

        return find_spec(task)
    name = task.split(":")[-1]
    if name not in gym.registry:
        load_tasks()  # of other packages
    if name not in gym.registry:
        import isaaclab_tasks  # noqa: F401  registers the tasks of Isaac Lab
    if name not in gym.registry:
        ours = sorted(name for name, spec in gym.registry.items() if "expert_entry_point" in (spec.kwargs or {}))
        close = difflib.get_close_matches(name, gym.registry, n=1)
        raise InputError(
            f"--task {task!r} is not registered.{f' Did you mean {close[0]}?' if close else ''} "
            f"Valid: {', '.join(ours)}, and what 'isaaclab list_envs' lists."
        )
    return gym.spec(name)


def entry_point(task: str, name: str, default: str | None = None) -> Callable[..., Any]:
    """Return what a task registered as ``<name>_entry_point``, imported, or the default ``"module:Class"``."""
    target = (None if is_gym(task) else find_task(task).kwargs.get(f"{name}_entry_point")) or default
    if target is None:
        raise InputError(f"--task {task!r} has no {name}. Valid: a task that registers {name}_entry_point.")
    return target if callable(target) else load(target)


def _chosen_presets(overrides: Sequence[str]) -> list[str]:
    words = [word.removeprefix("presets=") for word in overrides if word.startswith("presets=")]
    return [name for word in words for name in word.split(",")]


def _own_config(task: str, name: str, default: str | None) -> Any:
    """Return the configuration that belongs to a task, as nobody has changed it yet."""
    if is_gym(task):
        from flow_rl.envs.names import agent_settings

        return build(name, *agent_settings(task))
    if default is None or f"{name}_cfg_entry_point" in find_task(task).kwargs:
        return entry_point(task, f"{name}_cfg", default)()
    from flow_rl.envs.settings import DENSE

    return build(name, DENSE)  # a task that knows nothing of flow policies


def agent_config(task: str, name: str, default: str | None, overrides: Sequence[str]) -> Any:
    """Return a configuration that a task may replace, with overrides ``agent.<field>=<value>`` applied.

    Args:
        task: Task whose ``<name>_cfg_entry_point`` is used if it registers one.
        name: Name of the configuration.
        default: ``"module:Class"`` for tasks that do not register one.
        overrides: Words of the command line.
    """
    cfg = resolve(_own_config(task, name, default), _chosen_presets(overrides))
    for word in (word for word in overrides if not word.startswith("presets=")):
        path, _, text = word.partition("=")
        if not path.startswith("agent."):
            valid = ", ".join(f"agent.{name}" for name in cfg.to_dict())
            raise InputError(f"override {word!r} names no field. Valid: {valid}.")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            raise InputError(f"override {word!r} cannot be read. Valid: a value as YAML writes it.") from None
        with contextlib.suppress(ValueError):  # YAML reads 1e-4 as text
            number = float(value) if isinstance(value, str) else value
            check_override(word, {"agent": cfg}, number)
            value = number
        check_override(word, {"agent": cfg}, value)
        _, *parents, field = path.split(".")
        owner = functools.reduce(
            lambda node, name: node[name] if isinstance(node, dict) else getattr(node, name), parents, cfg
        )
        if isinstance(owner, dict):
            owner[field] = value
        elif isinstance(value, dict):
            owner.from_dict({field: value})
        else:  # of its type by now; from_dict would refuse what is None by default
            whole = isinstance(getattr(owner, field), float) and value is not None
            setattr(owner, field, float(value) if whole else value)
    return cfg


def pretraining_words(task: str, learner: str, words: Sequence[str], pretraining: Sequence[str] = ()) -> list[str]:
    """Words to add to ``flow-rl pretrain`` so that a learner can begin with what it makes; none for most learners.

    Args:
        task: Task of both.
        learner: Name of the learner.
        words: Those of its command line that concern the agent, presets among them.
        pretraining: Those that pretraining is given anyway.
    """
    from flow_rl.configs import learners
    from flow_rl.models import pretraining_overrides

    made = agent_config(task, "pretrain", "flow_rl.configs.pretrain:PretrainCfg", pretraining)
    return pretraining_overrides(made.actor, agent_config(task, learner, learners()[learner], words).actor)


def runner_dict(cfg: Any) -> dict[str, Any]:
    """Return a runner's configuration as the stock command line would pass it to rsl_rl."""
    from importlib.metadata import version

    from isaaclab_rl.rsl_rl import handle_deprecated_rsl_rl_cfg

    return handle_deprecated_rsl_rl_cfg(cfg, version("rsl-rl-lib")).to_dict()


def env_config(
    args: argparse.Namespace, overrides: Sequence[str], *, horizon: int | None = None, num_envs: int | None = None
) -> Any:
    """Return the checked environment configuration.

    Args:
        args: Parsed options: task, seed, num_envs, device.
        overrides: Presets and Hydra overrides.
        horizon: Chunk length H; the task's default when None.
        num_envs: Number of environments; the option's value when None.
    """
    find_task(args.task)
    if is_gym(args.task):
        return _gym_config(args, overrides, horizon, num_envs or args.num_envs)
    from isaaclab.utils import validate
    from isaaclab_tasks.utils import resolve_task_config

    check_overrides(overrides, args.task.split(":")[-1], None)
    with _host_refusals():
        env_cfg, _ = resolve_task_config(args.task, None, overrides=list(overrides))
    env_cfg.scene.num_envs = num_envs or args.num_envs
    env_cfg.sim.device = args.device
    env_cfg.seed = args.seed
    if not hasattr(env_cfg, "set_horizon"):
        env_cfg.compute_final_obs = True
    elif horizon is not None:
        asked = given(overrides, "env.actions.chunk.horizon")
        remedy = "leave it out; who acts decides it."
        require(asked in (None, horizon), "env.actions.chunk.horizon", asked, f"{horizon} here", remedy)
        env_cfg.set_horizon(horizon)
    with _host_refusals():
        validate(env_cfg)
    if not hasattr(env_cfg, "set_horizon"):
        env_cfg.chunk_horizon = horizon or 1
    return env_cfg


def chunk_horizon(env_cfg: Any) -> int:
    """Return how many control steps an environment executes a step."""
    return env_cfg.actions.chunk.horizon if hasattr(env_cfg, "set_horizon") else env_cfg.chunk_horizon


def _gym_config(args: argparse.Namespace, overrides: Sequence[str], horizon: int | None, num_envs: int) -> Any:
    from flow_rl.envs.gym_env import GymEnvCfg

    cfg = GymEnvCfg(task=args.task, num_envs=num_envs, num_workers=args.num_workers, device=args.device, seed=args.seed)
    for word in overrides:
        require(word.startswith("env."), "override", word, "env.<field>=<value>, without presets", "leave it out.")
        check_override(word, {"env": cfg})
        path, _, text = word.removeprefix("env.").partition("=")
        set_field(cfg, path, parse_value(text))
    if horizon is not None:
        cfg.set_horizon(horizon)
    cfg.num_envs, cfg.num_workers = num_envs, min(cfg.num_workers, num_envs)
    cfg.check()
    return cfg


def load_policy(args: argparse.Namespace) -> tuple[dict | PolicyPackage | None, int | None]:
    """Return the checked checkpoint or package, if one is named, and the policy's chunk length; None for the task's.

    Another's policy is opened when the environment is there.
    """
    from flow_rl.evaluation.policies import check_sampling
    from flow_rl.utils.checkpoint import load_checkpoint

    if args.base:
        return None, None  # what it takes is known with the environment
    if args.package:
        return PolicyPackage(args.package), 1  # its runner hands out actions one by one
    if not args.checkpoint:
        # the expert decides at every control step, a trained policy as often as it was trained to
        return None, 1 if args.policy == "expert" else None
    checkpoint = load_checkpoint(args.checkpoint, args.device)
    _say_again(checkpoint["flow_rl"]["policy"].get("base"), args)
    check_sampling(checkpoint, args.sampling)
    return checkpoint, checkpoint["flow_rl"]["policy"]["horizon"]


def real_time(args: argparse.Namespace, source: dict | PolicyPackage | None) -> Chunking | None:
    """Return when chunks are made and how they join, None if as in training; for checkpoints and packages."""
    if args.execute is None and args.inference_delay == 0:
        return None
    is_package = isinstance(source, PolicyPackage)
    horizon = source.chunk_shape[0] if is_package else source["flow_rl"]["policy"]["horizon"]
    return Chunking(horizon, args.execute, args.inference_delay, args.chunking)


def _say_again(base: dict[str, Any] | None, args: argparse.Namespace) -> None:
    """Tell a checkpoint what its base may do, and where that is by now; what is in its place is still checked."""
    if base is None:
        return
    base["execute_code"] = args.execute_code
    for name in ("source", "deadline"):
        said = given(getattr(args, "agent_overrides", []), f"agent.actor.base.{name}")
        base[name] = base[name] if said is None else said


def make_policy(
    args: argparse.Namespace,
    env: Any,
    source: dict | PolicyPackage | None,
    horizon: int,
    conditions: Conditions | None = None,
    chunking: Chunking | None = None,
) -> Policy:
    """Return the policy for an environment; a checkpoint or package must fit it.

    Packages alone have conditions; chunking concerns checkpoints and packages, None for chunks that take no time.
    """
    from flow_rl.evaluation.packaged import PackagePolicy
    from flow_rl.evaluation.policies import ExpertPolicy, checkpoint_policy, foreign_policy, uniform_policy
    from flow_rl.evaluation.real_time import RealTimePolicy

    action_dim = env.action_manager.total_action_dim // chunk_horizon(env.cfg)
    with one_line_errors():
        if args.policy == "expert":
            return ExpertPolicy(expert_maker(args)(env))
        if args.policy:
            return uniform_policy((env.num_envs, horizon * action_dim), env.device, float(args.policy == "random"))
        if args.base:
            from flow_rl.configs import learners

            cfg = agent_config(args.task, "residual", learners()["residual"], args.agent_overrides)
            settings = cfg.actor.base.to_dict() | {"source": args.base, "execute_code": args.execute_code}
            groups, chunk = cfg.obs_groups["actor"], (horizon, action_dim)
            return foreign_policy(settings, env, groups=groups, chunk=chunk, sampling=args.sampling)
        if isinstance(source, PolicyPackage):
            options = {"execute": args.execute, "ensemble": args.ensemble}
            if chunking is not None:
                options |= {"inference_delay": chunking.delay, "chunking": chunking.method}
            return PackagePolicy(source, env, conditions, args.seed, **options)
        runner_cfg = None
        if args.sampling == "stochastic":
            learner = source["flow_rl"]["learner"]
            runner_cfg = runner_dict(agent_config(args.task, learner, None, args.agent_overrides))
        options = {"action_dim": action_dim, "task": args.task, "sampling": args.sampling, "runner_cfg": runner_cfg}
        policy = checkpoint_policy(source, env, **options)
        return policy if chunking is None else RealTimePolicy(policy, chunking, env.num_envs)


def expert_maker(args: argparse.Namespace) -> Callable[[Any], Any]:
    """Return what makes the expert of an environment: the task's own, or a user's function."""
    if not is_gym(args.task) and args.expert is None:
        own = entry_point(args.task, "expert")
        return lambda env: own(env, quality=args.quality, seed=args.seed)
    from flow_rl.demos.function_expert import FunctionExpert, load_function

    function = load_function(args.expert)
    return lambda env: FunctionExpert(env, function, quality=args.quality, seed=args.seed)


def watch_config(args: argparse.Namespace, overrides: Sequence[str]) -> tuple[Any, dict | None, int]:
    """Return the environment's configuration, the checkpoint if there is one, and the chunk length."""
    require(args.particles >= 0, "--particles", args.particles, "0 or more", "leave it out for 16.")
    valid = "a task of Isaac Lab; Gymnasium's environments have no viewer here"
    require(not is_gym(args.task), "--task", args.task, valid, "film it: flow-rl record --formats mp4.")
    require(args.visualizer is None, "--viz", args.visualizer, "no choice here", "leave it out, or use play.")
    for module, package in (("rerun", "rerun-sdk"), ("viser", "viser"), ("imageio_ffmpeg", "imageio-ffmpeg")):
        require_package(module, package, "viewers")
    env_overrides = split_overrides(args, overrides)
    checkpoint, horizon = load_policy(args)
    env_cfg = env_config(args, env_overrides, horizon=horizon)
    return env_cfg, checkpoint, horizon or chunk_horizon(env_cfg)


def add_film(env_cfg: Any, width: int = 240, height: int = 180) -> str:
    """Let an environment observe pictures of itself, and return the name of that observation group."""
    if isinstance(getattr(env_cfg, "task", None), str) and is_gym(env_cfg.task):
        from flow_rl.envs.gym_env import add_film

        return add_film(env_cfg, width, width)
    from isaaclab.envs.mdp import image_rgb
    from isaaclab.managers import ObservationGroupCfg, ObservationTermCfg, SceneEntityCfg

    params = {"sensor_cfg": SceneEntityCfg("camera"), "normalize": False}
    env_cfg.observations.film = ObservationGroupCfg()
    env_cfg.observations.film.rgb = ObservationTermCfg(func=image_rgb, params=params)
    env_cfg.set_camera(width, height)
    return "film"


def keep_local(env_cfg: Any, viewers: str | Sequence[str] | None, host: str) -> None:
    """Let the viewer in the browser, if it is asked for, listen at one address; Isaac Lab's does at all of them.

    Args:
        env_cfg: Configuration of an environment of Isaac Lab's, which gets the viewer.
        viewers: Words of ``--viz``.
        host: Where the viewer listens.

    Raises:
        InputError: If that is no address of this machine.
    """
    words = [viewers] if isinstance(viewers, str) else viewers or []
    names = {name for word in words for name in word.replace(",", " ").split()}
    if "rerun" in names:
        print(
            "[flow_rl] warning: Rerun's viewer listens at all addresses of this machine, ports 9090 and 9876, without "
            "a token, and cannot be told otherwise; on a shared network use --viz viser."
        )
    if "viser" in names:
        require_package("viser", "viser", "viewers")
        from flow_rl_tasks.core.browser import BrowserVisualizerCfg

        configured = env_cfg.sim.visualizer_cfgs or []
        others = [configured] if not isinstance(configured, list) else configured
        viewer = BrowserVisualizerCfg(bind_address=host, token=token_for(host, 0))
        env_cfg.sim.visualizer_cfgs = [cfg for cfg in others if cfg.visualizer_type != "viser"] + [viewer]


@contextlib.contextmanager
def launch_env(args: argparse.Namespace, env_cfg: Any) -> Iterator[Any]:
    """Start the simulation and yield the manager-based environment; closes both."""
    if is_gym(args.task):
        from flow_rl.envs.gym_env import GymEnv

        with contextlib.closing(GymEnv(env_cfg)) as env:
            yield env
        return
    from isaaclab.app import launch_simulation
    from isaaclab_rl.entrypoints.common import close_env

    with one_line_errors():
        keep_local(env_cfg, getattr(args, "visualizer", None), getattr(args, "host", LOCAL))

    with launch_simulation(env_cfg, args), contextlib.ExitStack() as cleanup:
        env = gym.make(args.task, cfg=env_cfg)
        cleanup.callback(close_env, env)
        if hasattr(env_cfg, "set_horizon"):
            yield env.unwrapped
        else:
            from flow_rl.envs.isaac_env import ChunkedEnv

            yield ChunkedEnv(env.unwrapped, env_cfg.chunk_horizon)


def versions() -> dict[str, str]:
    """Return the versions that results depend on."""
    from importlib.metadata import version

    return {name: version(name) for name in ("flow-rl", "isaaclab", "torch")}
