# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Networks: shapes, bounds and starting values that the papers ask for."""

import math

import pytest
import torch

from flow_rl.flows import time_grid
from flow_rl.nn import (
    BackboneSettings,
    DuelingEnsemble,
    EnsembleMLP,
    MinMaxNormalizer,
    NoisePredictor,
    ResidualMLP,
    ScoreCoefficient,
    TimeEmbedding,
    VelocityField,
    WhiteningNormalizer,
    make_backbone,
)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_residual_mlp_is_a_sum():
    """With zero residual layers only the input and output maps remain; widths may differ."""
    net = ResidualMLP(3, 2, [8, 8, 4], "relu")
    for layer in net.layers:
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    x = torch.randn(5, 3)
    expected = net.output(torch.relu(net.skips[1](net.input(x))))
    torch.testing.assert_close(net(x), expected)


def make_field(chunk, latent, features, prediction, kind="mlp") -> VelocityField:
    settings = BackboneSettings(kind=kind, width=16)
    backbone = make_backbone(settings, chunk, features, {"state": latent}, hidden_dims=[16, 16], activation="relu")
    return VelocityField(TimeEmbedding(features), backbone, chunk[0] * chunk[1], prediction)


@pytest.mark.parametrize("backbone", ["mlp", "transformer"])
@pytest.mark.parametrize("prediction", ["v", "x", "residual"])
def test_velocity_broadcasts_over_flow_steps(prediction, backbone):
    """All steps of a chain at once give what each gives alone."""
    net = make_field((2, 3), 3, 8, prediction, backbone)
    x, condition, t = torch.randn(5, 4, 6), torch.randn(5, 3), time_grid(4)
    together = net(x, t, condition.unsqueeze(1))
    alone = torch.stack([net(x[:, i], t[i].expand(5, 1), condition) for i in range(4)], dim=1)
    torch.testing.assert_close(together, alone)


def test_target_prediction_points_at_the_target():
    """The velocity leads from x_t to the network's answer in the remaining time."""
    net = make_field((1, 2), 1, 4, "x")
    x, t, c = torch.randn(3, 2), torch.full((3, 1), 0.75), torch.randn(3, 1)
    answer = net.backbone(x, net.time_embedding(t), c)
    torch.testing.assert_close(x + 0.25 * net(x, t, c), answer)


def test_residual_prediction_starts_from_the_velocity_of_normal_actions():
    """A network that answers zero leaves E[x_1 - x_0 | x_t], as a regression on draws finds it; its unit is what is
    left of the velocity then."""
    mean, std, t = torch.tensor([0.5, -0.2]), torch.tensor([0.3, 0.01]), 0.6
    net = make_field((1, 2), 1, 4, "residual")
    targets = mean + std * torch.randn(200_000, 2)
    net.fit(targets)
    torch.testing.assert_close(net.action_mean, mean, rtol=0.01, atol=1e-3)
    torch.testing.assert_close(net.action_std, std, rtol=0.01, atol=0)
    noise = torch.randn_like(targets)
    x, v = (1 - t) * noise + t * targets, targets - noise
    for answer in (0.0, 1.0):
        torch.nn.init.zeros_(net.backbone.net.output.weight)
        torch.nn.init.constant_(net.backbone.net.output.bias, answer)
        predicted = net(x, torch.full((len(x), 1), t), torch.zeros(len(x), 1)).detach()
        if answer == 0.0:
            base, error = predicted, v - predicted
    assert (error.mean(dim=0).abs() < 0.01).all()
    assert ((error * (x - x.mean(dim=0))).mean(dim=0).abs() < 2e-3).all(), "nothing linear is left"
    torch.testing.assert_close(error.std(dim=0), (predicted - base)[0], rtol=0.02, atol=0)


