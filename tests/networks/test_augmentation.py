"""Each augmentation against a loop over single images and pixels that gets the same random numbers."""

import pytest
import torch

from ganrun.errors import UserError
from ganrun.networks.augmentation import AUGMENTATIONS, Augmentation

SHAPE = (5, 3, 9, 14)


def images(seed=0, shape=SHAPE):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def loop_colour(x):
    b, s, c = (torch.rand(len(x), 1, 1, 1).flatten().tolist() for _ in range(3))
    result = []
    for i, image in enumerate(x.double()):
        bright = image + b[i] - 0.5
        grey = bright.mean(0)
        saturated = grey + 2 * s[i] * (bright - grey)
        mean = saturated.mean()
        result.append(mean + (c[i] + 0.5) * (saturated - mean))
    return torch.stack(result).float()


def loop_translation(x):
    n, _, height, width = x.shape
    down = torch.randint(-1, 2, (n, 1)).flatten().tolist()  # 9 / 8, rounded
    across = torch.randint(-2, 3, (n, 1)).flatten().tolist()  # 14 / 8, rounded
    result = torch.zeros_like(x)
    for i in range(n):
        for r in range(height):
            for c in range(width):
                if 0 <= r + down[i] < height and 0 <= c + across[i] < width:
                    result[i, :, r, c] = x[i, :, r + down[i], c + across[i]]
    return result


def loop_cutout(x):
    n = len(x)
    top = (torch.randint(0, 9, (n, 1)) - 2).flatten().tolist()  # 5 rows
    left = (torch.randint(0, 14, (n, 1)) - 3).flatten().tolist()  # 7 columns
    result = x.clone()
    for i in range(n):
        result[i, :, max(0, top[i]) : top[i] + 5, max(0, left[i]) : left[i] + 7] = 0
    return result


LOOPS = {"colour": loop_colour, "translation": loop_translation, "cutout": loop_cutout}


@pytest.mark.parametrize("name", LOOPS)
def test_an_augmentation_is_its_definition(name, fixed_seed):
    x = images()
    result = AUGMENTATIONS[name](x)
    torch.manual_seed(0)
    assert torch.allclose(result, LOOPS[name](x), atol=1e-6)
    assert not torch.equal(result, x)


@pytest.mark.parametrize("name", LOOPS)
def test_the_gradient_reaches_the_generator_through_it(name, fixed_seed):
    x = images(shape=(2, 3, 4, 5)).double().requires_grad_()

    def augment(x):
        torch.manual_seed(0)
        return AUGMENTATIONS[name](x)

    assert torch.autograd.gradcheck(augment, x)


def test_a_cutout_hides_a_quarter_of_an_image_at_most_and_any_corner(fixed_seed):
    hidden = AUGMENTATIONS["cutout"](torch.ones(2000, 1, 16, 16)) == 0
    assert hidden.sum((1, 2, 3)).max() == 64
    assert hidden.any(0).all()


def test_the_share_is_that_of_the_images_that_are_changed(fixed_seed):
    x = images(shape=(4000, 1, 8, 8))
    is_changed = (Augmentation(["translation"], 0.3)(x) != x).flatten(1).any(1)
    assert is_changed.double().mean() == pytest.approx(0.3 * 8 / 9, abs=0.03)  # a ninth of the shifts is none
    assert torch.equal(Augmentation(["colour", "cutout"], 0.0)(x), x)


@pytest.mark.parametrize(
    ("policy", "share", "match"), [(["color"], 1, "Unknown regularizer.diffaugment.policy=color"), ([], 2, "share")]
)
def test_wrong_settings_are_refused(policy, share, match):
    with pytest.raises(UserError, match=match):
        Augmentation(policy, share)
