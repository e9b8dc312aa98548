"""Sprites: small drawings with captions, label maps and the factors that they are made of."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ganrun.data import cache
from ganrun.data.cache import LoadedData
from ganrun.data.decode import Size
from ganrun.data.keys import Key
from ganrun.data.source import Source
from ganrun.errors import UserError

Array = NDArray[Any]

SHAPES: dict[str, Callable[[Array, Array], Array]] = {
    # distances of points (u, v), to the right and down, to the edge of a shape of radius one; negative inside
    "disc": lambda u, v: np.hypot(u, v) - 1,
    "square": lambda u, v: np.maximum(np.abs(u), np.abs(v)) - 0.85,
    "triangle": lambda u, v: np.maximum(v, math.sqrt(3) / 2 * np.abs(u) - v / 2) - 0.6,
    "cross": lambda u, v: np.minimum(bar(u, v), bar(v, u)),
}
COLOURS = {  # red, green and blue
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (50, 80, 230),
    "yellow": (235, 205, 50),
    "purple": (170, 60, 190),
    "cyan": (60, 200, 210),
}
RADII = {"small": 0.085, "large": 0.14}  # shares of the side
ROWS, COLUMNS = ("top", "middle", "bottom"), ("left", "middle", "right")
GROUNDS = {"black": 15, "grey": 110, "white": 240}
WORDS = tuple(dict.fromkeys((*RADII, *COLOURS, *SHAPES, *ROWS, *COLUMNS, *GROUNDS)))  # a token is a number of a word
CHOICES = {"shape": len(SHAPES), "colour": len(COLOURS), "size": len(RADII), "place": 9, "ground": len(GROUNDS)}
OF_OBJECT = ("shape", "colour", "size", "place", "x", "y", "radius")
SHIFT, STRETCH = 0.03, 0.1  # largest ones: of a place, in shares of the side, and of a radius
TEST_COUNT = 2000
AT_ONCE = 2000  # pictures drawn together


def bar(along: Array, across: Array) -> Array:
    return np.maximum(np.abs(along) - 1, np.abs(across) - 0.35)


class Drawn(NamedTuple):
    """Factors of pictures, {name: [n]} of whole numbers for choices and of U(-1, 1) for x, y and radius.

    objects: of each object, drawn in this order, so that the last is in front.  ground: [n].
    """

    ground: Array
    objects: Sequence[Mapping[str, Array]]

    def select(self, which: Array) -> "Drawn":
        return Drawn(self.ground[which], [{name: f[which] for name, f in each.items()} for each in self.objects])


class Sprites(Source):
    """Pictures of one object, or of two in different places, on a plain ground; each factor is independent.

    x: the picture.  y: the shape of the first object.  tokens: size, colour, shape, row and column of each object, and
    the ground, as numbers of WORDS.  map: 0 for the ground, 1 + the shape of an object.  factors: numbers under
    `factor_names`. A tenth of the captions is in the test split alone; each of their words is in the other, too.
    """

    name = "sprites"
    may_flip = False  # captions and factors say where the objects are
    classes = [*SHAPES]

    def __init__(self, size: Size, count: int, objects: int):
        """size: pixels.  count: pictures for training.  objects: 1 or 2 in each."""
        self.size = (size, size) if isinstance(size, int) else (size[0], size[1])
        if min(self.size) < 16:
            raise UserError(f"data.size={size} must be at least 16 pixels for sprites, such as data.size=32.")
        self.train_count, self.objects = count, objects
        self.keys = {
            "x": Key("picture", (3, *self.size)),
            "y": Key("label", moves_with="x"),
            "tokens": Key("text", (5 * objects + 1,), moves_with="x"),
            "map": Key("map", self.size, moves_with="x"),
            "factors": Key("vector", (len(self.factor_names),), moves_with="x"),
        }

    @property
    def factor_names(self) -> list[str]:
        """The names of the columns of `factors`; with two objects, those of the second end with 2."""
        return ["ground", *(f"{name}{'' if i == 0 else i + 1}" for i in range(self.objects) for name in OF_OBJECT)]

    def factor_values(self, factors: Tensor) -> dict[str, Tensor]:
        """Return the factors that scores compare codes with: ground, shape, colour, size, row and column.

        Row, column and size are the place and the radius in 3, 3 and 2 bins, which x, y and `radius` do not leave.
        Empty for two objects: no picture says which of them is the first.
        """
        if self.objects > 1:
            return {}
        found = dict(zip(self.factor_names, factors.long().T, strict=True))
        places = {"row": found["place"] // 3, "column": found["place"] % 3}
        return {name: found[name] for name in ("ground", "shape", "colour", "size")} | places

    def load(self) -> LoadedData:
        arrays: dict[str, Array] = {}
        for number, (split, count) in enumerate({"train": self.train_count or 0, "test": TEST_COUNT}.items()):
            drawn = draw_factors(np.random.default_rng(number), count, self.objects, is_test=split == "test")
            parts = [draw_pictures(drawn.select(part), self.size) for part in in_parts(count)]
            arrays[f"{split}-x"], arrays[f"{split}-map"] = (np.concatenate(both) for both in zip(*parts, strict=True))
            arrays[f"{split}-y"] = drawn.objects[0]["shape"]
            arrays[f"{split}-tokens"] = captions(drawn)
            columns = [drawn.ground, *(each[name] for each in drawn.objects for name in OF_OBJECT)]
            arrays[f"{split}-factors"] = np.stack(columns, axis=1).astype(np.float32)
        options = {"name": self.name, "size": self.size, "count": self.train_count, "objects": self.objects}
        return cache.in_memory(arrays, options, classes=self.classes)


def in_parts(count: int) -> list[Array]:
    return np.split(np.arange(count), range(AT_ONCE, count, AT_ONCE))


def draw_factors(rng: np.random.Generator, count: int, objects: int, is_test: bool) -> Drawn:
    """Return the factors of `count` pictures whose captions are, or are not, among those held out for tests."""
    found: list[Drawn] = []
    while sum(len(each.ground) for each in found) < count:
        drawn = draw_any(rng, 2 * count, objects)
        found.append(drawn.select(np.flatnonzero(are_held_out(captions(drawn)) == is_test)))
    joined = [{name: np.concatenate([d.objects[i][name] for d in found]) for name in OF_OBJECT} for i in range(objects)]
    return Drawn(np.concatenate([each.ground for each in found]), joined).select(np.arange(count))


def draw_any(rng: np.random.Generator, count: int, objects: int) -> Drawn:
    """Draw independent factors. Two objects have different places: the second one's is one of the other eight."""
    drawn = []
    for i in range(objects):
        of_one: dict[str, Array] = {name: rng.integers(CHOICES[name], size=count) for name in OF_OBJECT[:4]}
        of_one |= {name: rng.uniform(-1, 1, count) for name in OF_OBJECT[4:]}
        if i:
            of_one["place"] = (drawn[0]["place"] + rng.integers(1, CHOICES["place"], size=count)) % CHOICES["place"]
        drawn.append(of_one)
    return Drawn(rng.integers(CHOICES["ground"], size=count), drawn)


