# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What on-policy learners of flow policies share: rollouts, advantages, optimiser, checkpoints, ranks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import chain

import torch
from rsl_rl.models import MLPModel
from rsl_rl.utils import reduce_gradients_in_buckets, resolve_class, resolve_obs_groups
from tensordict import TensorDict
from torch import nn

from flow_rl.flows import cosine
from flow_rl.models import FlowPolicy
from flow_rl.objectives import explained_variance, generalized_advantages
from flow_rl.storage.reward_scaler import RewardScaler
from flow_rl.storage.rollout import RolloutStorage
from flow_rl.utils.check import require, require_device
from flow_rl.utils.checkpoint import check_compatible, check_foreign, describe
from flow_rl.utils.rng import rng_state, set_rng_state


class OnPolicyAlgorithm(ABC):
    """Bookkeeping of the rsl_rl contract. A learner says what it explores with, what it keeps, and how it updates."""

    def __init__(  # noqa: D417 (the configs have a sentence for each setting)
        self,
        actor: FlowPolicy,
        critic: MLPModel,
        obs: TensorDict,
        *,
        num_steps: int,
        num_iterations: int,
        task: str | None,
        device: str,
        multi_gpu_cfg: dict | None,
        fields: dict[str, tuple[int, ...]],
        modules: dict[str, nn.Module],
        learning_rate: float,
        final_learning_rate: float,
        critic_learning_rate: float,
        final_critic_learning_rate: float,
        weight_decay: float,
        max_grad_norm: float | None,
        num_learning_epochs: int,
        num_mini_batches: int,
        gamma: float,
        lam: float,
        scale_rewards: bool,
        time_limit_is_terminal: bool,
        critic_warmup: int,
        from_scratch: bool,
    ):
        """Build the bookkeeping; the learner's config explains the settings.

        Args:
            actor: The policy to improve.
            critic: State values.
            obs: One step's observations.
            num_steps: Decisions per environment and iteration T.
            num_iterations: Length of the schedules.
            task: Id of the task, for messages and checkpoints.
            device: Where learning happens.
            multi_gpu_cfg: Ranks, as the stock runner describes them.
            fields: Shape per decision of what the learner keeps.
            modules: The learner's own networks; those that learn belong to the actor's parameter group.
        """
        num_envs = obs.batch_size[0]
        _check_settings(locals())
        self.device, self.task, self.from_scratch = device, task, from_scratch
        self.world_size = multi_gpu_cfg["world_size"] if multi_gpu_cfg else 1

        self.actor, self.critic = actor.to(device), critic.to(device)
        self.modules = {name: module.to(device) for name, module in modules.items()}
        self.storage = RolloutStorage(obs, num_steps, fields, device)
        self.reward_scaler = RewardScaler(num_envs, gamma).to(device) if scale_rewards else None
        groups = [{"params": self.actor_parameters()}, {"params": list(critic.parameters())}]
        self.optimizer = torch.optim.AdamW(groups, lr=learning_rate, weight_decay=weight_decay)

        self.rates = (learning_rate, final_learning_rate), (critic_learning_rate, final_critic_learning_rate)
        self.max_grad_norm, self.gamma, self.lam = max_grad_norm, gamma, lam
        self.num_learning_epochs, self.num_mini_batches = num_learning_epochs, num_mini_batches
        self.time_limit_is_terminal, self.critic_warmup = time_limit_is_terminal, critic_warmup
        self.num_iterations, self.iteration = num_iterations, 0
        self.policy_loaded = False
        self.rng_state: dict | None = None
        self.missing_final_obs = torch.zeros((), dtype=torch.bool, device=device)
        self._apply_schedules()

    """
    What a learner adds.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the learner, as in :func:`flow_rl.configs.learners`."""

    @abstractmethod
    def explore(self, latent: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Normalised chunks (E, H * A) to execute, and what to keep of the decisions."""

    @abstractmethod
    def losses(self, batch: TensorDict) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Loss of a mini-batch, and detached scalars for the log."""

    def enough(self, log: list[dict[str, torch.Tensor]]) -> bool:
        """Whether the epoch that left these scalars shall be the last of the iteration."""
        return False

    def conclude(self, log: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
        """Leave in the policy what playing it needs, and return scalars beyond those of :meth:`losses`."""
        return {}

    def policy_replaced(self) -> None:  # noqa: B027 (a learner need not care)
        """Take note that a pretrained policy has been loaded."""

    """
    The stock runner's contract.
    """

    @classmethod
    def construct_algorithm(cls, obs: TensorDict, env, cfg: dict, device: str) -> OnPolicyAlgorithm:
        """Build actor, critic and learner from the runner's configuration."""
        require_device("agent.device", device)
        cfg["obs_groups"] = resolve_obs_groups(obs, cfg["obs_groups"], ["actor", "critic"])
        actor_class, actor_cfg = resolve_class(cfg["actor"])
        critic_class, critic_cfg = resolve_class(cfg["critic"])
        actor = actor_class(obs, cfg["obs_groups"], "actor", env.num_actions, **actor_cfg)
        critic = critic_class(obs, cfg["obs_groups"], "critic", 1, **critic_cfg)
        alg_class, alg_cfg = resolve_class(cfg["algorithm"])
        if (mode := cfg.get("torch_compile_mode")) is not None:
            actor.velocity.compile(mode=mode)
            critic.mlp.compile(mode=mode)
        spec = getattr(getattr(env, "unwrapped", env), "spec", None)
        return alg_class(
            actor,
            critic,
            obs,
            num_steps=cfg["num_steps_per_env"],
            num_iterations=cfg["max_iterations"],
            task=spec.id if spec else None,
            device=device,
            multi_gpu_cfg=cfg.get("multi_gpu"),
            **alg_cfg,
        )

    def act(self, obs: TensorDict) -> torch.Tensor:
        """Exploratory chunks in the environment's units, shape (E, H * A)."""
        actions, record = self.explore(self.actor.get_latent(obs))
        self.storage.record(obs=obs, value=self.critic(obs).squeeze(-1), **record)
        return self.actor.action_normalizer.inverse(actions)

    def process_env_step(self, obs: TensorDict, rewards: torch.Tensor, dones: torch.Tensor, extras: dict) -> None:
        """Keep what followed. Time limits arrive as `time_outs`, with the last observations as `final_obs`."""
        dones = dones.bool()
        time_outs = extras["time_outs"].to(self.device).bool() if "time_outs" in extras else torch.zeros_like(dones)
        if self.time_limit_is_terminal:
            time_outs = torch.zeros_like(dones)
        if "final_obs" in extras:
            final_obs = {group: extras["final_obs"][group].to(self.device) for group in self.critic.obs_groups}
            # Valid only where an episode ended; elsewhere it may be stale or not a number.
            terminal_value = torch.where(time_outs, self.critic(final_obs).squeeze(-1), 0.0)
        else:
            self.missing_final_obs |= time_outs.any()
            terminal_value = torch.zeros_like(rewards)
        self.storage.record(
            reward=rewards, terminated=dones & ~time_outs, truncated=time_outs, terminal_value=terminal_value
        )
        self.storage.advance()

    def compute_returns(self, obs: TensorDict) -> None:
        """Advantages and returns of the finished rollout, given the observations that follow it."""
        if self.missing_final_obs:
            raise RuntimeError(
                "The environment reported extras['time_outs'] without extras['final_obs'], the observations before the "
                "reset. Set env.compute_final_obs=true, or agent.algorithm.time_limit_is_terminal=true to count a time "
                "limit as a failure."
            )
        data = self.storage.data
        rewards = data["reward"]
        if self.reward_scaler is not None:
            self.reward_scaler.update(rewards, data["terminated"] | data["truncated"])
            rewards = self.reward_scaler(rewards)
        last_values = self.critic(obs).squeeze(-1)
        ends = data["terminated"], data["truncated"], data["terminal_value"]
        advantages = generalized_advantages(rewards, data["value"], last_values, *ends, self.gamma, self.lam)
        data["advantage"].copy_(advantages)
        data["return"].copy_(advantages + data["value"])

    def update(self) -> dict[str, float]:
        """Epochs of mini-batches over the rollout, then one step of every schedule. Returns the means for the log."""
        self._apply_schedules()
        log: list[dict[str, torch.Tensor]] = []
        for _ in range(self.num_learning_epochs):
            first = len(log)
            for batch in self.storage.mini_batches(self.num_mini_batches):
                loss, metrics = self.losses(batch)
                log.append(metrics | self._optimise(loss))
            if self.enough(log[first:]):
                break
        obs = self.storage.data["obs"].flatten(0, 1)
        self.critic.update_normalization(obs)
        numbers = self._summary(log)
        self.storage.clear()
        self.iteration += 1
        return numbers

    def train_mode(self) -> None:
        """Switch to learning, which needs a pretrained policy unless `from_scratch` is set."""
        require(
            self.policy_loaded or self.from_scratch,
            "--checkpoint",
            None,
            "a policy made by scripts/pretrain.py or by an earlier training",
            f"make one with ./flow_rl.sh -p scripts/pretrain.py --task {self.task or '<task>'} --demos <file.hdf5>, or "
            "learn from a random policy with agent.algorithm.from_scratch=true.",
        )
        for module in self._networks().values():
            module.train()
        # Several ranks keep their own random numbers, so that they stay different.
        if self.rng_state is not None and self.world_size == 1:
            set_rng_state(self.rng_state)
        self.rng_state = None

    def eval_mode(self) -> None:
        """Switch to inference."""
        for module in self._networks().values():
            module.eval()

    def get_policy(self) -> FlowPolicy:
        """The policy alone, as it is played and exported."""
        return self.actor

    @property
    def learning_rate(self) -> float:
        """Present learning rate of the actor."""
        return self.optimizer.param_groups[0]["lr"]

    def save(self) -> dict:
        """Everything that learning depends on, as tensors and plain values only."""
        return {
            **{f"{name}_state_dict": module.state_dict() for name, module in self._networks().items()},
            "optimizer_state_dict": self.optimizer.state_dict(),
            "rng_state": rng_state(),
            "flow_rl": describe(
                self.actor.settings, stage="finetune", learner=self.name, task=self.task, iteration=self.iteration
            ),
        }

    def load(self, loaded_dict: dict, load_cfg: dict | None = None, strict: bool = True) -> bool:
        """Go on from a checkpoint of this learner, or begin with the policy of any other.

        Returns:
            Whether the runner shall go on from the checkpoint's iteration.
        """
        check_foreign(loaded_dict)
        check_compatible(loaded_dict, self.actor.settings, self.task)
        found = loaded_dict["flow_rl"]
        self.policy_loaded = True
        self.actor.set_score_coefs(found.get("score_coefs", [0.0]))
        if found["stage"] == "pretrain" or found["learner"] != self.name:
            self.actor.load_state_dict(loaded_dict["actor_state_dict"], strict=strict)
            self.policy_replaced()
            print(f"[flow_rl] {self.name} begins with the policy of stage {found['stage']} ({found['learner']}).")
            return False
        wanted = load_cfg or {"actor": True, "critic": True, "optimizer": True, "iteration": True}
        self._load_parts(loaded_dict, wanted, strict)
        if wanted.get("iteration"):
            self.iteration = found["iteration"]
            self.rng_state = loaded_dict["rng_state"]
        self._apply_schedules()
        return bool(wanted.get("iteration"))

    def broadcast_parameters(self) -> None:
        """Give every rank the parameters and running statistics of rank 0."""
        for name, module in self._networks().items():
            for key, tensor in module.state_dict().items():
                if (name, key) != ("reward_scaler", "returns"):  # belongs to the rank's own environments
                    torch.distributed.broadcast(tensor, src=0)

    """
    Details.
    """

    def actor_parameters(self) -> list[nn.Parameter]:
        """Parameters that shape behaviour: the policy's and those of the learner's own networks."""
        modules = (self.actor, *self.modules.values())
        return [p for p in chain.from_iterable(m.parameters() for m in modules) if p.requires_grad]

    @property
    def progress(self) -> float:
        """Share of the schedules that lies behind, from 0 to 1."""
        return self.iteration / max(self.num_iterations - 1, 1)

    @property
    def warming_up(self) -> bool:
        """Whether only the critic learns yet."""
        return self.iteration < self.critic_warmup

    def _networks(self) -> dict[str, nn.Module]:
        """All that has a state, by its name in checkpoints."""
        scaler = {"reward_scaler": self.reward_scaler} if self.reward_scaler is not None else {}
        return {"actor": self.actor, "critic": self.critic, **self.modules, **scaler}

    def _optimise(self, loss: torch.Tensor) -> dict[str, torch.Tensor]:
        """One step of the optimiser; parameters that the loss does not reach stay as they are."""
        self.optimizer.zero_grad()
        loss.backward()
        groups = [group["params"] for group in self.optimizer.param_groups]
        if self.world_size > 1:
            reduce_gradients_in_buckets(chain(*groups), self.world_size, bucket_mb=25)
        limit = float("inf") if self.max_grad_norm is None else self.max_grad_norm
        norms = [nn.utils.clip_grad_norm_(group, limit) for group in groups]
        self.optimizer.step()
        return {"grad_norm_actor": norms[0], "grad_norm_critic": norms[1]}

    def _apply_schedules(self) -> None:
        for group, (start, end) in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = cosine(start, end, self.progress)

    def _summary(self, log: list[dict[str, torch.Tensor]]) -> dict[str, float]:
        """Means over the mini-batches and more; everything crosses to the host at once."""
        data = self.storage.data
        scalars = {
            **self.conclude(log),
            "explained_variance": explained_variance(data["value"], data["return"]),
            "mean_value": data["value"].mean(),
        }
        if self.reward_scaler is not None:
            scalars["reward_scale"] = self.reward_scaler.scale
        for name in dict.fromkeys(chain.from_iterable(log)):
            if (values := [entry[name] for entry in log if name in entry])[0].dim() == 0:
                scalars[name] = torch.stack(values).mean()
        numbers = torch.stack([value.detach().float() for value in scalars.values()]).tolist()
        return dict(zip(scalars, numbers, strict=True)) | {"critic_learning_rate": self.optimizer.param_groups[1]["lr"]}

    def _load_parts(self, checkpoint: dict, wanted: dict, strict: bool) -> None:
        """Take over the networks and the optimiser as far as they are wanted."""
        parts = {name: module for name, module in self._networks().items() if wanted.get(name, True)}
        if wanted.get("optimizer"):
            parts["optimizer"] = self.optimizer
        for name, part in parts.items():
            state = checkpoint.get(f"{name}_state_dict")
            if state is None:
                print(f"[flow_rl] The checkpoint was written without {name}, which begins anew.")
                continue
            if part is self.reward_scaler and len(state["returns"]) != len(part.returns):
                state = state | {"returns": torch.zeros_like(part.returns)}  # another number of environments
            try:
                part.load_state_dict(state, **({} if part is self.optimizer else {"strict": strict}))
            except (ValueError, RuntimeError) as error:
                raise ValueError(
                    f"The checkpoint's {name} does not fit the settings of agent.algorithm and agent.critic. Repeat "
                    f"the overrides that it was trained with; they are in params/agent.yaml of its run. ({error})"
                ) from error


def _check_settings(given: dict) -> None:
    """Check the settings that every on-policy learner has."""
    field = "agent.algorithm."

    def at_least(name: str, least: float, remedy: str) -> None:
        require(given[name] >= least, field + name, given[name], f">= {least}", remedy)

    at_least("num_learning_epochs", 1, "use 5.")
    at_least("num_mini_batches", 1, "use 4.")
    at_least("critic_warmup", 0, "use 0 to let the actor learn from the first iteration.")
    for name in ("learning_rate", "final_learning_rate", "critic_learning_rate", "final_critic_learning_rate"):
        at_least(name, 0.0, "learning rates are not negative.")
    for name in ("gamma", "lam"):
        require(0.0 <= given[name] <= 1.0, field + name, given[name], "[0, 1]", "use gamma 0.99 and lam 0.95.")
    limit = given["max_grad_norm"]
    require(limit is None or limit > 0, field + "max_grad_norm", limit, "> 0 or null", "use null for no clipping.")
    decisions = given["num_steps"] * given["num_envs"]
    require(
        decisions >= 2 * given["num_mini_batches"],
        field + "num_mini_batches",
        given["num_mini_batches"],
        f"at most half the {decisions} decisions of an iteration (num_steps_per_env x num_envs)",
        "lower it, or raise agent.num_steps_per_env.",
    )