def test_score_coefficient_starts_where_the_paper_does():
    """alpha(t) = (1 - t) log(1 + exp(-2)) at the start of learning."""
    t = time_grid(4)
    torch.testing.assert_close(ScoreCoefficient()(t), (1 - t) * math.log1p(math.exp(-2.0)))
    torch.testing.assert_close(ScoreCoefficient(0.5, "fixed")(t), (1 - t) * 0.5)
    assert (ScoreCoefficient(1.0, "linear")(t) > 0).all()


def test_score_coefficient_is_bounded():
    """A large g is cut at twice the scale."""
    net = ScoreCoefficient(0.5)
    torch.nn.init.constant_(net.g[-2].bias, 100.0)
    assert net(torch.zeros(1, 1)).item() == 1.0


def test_noise_stays_within_its_bounds():
    """However large the network's answer, the deviation stays in [min, max] and starts near their geometric mean."""
    net = NoisePredictor(6, 3, 8, (0.08, 0.16))
    features, condition = torch.randn(4, 8), torch.randn(5, 1, 3)
    std = net(features, condition)
    assert std.shape == (5, 4, 6)
    assert float(std.mean()) == pytest.approx(math.sqrt(0.08 * 0.16), rel=0.1)
    for value, bound in ((50.0, 0.16), (-50.0, 0.08)):
        torch.nn.init.constant_(net.net[-1].bias, value)
        torch.testing.assert_close(net(features, condition), torch.full((5, 4, 6), bound))


def test_bounds_of_the_noise_travel_with_its_state():
    """A schedule moves them; a state from before they belonged to it leaves them as they are."""
    net, other = NoisePredictor(6, 3, 8, (0.08, 0.16)), NoisePredictor(6, 3, 8, (0.1, 0.2))
    net.set_bounds(0.05, 0.09)
    other.load_state_dict(net.state_dict())
    torch.testing.assert_close(other.bounds, torch.tensor([0.05, 0.09]))
    older = {key: value for key, value in net.state_dict().items() if key != "bounds"}
    fresh = NoisePredictor(6, 3, 8, (0.1, 0.2))
    fresh.load_state_dict(older)
    torch.testing.assert_close(fresh.bounds, torch.tensor([0.1, 0.2]))


@pytest.mark.parametrize("kind", ["mlp", "linear"])
def test_score_coefficient_takes_given_values(kind):
    """The coefficients that another learner left are met at the grid's times, and learning is as it was set."""
    t = torch.linspace(0, 1, 5)[:-1, None]
    source, net = ScoreCoefficient(1.0, kind), ScoreCoefficient(1.5, kind)
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        wanted = source(t)
        net.requires_grad_(False)
        net.fit(t, wanted)
    torch.testing.assert_close(net(t), wanted, atol=0.02, rtol=0.0)
    assert not any(parameter.requires_grad for parameter in net.parameters())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_noise_gives_no_gradient_to_the_time_features():
    """The time features belong to the velocity net; the noise only reads them."""
    features = torch.randn(4, 8, requires_grad=True)
    condition = torch.randn(5, 1, 3, requires_grad=True)
    NoisePredictor(6, 3, 8, (0.08, 0.16))(features, condition).sum().backward()
    assert features.grad is None and condition.grad is not None


def test_normalizer():
    """Ranges map to [-1, 1] and back; constant columns are centred; the clip bounds; unfitted it is the identity."""
    x = torch.tensor([[0.0, 5.0], [4.0, 5.0]])
    net = MinMaxNormalizer(2, clip=1.5)
    torch.testing.assert_close(MinMaxNormalizer(2)(x), x, rtol=0, atol=0)
    net.fit(x)
    assert net(x).tolist() == [[-1.0, 0.0], [1.0, 0.0]]
    torch.testing.assert_close(net.inverse(net(x)), x)
    assert net(torch.tensor([[100.0, 5.5]])).tolist() == [[1.5, 0.5]]


