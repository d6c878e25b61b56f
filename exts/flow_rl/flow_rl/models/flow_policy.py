# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A policy whose actions are the end points of a flow."""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDict
from torch import nn

from flow_rl.nn import MinMaxNormalizer, ResidualHead, TimeEmbedding, VelocityField, make_backbone, make_selector
from flow_rl.policies import Interface, open_policy
from flow_rl.utils.check import require, require_choice
from flow_rl.utils.checkpoint import AGAIN, WRITTEN
from flow_rl.utils.files import reading

from .base_sampler import BaseSampler
from .denoising_sampler import DenoisingSampler
from .observer import Observer
from .overlap import Overlap
from .policy_export import BasedPolicyExport, FlowPolicyExport, VisionPolicyExport, VisionPolicyOnnx
from .policy_settings import FlowPolicySettings
from .prior import NoisePrior
from .sampler import FlowSampler

SAMPLERS = {"flow": FlowSampler, "denoising": DenoisingSampler}
"""Samplers by the names of the settings."""

FORMER_NAMES = {
    "obs_normalizer.": "observer.normalizer.",
    "encoder.": "observer.encoder.",
    "velocity.time_embedding.": "sampler.velocity.time_embedding.",
    "velocity.mlp.": "sampler.velocity.backbone.net.",
    "velocity.action_": "sampler.velocity.action_",
    "score_coefs": "sampler.score.coefs",
}
"""How names in states began before the policy had slots, and how they begin now."""


