"""The small classifier of digits whose features score generated digits."""

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu


class LeNet(nn.Module):
    """Two convolutions of 5x5 (16 and 32 channels, ReLU, 2x2 max pooling), 128 ReLU features, 10 logits.

    LeNet-5 (LeCun et al. 1998) with ReLU and max pooling. Weights: scripts/train_lenet.py.
    """

    num_features = 128

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 5)
        self.conv2 = nn.Conv2d(16, 32, 5)
        self.hidden = nn.Linear(32 * 4 * 4, self.num_features)
        self.classes = nn.Linear(self.num_features, 10)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features [B, 128] and logits [B, 10] of x: [B, 1, 28, 28] in [-1, 1]."""
        h = max_pool2d(relu(self.conv1(x)), 2)
        h = max_pool2d(relu(self.conv2(h)), 2)
        features = relu(self.hidden(torch.flatten(h, 1)))
        return features, self.classes(features)
