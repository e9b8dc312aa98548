"""A model whose samples or translations come from the programs of a bundle."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ganrun.training.export.openers import OPENERS, RunProgram


class ExportedNetwork(nn.Module):
    """A program as a network. multiple: what the sides of its images must be multiples of, if it takes any size."""

    def __init__(self, run: RunProgram, multiple: int | None):
        super().__init__()
        self.run, self.multiple = run, multiple

    @torch.no_grad()
    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the output on the CPU, where all formats run."""
        return self.run(*(each.cpu().contiguous() for each in inputs))


class ExportedModel(nn.Module):
    """What sampling, translating and scoring ask of a model, by the card and the programs of a bundle."""

    place: Tensor

    def __init__(self, folder: Path, card: Mapping[str, Any]):
        super().__init__()
        self.register_buffer("place", torch.zeros(()), persistent=False)
        self.needs, self.takes = dict(card["needs"]), tuple(card["takes"])
        self.averaged = card["averaged_weights"]
        self.inputs = {program["name"]: program["inputs"] for program in card["programs"]}
        self.averages = tuple(self.inputs)
        self.classes = max((each.get("classes", 0) for inputs in self.inputs.values() for each in inputs), default=0)
        self.networks = nn.ModuleDict()
        for name, inputs in self.inputs.items():
            self.networks[name] = ExportedNetwork(OPENERS[card["format"]](folder, name), inputs[0].get("multiple"))

    @property
    def device(self) -> torch.device:
        return self.place.device

    def net(self, name: str) -> nn.Module:
        return self.networks[name]


class ExportedSampler(ExportedModel):
    def sample(self, n: int, generator: Generator | None = None, **conditions: Tensor) -> Tensor:
        """Return examples [n, ...] of noise that is drawn in the order in which the exported model draws it."""
        (name, inputs), *_ = self.inputs.items()
        values = [conditions[i["name"]] if i["name"] in conditions else draw_input(i, n, generator) for i in inputs]
        return self.networks[name](*values).to(self.device)


class ExportedTranslator(ExportedModel):
    def translate(self, x: Tensor, to: str) -> Tensor:
        """Translate images [B, C, H, W] in [-1, 1] of the other domain to domain `to`, "a" or "b"."""
        return self.networks[f"{'a' if to == 'b' else 'b'}_to_{to}"](x.float()).to(self.device)


def draw_input(described: Mapping[str, Any], n: int, generator: Generator | None) -> Tensor:
    """Return the numbers of an input of a program, [n, ...], as the exported model draws them."""
    size, kind = (n, *described["shape"]), described["kind"]
    if kind == "choice":
        shares = torch.tensor(described["shares"], dtype=torch.float64)
        return torch.multinomial(shares, n, replacement=True, generator=generator)
    if kind == "integers":
        return torch.randint(described["low"], described["high"], size, generator=generator)
    draw = {"normal": torch.randn, "uniform": torch.rand}[kind]
    return draw(*size, generator=generator, dtype=getattr(torch, described["dtype"]))