class FlowPolicy(nn.Module):
    """Chunks of actions from noise by a learned velocity field, behind rsl_rl's model interface.

    It is composed of an `observer`, which makes a latent (L) of observations, a `prior`, where the flow starts, a
    `sampler`, which follows the velocity and a score drift or denoises, a `head` that may correct where it ends, a
    `selector` that may choose among several such chunks, and an `action_normalizer`. The state is the same for
    pretraining and for every learner. What a learner adds to explore belongs to the learner.
    """

    is_recurrent = False

    def __init__(
        self,
        obs: TensorDict,
        obs_groups: dict[str, list[str]],
        obs_set: str,
        output_dim: int,
        *,
        obs_normalization: bool = False,
        distribution_cfg: dict | None = None,
        **settings: Any,
    ):
        """Build the policy.

        Args:
            obs: Observation groups, of which only the shapes are read.
            obs_groups: Groups that belong to each observation set.
            obs_set: Observation set of this model.
            output_dim: Size of the flattened chunk, H * A.
            obs_normalization: Not used; data ranges normalise a flow policy.
            distribution_cfg: Not used; a flow policy has no output distribution.
            settings: Those of :class:`FlowPolicySettings`, as plain values.

        Raises:
            InputError: If a setting makes no sense.
        """
        super().__init__()
        require(
            distribution_cfg is None and not obs_normalization,
            "agent.actor.distribution_cfg / obs_normalization",
            (distribution_cfg, obs_normalization),
            "None and False",
            "leave both out: a flow policy brings its own normalisers and no output distribution.",
        )
        self.cfg = FlowPolicySettings.make(settings)
        self.cfg.check(output_dim)
        self.obs_groups = list(obs_groups[obs_set])
        self.output_dim, self.horizon = output_dim, self.cfg.horizon
        self.action_dim = output_dim // self.horizon

        shapes = {group: list(obs[group].shape[1:]) for group in self.obs_groups}
        self.base = None
        """A policy that somebody else made, in the place of the flow."""
        if self.cfg.base.source is not None:
            self.base = open_policy(self.cfg.base, Interface(shapes, self.horizon, self.action_dim))
            self.cfg.base.digest = self.base.digest
        self.image_shapes = {group: shape for group, shape in shapes.items() if len(shape) == 3}
        """Shapes (C, H, W) of the groups of images."""
        seen = {group: shape for group, shape in shapes.items() if self.base is None or group not in self.image_shapes}
        self.observer = Observer(seen, self.cfg.obs_scaling, self.cfg.obs_clip, self.cfg.encoder)
        self.prior = NoisePrior(output_dim, self.cfg.initial_noise, self.latent_dim, self.cfg.prior)
        if self.base is None:
            self.sampler = self._make_flow()
        else:
            self.observer.adopt(self.base.obs_scales)
            self.sampler = BaseSampler(self.base, self.latent_dim, (self.horizon, self.action_dim), self.cfg.base.limit)
            self.sampler.check(self.image_shapes, self.cfg.selector)
        self.head = None
        if self.cfg.head.kind != "none":
            self.head = ResidualHead(output_dim, self.latent_dim, self.cfg.head)
        self.selector = make_selector(output_dim, self.latent_dim, self.cfg.selector)
        self.action_normalizer = MinMaxNormalizer(output_dim)
        if self.base is not None:
            self.action_normalizer.load_state_dict(self.sampler.units.state_dict())
        self.output_std = torch.zeros(1)
        """Mean exploration noise, for the runner's log; the learner that adds the noise writes it here."""

    def _make_flow(self) -> FlowSampler:
        """A flow to learn."""
        time_embedding = TimeEmbedding(self.cfg.time_embedding_dim)
        backbone = make_backbone(
            self.cfg.backbone,
            (self.horizon, self.action_dim),
            self.cfg.time_embedding_dim,
            self.observer.parts,
            hidden_dims=self.cfg.hidden_dims,
            activation=self.cfg.activation,
        )
        require_choice("agent.actor.sampler.kind", self.cfg.sampler.kind, SAMPLERS)
        sampler = SAMPLERS[self.cfg.sampler.kind]
        predicted = sampler.plain if self.cfg.prediction == "v" else self.cfg.prediction
        velocity = VelocityField(time_embedding, backbone, self.output_dim, predicted)
        bounds = self.cfg.intermediate_clip, self.cfg.score_clip
        require(
            self.cfg.sampler.frozen_steps == 0 or not self.image_shapes,
            "agent.actor.sampler.frozen_steps",
            self.cfg.sampler.frozen_steps,
            "0 for an actor that sees images, whose encoder learns with the steps that do",
            "use 0, with which all steps learn.",
        )
        return sampler(velocity, self.cfg.num_flow_steps, *bounds, self.cfg.sampler)

    @classmethod
    def from_settings(cls, settings: dict) -> FlowPolicy:
        """Policy from plain values as :attr:`settings` gives them, some of which may be left out."""
        cfg = FlowPolicySettings.of(settings)
        groups = settings["obs_groups"] | settings.get("image_shapes", {})
        shapes = {name: [shape] if isinstance(shape, int) else shape for name, shape in groups.items()}
        obs = TensorDict({name: torch.zeros(1, *shape) for name, shape in shapes.items()}, batch_size=[1])
        return cls(obs, {"actor": list(groups)}, "actor", cfg.horizon * settings["action_dim"], **cfg.values())

    @classmethod
    def from_checkpoint(cls, checkpoint: dict, device: str | torch.device = "cpu") -> FlowPolicy:
        """Policy of a checkpoint that :func:`flow_rl.utils.checkpoint.load_checkpoint` has read, in evaluation mode."""
        settings, states = checkpoint["flow_rl"]["policy"], checkpoint["actor_state_dict"]
        with reading("the checkpoint's policy", WRITTEN, AGAIN):
            cls._check_size(settings, states)
            policy = cls.from_settings(settings)
            policy.load_state_dict(states)
        return policy.to(device).eval()

    @classmethod
    def _check_size(cls, settings: dict, states: dict) -> None:
        """Raise an InputError before memory is taken if settings promise larger networks than there are numbers for."""
        if (settings.get("base") or {}).get("source") is not None:  # which is opened, and not for nothing
            return
        with torch.device("meta"):
            promised = sum(value.nbytes for value in cls.from_settings(settings).state_dict().values())
        stored = sum(value.untyped_storage().nbytes() for value in states.values())
        valid = f"settings of a policy of {stored:,} bytes, which the file holds"
        require(promised <= 2 * stored + 2**20, "the checkpoint's policy", f"{promised:,} bytes", valid, AGAIN)

    @property
    def settings(self) -> dict:
        """Plain values from which :meth:`from_settings` builds this policy again, for checkpoints."""
        shapes = {"obs_groups": dict(self.group_dims), "image_shapes": dict(self.image_shapes)}
        values = self.cfg.values()
        values["base"]["execute_code"] = False  # a file gives no permission
        return shapes | {"action_dim": self.action_dim} | values

    """
    Shapes and slots, by the names that learners use.
    """

    @property
    def group_dims(self) -> dict[str, int]:
        """Sizes of the groups of vectors."""
        return self.observer.group_dims

    @property
    def obs_dim(self) -> int:
        """Size O of all vectors together."""
        return self.observer.obs_dim

    @property
    def latent_dim(self) -> int:
        """Size L of what networks see of the latent."""
        return sum(self.observer.parts.values())

    @property
    def num_flow_steps(self) -> int:
        """Number K of steps from noise to chunk."""
        return self.sampler.num_steps

    @property
    def step_times(self) -> torch.Tensor:
        """Flow times (K, 1) at which the steps begin."""
        return self.sampler.times()

    @property
    def velocity(self) -> VelocityField:
        """The velocity field."""
        return self.sampler.velocity

    @property
    def score_coefs(self) -> torch.Tensor:
        """Coefficients (K) of the score drift."""
        return self.sampler.score.coefs

    """
    Acting.
    """

    def fit(self, obs: torch.Tensor, actions: torch.Tensor) -> None:
        """Take the scales of observations (N, O) and of single actions (N, A) from demonstrations."""
        self.observer.normalizer.fit(obs)
        # one range per action, the same at each place of the chunk
        chunks = actions.repeat(1, self.horizon)
        self.action_normalizer.fit(chunks)
        self.velocity.fit(self.action_normalizer(chunks))

    def get_latent(self, obs: TensorDict | dict, masks=None, hidden_state=None, augment: bool = False) -> torch.Tensor:
        """What the velocity depends on, shape (..., L), of images shifted at random where `augment` says so.

        Behind it a base gets what it sees (..., R), if there is one.
        """
        latent = self.observer(obs, augment)
        return latent if self.base is None else torch.cat([latent, self.sampler.pack(obs)], dim=-1)

    def velocity_field(self, x: torch.Tensor, t: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Velocity at states (..., H * A) and times (..., 1) given latents (..., L)."""
        return self.velocity(x, t, latent)

    def drift(self, x: torch.Tensor, t: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Velocity plus the score drift of the step that contains the time."""
        return self.sampler.drift(x, t, latent)

    def time_features(self, t: torch.Tensor) -> torch.Tensor:
        """Features (..., F) of times (..., 1), as the velocity sees them."""
        return self.velocity.time_embedding(t)

    def flow(
        self, latent: torch.Tensor, noise: torch.Tensor | None = None, num_steps: int | None = None
    ) -> torch.Tensor:
        """States x_0 .. x_K of the deterministic flow, shape (K + 1, B, H * A).

        Args:
            latent: What :meth:`get_latent` gives, shape (B, L).
            noise: Standard normal noise, of which the prior makes the initial state; by default the prior's own.
            num_steps: Number of steps; by default K.
        """
        return self.sampler.states(latent, self.prior(latent, noise), num_steps)

    def sample(
        self,
        latent: torch.Tensor,
        noise: torch.Tensor | None = None,
        num_steps: int | None = None,
        overlap: Overlap | None = None,
    ) -> torch.Tensor:
        """Normalised chunk in [-1, 1] at the end of :meth:`flow`, corrected by the head, shape (B, H * A).

        A selector has several chunks to choose among. With an overlap, the flow takes its own K steps.
        """
        if self.selector is None:
            return self.chunk(latent, self.prior(latent, noise), num_steps, overlap)
        noises = self.selector.noises(self.prior.noise(latent) if noise is None else noise)
        num = self.selector.num_candidates
        latents = latent.repeat(num, 1)
        overlaps = overlap and overlap.repeat(num)
        return self.selector(self.chunk(latents, self.prior(latents, noises), num_steps, overlaps), latent)

    def chunk(
        self, latent: torch.Tensor, start: torch.Tensor, num_steps: int | None = None, overlap: Overlap | None = None
    ) -> torch.Tensor:
        """As :meth:`sample`, one chunk from an initial state (B, H * A) that no prior has to do with."""
        if overlap is not None:
            return self.corrected(overlap.end(self.sampler, latent, start), latent)
        return self.corrected(self.sampler.states(latent, start, num_steps)[-1], latent)

    def corrected(self, end: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Normalised chunk (..., H * A) in [-1, 1] that the head makes of where a flow ends, given latents (..., L)."""
        chunk = end.clamp(-1.0, 1.0)
        return chunk if self.head is None else self.head(chunk, latent)

    def forward(self, obs: TensorDict, masks=None, hidden_state=None, stochastic_output: bool = False) -> torch.Tensor:
        """Chunk in the environment's units, shape (B, H * A), row-major (H, A)."""
        return self.action_normalizer.inverse(self.sample(self.get_latent(obs)))

    @torch.no_grad()
    def sample_chunks(self, obs: TensorDict | dict, num: int, generator: torch.Generator) -> torch.Tensor:
        """Chunks in the environment's units from ``num`` other noises per observation, shape (num, B, H * A).

        What is shown in viewers; the generator is the caller's own, so that acting is not disturbed.
        """
        device = self.action_normalizer.center.device
        latent = self.get_latent({group: obs[group].to(device) for group in self.obs_groups})
        noise = torch.randn(num * len(latent), self.output_dim, generator=generator, device=generator.device)
        chunks = self.sample(latent.repeat(num, 1), noise.to(device))
        return self.action_normalizer.inverse(chunks).unflatten(0, (num, -1))

    def reset(self, dones: torch.Tensor | None = None, hidden_state=None) -> None:
        """Nothing is carried from one decision to the next."""

    def update_normalization(self, obs: TensorDict) -> None:
        """The ranges come from the demonstrations and stay as they are."""

    """
    States and twins.
    """

    def freeze_base(self) -> None:
        """Let the head alone learn.

        Raises:
            InputError: If there is no head.
        """
        valid, remedy = "'residual'", "set agent.actor.head.kind=residual: nothing else learns here."
        require(self.head is not None, "agent.actor.head.kind", self.cfg.head.kind, valid, remedy)
        self.requires_grad_(False)
        self.head.requires_grad_(True)

    def follow(self, policy: FlowPolicy) -> None:
        """Act from now on as another policy of the same shape does."""
        self.load_state_dict(policy.state_dict())

    def set_score_coefs(self, coefs: list[float] | torch.Tensor) -> None:
        """Take over coefficients alpha(i / N), i = 0 .. N - 1, of the score drift, interpolating where N is not K."""
        self.sampler.score.set(coefs)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        """Read states from before the policy had slots, and those without what is new: it begins with nothing."""
        for key in [key for key in state_dict if key.startswith(prefix)]:
            name = key.removeprefix(prefix)
            for former, present in FORMER_NAMES.items():
                if name.startswith(former):
                    state_dict[prefix + present + name.removeprefix(former)] = state_dict.pop(key)
                    break
        slots = {
            "head.": (self.head, self.cfg.head),
            "prior.steering.": (self.prior.steering, self.cfg.prior),
            "selector.": (self.selector, self.cfg.selector),
        }
        for slot, (module, cfg) in slots.items():
            if module is not None and not any(key.startswith(prefix + slot) for key in state_dict):
                fresh = type(module)(self.output_dim, self.latent_dim, cfg).state_dict()
                state_dict |= {prefix + slot + name: value for name, value in fresh.items()}
        super()._load_from_state_dict(state_dict, prefix, *args)

    def as_jit(self) -> FlowPolicyExport:
        """Twin for TorchScript: (obs, noise) -> actions, with a list of images between them if there are cameras."""
        if self.base is not None:
            return BasedPolicyExport(self)
        return VisionPolicyExport(self) if self.image_shapes else FlowPolicyExport(self)

    def as_onnx(self, verbose: bool = False) -> FlowPolicyExport:
        """Twin for ONNX: (obs, noise) -> actions, with each camera's images between them."""
        if self.base is not None:
            return BasedPolicyExport(self)
        return VisionPolicyOnnx(self) if self.image_shapes else FlowPolicyExport(self)
