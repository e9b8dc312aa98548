"""What a batch holds: a `Key` for each of its names. All that is done to examples follows from the keys."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ganrun.data.images import colour_classes, to_float
from ganrun.errors import UserError

KINDS = {
    "picture": "uint8 [C, H, W], or float in [-1, 1]",
    "volume": "uint8 [C, D, H, W], or float in [-1, 1]",
    "points": "numbers [n], such as coordinates",
    "vector": "numbers [n], such as measurements or attributes",
    "label": "an integer []: the number of a class",
    "map": "integers [H, W]: the class of each pixel",
    "text": "integers [L]: tokens",
    "index": "the number of the example in its split; it needs no array",
}
SCALED = ("picture", "volume")  # 0..255 becomes -1..1
MIRRORED = ("picture", "volume", "map")  # along the last axis
WHOLE = ("label", "map", "text", "index")  # int64 in a batch
LABELS = {"y": "x"}  # names in `gives` that stand for labels, and the key that they belong to
EXAMPLES = {"picture": "picture", "point": "points"}  # words in `gives` and `needs` for the kind of the examples


@dataclass(frozen=True)
class Key:
    """What a batch holds under a name.

    kind:        one of KINDS
    shape:       of one example
    moves_with:  the key whose order and flips it shares: x[i] and y[i] belong together; None: an order of its own
    """

    kind: str
    shape: tuple[int, ...] = ()
    moves_with: str | None = None

    @property
    def is_mirrored(self) -> bool:
        """Whether `data.flip` mirrors it."""
        return self.kind in MIRRORED

    def to_batch(self, part: Tensor) -> Tensor:
        """Return stored examples as models see them: pictures in [-1, 1], numbers as float, classes as int64."""
        if part.dtype.is_floating_point:
            return part
        return part.long() if self.kind in WHOLE else to_float(part) if self.kind in SCALED else part.float()

    def to_picture(self, x: Tensor) -> Tensor:
        """Return what shows examples of a batch: float [n, 1 or 3, H, W] in [-1, 1]."""
        if self.kind not in MIRRORED:
            raise UserError(f"Examples of the kind {self.kind} cannot be drawn. Drawn are {', '.join(MIRRORED)}.")
        return colour_classes(x) if self.kind == "map" else x.amax(2) if self.kind == "volume" else x

    def example(self, n: int, device: str | torch.device) -> Tensor:
        """Return n examples of zeros, as in a batch."""
        dtype = torch.long if self.kind in WHOLE else torch.float32
        return torch.zeros(n, *self.shape, dtype=dtype, device=device)


def check_keys(keys: Mapping[str, Key], name: str, shape: tuple[int, ...]) -> None:
    """Raise UserError for keys of data=`name` that cannot be. shape: data.shape, that of the first key."""
    if not keys:
        raise UserError(f"data={name} has no keys. Set data.gives, or `keys` of its source class.")
    for key, its in keys.items():
        if not key.isidentifier():
            raise UserError(f"data={name}: the key {key!r} must be a name of letters, digits and underscores.")
        if its.kind not in KINDS:
            raise UserError(f"data={name}: the kind of {key} must be one of {', '.join(KINDS)}, got {its.kind!r}.")
        if its.moves_with not in (None, *keys):
            raise UserError(f"data={name}: {key} moves with {its.moves_with}, which is none of {', '.join(keys)}.")
    first = next(iter(keys))
    if tuple(keys[first].shape) != shape:
        raise UserError(f"data.shape={[*shape]} must be the shape of {first}, {[*keys[first].shape]}.")


def with_index(keys: Mapping[str, Key]) -> dict[str, Key]:
    """Return the keys, and first what any data set can give on demand: index, the number of the first key's example."""
    return {"index": Key("index", moves_with=next(iter(keys), None)), **keys}


def leader(keys: Mapping[str, Key], name: str) -> str:
    """Return the key that decides the order of the key `name`: itself if it moves with no other."""
    seen = {name}
    while (other := keys[name].moves_with) is not None and other not in seen:
        seen.add(name := other)
    return name