def captions(drawn: Drawn) -> Array:
    """Return the tokens of the captions: int64 [n, 5 * objects + 1]."""
    said: list[tuple[Iterable[str], Array]] = []  # words to choose from, and which is chosen: [n]
    for each in drawn.objects:
        row, column = np.divmod(each["place"], 3)
        said += [(RADII, each["size"]), (COLOURS, each["colour"]), (SHAPES, each["shape"])]
        said += [(ROWS, row), (COLUMNS, column)]
    said.append((GROUNDS, drawn.ground))
    return np.stack([np.array([WORDS.index(word) for word in words])[chosen] for words, chosen in said], axis=1)


def are_held_out(tokens: Array) -> Array:
    """Return which captions are for tests alone: a tenth, spread over all by multiplicative hashing."""
    hashed = np.zeros(len(tokens), np.uint64)
    for column in tokens.T.astype(np.uint64):
        hashed = (hashed * np.uint64(len(WORDS)) + column + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        hashed ^= hashed >> np.uint64(32)
    return hashed % np.uint64(10) == 0


def draw_pictures(drawn: Drawn, size: tuple[int, int]) -> tuple[Array, Array]:
    """Return pictures, uint8 [n, 3, H, W], and their label maps, uint8 [n, H, W], for a size (H, W)."""
    grounds = np.array([*GROUNDS.values()], np.float32)[drawn.ground]
    x = np.broadcast_to(grounds[:, None, None, None], (len(grounds), 3, *size)).copy()
    labels = np.zeros((len(grounds), *size), np.uint8)
    for each in drawn.objects:
        row, column = np.divmod(each["place"], 3)
        radius = np.array([*RADII.values()])[each["size"]] * (1 + STRETCH * each["radius"]) * min(size)  # pixels
        down, across = (
            ((np.arange(side) + 0.5 - ((2 * place + 1) / 6 + SHIFT * shift)[:, None] * side) / radius[:, None])
            for side, place, shift in zip(size, (row, column), (each["y"], each["x"]), strict=True)
        )
        u, v = across[:, None, :].astype(np.float32), down[:, :, None].astype(np.float32)
        distance = np.empty((len(grounds), *size), np.float32)
        for number, to_edge in enumerate(SHAPES.values()):
            of_shape = each["shape"] == number
            distance[of_shape] = to_edge(u[of_shape], v[of_shape])
        ink = np.clip(0.5 - distance * radius[:, None, None], 0, 1)  # the share of a pixel that the object covers
        colour = np.array([*COLOURS.values()], np.float32)[each["colour"]]
        x += ink[:, None] * (colour[:, :, None, None] - x)
        labels = np.where(ink > 0.5, 1 + each["shape"][:, None, None], labels).astype(np.uint8)
    return np.round(x).astype(np.uint8), labels
