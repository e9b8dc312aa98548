"""An outside user's data with keys of their own, and a model that needs them: for --config-dir mine."""

SOURCE = """
import numpy as np

from ganrun.data import cache
from ganrun.data.keys import Key
from ganrun.data.source import Source


class Scenes(Source):
    name = "scenes"

    def __init__(self, size, count):
        self.size, self.count = size, count

    @property
    def keys(self):
        return {
            "x": Key("picture", (1, self.size, self.size)),
            "tokens": Key("text", (2,), moves_with="x"),  # a word, and the number of the scene
            "layout": Key("map", (self.size, self.size), moves_with="x"),
        }

    def load(self):
        rng, shape = np.random.default_rng(0), (self.count, self.size, self.size)
        layout = rng.integers(0, 2, shape).astype(np.uint8)
        words = rng.integers(0, 5, self.count)
        arrays = {
            "train-x": 255 * layout[:, None],
            "train-tokens": np.stack([words, np.arange(self.count)], 1),
            "train-layout": layout * (1 + words[:, None, None]).astype(np.uint8),
        }
        return cache.in_memory(arrays, {"name": self.name, "size": self.size, "count": self.count})
"""

MODEL = """
from functools import partial

import torch
from torch import nn

from ganrun import seeds
from ganrun.models.base import Adversarial, Player


class Scenery(Adversarial):
    needs = {"x": "picture", "tokens": "text", "layout": "map", "index": "index"}
    takes = ("tokens", "layout")
    averages = ("generator",)
    trial_size = 4

    def __init__(self, generator, discriminator, reader, weight, **base):
        super().__init__(**base)
        self.generator, self.discriminator, self.reader, self.weight = generator, discriminator, reader, weight

    def players(self):
        return [
            Player("discriminator", [self.discriminator], partial(self.discriminator_loss, margin=1.0)),
            Player("penalty", [self.discriminator], self.penalty, every=lambda batch: batch % 4 == 0),
            Player("generator", [self.generator, self.reader], self.generator_loss),
        ]

    def make(self, tokens, layout, generator=None, net=None):
        z = torch.randn(len(tokens), 4, generator=generator).to(self.some_weight)
        words = self.reader(tokens[:, 0])
        return (net or self.generator)(torch.cat([z, words, layout.flatten(1).to(z)], 1)).unflatten(1, (1, 6, 6))

    def score(self, x, batch):
        return self.discriminator(torch.cat([x.flatten(1), batch["layout"].flatten(1).to(x)], 1))

    def discriminator_loss(self, batch, margin):
        if not batch["x"].is_meta:
            assert torch.equal(batch["x"][:, 0] > 0, batch["layout"] > 0)  # they are mirrored together
            assert torch.equal(batch["index"], batch["tokens"][:, 1])
        assert len(batch["x"]) >= 4
        real, fake = self.score(batch["x"], batch), self.score(self.make(batch["tokens"], batch["layout"]), batch)
        return {"loss": (margin - real).relu().mean() + (margin + fake).relu().mean(), "real": real, "fake": fake}

    def penalty(self, batch):
        x = batch["x"].clone().requires_grad_()
        (slope,) = torch.autograd.grad(self.score(x, batch).sum(), x, create_graph=True)
        return self.weight * slope.square().sum((1, 2, 3)).mean()

    def generator_loss(self, batch):
        return -self.score(self.make(batch["tokens"], batch["layout"]), batch).mean()

    def sample(self, n, tokens, layout, generator=None):
        device = self.some_weight.device
        with torch.no_grad():
            return self.make(tokens.to(device), layout.to(device), generator, self.net("generator"))

    def pictures(self, data):
        given = data.conditions(8, self.takes)
        return {"samples": (self.sample(8, **given, generator=seeds.generator(0)), 4)}
"""

FILES = {
    "scenes.py": SOURCE,
    "scenery.py": MODEL,
    "mine/data/scenes.yaml": """# Scenes of one word each
defaults:
  - base/module@_here_
  - _self_
  - override /metrics@_global_.metrics: none
source: {_target_: scenes.Scenes, _partial_: true}
name: scenes
shape: ${image_shape:1,${data.size}}
size: 6  # pixels
count: 50  # number of scenes
flip: true
""",
    "mine/network/scenery.yaml": """# Three small networks
generator:
  _target_: torch.nn.Sequential
  _args_:
    - {_target_: torch.nn.Linear, in_features: 43, out_features: 36}
    - {_target_: torch.nn.Tanh}
discriminator: {_target_: torch.nn.Linear, in_features: 72, out_features: 1}
reader: {_target_: torch.nn.Embedding, num_embeddings: 5, embedding_dim: 3}
""",
    "mine/model/scenery.yaml": """# @package _global_
# Pictures of a text and a layout
defaults:
  - /network: scenery
  - /optimizer: adam
  - /schedule: constant
  - /init: default
batch_size: 8
model:
  _target_: scenery.Scenery
  generator: ${network.generator}
  discriminator: ${network.discriminator}
  reader: ${network.reader}
  weight: 0.1
optimizers:
  discriminator: {lr: '${optimizer.lr}'}
  penalty: {lr: '${optimizer.lr}'}
  generator: {lr: '${optimizer.lr}'}
""",
}


def write_scenes(folder, **changed):
    """Write the files into a folder. changed: {file without its ending: (text, its replacement)}."""
    for name, content in FILES.items():
        old, new = changed.get(name.rpartition("/")[2].partition(".")[0] if name.endswith(".py") else "", ("", ""))
        assert old in content
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content.replace(old, new) if old else content)
