# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A policy whose actions are the end points of a flow."""

from __future__ import annotations

import copy
import sys
from typing import Literal

import torch
from rsl_rl.utils import resolve_nn_activation
from tensordict import TensorDict
from torch import nn

from flow_rl.flows import euler_states, score_drift, time_grid
from flow_rl.nn import CameraEncoder, MinMaxNormalizer, VelocityNet, WhiteningNormalizer
from flow_rl.utils.check import require, require_choice


class FlowPolicy(nn.Module):
    """Chunks of actions by integrating a learned velocity field from noise, behind rsl_rl's model interface.

    Observation groups of vectors (O) are normalised, groups of images (C, H, W) are encoded; what both give is the
    latent (L) that the velocity depends on.

    The state is the same for pretraining and for every learner: two normalisers, the velocity net, and the encoders
    where there are cameras. What a learner adds to explore belongs to the learner. What it leaves in the deterministic
    flow are the coefficients of a score drift, one per step, zero unless the learner is ScoRe-Flow.
    """

    is_recurrent = False

    def __init__(
        self,
        obs: TensorDict,
        obs_groups: dict[str, list[str]],
        obs_set: str,
        output_dim: int,
        *,
        horizon: int = 4,
        num_flow_steps: int = 4,
        hidden_dims: list[int] | tuple[int, ...] = (512, 512, 512),
        activation: str = "relu",
        time_embedding_dim: int = 16,
        prediction: Literal["v", "x", "residual"] = "v",
        initial_noise: Literal["random", "zero"] = "random",
        obs_scaling: Literal["range", "whitening"] = "range",
        intermediate_clip: float | None = 1.0,
        obs_clip: float | None = 5.0,
        score_clip: float = 10.0,
        encoder: dict | None = None,
        obs_normalization: bool = False,
        distribution_cfg: dict | None = None,
    ):
        """Build the policy.

        Args:
            obs: Observation groups, of which only the shapes are read.
            obs_groups: Groups that belong to each observation set.
            obs_set: Observation set of this model.
            output_dim: Size of the flattened chunk, H * A.
            horizon: Number H of actions in a chunk.
            num_flow_steps: Number K of integration steps.
            hidden_dims: Widths of the velocity net.
            activation: Activation of the velocity net, as named by rsl_rl.
            time_embedding_dim: Number of time features.
            prediction: Whether the net predicts the velocity, the action, or what a normal velocity lacks.
            initial_noise: Where the deterministic flow starts.
            obs_scaling: Whether observations are normalised by their range or whitened.
            intermediate_clip: Bound on the state after each integration step.
            obs_clip: Bound on normalised observations.
            score_clip: Bound on the score, where a learner adds one to the drift.
            encoder: Settings of :class:`flow_rl.nn.CameraEncoder`, used where there are groups of images.
            obs_normalization: Not used; data ranges normalise a flow policy.
            distribution_cfg: Not used; a flow policy has no output distribution.
        """
        super().__init__()
        field = "agent.actor."
        require(num_flow_steps >= 1, field + "num_flow_steps", num_flow_steps, "an integer >= 1", "use 4, the default.")
        require(
            horizon >= 1 and output_dim % horizon == 0,
            field + "horizon",
            horizon,
            f"a divisor of the environment's action size {output_dim}",
            "give the policy the chunk length of the task's ChunkActionCfg.",
        )
        require(len(hidden_dims) > 0, field + "hidden_dims", hidden_dims, "at least one width", "use [512, 512, 512].")
        require(
            time_embedding_dim > 0 and time_embedding_dim % 2 == 0,
            field + "time_embedding_dim",
            time_embedding_dim,
            "an even integer > 0",
            "use 16, the default.",
        )
        require(score_clip > 0, field + "score_clip", score_clip, "> 0", "use 10, the default.")
        for name, clip in (("intermediate_clip", intermediate_clip), ("obs_clip", obs_clip)):
            require(clip is None or clip > 0, field + name, clip, "> 0 or null", "use null for no bound.")
        require_choice(field + "prediction", prediction, ("v", "x", "residual"))
        require_choice(field + "initial_noise", initial_noise, ("random", "zero"))
        require_choice(field + "obs_scaling", obs_scaling, ("range", "whitening"))
        require(
            distribution_cfg is None and not obs_normalization,
            field + "distribution_cfg / obs_normalization",
            (distribution_cfg, obs_normalization),
            "None and False",
            "leave both out: a flow policy brings its own normalisers and no output distribution.",
        )
        resolve_nn_activation(activation)
        self.obs_groups = list(obs_groups[obs_set])
        shapes = {group: obs[group].shape[1:] for group in self.obs_groups}
        self.group_dims = {group: shape[0] for group, shape in shapes.items() if len(shape) == 1}
        self.image_shapes = {group: list(shape) for group, shape in shapes.items() if len(shape) == 3}
        require(
            len(self.group_dims) > 0 and len(self.group_dims) + len(self.image_shapes) == len(shapes),
            "agent.obs_groups",
            {group: tuple(shape) for group, shape in shapes.items()},
            "groups of vectors (O) and of images (C, H, W), at least one of vectors",
            "give the actor the robot's own state besides its cameras.",
        )
        self.obs_dim = sum(self.group_dims.values())
        self.output_dim, self.horizon, self.action_dim = output_dim, horizon, output_dim // horizon
        self.num_flow_steps, self.hidden_dims, self.activation = num_flow_steps, list(hidden_dims), activation
        self.time_embedding_dim, self.prediction, self.initial_noise = time_embedding_dim, prediction, initial_noise
        self.intermediate_clip, self.obs_clip, self.score_clip = intermediate_clip, obs_clip, score_clip
        self.obs_scaling = obs_scaling

        normalizer = MinMaxNormalizer if obs_scaling == "range" else WhiteningNormalizer
        self.obs_normalizer = normalizer(self.obs_dim, obs_clip)
        self.action_normalizer = MinMaxNormalizer(output_dim)
        self.latent_dim = self.obs_dim
        self.encoder, self.encoder_settings = None, None
        if self.image_shapes:
            self.encoder_settings = dict(encoder or {})
            self.encoder = CameraEncoder(self.image_shapes, self.obs_dim, **self.encoder_settings)
            self.latent_dim += self.encoder.output_dim
        self.velocity = VelocityNet(
            output_dim, self.latent_dim, hidden_dims, activation, time_embedding_dim, prediction
        )
        self.register_buffer("score_coefs", torch.zeros(num_flow_steps))
        self.output_std = torch.zeros(1)
        """Mean exploration noise, for the runner's log; the learner that adds the noise writes it here."""

    @classmethod
    def from_settings(cls, settings: dict) -> FlowPolicy:
        """Policy from plain values as :attr:`settings` gives them; metadata beyond them is ignored."""
        groups = settings["obs_groups"] | settings.get("image_shapes", {})
        shapes = {name: [shape] if isinstance(shape, int) else shape for name, shape in groups.items()}
        obs = TensorDict({name: torch.zeros(1, *shape) for name, shape in shapes.items()}, batch_size=[1])
        names = ("horizon", "num_flow_steps", "hidden_dims", "activation", "time_embedding_dim", "prediction")
        names += ("initial_noise", "obs_scaling", "intermediate_clip", "obs_clip", "score_clip", "encoder")
        output_dim = settings["horizon"] * settings["action_dim"]
        chosen = {name: settings[name] for name in names if name in settings}
        policy = cls(obs, {"actor": list(groups)}, "actor", output_dim, **chosen)
        policy.set_score_coefs(settings.get("score_coefs", [0.0]))
        return policy

    @classmethod
    def from_checkpoint(cls, checkpoint: dict, device: str | torch.device = "cpu") -> FlowPolicy:
        """Policy of a checkpoint that :func:`flow_rl.utils.checkpoint.load_checkpoint` has read, in evaluation mode."""
        policy = cls.from_settings(checkpoint["flow_rl"])
        policy.load_state_dict(checkpoint["actor_state_dict"])
        return policy.to(device).eval()

    @property
    def settings(self) -> dict:
        """Plain values from which :meth:`from_settings` builds this policy again, for checkpoints."""
        return {
            "obs_groups": dict(self.group_dims),
            "image_shapes": dict(self.image_shapes),
            "obs_dim": self.obs_dim,
            "action_dim": self.action_dim,
            "horizon": self.horizon,
            "num_flow_steps": self.num_flow_steps,
            "hidden_dims": self.hidden_dims,
            "activation": self.activation,
            "time_embedding_dim": self.time_embedding_dim,
            "prediction": self.prediction,
            "initial_noise": self.initial_noise,
            "obs_scaling": self.obs_scaling,
            "intermediate_clip": self.intermediate_clip,
            "obs_clip": self.obs_clip,
            "score_clip": self.score_clip,
            "encoder": self.encoder_settings,
            "score_coefs": self.score_coefs.tolist(),
        }

    def fit(self, obs: torch.Tensor, actions: torch.Tensor) -> None:
        """Take the scales of observations (N, O) and of single actions (N, A) from demonstrations."""
        self.obs_normalizer.fit(obs)
        # one range per action, the same at each place of the chunk
        chunks = actions.repeat(1, self.horizon)
        self.action_normalizer.fit(chunks)
        self.velocity.fit(self.action_normalizer(chunks))

    def get_latent(self, obs: TensorDict | dict, masks=None, hidden_state=None) -> torch.Tensor:
        """What the velocity depends on, shape (..., L): normalised vectors and features of images."""
        return self.encode(obs)

    def encode(self, obs: TensorDict | dict, augment: bool = False) -> torch.Tensor:
        """The same, of images shifted at random where `augment` says so."""
        state = self.obs_normalizer(torch.cat([obs[group] for group in self.group_dims], dim=-1))
        if self.encoder is None:
            return state
        return torch.cat([state, self.encoder(obs, state, augment)], dim=-1)

    def velocity_field(self, x: torch.Tensor, t: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Velocity at states (..., H * A) and times (..., 1) given latents (..., L)."""
        return self.velocity(x, t, latent)

    def follow(self, policy: FlowPolicy) -> None:
        """Act from now on as another policy of the same shape does."""
        self.load_state_dict(policy.state_dict())

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        """Interpolate the score's coefficients for another K; states from before they belonged to it lack them."""
        coefs = state_dict.get(prefix + "score_coefs", self.score_coefs)
        state_dict[prefix + "score_coefs"] = self.score_coefs_of(coefs)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def set_score_coefs(self, coefs: list[float] | torch.Tensor) -> None:
        """Take over coefficients alpha(i / N), i = 0 .. N - 1, of the score drift, interpolating where N is not K."""
        self.score_coefs.copy_(self.score_coefs_of(coefs))

    def score_coefs_of(self, coefs: list[float] | torch.Tensor) -> torch.Tensor:
        """Coefficients (K) from those at i / N, shape (N), between which they are interpolated where N is not K."""
        coefs = torch.as_tensor(coefs, device=self.score_coefs.device)
        if len(coefs) == self.num_flow_steps:
            return coefs
        points = torch.cat([coefs, coefs.new_zeros(1)])
        place = time_grid(self.num_flow_steps, points.device).squeeze(-1) * (len(points) - 1)
        below = place.long()
        return torch.lerp(points[below], points[below + 1], place - below)

    def drift(self, x: torch.Tensor, t: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Velocity plus the score drift of the step that contains the time."""
        alpha = self.score_coefs[(t * self.num_flow_steps + 1e-4).long()]
        return score_drift(self.velocity_field(x, t, latent), x, t, alpha, self.score_clip)

    def flow(
        self, latent: torch.Tensor, noise: torch.Tensor | None = None, num_steps: int | None = None
    ) -> torch.Tensor:
        """States x_0 .. x_K of the deterministic flow, shape (K + 1, B, H * A).

        Args:
            latent: What :meth:`get_latent` gives, shape (B, L).
            noise: Initial state; by default as `initial_noise` says, or zero while LEAPP exports the policy.
            num_steps: Number of Euler steps; by default K.
        """
        if noise is None:
            make = torch.randn if self.initial_noise == "random" and not _leapp_records() else torch.zeros
            noise = make(latent.shape[0], self.output_dim, device=latent.device)
        steps = num_steps or self.num_flow_steps
        return euler_states(lambda x, t: self.drift(x, t, latent), noise, steps, clip=self.intermediate_clip)

    def sample(
        self, latent: torch.Tensor, noise: torch.Tensor | None = None, num_steps: int | None = None
    ) -> torch.Tensor:
        """Normalised chunk in [-1, 1] at the end of :meth:`flow`, shape (B, H * A)."""
        return self.flow(latent, noise, num_steps)[-1].clamp(-1.0, 1.0)

    def forward(self, obs: TensorDict, masks=None, hidden_state=None, stochastic_output: bool = False) -> torch.Tensor:
        """Chunk in the environment's units, shape (B, H * A), row-major (H, A)."""
        return self.action_normalizer.inverse(self.sample(self.get_latent(obs)))

    @torch.no_grad()
    def sample_chunks(self, obs: TensorDict | dict, num: int, generator: torch.Generator) -> torch.Tensor:
        """Chunks in the environment's units from ``num`` other noises per observation, shape (num, B, H * A).

        What is shown in viewers; the generator is the caller's own, so that acting is not disturbed.
        """
        device = self.score_coefs.device
        latent = self.get_latent({group: obs[group].to(device) for group in self.obs_groups})
        noise = torch.randn(num * len(latent), self.output_dim, generator=generator, device=generator.device)
        chunks = self.sample(latent.repeat(num, 1), noise.to(device))
        return self.action_normalizer.inverse(chunks).unflatten(0, (num, -1))

    def reset(self, dones: torch.Tensor | None = None, hidden_state=None) -> None:
        """Nothing is carried from one decision to the next."""

    def get_hidden_state(self) -> None:
        """Nothing is carried from one decision to the next."""

    def update_normalization(self, obs: TensorDict) -> None:
        """The ranges come from the demonstrations and stay as they are."""

    def as_jit(self) -> FlowPolicyExport:
        """Twin for TorchScript: (obs, noise) -> actions, with a list of images between them if there are cameras."""
        return VisionPolicyExport(self) if self.encoder else FlowPolicyExport(self)

    def as_onnx(self, verbose: bool = False) -> FlowPolicyExport:
        """Twin for ONNX: (obs, noise) -> actions, with each camera's images between them."""
        return VisionPolicyOnnx(self) if self.encoder else FlowPolicyExport(self)


def _leapp_records() -> bool:
    """Whether `isaaclab leapp export` records a graph, in which nothing must be random."""
    leapp = sys.modules.get("leapp")
    return leapp is not None and leapp.ExportManager.is_interpret_graph_enabled()


class FlowPolicyExport(nn.Module):
    """The policy as tensors only: the initial noise is an input, so the map is deterministic."""

    is_recurrent: bool = False

    def __init__(self, policy: FlowPolicy):
        super().__init__()
        self.obs_normalizer = copy.deepcopy(policy.obs_normalizer)
        self.action_normalizer = copy.deepcopy(policy.action_normalizer)
        self.velocity = copy.deepcopy(policy.velocity)
        self.num_flow_steps = policy.num_flow_steps
        self.clip = float("inf") if policy.intermediate_clip is None else policy.intermediate_clip
        self.register_buffer("score_coefs", policy.score_coefs.clone())
        self.score_clip = policy.score_clip
        self.obs_dim, self.output_dim = policy.obs_dim, policy.output_dim

    def forward(self, obs: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Chunk in the environment's units from concatenated observations (B, O) and noise (B, H * A)."""
        return self.sample(self.obs_normalizer(obs), noise)

    def sample(self, latent: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Chunk in the environment's units from a latent (B, L) and noise (B, H * A)."""
        x = noise
        for i in range(self.num_flow_steps):
            t = torch.full_like(x[:, :1], i / self.num_flow_steps)
            drift = score_drift(self.velocity(x, t, latent), x, t, self.score_coefs[i], self.score_clip)
            x = (x + drift / self.num_flow_steps).clamp(-self.clip, self.clip)
        x = x.clamp(-1.0, 1.0)
        return x * self.action_normalizer.scale + self.action_normalizer.center

    @torch.jit.export
    def reset(self) -> None:
        """Nothing is carried from one decision to the next."""

    def get_dummy_inputs(self) -> tuple[torch.Tensor, ...]:
        """Inputs of the right shapes for tracing."""
        return torch.zeros(1, self.obs_dim), torch.zeros(1, self.output_dim)

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs."""
        return ["obs", "noise"]

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs."""
        return ["actions"]


class VisionPolicyExport(FlowPolicyExport):
    """The same for a policy with cameras."""

    def __init__(self, policy: FlowPolicy):
        super().__init__(policy)
        self.encoders = nn.ModuleList(copy.deepcopy(encoder) for encoder in policy.encoder.encoders.values())

    def forward(self, obs: torch.Tensor, images: list[torch.Tensor], noise: torch.Tensor) -> torch.Tensor:
        """Chunk from vectors (B, O), each camera's images (B, C, H, W) of bytes, and noise (B, H * A)."""
        state = self.obs_normalizer(obs)
        latent = [state]
        for i, encoder in enumerate(self.encoders):
            latent.append(encoder(images[i], state))
        return self.sample(torch.cat(latent, dim=-1), noise)


class VisionPolicyOnnx(VisionPolicyExport):
    """The same with the images as inputs one by one, because ONNX has no lists."""

    def __init__(self, policy: FlowPolicy):
        super().__init__(policy)
        self.image_shapes = policy.image_shapes

    def forward(self, obs: torch.Tensor, *images_and_noise: torch.Tensor) -> torch.Tensor:
        """Chunk from vectors (B, O), each camera's images (B, C, H, W) of bytes, and noise (B, H * A)."""
        *images, noise = images_and_noise
        return super().forward(obs, images, noise)

    def get_dummy_inputs(self) -> tuple[torch.Tensor, ...]:
        """Inputs of the right shapes for tracing."""
        images = [torch.zeros(1, *shape, dtype=torch.uint8) for shape in self.image_shapes.values()]
        return torch.zeros(1, self.obs_dim), *images, torch.zeros(1, self.output_dim)

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs."""
        return ["obs", *self.image_shapes, "noise"]
