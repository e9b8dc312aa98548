"""Evaluation mode, several batches at once, and the distributions of latents."""

import contextlib

import pytest
import torch
from torch import nn

from ganrun.networks import latents
from ganrun.networks.eval_mode import eval_mode, forward_batches


def test_inside_all_modules_are_in_eval_mode_without_gradients():
    with eval_mode(nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2))) as network:
        assert not any(module.training for module in network.modules())
        assert not torch.is_grad_enabled()


@pytest.mark.parametrize("error", [None, KeyError])
def test_afterwards_each_module_has_its_previous_mode_even_after_an_error(error):
    network = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2))
    network[1].eval()
    with contextlib.suppress(KeyError), eval_mode(network):
        if error:
            raise error
    assert [module.training for module in network.modules()] == [True, True, False]
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("norm", [nn.InstanceNorm2d, nn.BatchNorm2d])
def test_several_batches_give_the_results_of_single_ones_in_one_pass_unless_batchnorm_would_mix_them(norm):
    network = nn.Sequential(nn.Conv2d(1, 4, 3), norm(4), nn.ReLU(), nn.Conv2d(4, 2, 3)).double()
    passes = []
    network.register_forward_hook(lambda _, inputs, output: passes.append(len(output)))
    batches = [torch.randn(n, 1, 8, 8, dtype=torch.double) for n in (1, 3, 2)]
    apart = [network(batch) for batch in batches]
    passes.clear()
    for found, expected in zip(forward_batches(network, *batches), apart, strict=True):
        assert torch.allclose(found, expected, rtol=0, atol=1e-12)
    assert passes == ([6] if norm is nn.InstanceNorm2d else [1, 3, 2])


@pytest.mark.parametrize("law", [latents.normal, latents.uniform])
def test_sampling_latents_with_a_generator_does_not_change_the_default_one(law):
    stream = torch.get_rng_state()
    first, second = (law(3, 4, torch.device("cpu"), torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == (3, 4)
    assert torch.equal(torch.get_rng_state(), stream)


@pytest.mark.parametrize(("law", "variance"), [(latents.normal, 1), (latents.uniform, 1 / 3)])
def test_latents_have_the_moments_of_their_distribution(law, variance):
    z = law(2000, 50, torch.device("cpu"), torch.Generator().manual_seed(1))
    assert float(z.mean()) == pytest.approx(0, abs=0.01)
    assert float(z.var()) == pytest.approx(variance, rel=0.02)
    assert law is latents.normal or float(z.abs().max()) <= 1
