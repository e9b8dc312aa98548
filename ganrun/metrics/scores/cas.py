"""Classification accuracy score (CAS): how well a classifier that has seen only samples classifies real images."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ganrun import seeds
from ganrun.data.images import to_float
from ganrun.metrics.extractors.resize import resize_antialiased
from ganrun.metrics.score_inputs import ScoreInputs
from ganrun.metrics.scores import score

SIDE = 28  # pixels, to which all images are resized
STEPS, BATCH, RATE = 1000, 64, 1e-3  # of the classifier's training, with Adam


@score(
    "cas",
    better="higher",
    needs=("images", "image_labels"),
    note="accuracy on real images of a small CNN trained on samples, {cas_steps:,} steps",
    settings=lambda samples: {"cas_steps": STEPS},
)
def cas_of_samples(inputs: ScoreInputs) -> float:
    """Ravuri & Vinyals 2019, section 3. Departure: a small convolutional network in place of their ResNet-50."""
    if not len(inputs.real_image_labels) or not len(inputs.images):
        return math.nan
    images, real = (as_input(x) for x in (inputs.images, inputs.real_images))
    classes = 1 + int(torch.cat([inputs.image_labels, inputs.real_image_labels]).max())
    with torch.enable_grad():
        classifier = train_classifier(images, inputs.image_labels, classes)
    with torch.no_grad():
        predicted = torch.cat([classifier(part).argmax(1) for part in real.split(1000)])
    return (predicted == inputs.real_image_labels).double().mean().item()


def as_input(images: Tensor) -> Tensor:
    """Return images, uint8 [N, C, H, W], as float [N, C, SIDE, SIDE] in about [-1, 1]."""
    return resize_antialiased(to_float(images), SIDE)


def build_classifier(channels: int, classes: int) -> nn.Sequential:
    """Return a LeNet with ReLU and max pooling: [B, channels, SIDE, SIDE] -> logits [B, classes]."""
    return nn.Sequential(
        *(nn.Conv2d(channels, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 5), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(32 * 4 * 4, 128), nn.ReLU(), nn.Linear(128, classes)),
    )


def train_classifier(x: Tensor, y: Tensor, classes: int, steps: int = STEPS) -> nn.Module:
    """Return a classifier trained on x [N, C, SIDE, SIDE] of classes y, int64 [N]. The same data give the same one.

    The caller isolates torch's global stream, which draws the first weights: scores are computed so.
    """
    generator = seeds.generator(5)
    classifier = build_classifier(x.shape[1], classes).to(x.device)
    optimizer = torch.optim.Adam(classifier.parameters(), RATE)
    for _ in range(steps):
        index = torch.randint(len(x), (BATCH,), generator=generator).to(x.device)
        optimizer.zero_grad()
        cross_entropy(classifier(x[index]), y[index]).backward()
        optimizer.step()
    return classifier.eval()
