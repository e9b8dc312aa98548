"""Keys of a source: order, flips, conversion, checks, conditions and drawings follow from them."""

import numpy as np
import pytest
import torch

from ganrun.data import cache
from ganrun.data.images import to_float
from ganrun.data.keys import Key, describe_keys, kinds_needed
from ganrun.data.module import DataModule
from ganrun.data.source import FileSource, Source
from ganrun.errors import UserError

N, SIDE, WORDS = 40, 4, 3
KEYS = {
    "x": Key("picture", (1, SIDE, SIDE)),
    "tokens": Key("text", (WORDS,), moves_with="x"),
    "label_map": Key("map", (SIDE, SIDE), moves_with="x"),
    "body": Key("volume", (1, 2, SIDE, SIDE), moves_with="label_map"),
    "size": Key("vector", (2,), moves_with="x"),
    "other": Key("picture", (1, SIDE, SIDE)),
}


class Scenes(Source):
    """Example i has i in its tokens and vector, and random bits in a picture, a map and a volume that agree."""

    name, keys = "scenes", KEYS

    def load(self):
        bits = np.random.default_rng(0).integers(0, 2, (N, SIDE, SIDE)).astype(np.uint8)
        number = np.arange(N, dtype=np.uint8)
        arrays = {
            "x": 255 * bits[:, None],
            "tokens": np.repeat(number[:, None], WORDS, 1),
            "label_map": bits,
            "body": 255 * np.repeat(bits[:, None, None], 2, 2),
            "size": np.repeat(number[:, None], 2, 1),
            "other": 255 * bits[:, None],
        }
        return cache.in_memory({f"train-{key}": array for key, array in arrays.items()}, {"name": self.name})


def module_of(source, shape=(1, SIDE, SIDE), **options):
    settings = {"classes": None, "reference": ["train"], "flip": True, "device": "auto", "batch_size": 16, "seed": 3}
    return DataModule(source, name=source.name, shape=shape, **(settings | options))


@pytest.fixture
def scenes():
    return module_of(Scenes)


def test_keys_that_move_together_share_order_and_flips(scenes):
    flipped = 0
    for k in range(8):
        batch = scenes.batch(k)
        bits = scenes.contents.splits["train"]["label_map"].long()[batch["tokens"][:, 0]]
        flipped += (batch["label_map"] != bits).flatten(1).any(1).sum()
        assert torch.equal(batch["x"][:, 0], 2.0 * batch["label_map"] - 1)
        assert torch.equal(batch["body"], batch["x"][:, :, None].expand(-1, -1, 2, -1, -1))
        assert torch.equal(batch["size"], batch["tokens"][:, :2].float())
        is_mirror = (batch["label_map"] == bits.flip(-1)).flatten(1).all(1)
        assert ((batch["label_map"] == bits).flatten(1).all(1) | is_mirror).all()
    assert 30 < flipped < 90


def test_a_key_of_its_own_has_its_own_order_and_flips(scenes):
    batch = scenes.batch(0)
    assert not torch.equal(batch["x"], batch["other"])
    without = module_of(Scenes, flip=False)
    train = without.contents.splits["train"]["other"]
    assert sorted(map(bytes, torch.cat([without.batch(k)["other"] for k in range(5)])[:N].numpy())) == sorted(
        map(bytes, to_float(train).numpy())
    )


def test_only_pictures_and_volumes_are_scaled_and_text_labels_and_maps_stay_integers(scenes):
    batch = scenes.batch(0)
    assert {key: part.dtype for key, part in batch.items()} == {
        "x": torch.float32,
        "tokens": torch.int64,
        "label_map": torch.int64,
        "body": torch.float32,
        "size": torch.float32,
        "other": torch.float32,
    }
    assert batch["body"].shape == (16, 1, 2, SIDE, SIDE)
    assert batch["body"].min() == -1
    assert batch["size"].max() > 1


@pytest.mark.parametrize("world", [1, 2])
def test_the_index_is_given_on_demand_and_names_the_examples(world):
    scenes = module_of(Scenes)
    assert "index" not in scenes.batch(0)
    scenes = module_of(Scenes)
    scenes.wanted = ("index", "x")
    parts = [scenes.batch(1, rank, world) for rank in range(world)]
    batch = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
    assert batch["index"].dtype == torch.int64
    assert torch.equal(batch["index"], batch["tokens"][:, 0])
    assert torch.equal(batch["x"], module_of(Scenes).batch(1)["x"])


def test_a_batch_does_not_change_the_order_when_it_is_changed():
    scenes = module_of(Scenes)
    scenes.wanted = ("index",)
    expected = scenes.batch(0)["index"].clone()
    scenes.batch(0)["index"].zero_()
    assert torch.equal(scenes.batch(0)["index"], expected)


def test_conditions_of_one_order_belong_together_and_are_the_same_for_any_rows(scenes):
    whole = scenes.conditions(100, ["tokens", "label_map"])
    assert torch.equal(whole["label_map"], scenes.contents.splits["train"]["label_map"].long()[whole["tokens"][:, 0]])
    assert sorted(whole["tokens"][:N, 0].tolist()) == [*range(N)]
    part = scenes.conditions(100, ["label_map", "tokens"], slice(7, 100, 3))
    assert all(torch.equal(part[key], whole[key][7::3]) for key in whole)


