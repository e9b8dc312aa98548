"""The 2015-12-05 Inception graph again, as plain functions of a state dict."""

import torch
from torch.nn.functional import conv2d, max_pool2d


def block(state, name, x, stride=1, padding=0):
    bn = f"{name}.bn."
    h = conv2d(x, state[f"{name}.conv.weight"], stride=stride, padding=padding)
    scale = state[bn + "weight"] / (state[bn + "running_var"] + 0.001).sqrt()
    shift = state[bn + "bias"] - state[bn + "running_mean"] * scale
    return (h * scale[:, None, None] + shift[:, None, None]).clamp(min=0)


def chain(state, prefix, x, *steps):
    for name, padding, stride in steps:
        x = block(state, prefix + name, x, stride, padding)
    return x


def mean_of_neighbours(x):
    """Mean over those pixels of a 3x3 window that lie inside the image."""
    height, width = x.shape[2:]
    result = torch.empty_like(x)
    for i in range(height):
        for j in range(width):
            window = x[:, :, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
            result[:, :, i, j] = window.mean((2, 3))
    return result


def mixed_a(s, p, x):
    five = chain(s, p, x, ("branch5x5_1", 0, 1), ("branch5x5_2", 2, 1))
    three = chain(s, p, x, ("branch3x3dbl_1", 0, 1), ("branch3x3dbl_2", 1, 1), ("branch3x3dbl_3", 1, 1))
    pool = block(s, p + "branch_pool", mean_of_neighbours(x))
    return torch.cat([block(s, p + "branch1x1", x), five, three, pool], 1)


def mixed_b(s, p, x):
    three = chain(s, p, x, ("branch3x3dbl_1", 0, 1), ("branch3x3dbl_2", 1, 1), ("branch3x3dbl_3", 0, 2))
    return torch.cat([block(s, p + "branch3x3", x, 2), three, max_pool2d(x, 3, 2)], 1)


def mixed_c(s, p, x):
    a, b = (0, 3), (3, 0)
    seven = chain(s, p, x, ("branch7x7_1", 0, 1), ("branch7x7_2", a, 1), ("branch7x7_3", b, 1))
    steps = [(f"branch7x7dbl_{i}", padding, 1) for i, padding in enumerate([0, b, a, b, a], 1)]
    pool = block(s, p + "branch_pool", mean_of_neighbours(x))
    return torch.cat([block(s, p + "branch1x1", x), seven, chain(s, p, x, *steps), pool], 1)


def mixed_d(s, p, x):
    three = chain(s, p, x, ("branch3x3_1", 0, 1), ("branch3x3_2", 0, 2))
    seven = chain(s, p, x, ("branch7x7x3_1", 0, 1), ("branch7x7x3_2", (0, 3), 1), ("branch7x7x3_3", (3, 0), 1))
    seven = block(s, p + "branch7x7x3_4", seven, 2)
    return torch.cat([three, seven, max_pool2d(x, 3, 2)], 1)


def mixed_e(s, p, x, pooled):
    three = block(s, p + "branch3x3_1", x)
    double = chain(s, p, x, ("branch3x3dbl_1", 0, 1), ("branch3x3dbl_2", 1, 1))
    heads = [block(s, p + "branch3x3_2a", three, 1, (0, 1)), block(s, p + "branch3x3_2b", three, 1, (1, 0))]
    heads += [block(s, p + "branch3x3dbl_3a", double, 1, (0, 1)), block(s, p + "branch3x3dbl_3b", double, 1, (1, 0))]
    return torch.cat([block(s, p + "branch1x1", x), *heads, block(s, p + "branch_pool", pooled)], 1)


def inception(s, x):
    """Features and unbiased logits of x [B, 3, 299, 299]."""
    x = chain(s, "", x, ("Conv2d_1a_3x3", 0, 2), ("Conv2d_2a_3x3", 0, 1), ("Conv2d_2b_3x3", 1, 1))
    x = max_pool2d(x, 3, 2)
    x = max_pool2d(chain(s, "", x, ("Conv2d_3b_1x1", 0, 1), ("Conv2d_4a_3x3", 0, 1)), 3, 2)
    for letter in "bcd":
        x = mixed_a(s, f"Mixed_5{letter}.", x)
    x = mixed_b(s, "Mixed_6a.", x)
    for letter in "bcde":
        x = mixed_c(s, f"Mixed_6{letter}.", x)
    x = mixed_d(s, "Mixed_7a.", x)
    x = mixed_e(s, "Mixed_7b.", x, mean_of_neighbours(x))
    x = mixed_e(s, "Mixed_7c.", x, max_pool2d(x, 3, 1, 1))
    features = x.mean((2, 3))
    return features, features @ s["fc.weight"].T
