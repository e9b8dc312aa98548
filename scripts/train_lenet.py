"""Train the LeNet whose features score digits, and measure reference values of its distances.

    python scripts/train_lenet.py --mnist FOLDER

FOLDER holds the four MNIST files in the layout of torchvision: FOLDER/MNIST/raw/train-images-idx3-ubyte.gz ...
Writes ganrun/assets/lenet.safetensors and lenet.json; takes about a minute on two cores.
"""

import argparse
import gzip
import json
import logging
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch.nn.functional import conv2d, cross_entropy

from ganrun.metrics.extractors.base import LeNet, LeNetExtractor
from ganrun.metrics.scores.frechet import FrechetDistance

log = logging.getLogger(__name__)
ASSETS = Path(__file__).resolve().parent.parent / "ganrun" / "assets"
RECIPE = {"seed": 0, "epochs": 4, "batch": 128, "lr": 2e-3}


def read_idx(path):
    """Read a gzipped idx file as a uint8 tensor: 4 bytes of magic, a big-endian int32 per axis, the values."""
    content = gzip.decompress(path.read_bytes())
    axes = content[3]
    shape = np.frombuffer(content, ">i4", axes, offset=4)
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape).copy())


def read_split(folder, name):
    raw = folder / "MNIST" / "raw"
    images = read_idx(raw / f"{name}-images-idx3-ubyte.gz").unsqueeze(1)
    return images, read_idx(raw / f"{name}-labels-idx1-ubyte.gz").long()


def train(images, labels, seed, epochs, batch, lr):
    """Train a LeNet for `epochs` epochs of Adam with a cosine decay of the learning rate to zero."""
    torch.manual_seed(seed)
    net = LeNet()
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * -(-len(images) // batch))
    for epoch in range(epochs):
        for i in torch.randperm(len(images)).split(batch):
            loss = cross_entropy(net(images[i] / 127.5 - 1)[1], labels[i])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        log.info("epoch %d: loss of the last batch %.4f", epoch + 1, loss.item())
    return net


def first_of_each_class(labels, count):
    """Indices of the first `count` images of each class in file order, by class."""
    return torch.cat([torch.nonzero(labels == c).flatten()[:count] for c in range(10)])


def others(labels, count, seed=0):
    """Indices of `count` random images of each class that are not shipped.

    Random, because other people wrote the digits at the end of the MNIST file than those at its beginning.
    """
    draw = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    rest = draw[~torch.isin(draw, first_of_each_class(labels, 900))]
    return rest[first_of_each_class(labels[rest], count)]


def distance(extractor, real, fake):
    """Frechet distance of two sets of uint8 images."""
    metric = FrechetDistance(extractor.num_features)
    for images, is_real in ((real, True), (fake, False)):
        for part in images.split(1000):
            metric.update(extractor(part)[0], real=is_real)
    return round(metric.compute().item(), 3)


def degrade(images, seed=0):
    """The images unchanged and degraded: {what was done: uint8 images}."""
    x = images / 127.5 - 1
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    variants = {
        "as they are": x,
        "noise of deviation 0.2": x + 0.2 * noise,
        "noise of deviation 0.5": x + 0.5 * noise,
        "5x5 box blur": conv2d(x + 1, torch.full((1, 1, 5, 5), 1 / 25), padding=2) - 1,
    }
    return {name: ((v.clamp(-1, 1) + 1) * 127.5).round().byte() for name, v in variants.items()}


def shipped(train_set, test_set):
    """The images of ganrun/assets/digits.npz: 900 of each class for training, 100 of each for testing."""
    (images, labels), (test_images, test_labels) = train_set, test_set
    return torch.cat([images[first_of_each_class(labels, 900)], test_images[first_of_each_class(test_labels, 100)]])


def accuracy(extractor, images, labels):
    """Share of the images that the classifier gets right, rounded."""
    predicted = torch.cat([extractor(part)[1].argmax(1) for part in images.split(1000)])
    return round((predicted == labels).double().mean().item(), 4)


def measure(extractor, train_set, test_set):
    """The content of lenet.json."""
    digits = shipped(train_set, test_set)
    chosen = others(train_set[1], 500)
    images, labels = train_set[0][chosen], train_set[1][chosen]
    halves = torch.randperm(len(digits), generator=torch.Generator().manual_seed(0)).chunk(2)
    distances = {name: distance(extractor, digits, v) for name, v in degrade(images).items()}
    distances["the ones alone"] = distance(extractor, digits, images[labels == 1])
    return {
        "recipe": {**RECIPE, "optimizer": "Adam, cosine to zero", "data": "60,000 MNIST training digits"},
        "test_accuracy": accuracy(extractor, *test_set),
        "floor": distance(extractor, digits[halves[0]], digits[halves[1]]),
        "yardstick": distances["noise of deviation 0.5"],
        "against": "the 10,000 shipped digits; the floor: two random halves of them",
        "others": "500 of each class of the MNIST training set that are not shipped; noise clamped to [-1, 1]",
        "fd_of_others": distances,
    }


def main():
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--out", type=Path, default=ASSETS, metavar="FOLDER")
    options = parser.parse_args()
    train_set, test_set = read_split(options.mnist, "train"), read_split(options.mnist, "t10k")
    weights = options.out / "lenet.safetensors"
    weights.write_bytes(save(train(*train_set, **RECIPE).state_dict()))
    report = measure(LeNetExtractor(weights), train_set, test_set)
    (options.out / "lenet.json").write_text(json.dumps(report, indent=2) + "\n")
    log.info("%s", json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
