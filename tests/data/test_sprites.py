"""Sprites: what is drawn is what factors, captions and maps say."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from helpers.model_training import job_of

from ganrun.cli.main import main
from ganrun.data import sprites
from ganrun.data.sprites import CHOICES, OF_OBJECT, SHAPES, WORDS, Drawn, Sprites, draw_pictures
from ganrun.metrics.scores.mig import mutual_information

AREAS = {  # of shapes of radius one
    "disc": math.pi,
    "square": 1.7**2,
    "triangle": 3 * math.sqrt(3) * 0.6**2,
    "cross": 2 * 2 * 0.7 - 0.7**2,
}


@pytest.fixture(scope="module", params=[1, 2])
def loaded(request):
    source = Sprites(32, 4000, request.param)
    return source, source.load().splits


def one(ground=0, **factors):
    """The factors of one picture, with this object in its middle."""
    given = {"shape": 0, "colour": 0, "size": 1, "place": 4, "x": 0.0, "y": 0.0, "radius": 0.0, **factors}
    return Drawn(np.array([ground]), [{name: np.array([value]) for name, value in given.items()}])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_covers_its_area_about_the_centre_of_its_place(shape):
    x, labels = draw_pictures(one(shape=[*SHAPES].index(shape), ground=0, colour=0), (200, 200))
    ink = (x[0, 0].astype(float) - 15) / (220 - 15)  # red of a red object on black
    radius = 0.14 * 200
    assert ink.sum() == pytest.approx(AREAS[shape] * radius**2, rel=0.02)
    assert (labels[0] == 1 + [*SHAPES].index(shape)).sum() == pytest.approx(ink.sum(), rel=0.02)
    assert {*np.unique(labels)} == {0, 1 + [*SHAPES].index(shape)}
    assert (ink * np.arange(200)).sum() / ink.sum() == pytest.approx(99.5, abs=0.1)


@pytest.mark.parametrize(("place", "row", "column"), [(0, 1, 1), (2, 1, 5), (3, 3, 1), (7, 5, 3)])
def test_places_are_sixths_of_the_side_and_shifts_move_them(place, row, column):
    x, _ = draw_pictures(one(place=place, x=1.0, y=-1.0), (120, 120))
    ink = x[0, 0].astype(float) - 15
    middle = [(ink.sum(axis) * (np.arange(120) + 0.5)).sum() / ink.sum() / 120 for axis in (1, 0)]
    assert middle == pytest.approx([row / 6 - 0.03, column / 6 + 0.03], abs=0.002)


def test_a_wide_picture_has_round_discs_and_places_across_its_width():
    x, labels = draw_pictures(one(place=5), (40, 80))
    assert (labels[0] > 0).any(1).sum() == pytest.approx((labels[0] > 0).any(0).sum(), abs=1)
    assert (labels[0] > 0).any(0).nonzero()[0].mean() == pytest.approx(5 / 6 * 80 - 0.5, abs=0.6)
    assert x.shape == (1, 3, 40, 80)


def test_of_two_objects_the_second_is_in_front():
    first, second = one(shape=1), one(shape=0, size=0, colour=2)
    x, labels = draw_pictures(Drawn(first.ground, [*first.objects, *second.objects]), (60, 60))
    assert labels[0, 30, 30] == 1
    assert x[0, :, 30, 30].tolist() == [50, 80, 230]
    assert {*np.unique(labels)} == {0, 1, 2}


def test_captions_maps_and_labels_say_what_the_factors_say(loaded):
    source, splits = loaded
    names = source.factor_names
    for split in splits.values():
        factors = dict(zip(names, split["factors"].T, strict=True))
        assert torch.equal(split["y"], factors["shape"].long())
        for i in range(200):
            sentence = [WORDS[token] for token in split["tokens"][i]]
            expected = []
            for suffix in ("", "2")[: source.objects]:
                values = {name: int(factors[f"{name}{suffix}"][i]) for name in ("shape", "colour", "size", "place")}
                row, column = divmod(values["place"], 3)
                expected += [["small", "large"][values["size"]], [*sprites.COLOURS][values["colour"]]]
                expected += [
                    [*SHAPES][values["shape"]],
                    ["top", "middle", "bottom"][row],
                    ["left", "middle", "right"][column],
                ]
                assert 1 + values["shape"] in split["map"][i].unique()
            assert sentence == [*expected, ["black", "grey", "white"][int(factors["ground"][i])]]


def test_a_tenth_of_the_captions_is_for_tests_alone_and_their_words_are_not(loaded):
    source, splits = loaded
    train, test = ({tuple(row) for row in splits[name]["tokens"].tolist()} for name in ("train", "test"))
    assert not train & test
    assert {token for row in train for token in row} == {*range(20)}
    drawn = sprites.draw_any(np.random.default_rng(5), 20_000, source.objects)
    assert sprites.are_held_out(sprites.captions(drawn)).mean() == pytest.approx(0.1, abs=0.02)


def test_factors_are_uniform_and_independent():
    drawn = sprites.draw_any(np.random.default_rng(1), 40_000, 2)
    for each in drawn.objects:
        for name in OF_OBJECT[:4]:
            counts = np.bincount(each[name], minlength=CHOICES[name])
            assert counts / 40_000 == pytest.approx(1 / CHOICES[name], abs=0.01)
    columns = [drawn.ground, *(each[name] for each in drawn.objects for name in OF_OBJECT)]
    names = ["ground", *OF_OBJECT, *(f"{name}2" for name in OF_OBJECT)]
    for (a, first), (b, second) in combinations(zip(names, columns, strict=True), 2):
        if {a, b} != {"place", "place2"}:
            assert abs(np.corrcoef(first, second)[0, 1]) < 0.025, (a, b)
    assert (drawn.objects[0]["place"] != drawn.objects[1]["place"]).all()


def test_the_pictures_are_the_same_each_time():
    first, again = (Sprites(16, count, 1).load().splits["train"] for count in (300, 300))
    assert all(torch.equal(first[key], again[key]) for key in first)


def test_the_factors_that_are_scored_are_the_bins_of_place_and_radius():
    source = Sprites(16, 3000, 1)
    factors = source.load().splits["train"]["factors"]
    drawn, found = dict(zip(source.factor_names, factors.T, strict=True)), source.factor_values(factors)
    assert [*found] == ["ground", "shape", "colour", "size", "row", "column"]
    assert all(torch.equal(found[name].float(), drawn[name]) for name in ("ground", "shape", "colour", "size"))
    for name, shift, of_place in (("row", "y", drawn["place"] // 3), ("column", "x", drawn["place"] % 3)):
        position = (2 * of_place + 1) / 6 + sprites.SHIFT * drawn[shift]  # in shares of the side
        assert torch.equal(found[name], (3 * position).long())
    radius = torch.tensor([*sprites.RADII.values()])[drawn["size"].long()] * (1 + sprites.STRETCH * drawn["radius"])
    assert torch.equal(found["size"], (radius > 0.11).long())
    assert not Sprites(16, 10, 2).factor_values(torch.zeros(1, 15))


def test_the_factors_that_are_scored_are_independent_in_the_training_split():
    source = Sprites(16, 20_000, 1)
    values = source.factor_values(source.load().splits["train"]["factors"])
    factors = torch.stack([*values.values()], dim=1)
    pairs = [(a, b) for a in range(6) for b in range(a)]
    assert max(mutual_information(factors[:, a], factors[:, b]) for a, b in pairs) < 0.002


def test_a_batch_has_all_keys_in_one_order():
    job = job_of("model=dcgan", "data=sprites", "data.count=50", "batch_size=4", "network.width=4")
    job.data.setup()
    x, tokens, factors = (job.data.test(key, 8) for key in ("x", "tokens", "factors"))
    assert x.min() >= -1
    assert x.shape == (8, 3, 32, 32)
    assert tokens.dtype == torch.int64
    drawn = one(**{name: float(factors[3, 1 + i]) for i, name in enumerate(OF_OBJECT)})
    numbers = {name: value.astype(int) if name in CHOICES else value for name, value in drawn.objects[0].items()}
    expected, _ = draw_pictures(Drawn(np.array([int(factors[3, 0])]), [numbers]), (32, 32))
    assert torch.allclose((x[3] + 1) * 127.5, torch.from_numpy(expected[0]).float(), atol=0.01)


@pytest.mark.parametrize("settings", [["model=dcgan"], ["model=cgan", "data.objects=2"]])
def test_models_train_on_them(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ["data=sprites", "data.count=100", "network.width=4", "batch_size=4", "kimg=0.016", "logger=none"]
    assert main(["train", *settings, *small, "folder=run"]) == 0
    assert main(["sample", "run", "n=4"]) == 0


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("data.size=8", "data.size=8 must be at least 16 pixels for sprites"),
        ("data.flip=true", "data=sprites cannot be mirrored"),
        ("data.objects=3", "data.objects must be an integer from 1 to 2, got 3"),
    ],
)
def test_what_cannot_be_drawn_is_refused(setting, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "model=dcgan", "data=sprites", setting, "dry_run=true"]) == 2
    assert message in capsys.readouterr().err