def names_by_order(keys: Mapping[str, Key], names: Iterable[str]) -> dict[str, list[str]]:
    """Return {leader: those of the names that share its order}, in the order of the names."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(leader(keys, name), []).append(name)
    return groups


def check_arrays(keys: Mapping[str, Key], arrays: Mapping[str, Any], name: str) -> None:
    """Raise UserError if the arrays of a split are not what the keys of data=`name` say."""
    first = next(iter(keys.values()))
    for key, its in keys.items():
        if its.kind == "index":
            continue
        if key not in arrays:
            raise UserError(f"data={name} has no array for the key {key}: it has {', '.join(arrays)}.")
        found, shape = [*arrays[key].shape[1:]], [*its.shape]
        if found != shape:
            said = f"data.shape={shape}" if its.shape == first.shape else f"The shape {shape} of the key {key}"
            raise UserError(f"{said} is wrong: data={name} has {key} of shape {found}.")
        if its.kind in WHOLE and arrays[key].dtype.is_floating_point:
            raise UserError(
                f"data={name}: {key} must be integers, got {arrays[key].dtype}: {its.kind} {KINDS[its.kind]}."
            )
        other = leader(keys, key)
        if other in arrays and len(arrays[other]) != len(arrays[key]):
            counts = f"{len(arrays[key]):,} {key}, but {len(arrays[other]):,} {other}"
            raise UserError(f"data={name} has {counts}: {key} moves with {other}, so each example needs both.")


def keys_of_names(gives: Iterable[str], shape: tuple[int, ...]) -> dict[str, Key]:
    """Return the keys that `gives` in a yaml stands for: [x, y, picture], [x, y, point] or [a, b, picture].

    shape: of an example.
    """
    names = [*gives]
    kinds = [kind for word, kind in EXAMPLES.items() if word in names]
    kind = kinds[0] if kinds else "picture" if len(shape) == 3 else "points"
    return {
        name: Key("label", (), LABELS[name] if LABELS[name] in names else None) if name in LABELS else Key(kind, shape)
        for name in names
        if name not in EXAMPLES
    }


def names_given(keys: Mapping[str, Key]) -> tuple[str, ...]:
    """Return the names of the keys, and the kind of the examples as `gives` names it."""
    first = next(iter(keys.values())).kind
    return (*keys, *(word for word, kind in EXAMPLES.items() if kind == first))


def kinds_needed(needs: Mapping[str, str | None] | Iterable[str]) -> dict[str, str | None]:
    """Return {key: kind that it must have, None for any} of a model's `needs`.

    In a tuple such as ("x", "y", "picture"), picture or point is the kind of all keys but labels.
    """
    if isinstance(needs, Mapping):
        return dict(needs)
    names = [*needs]
    kind = next((kind for word, kind in EXAMPLES.items() if word in names), None)
    return {name: None if name in LABELS else kind for name in names if name not in EXAMPLES}


def keys_taken(model: Any) -> tuple[str, ...]:
    """Return the keys that a model's `sample` takes. Where it does not say: labels, if its training needs them."""
    takes = getattr(model, "takes", None)
    return tuple(takes) if takes is not None else tuple(key for key in LABELS if key in kinds_needed(model.needs))


def kinds_of(keys: Mapping[str, Key]) -> dict[str, str | None]:
    return {name: key.kind for name, key in keys.items()}


def describe_keys(keys: Mapping[str, str | None]) -> str:
    """Return {key: kind} in words: "examples (x), labels (y), as images"."""
    papers = {"x": "examples", "y": "labels", "a": "images of one domain", "b": "images of the other domain"}
    shown = {"picture": "as images", "points": "as points"}
    parts = [f"{papers.get(key, kind or 'anything')} ({key})" for key, kind in keys.items()]
    return ", ".join([*parts, *(shown[kind] for kind in dict.fromkeys(keys.values()) if kind in shown)])
