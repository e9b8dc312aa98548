"""The Inception network of the 2015-12-05 TensorFlow graph, which defines FID and the Inception Score."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d, relu


class Convolution(nn.Module):
    """Convolution without bias, BatchNorm, ReLU."""

    def __init__(self, channels: int, width: int, kernel, stride: int = 1, padding: int | tuple[int, int] = 0):
        super().__init__()
        self.conv = nn.Conv2d(channels, width, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(width, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.bn(self.conv(x)), inplace=True)


def average_pool(x: Tensor) -> Tensor:
    """3x3 average pooling that does not count padding, as in TensorFlow."""
    return avg_pool2d(x, 3, 1, 1, count_include_pad=False)


def max_pool(x: Tensor) -> Tensor:
    """3x3 max pooling. The graph has it in Mixed_7c, where the paper averages."""
    return max_pool2d(x, 3, 1, 1)


class Mixed(nn.Module):
    """Branches of convolutions and a pooling branch, concatenated along the channels.

    branches: {name: layers}; a layer is (width, kernel) or (width, kernel, stride), and a list of two layers means that
    both read the same input and are concatenated. Stride 1 keeps the size, stride 2 has no padding.
    pooled: channels of the convolution after the pooling (None: no convolution).

    As in the public weight file, layer i is the child `name_i` (of a pair: `name_ia` and `name_ib`), and the only layer
    of a branch is `name`.
    """

    def __init__(self, channels: int, branches: dict[str, list], pool: Callable, pooled: int | None = None):
        super().__init__()
        self.pool = pool
        self.paths = [self._add_branch(channels, name, layers) for name, layers in branches.items()]
        self.branch_pool = Convolution(channels, pooled, 1) if pooled else nn.Identity()

    def _add_branch(self, channels: int, name: str, layers: list) -> list[list[str]]:
        """Add the layers as children and return their names in order, one or two for each step."""
        path = []
        for i, layer in enumerate(layers, 1):
            step = name if len(layers) == 1 else f"{name}_{i}"
            pair = layer if isinstance(layer, list) else [layer]
            path.append([step] if len(pair) == 1 else [f"{step}a", f"{step}b"])
            for child, (width, kernel, *stride) in zip(path[-1], pair, strict=True):
                height, across = (kernel, kernel) if isinstance(kernel, int) else kernel
                padding = 0 if stride else (height // 2, across // 2)
                self.add_module(child, Convolution(channels, width, kernel, *stride, padding=padding))
            channels = pair[0][0]
        return path

    def forward(self, x: Tensor) -> Tensor:
        outputs = []
        for path in self.paths:
            h = x
            for step in path:
                h = torch.cat([self.get_submodule(name)(h) for name in step], 1)
            outputs.append(h)
        return torch.cat([*outputs, self.branch_pool(self.pool(x))], 1)


def mixed_5(channels: int, pooled: int) -> Mixed:
    branches = {"branch1x1": [(64, 1)], "branch5x5": [(48, 1), (64, 5)], "branch3x3dbl": [(64, 1), (96, 3), (96, 3)]}
    return Mixed(channels, branches, average_pool, pooled)


def mixed_6(width: int) -> Mixed:
    across, down = (width, (1, 7)), (width, (7, 1))
    branches = {
        "branch1x1": [(192, 1)],
        "branch7x7": [(width, 1), across, (192, (7, 1))],
        "branch7x7dbl": [(width, 1), down, across, down, (192, (1, 7))],
    }
    return Mixed(768, branches, average_pool, 192)


def mixed_7(channels: int, pool: Callable) -> Mixed:
    pair = [(384, (1, 3)), (384, (3, 1))]
    branches = {"branch1x1": [(320, 1)], "branch3x3": [(384, 1), pair], "branch3x3dbl": [(448, 1), (384, 3), pair]}
    return Mixed(channels, branches, pool, 192)


class InceptionV3(nn.Module):
    """Pooled features and unbiased logits of the 2015-12-05 graph; keys and shapes are those of torch-fidelity's file.

    Szegedy et al. 2016, with the graph's departures from the paper: `average_pool`, `max_pool` and 1,008 classes.
    """

    num_features = 2048

    def __init__(self):
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = Convolution(32, 32, 3)
        self.Conv2d_2b_3x3 = Convolution(32, 64, 3, padding=1)
        self.MaxPool_1 = nn.MaxPool2d(3, 2)
        self.Conv2d_3b_1x1 = Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = Convolution(80, 192, 3)
        self.MaxPool_2 = nn.MaxPool2d(3, 2)
        self.Mixed_5b = mixed_5(192, 32)
        self.Mixed_5c = mixed_5(256, 64)
        self.Mixed_5d = mixed_5(288, 64)
        branches = {"branch3x3": [(384, 3, 2)], "branch3x3dbl": [(64, 1), (96, 3), (96, 3, 2)]}
        self.Mixed_6a = Mixed(288, branches, nn.MaxPool2d(3, 2))
        self.Mixed_6b = mixed_6(128)
        self.Mixed_6c = mixed_6(160)
        self.Mixed_6d = mixed_6(160)
        self.Mixed_6e = mixed_6(192)
        path = [(192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2)]
        self.Mixed_7a = Mixed(768, {"branch3x3": [(192, 1), (320, 3, 2)], "branch7x7x3": path}, nn.MaxPool2d(3, 2))
        self.Mixed_7b = mixed_7(1280, average_pool)
        self.Mixed_7c = mixed_7(2048, max_pool)
        self.fc = nn.Linear(2048, 1008)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, 2048] and logits without the bias [B, 1008] of x: [B, 3, 299, 299] in [-1, 1).

        The Inception Score of Salimans et al. 2016 uses the logits before the bias is added.
        """
        for name, layer in self.named_children():
            if name != "fc":
                x = layer(x)
        features = x.mean((2, 3))
        return features, features @ self.fc.weight.T
