# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""From demonstrations to a fine-tuned flow policy on a point mass, without a simulator, and a picture of each step.

Points begin on the unit circle and shall reach the origin; an action is a chunk of two velocities. Read it from the
end: :func:`main` is the whole story. ``exts/flow_rl/docs/tutorial.md`` explains the picture.
"""

from __future__ import annotations

import argparse
import copy
import json
from pathlib import Path

import matplotlib
import torch
from rsl_rl.runners import OnPolicyRunner
from tensordict import TensorDict

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from flow_rl.algorithms.rldt import Rldt
from flow_rl.flows import interpolate
from flow_rl.kernels import svgd_field
from flow_rl.models import FlowPolicy
from flow_rl.testing import PointMass, small_config

DETOUR = 1.2
"""Angle [rad] by which the demonstrator leaves the straight way, to the left or to the right."""


def demonstrate(num: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Positions (N, 2) on and within the circle, and what the demonstrator does there: chunks (N, 4) of two velocities.

    It goes left or right of the origin with equal odds, and not exactly: two modes, neither of which is the best way.
    """
    angle, radius = 2 * torch.pi * torch.rand(num), torch.rand(num).sqrt()
    position = torch.stack([angle.cos(), angle.sin()], dim=-1) * radius.unsqueeze(-1)
    side = DETOUR * torch.where(torch.rand(num) < 0.5, 1.0, -1.0)
    heading = angle + torch.pi + side + 0.1 * torch.randn(num)
    velocity = 0.8 * torch.stack([heading.cos(), heading.sin()], dim=-1)
    return position, velocity.repeat(1, 2)