def test_whitening():
    """Small differences of large columns come out as large as the columns; constant ones add nothing."""
    x = torch.randn(10_000, 3) @ torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.02, 0.0], [0.0, 0.0, 0.0]]) + 5.0
    net = WhiteningNormalizer(3, clip=3.0)
    torch.testing.assert_close(WhiteningNormalizer(3)(x), x, rtol=0, atol=0)
    net.fit(x)
    white = (x - net.center) @ net.matrix
    variances = torch.cov(white.T).diagonal().sort().values
    assert variances[0] < 1e-6 and torch.allclose(variances[1:], torch.ones(2), atol=0.5)
    assert torch.corrcoef(white.T[1:])[0, 1].abs() < 0.01
    shift = net(torch.tensor([[5.0, 5.02, 5.0]])) - net(torch.tensor([[5.0, 5.0, 5.0]]))
    assert 0.5 < float(shift.norm()) < 1.5, "two hundredths are a deviation of the difference"
    assert net(torch.tensor([[50.0, -50.0, 5.0]])).abs().max() == 3.0


def test_layers_of_an_ensemble_may_be_normalised():
    """Each member is the usual stack of linear, norm and activation; without, nothing is added to the state."""
    net = EnsembleMLP(3, 5, 2, [16, 8], "swish", 0.5, layer_norm=True)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(1, 7, 5)
    for member in range(3):
        y = x[0]
        for i, width in enumerate((16, 8)):
            norm = torch.nn.LayerNorm(width)
            norm.weight.data, norm.bias.data = net.gains[i][member, 0].data, net.shifts[i][member, 0].data
            y = torch.nn.functional.silu(norm(y @ net.weights[i][member] + net.biases[i][member]))
        torch.testing.assert_close(net(x)[member], y @ net.weights[2][member] + net.biases[2][member])
    assert not any("gains" in key for key in EnsembleMLP(3, 5, 2, [16, 8], "swish", 0.5).state_dict())
    assert DuelingEnsemble(2, 3, 4, [16], "swish", 0.5, layer_norm=True).value.layer_norm


def test_a_dueling_ensemble_adds_its_parts():
    """At first values are those of states; V and A are told apart."""
    net = DuelingEnsemble(2, 3, 4, [16], "swish", 0.5)
    x = torch.randn(1, 5, 7)
    assert torch.equal(net(x), net.value(x[..., :3]))
    net.advantage.weights[-1].data.normal_()
    torch.testing.assert_close(net(x), net.value(x[..., :3]) + net.advantage(x))
    assert torch.equal(net.estimates(x), torch.cat([net.value(x[..., :3]), net.advantage(x)], dim=-1))


def test_a_dueling_ensemble_does_not_mistake_the_usual_for_the_good():
    """Actions follow states, and rewards depend on states only: the values' gradient in actions shall be small."""
    state = torch.randn(1, 512, 4)
    pairs = torch.cat([state, state.repeat(1, 1, 4) + 0.05 * torch.randn(1, 512, 16)], dim=-1)
    target = state.mean(dim=-1, keepdim=True).tanh()

    def gradient(net, loss) -> float:
        optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
        for _ in range(400):
            optimizer.zero_grad()
            loss().backward()
            optimizer.step()
        assert (net(pairs) - target).square().mean() < 0.01
        moved = pairs.clone().requires_grad_()
        return torch.autograd.grad(net(moved).sum(), moved)[0][..., 4:].norm(dim=-1).mean().item()

    single, dueling = EnsembleMLP(2, 20, 1, [64, 64], "swish", 0.1), DuelingEnsemble(2, 4, 16, [64, 64], "swish", 0.1)
    usual = gradient(single, lambda: (single(pairs) - target).square().mean())
    good = gradient(
        dueling,
        lambda: (
            (dueling.value(state) - target).square().mean()
            + (dueling.advantage(pairs) - (target - dueling.value(state)).detach()).square().mean()
        ),
    )
    assert good < 0.3 * usual
