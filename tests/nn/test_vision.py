# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Encoders of images: batches, cameras and places are kept apart; augmentation shifts and does nothing else."""

import pytest
import torch

from flow_rl.nn import CameraEncoder, CnnEncoder, EncoderSettings, VitEncoder, random_shift

SHAPE = (3, 32, 32)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def bytes_of(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8)


@pytest.fixture(params=["vit", "cnn"])
def encoder(request):
    shapes = {"front": SHAPE, "wrist": (3, 16, 32)}
    return CameraEncoder(shapes, 5, EncoderSettings(kind=request.param, output_dim=24))


@pytest.fixture
def batch():
    return {"front": bytes_of(6, *SHAPE), "wrist": bytes_of(6, 3, 16, 32)}, torch.randn(6, 5)


def test_features_are_as_large_as_the_state_beside_them(encoder, batch):
    """Several times larger they would hide it, and learn as much more slowly."""
    assert 0.3 < encoder(*batch).std() < 2.0


def test_batches_may_be_split(encoder, batch):
    images, state = batch
    whole = encoder(images, state)
    assert whole.shape == (6, 48) and encoder.output_dim == 48
    parts = [
        encoder({name: image[part] for name, image in images.items()}, state[part]) for part in ([0, 1], [2], [3, 4, 5])
    ]
    torch.testing.assert_close(torch.cat(parts), whole, atol=1e-5, rtol=1e-4)
    windows = encoder({name: image.unflatten(0, (2, 3)) for name, image in images.items()}, state.unflatten(0, (2, 3)))
    torch.testing.assert_close(windows, whole.unflatten(0, (2, 3)), atol=1e-5, rtol=1e-4)


def test_each_camera_has_features_of_its_own(encoder, batch):
    images, state = batch
    before = encoder(images, state)
    after = encoder(images | {"wrist": 255 - images["wrist"]}, state)
    assert torch.equal(before[:, :24], after[:, :24])
    assert not torch.allclose(before[:, 24:], after[:, 24:], atol=1e-2)


def test_an_image_says_where_something_is(encoder, batch):
    """The same bright square at two places has different features, which a mean over places would not."""
    images, state = {name: torch.zeros_like(image[:2]) for name, image in batch[0].items()}, batch[1][:1].expand(2, 5)
    images["front"][0, :, :8, :8] = 255
    images["front"][1, :, 16:24, 16:24] = 255
    first, second = encoder(images, state)
    assert (first - second).norm() > 0.05 * first.norm()


def test_gradients_reach_every_weight(encoder, batch):
    encoder(*batch).square().sum().backward()
    silent = [name for name, weight in encoder.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert silent == []


def test_bytes_and_scaled_floats_are_the_same():
    encoder, image, state = VitEncoder(SHAPE, 2), bytes_of(2, *SHAPE), torch.randn(2, 2)
    torch.testing.assert_close(encoder(image, state), encoder(image.float() / 255 - 0.5, state))


def test_shift_moves_each_image_by_itself_and_mixes_none():
    """Each image carries its number in all pixels; a ramp shows by how much it moved."""
    numbers = torch.arange(64, dtype=torch.uint8)[:, None, None, None].expand(64, 3, 12, 12)
    assert torch.equal(random_shift(numbers, 4), numbers)
    ramp = torch.arange(32.0).expand(64, 1, 32, 32)
    moved = random_shift(ramp, 4)
    offsets = (moved - ramp)[:, 0, 16, 16]
    assert offsets.min() == -4 and offsets.max() == 4 and len(offsets.unique()) == 9
    inside = (ramp + offsets[:, None, None, None]).clamp(0, 31)
    assert torch.equal(moved, inside), "whole images move, and repeat their border"
    vertical = random_shift(ramp.transpose(2, 3), 4)
    assert not torch.equal((vertical - ramp.transpose(2, 3))[:, 0, 16, 16], offsets)


def test_images_are_shifted_only_where_it_is_asked_for(encoder, batch):
    assert random_shift(batch[0]["front"], 4).dtype == torch.uint8
    assert torch.equal(random_shift(batch[0]["front"], 0), batch[0]["front"])
    plain = encoder(*batch)
    assert torch.equal(encoder(*batch), plain)
    assert not torch.allclose(encoder(*batch, augment=True), plain, atol=1e-3)


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"encoder.patch = 7 .*32 x 32"):
        VitEncoder(SHAPE, 2, patch=7)
    with pytest.raises(ValueError, match="encoder.num_heads = 3"):
        VitEncoder(SHAPE, 2, num_heads=3)
    with pytest.raises(ValueError, match="encoder.kind = 'resnet'"):
        CameraEncoder({"front": SHAPE}, 2, EncoderSettings(kind="resnet"))
    with pytest.raises(ValueError, match="encoder.channels"):
        CnnEncoder((3, 4, 4), 2, channels=(8, 8, 8))
    with pytest.raises(ValueError, match="encoder.shift = -1"):
        CameraEncoder({"front": SHAPE}, 2, EncoderSettings(shift=-1))
