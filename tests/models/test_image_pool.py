"""CycleGAN's history of generated images."""

import pytest
import torch

from ganrun.models.image_pool import ImagePool

pytestmark = pytest.mark.usefixtures("fixed_seed")


def numbered(first, count):
    return torch.arange(first, first + count, dtype=torch.float32)[:, None, None, None]


def test_a_pool_of_size_0_returns_its_input_without_gradient():
    pictures = numbered(0, 5).requires_grad_()
    given = ImagePool(0)(pictures)
    assert torch.equal(given, pictures)
    assert not given.requires_grad


def test_images_are_returned_and_stored_while_the_pool_fills():
    pool = ImagePool(4)
    assert torch.equal(pool(numbered(0, 4)), numbered(0, 4))
    assert torch.equal(pool.kept, numbered(0, 4))


def test_returned_and_stored_images_need_no_gradient():
    pool = ImagePool(2)
    given = [pool(numbered(k, 3).requires_grad_()) for k in range(4)]
    assert not any(picture.requires_grad for picture in [*given, pool.kept])


def test_no_image_is_lost_and_a_swapped_one_is_returned_once():
    pool = ImagePool(3)
    given = [float(pool(numbered(k, 1))) for k in range(200)]
    later = given[3:]
    came = [float(k) for k in range(3, 200)]
    older = [value for value, own in zip(later, came, strict=True) if value != own]
    assert len(older) == len(set(older))
    kept = {float(picture) for picture in pool.kept}
    assert kept | set(given) == set(map(float, range(200)))


def test_about_half_of_the_images_are_swapped_for_any_stored_one():
    pool = ImagePool(5)
    pool(numbered(0, 5))
    swapped, places = 0, set()
    for k in range(5, 1005):
        before = [float(picture) for picture in pool.kept]
        given = float(pool(numbered(k, 1)))
        if given != k:
            swapped += 1
            places.add(before.index(given))
    assert 440 < swapped < 560
    assert places == {0, 1, 2, 3, 4}


def test_the_stored_images_are_in_the_state_dict():
    pool, other = ImagePool(3), ImagePool(3)
    pool(numbered(0, 2))
    other.load_state_dict(pool.state_dict())
    assert torch.equal(other.kept[: int(other.filled)], numbered(0, 2))
    empty = ImagePool(3)
    empty.load_state_dict(ImagePool(3).state_dict())
    assert not empty.filled
    assert torch.equal(empty(numbered(0, 1)), numbered(0, 1))