def test_missing_conditions_are_named(scenes):
    with pytest.raises(UserError, match=r"data=scenes has no labels \(y\)"):
        scenes.conditions(3, ["tokens", "y"])


@pytest.mark.parametrize("key", ["x", "label_map", "body", "size"])
def test_examples_of_each_kind_are_drawn(scenes, key):
    picture = scenes.draw(scenes.batch(0)[key], key=key)
    assert (picture.dtype, picture.shape[0]) == (torch.uint8, 3)
    assert picture.float().std() > 0


def test_text_is_not_drawn(scenes):
    with pytest.raises(UserError, match="kind text cannot be drawn"):
        scenes.draw(scenes.batch(0)["tokens"], key="tokens")


WRONG = {
    "a kind": ({"x": Key("image", (1, SIDE, SIDE))}, "kind of x must be one of picture, .* got 'image'"),
    "a name": ({"x": KEYS["x"], "a-b": Key("text", (3,))}, "key 'a-b' must be a name"),
    "a partner": (
        {"x": KEYS["x"], "tokens": Key("text", (3,), "z")},
        "tokens moves with z, which is none of x, tokens",
    ),
    "a shape": (KEYS | {"tokens": Key("text", (5,), "x")}, r"shape \[5\] of the key tokens is wrong: .* shape \[3\]"),
    "the first shape": ({"x": Key("picture", (3, SIDE, SIDE))}, r"data.shape=\[1, 4, 4\] must be the shape of x"),
    "an array": (KEYS | {"more": Key("text", (3,))}, "no array for the key more: it has x, tokens,"),
    "integers": (KEYS | {"real": Key("label")}, "no array for the key real"),
}


@pytest.mark.parametrize("name", WRONG)
def test_keys_that_do_not_fit_the_arrays_are_explained(name):
    keys, message = WRONG[name]
    with pytest.raises(UserError, match=message):
        module_of(type("Wrong", (Scenes,), {"keys": keys})).setup()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(N, dtype=np.float32), "y must be integers, got torch.float32"),
        (np.zeros(N - 1, dtype=np.int64), "39 y, but 40 x: y moves with x"),
    ],
)
def test_labels_that_do_not_fit_are_explained(array, message):
    class Labelled(Scenes):
        keys = {"x": KEYS["x"], "y": Key("label", moves_with="x")}

        def load(self):
            arrays = {"train-x": np.zeros((N, 1, SIDE, SIDE), dtype=np.uint8), "train-y": array}
            return cache.in_memory(arrays, {"name": self.name})

    with pytest.raises(UserError, match=message):
        module_of(Labelled).setup()


def test_a_y_that_is_named_by_gives_may_have_any_shape():
    class Measured(Scenes):
        keys = {}

        def load(self):
            arrays = {"train-x": np.zeros((N, 1, SIDE, SIDE), np.uint8), "train-y": np.ones((N, 3), np.float32)}
            return cache.in_memory(arrays, {"name": self.name})

    batch = module_of(Measured, gives=["x", "y", "picture"], classes=3).batch(0)
    assert batch["y"].shape == (16, 3)
    assert batch["y"].dtype == torch.float32


@pytest.mark.parametrize(
    ("needs", "kinds"),
    [
        (("x", "y", "picture"), {"x": "picture", "y": None}),
        (("a", "b"), {"a": None, "b": None}),
        (("x", "point"), {"x": "points"}),
        (("x", "tokens"), {"x": None, "tokens": None}),
        ({"x": "picture", "tokens": "text"}, {"x": "picture", "tokens": "text"}),
    ],
)
def test_needs_name_keys_and_kinds(needs, kinds):
    assert kinds_needed(needs) == kinds


def test_keys_are_described():
    assert describe_keys({"x": "picture", "y": "label"}) == "examples (x), labels (y), as images"
    assert describe_keys({"x": "points", "tokens": "text"}) == "examples (x), text (tokens), as points"


class Numbers(FileSource):
    """A cached source whose `write` has a version."""

    name, option_names, root = "numbers", (), "somewhere"
    keys = {"x": Key("vector", (1,)), "label_2": Key("label", moves_with="x")}

    def write(self, store):
        store.save("train", "x", np.full((5, 1), self.cache_version, dtype=np.float32))
        store.save("train", "label_2", np.arange(5))
        return {}


def test_a_new_version_of_write_makes_a_new_cache_and_version_1_keeps_the_old_one():
    class Changed(Numbers):
        cache_version = 2

    old, new = Numbers(), Changed()
    assert old.cache_folder == cache.cache_folder("numbers", old.options(), [])
    assert old.cache_folder != new.cache_folder
    for source, value in ((old, 1), (new, 2), (old, 1)):
        data = module_of(type(source), shape=[1])
        assert data.batch(0)["x"].unique().tolist() == [value]
        assert data.batch(0)["label_2"].dtype == torch.int64
