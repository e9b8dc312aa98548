"""Weights are loaded by name and shape, and what does not fit is returned."""

import torch

from ganrun.models.image_pool import ImagePool
from ganrun.networks import dcgan
from ganrun.training.fitting_weights import load_fitting_weights


def test_a_state_dict_of_the_same_network_is_loaded_bit_for_bit():
    saved, network = (dcgan.Discriminator((1, 32, 32), width=2) for _ in range(2))
    assert load_fitting_weights(network, saved.state_dict()) == {}
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in saved.state_dict().items())


def test_weights_of_another_shape_keep_their_values_and_are_returned_with_both_shapes():
    saved, network = dcgan.Discriminator((1, 32, 32), width=2), dcgan.Discriminator((3, 32, 32), width=2)
    first = network.features[0].weight.clone()
    misfits = load_fitting_weights(network, saved.state_dict())
    assert misfits == {"features.0.weight": "[2, 1, 4, 4] in the checkpoint, [2, 3, 4, 4] in the network"}
    assert torch.equal(network.features[0].weight, first)
    assert torch.equal(network.score.weight, saved.score.weight)


def test_weights_that_only_one_side_has_are_returned():
    saved, network = dcgan.Discriminator((1, 32, 32), 2), dcgan.Discriminator((1, 64, 64), 2)
    misfits = load_fitting_weights(network, saved.state_dict())
    assert misfits["features.8.weight"] == "not in the checkpoint"
    misfits = load_fitting_weights(saved, network.state_dict())
    assert misfits["features.8.weight"] == "not in the network"


def test_loading_moves_no_parameter_to_another_tensor_and_needs_no_gradient():
    saved, network = (torch.nn.Linear(2, 2) for _ in range(2))
    before = network.weight
    load_fitting_weights(network, saved.state_dict())
    assert network.weight is before
    assert before.requires_grad
    assert before.grad_fn is None


def test_a_pool_of_images_from_other_data_is_not_loaded():
    saved, network = (torch.nn.ModuleDict({"pool": ImagePool(2)}) for _ in range(2))
    saved["pool"](torch.zeros(2, 3, 4, 4))
    assert load_fitting_weights(network, saved.state_dict()) == {}
    assert network["pool"].kept is None