def pretrain(policy: FlowPolicy, positions: torch.Tensor, chunks: torch.Tensor, num_steps: int) -> list[float]:
    """Flow matching: at x_t = (1 - t) x_0 + t x_1 the velocity shall be x_1 - x_0. Returns the loss of each step."""
    optimizer = torch.optim.Adam(policy.velocity.parameters(), lr=2e-3)
    losses = []
    for _ in range(num_steps):
        rows = torch.randint(len(chunks), (256,))
        latent = policy.get_latent({"policy": positions[rows]})
        noise, t = torch.randn(256, 4), torch.rand(256, 1)
        velocity = policy.velocity_field(interpolate(noise, chunks[rows], t), t, latent)
        loss = (velocity - (chunks[rows] - noise)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def fine_tune(num_iterations: int, demos: tuple[torch.Tensor, torch.Tensor], num_steps: int) -> tuple[Rldt, FlowPolicy]:
    """Pretrain the policy of the stock runner, let RLDT learn, and return the learner and the policy it began with."""
    settings = {"critic_warmup": 3, "learning_rate": 1e-3, "final_learning_rate": 3e-4, "num_particles": 16}
    cfg = small_config("rldt", **settings) | {"max_iterations": num_iterations, "num_steps_per_env": 8}
    runner = OnPolicyRunner(PointMass(64), cfg, device="cpu")
    policy = runner.alg.get_policy()
    pretrain(policy, *demos, num_steps)
    before = copy.deepcopy(policy)
    runner.learn(num_iterations)
    return runner.alg, before


@torch.no_grad()
def roll_out(policy: FlowPolicy, num: int = 256) -> tuple[torch.Tensor, float, float]:
    """Paths (T, N, 2) of points, success, and decisions of an episode on average; deterministic flow, random noise."""
    env = PointMass(num)
    running, solved = torch.ones(num, dtype=torch.bool), torch.zeros(num, dtype=torch.bool)
    paths, decisions = [env.position], torch.zeros(num)
    for _ in range(env.max_episode_length):
        chunk = policy.sample(policy.get_latent(env.get_observations()))
        last = paths[-1]
        _, reward, done, extras = env.step(chunk)
        decisions += running
        paths.append(torch.where(running.unsqueeze(-1), extras["final_obs"]["policy"], last))
        solved |= running & (reward > 0)
        running &= ~done.bool()
    return torch.stack(paths), solved.float().mean().item(), decisions.mean().item()


@torch.no_grad()
def particles(learner: Rldt, policy: FlowPolicy, position: torch.Tensor, num: int = 48) -> dict[str, torch.Tensor]:
    """What a policy may do at a position (2,): states of its flow (K + 1, N, 4), and the field at their ends (N, 4)."""
    obs = TensorDict({"policy": position.expand(1, 2)}, batch_size=[1])
    states = policy.flow(policy.get_latent(obs).expand(num, -1))
    ends = states[-1].clamp(-1, 1).unsqueeze(0)
    with torch.enable_grad():
        gradient = learner.action_gradient(learner.critic.get_latent(obs), ends).mean(dim=0)
    return {"states": states, "field": svgd_field(ends, ends, gradient, **learner.kernel_settings)[0]}


def plot(learner: Rldt, policies: dict[str, FlowPolicy], path: Path) -> dict[str, dict[str, float]]:
    """One row for each policy: its flow at one position, its particles with RLDT's field, and its episodes."""
    numbers = {}
    position = torch.tensor([1.0, 0.0])
    figure, rows = plt.subplots(2, 3, figsize=(11, 7.4), layout="constrained")
    for row, (name, policy) in zip(rows, policies.items(), strict=True):
        found = particles(learner, policy, position)
        paths, success, decisions = roll_out(policy)
        numbers[name] = {"success": success, "decisions": decisions}
        flow, field, episodes = row
        flow.plot(*found["states"][..., :2].unbind(-1), color="0.6", linewidth=0.7)
        flow.scatter(*found["states"][0, :, :2].T, s=8, color="C0", label="noise, t = 0")
        flow.scatter(*found["states"][-1, :, :2].T, s=12, color="C3", label="action, t = 1")
        flow.legend(loc="upper right", fontsize=8)
        ends = found["states"][-1].clamp(-1, 1)
        arrows = found["field"] / found["field"].norm(dim=-1).amax().clamp(min=1e-9)
        field.quiver(
            *ends[:, :2].T, *arrows[:, :2].T, color="C3", angles="xy", scale_units="xy", scale=2.0, width=0.006
        )
        field.scatter(*ends[:, :2].T, s=12, color="C3")
        episodes.plot(*paths[:, :64].unbind(-1), color="C0", linewidth=0.7, alpha=0.6)
        episodes.add_patch(plt.Circle((0, 0), 0.3, color="C2", alpha=0.3))
        flow.set_title(f"{name}: flow at (1, 0)")
        field.set_title("particles and Stein field")
        episodes.set_title(f"episodes: {success:.0%} solved, {decisions:.1f} decisions")
        for axes in (flow, field):
            axes.set(xlabel="first velocity, x", ylabel="y", xlim=(-2.2, 2.2), ylim=(-2.2, 2.2), aspect="equal")
        field.set(xlim=(-1.4, 1.4), ylim=(-1.4, 1.4))
        episodes.set(xlabel="position, x", ylabel="y", xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), aspect="equal")
    figure.savefig(path, dpi=90)
    plt.close(figure)
    return numbers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("outputs/tutorial"), help="folder of picture and numbers")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything random")
    parser.add_argument("--steps", type=int, default=1500, help="optimiser steps of pretraining")
    parser.add_argument("--iterations", type=int, default=30, help="iterations of RLDT")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    demos = demonstrate(4096)
    learner, before = fine_tune(args.iterations, demos, args.steps)
    policies = {"pretrained": before, "fine-tuned": learner.get_policy()}
    numbers = plot(learner, policies, args.output / "tutorial.png")
    (args.output / "tutorial.json").write_text(json.dumps({"seed": args.seed, **numbers}, indent=2) + "\n")
    for name, values in numbers.items():
        print(f"[flow_rl] {name}: {values['success']:.1%} solved, {values['decisions']:.1f} decisions an episode")
    print(f"[flow_rl] open {args.output / 'tutorial.png'}")


if __name__ == "__main__":
    main()
