"""Networks for a while in evaluation mode, and the laws of latents."""

import contextlib

import pytest
import torch
from torch import nn

from ganrun.networks import latents
from ganrun.networks.modes import evaluating


def test_inside_all_modules_evaluate_and_no_gradient_is_kept():
    with evaluating(nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2))) as network:
        assert not any(module.training for module in network.modules())
        assert not torch.is_grad_enabled()


@pytest.mark.parametrize("error", [None, KeyError])
def test_afterwards_each_module_is_in_the_mode_it_was_in_even_after_an_error(error):
    network = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2))
    network[1].eval()
    with contextlib.suppress(KeyError), evaluating(network):
        if error:
            raise error
    assert [module.training for module in network.modules()] == [True, True, False]
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("law", [latents.normal, latents.uniform])
def test_a_latent_drawn_from_a_generator_leaves_the_default_stream_alone(law):
    stream = torch.get_rng_state()
    first, second = (law(3, 4, torch.device("cpu"), torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == (3, 4)
    assert torch.equal(torch.get_rng_state(), stream)


@pytest.mark.parametrize(("law", "variance"), [(latents.normal, 1), (latents.uniform, 1 / 3)])
def test_latents_have_the_moments_of_their_law(law, variance):
    z = law(2000, 50, torch.device("cpu"), torch.Generator().manual_seed(1))
    assert float(z.mean()) == pytest.approx(0, abs=0.01)
    assert float(z.var()) == pytest.approx(variance, rel=0.02)
    assert law is latents.normal or float(z.abs().max()) <= 1
