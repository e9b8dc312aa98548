"""ganrun look: each form on small runs, what it shows, and wrong input."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.model_training import CODED, RING, SMALL
from helpers.refused import check_refused
from PIL import Image

import ganrun
from ganrun.cli.look.mean import split_terms
from ganrun.data.images import save_png, to_float, to_uint8
from ganrun.errors import UserError
from ganrun.metrics.extractors.base import LeNetExtractor
from ganrun.networks.conditional import LabelledGenerator

SCORED = ["metrics=lenet", "metrics.samples=8", "validate_kimg=null"]
RUNS = {
    "dcgan": [*SMALL["dcgan"], *SCORED, "init.std=0.2"],
    "cgan": [*SMALL["cgan"], "metrics=none", "init.std=0.2"],
    "infogan": [*CODED["infogan"], "metrics=none"],
    "vae": [*CODED["vae"], *SCORED],
    "autoencoder": [*CODED["autoencoder"], "metrics=none"],
    "cyclegan": [*SMALL["cyclegan"], "metrics=none"],
    "points": [*RING, "metrics=none"],
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """{name: folder} of a run of each model."""
    folder = tmp_path_factory.mktemp("runs")
    for name, settings in RUNS.items():
        ganrun.train([*settings, "kimg=0.016", "logger=none", f"folder={folder / name}"])
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture
def look(cli, runs):
    """Returns a function: model, arguments -> the names of the files that the command writes to the folder out."""

    def look(name, *args, out="out"):
        assert cli.run("look", str(runs[name]), f"out={out}", *args) == 0
        return {path.name for path in Path(out).iterdir()}

    return look


def read_arrays(path):
    with np.load(path) as arrays:
        return dict(arrays)


def test_a_path_leads_from_sample_to_sample(look, cli, runs):
    assert look("dcgan", "path=[3,17,5]", "way=sphere", "steps=4", "as=npz") == {"path.png", "path.npz", "index.html"}
    assert cli.run("sample", str(runs["dcgan"]), "out=grid", "as=npz", "latents=true") == 0
    found, grid = read_arrays("out/path.npz"), read_arrays("grid/samples.npz")["x"]
    z = read_arrays("grid/latents.npz")["z"]
    assert found["x"].shape == (8, 28, 28, 1)
    for place, number in ((0, 3), (3, 17), (4, 17), (7, 5)):
        np.testing.assert_allclose(found["z"][place], z[number], atol=1e-5)
        np.testing.assert_allclose(found["x"][place].astype(int), grid[number].astype(int), atol=1)
    lengths = np.linalg.norm(found["z"], axis=1)
    np.testing.assert_allclose(lengths[:4], np.linspace(lengths[0], lengths[3], 4), rtol=1e-5)


@pytest.mark.parametrize(("name", "auto"), [("dcgan", "line"), ("vae", "sphere")])
def test_the_way_follows_the_noise(look, name, auto):
    """DCGAN's noise is uniform, a VAE's is Gaussian. A line is shorter in its middle than at its ends."""
    ways = {}
    for way in ("line", "sphere", "auto"):
        look(name, "path=[0,1]", "steps=3", "as=npz", f"way={way}", out=way)
        ways[way] = read_arrays(f"{way}/path.npz")["z"]
    np.testing.assert_allclose(ways["line"][1], (ways["line"][0] + ways["line"][2]) / 2, atol=1e-6)
    assert np.linalg.norm(ways["line"][1]) < 0.95 * np.linalg.norm(ways["sphere"][1])
    np.testing.assert_array_equal(ways["auto"], ways[auto])


def test_an_animation_goes_there_and_back(look):
    assert look("dcgan", "path=[0,1,2]", "steps=4", "as=gif") == {"path.gif", "index.html"}
    with Image.open("out/path.gif") as animation:
        assert animation.n_frames == 2 * 6  # 7 pictures, and all but both ends again


def test_seeds_name_samples(look, runs):
    look("dcgan", "path=[seed:7,seed:8]", "steps=2", "as=npz")
    trained = ganrun.load(runs["dcgan"], which="last")
    expected = torch.cat([trained.latents(1, 7), trained.latents(1, 8)])
    np.testing.assert_allclose(read_arrays("out/path.npz")["z"], expected.numpy(), atol=1e-5)


def test_the_samples_of_a_file_have_numbers(look):
    z = np.random.default_rng(0).normal(size=(3, 100)).astype(np.float32)
    np.save("z.npy", z)
    look("dcgan", "path=[2,0]", "steps=2", "as=npz", "z=z.npy")
    np.testing.assert_allclose(read_arrays("out/path.npz")["z"], z[[2, 0]], atol=1e-5)


def test_a_code_takes_each_of_its_values_and_nothing_else_changes(look, cli, runs):
    look("infogan", "code=c1", "rows=2", "as=npz")
    assert cli.run("sample", str(runs["infogan"]), "out=grid", "as=npz", "latents=true") == 0
    z, drawn = read_arrays("out/code-c1.npz")["z"], read_arrays("grid/latents.npz")["z"]
    assert z[:, :10].argmax(1).tolist() == [*range(10)] * 2
    np.testing.assert_array_equal(z[:10, 10:], np.tile(drawn[0, 10:], (10, 1)))


def test_the_range_of_a_code_is_taken_in_equal_steps(look):
    look("infogan", "code=c2", "rows=1", "steps=5", "range=[-1,3]", "as=npz")
    assert read_arrays("out/code-c2.npz")["z"][:, 10].tolist() == [-1, 0, 1, 2, 3]


def test_a_number_of_z_is_set_and_a_direction_added(look, runs):
    look("dcgan", "code=z4", "rows=1", "steps=3", "range=[-1,1]", "as=npz", out="number")
    look("dcgan", "code=sefa1", "rows=1", "steps=3", "range=[-1,1]", "as=npz", out="direction")
    z = ganrun.load(runs["dcgan"], which="last").latents(64)[0].numpy()
    number, direction = read_arrays("number/code-z4.npz")["z"], read_arrays("direction/code-sefa1.npz")["z"]
    assert number[:, 4].tolist() == [-1, 0, 1]
    np.testing.assert_array_equal(np.delete(number, 4, 1), np.tile(np.delete(z, 4), (3, 1)))
    np.testing.assert_allclose(direction[1], z, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(direction[2] - z), 1, atol=1e-5)


def test_a_path_goes_from_class_to_class(look, runs):
    """Samples 3 and 4 have the classes 3 and 4; the picture in the middle is of half of each."""
    look("cgan", "path=[3,4]", "steps=3", "as=npz")
    trained, found = ganrun.load(runs["cgan"], which="last"), read_arrays("out/path.npz")
    expected = np.zeros((3, 10), np.float32)
    expected[:, 3], expected[:, 4] = [1, 0.5, 0], [0, 0.5, 1]
    np.testing.assert_allclose(found["y"], expected)
    z = torch.from_numpy(found["z"])
    for place, y in ((0, 3), (2, 4)):
        same = to_uint8(trained.sample(1, y=y, z=z[place : place + 1]))[0, 0]
        np.testing.assert_allclose(found["x"][place, :, :, 0].astype(int), same.int(), atol=1)


def test_a_path_between_classes_keeps_the_sample(look, runs):
    look("cgan", "path=[class:7,class:2]", "steps=2", "as=npz")
    trained, found = ganrun.load(runs["cgan"], which="last"), read_arrays("out/path.npz")
    assert found["y"].argmax(1).tolist() == [7, 2]
    np.testing.assert_allclose(found["z"], trained.latents(1).expand(2, -1), atol=1e-6)


def test_samples_of_one_class_keep_it(look, runs):
    look("cgan", "path=[0,1]", "steps=2", "as=npz", "classes=5")
    trained, found = ganrun.load(runs["cgan"], which="last"), read_arrays("out/path.npz")
    assert found["y"].tolist() == [5, 5]
    expected = to_uint8(trained.sample(2, y=5, z=torch.from_numpy(found["z"]))).permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(found["x"], expected)


def test_a_generator_that_takes_whole_classes_starts_with_one(look, runs, cli, capsys, monkeypatch):
    monkeypatch.setattr(LabelledGenerator, "takes_class_weights", False)
    look("cgan", "path=[3,4]", "steps=2", "as=npz", out="whole")
    assert read_arrays("whole/path.npz")["y"].tolist() == [3, 3]
    args = ("look", str(runs["cgan"]), "out=out", "path=[class:3,class:4]")
    check_refused(cli, capsys, "this generator takes whole classes only", *args)


def test_a_mean_is_that_of_the_test_images_of_a_class(look, runs):
    """The tile of the result, bottom left, is the decoded sum of means of the first two codes of each class."""
    look("vae", "mean=8-3+5", "of=2")
    trained = ganrun.load(runs["vae"], which="last")
    x, y, model = trained.data.test("x"), trained.data.test("y"), trained.model
    means = {digit: model.encode(x[y == digit][:2]).mean(0) for digit in (8, 3, 5)}
    expected = to_uint8(model.decode((means[8] - means[3] + means[5])[None]))[0, 0]
    np.testing.assert_allclose(tiles("out/mean-8-3+5.png", 9)[3, 0].astype(int), expected.int(), atol=1)


def tiles(path, columns):
    """The images of a grid of digits that `look` wrote: uint8 [rows, columns, 28, 28]."""
    with Image.open(path) as picture:
        pixels = np.array(picture.convert("L"))
    factor = pixels.shape[1] // (columns * 30 + 2)
    grid = pixels[::factor, ::factor][2:, 2:]
    rows = grid.shape[0] // 30
    return grid[: rows * 30].reshape(rows, 30, columns, 30).swapaxes(1, 2)[:, :, :28, :28]


def test_samples_are_added_by_their_numbers(look, runs):
    look("dcgan", "mean=s3-s17+s40")
    trained = ganrun.load(runs["dcgan"], which="last")
    z = trained.latents(64)
    expected = to_uint8(trained.sample(4, z=torch.stack([z[3], z[17], z[40], z[3] - z[17] + z[40]])))[:, 0]
    np.testing.assert_allclose(tiles("out/mean-s3-s17+s40.png", 9)[:, 0].astype(int), expected.int(), atol=1)


def test_the_class_0_is_a_mean(look):
    assert look("vae", "mean=0", "of=2") == {"mean-0.png", "index.html"}


def test_a_class_is_what_the_extractor_sees(look, runs):
    """The tile beside the mean, top row, is the first sample that the extractor takes for the class."""
    trained = ganrun.load(runs["dcgan"], which="last")
    x = trained.sample(250, seed=1, batch_size=250)
    seen = LeNetExtractor()(to_uint8(x))[1].argmax(1)
    digit = seen[0].item()
    look("dcgan", f"mean={digit}", "of=1")
    np.testing.assert_allclose(tiles(f"out/mean-{digit}.png", 9)[0, 1].astype(int), to_uint8(x)[0, 0].int(), atol=1)


def write_images(x, folder="images"):
    Path(folder).mkdir()
    for number, image in enumerate(to_uint8(x)):
        save_png(f"{folder}/{number}.png", image)


def test_an_encoder_reconstructs_given_images(look, runs, capsys):
    trained = ganrun.load(runs["vae"], which="last")
    x = trained.data.test("x", 3)
    write_images(x)
    assert look("vae", "input=images") == {"reconstructions.png", "index.html"}
    expected = (x - trained.model.reconstruct(x)).abs().mean().item()
    assert f"mean absolute difference {expected:.3f}" in capsys.readouterr().out


def test_without_an_encoder_latents_are_searched_for(look, runs, capsys):
    write_images(ganrun.load(runs["dcgan"], which="last").sample(2, seed=4))
    look("dcgan", "input=images", "updates=0", out="none")
    look("dcgan", "input=images", "updates=60", "feature_weight=0.1", out="some")
    first, second = (float(n) for n in re.findall(r"mean absolute difference ([\d.]+)", capsys.readouterr().out))
    assert second < 0.7 * first


def test_images_unlike_the_training_data_are_named(look, runs, capsys):
    x = ganrun.load(runs["vae"], which="last").data.test("x", 2)
    write_images(torch.cat([x[:1], -x[1:]]))  # black on white
    look("vae", "input=images")
    assert re.search(r"unlike the training data, by pixels: 1\.png", capsys.readouterr().out)


def test_neighbours_are_the_nearest_training_images_of_each_way_to_compare(look, runs):
    names = look("vae", "neighbours=3", "rows=2")
    assert names == {"neighbours-pixels.png", "neighbours-features.png", "neighbours-codes.png", "index.html"}
    trained = ganrun.load(runs["vae"], which="last")
    train = trained.data.contents.splits["train"]["x"]
    x, real = trained.sample(2), to_float(train)
    pixels = (to_uint8(x).flatten(1).double(), train.flatten(1).double())
    extractor, model = LeNetExtractor(), trained.model
    features = (extractor(to_uint8(x))[0].double(), extractor(train)[0].double())
    codes = (model.encode(to_float(to_uint8(x))).double(), model.encode(real).double())
    for name, (rows, among) in {"pixels": pixels, "features": features, "codes": codes}.items():
        nearest = torch.cdist(rows, among).topk(3, largest=False).indices
        shown = tiles(f"out/neighbours-{name}.png", 4)
        np.testing.assert_array_equal(shown[:, 1:], train[nearest][:, :, 0].numpy())


def test_an_autoencoder_has_its_test_images_as_samples(look, runs):
    look("autoencoder", "path=[0,2]", "steps=3", "as=npz")
    trained = ganrun.load(runs["autoencoder"])
    z = trained.model.encode(trained.data.test("x", 3)).numpy()
    expected = [z[0], (z[0] + z[2]) / 2, z[2]]  # along a line: there is no noise
    np.testing.assert_allclose(read_arrays("out/path.npz")["z"], expected, atol=1e-5)


def test_the_classes_are_written_with_the_latents(look, cli, runs):
    """Whole classes, and weights of the classes between them."""
    for number, classes in enumerate((["classes=4"], [])):
        look("cgan", "path=[3,4,5]", "steps=3", "as=npz", *classes, out=f"out{number}")
        found = read_arrays(f"out{number}/path.npz")
        again = [f"out=again{number}", "as=npz", "latents=true", f"z=out{number}/path.npz"]
        assert cli.run("sample", str(runs["cgan"]), *again) == 0
        samples = read_arrays(f"again{number}/samples.npz")
        np.testing.assert_allclose(samples["x"].astype(int), found["x"].astype(int), atol=1)
        np.testing.assert_array_equal(samples["y"], found["y"])
        assert found["y"].shape == ((6,) if classes else (6, 10))


def test_a_path_leads_on_from_weights_of_classes(look):
    look("cgan", "path=[3,4]", "steps=3", "as=npz", out="first")
    look("cgan", "path=[1,class:9]", "steps=2", "as=npz", "z=first/path.npz", out="second")
    expected = np.zeros((2, 10), np.float32)
    expected[0, [3, 4]], expected[1, 9] = 0.5, 1
    np.testing.assert_allclose(read_arrays("second/path.npz")["y"], expected)


def test_weights_of_classes_must_fit(look, cli, runs, capsys):
    np.savez("z.npz", z=np.zeros((2, 64), np.float32), y=np.ones((2, 3), np.float32))
    for verb in (["sample"], ["look", "path=[0,1]"]):
        args = (verb[0], str(runs["cgan"]), "out=out", "z=z.npz", *verb[1:])
        check_refused(cli, capsys, "weights of the 10 classes, finite floats [n, 10], got float32 [2, 3]", *args)


def test_images_of_a_class_are_searched_for_with_that_class(look, runs, capsys):
    trained = ganrun.load(runs["cgan"])
    write_images(trained.sample(2, y=3, seed=4))
    for digit in (3, 8):
        look("cgan", "input=images", "updates=40", f"classes={digit}", out=f"out{digit}")
    right, wrong = (float(n) for n in re.findall(r"mean absolute difference ([\d.]+)", capsys.readouterr().out))
    assert right < wrong


def test_an_exported_model_has_no_encoder(look, cli, runs, capsys):
    """The weights of a bundle are those that make samples: what needs others must not be shown of random ones."""
    assert cli.run("export", str(runs["vae"]), "out=bundle", "license=MIT") == 0
    assert cli.run("look", "bundle", "out=out") == 0
    names = {path.name for path in Path("out").iterdir()}
    assert {"samples.png", "path.png"} <= names
    assert not names & {"reconstructions.png", "neighbours-codes.png"}
    write_images(ganrun.load(runs["vae"], which="last").data.test("x", 1))
    assert cli.run("look", "bundle", "out=found", "input=images", "updates=5") == 0
    assert "by a search of 5 updates" in capsys.readouterr().out


def test_the_film_has_the_grids_in_their_order(look, runs):
    grids = sorted((runs["dcgan"] / "samples").glob("samples-kimg*.png"))
    assert look("dcgan", "film=true") == {"film-samples.gif", "index.html"}
    with Image.open("out/film-samples.gif") as film, Image.open(grids[0]) as first:
        assert film.n_frames >= len(grids)
        factor = film.width // first.width
        shown = np.array(film.convert("RGB"))[::factor, ::factor].astype(int)
        assert np.abs(shown - np.array(first.convert("RGB"))).mean() < 3  # a GIF has 256 colours


@pytest.mark.parametrize(
    ("name", "some"),
    [
        ("dcgan", {"samples.png", "film-samples.gif", "path.png", "code-sefa0.png", "neighbours-features.png"}),
        ("infogan", {"samples.png", "path.png", "code-c1.png", "code-c2.png", "code-c3.png"}),
        ("vae", {"samples.png", "reconstructions.png", "path.png", "neighbours-codes.png"}),
        ("autoencoder", {"samples.png", "reconstructions.png", "path.png", "neighbours-codes.png"}),
        ("cgan", {"samples.png", "path.png", "code-sefa0.png", "neighbours-pixels.png"}),
        ("points", {"film-samples.gif", "path.png"}),
        ("cyclegan", {"film-a_to_b.gif", "film-b_to_a.gif"}),
    ],
)
def test_the_page_has_what_suits_the_model(look, name, some):
    names = look(name)
    assert some | {"index.html"} <= names
    page = Path("out/index.html").read_text()
    assert page.count("<img") == len(names) - 1
    assert "http" not in re.sub(r"data:image[^\"]*", "", page).replace("http-equiv", "")


def test_what_is_left_out_is_said(look, runs, capsys, tmp_path):
    for path in (runs["points"] / "samples").glob("*"):
        path.rename(tmp_path / path.name)
    names = look("points")
    for path in tmp_path.glob("*-kimg*.png"):
        path.rename(runs["points"] / "samples" / path.name)
    assert names == {"path.png", "index.html"}
    assert re.search(r"left out: .*has no two grids", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("text", "terms"),
    [("8-3+5", [(1, "8"), (-1, "3"), (1, "5")]), ("-s3", [(-1, "s3")]), ("a b + c", [(1, "a b "), (1, "c")])],
)
def test_sums_are_read(text, terms):
    assert split_terms(text) == terms


@pytest.mark.parametrize("text", ["", "8--3", "8-", "+", "8+-3"])
def test_other_texts_are_no_sums(text):
    with pytest.raises(UserError, match="must be a sum"):
        split_terms(text)


def test_latents_of_a_file_are_those_of_an_autoencoder_too(look):
    np.save("z.npy", np.zeros((2, 5), np.float32))
    look("autoencoder", "path=[0,1]", "steps=2", "as=npz", "z=z.npy")
    assert not read_arrays("out/path.npz")["z"].any()


BAD = {
    "dcgan classes=3": "dcgan has no classes.",
    "dcgan z=nowhere.npz": "z=nowhere.npz cannot be read",
    "dcgan range=[2,2]": "range=[2,2] must go from a smaller to a larger number",
    "dcgan of=3": "of= has no effect here: it is for mean=. Leave it out.",
    "dcgan path=[0,1] rows=9": "rows= has no effect here: it is for code= or neighbours=. Leave it out.",
    "dcgan code=z0 way=line": "way= has no effect here: it is for path=. Leave it out.",
    "vae input=images z=z.npy": "z= has no effect here: it is for path= or code= or mean= or neighbours=.",
    "dcgan path=[0,1] as=gif steps=1000": "has 1000 pictures, and at most 500 are animated.",
    "dcgan mean=s99": "99 is none of the samples. Give their numbers, 0 to 63 in the order of the grid.",
    "autoencoder path=[0,seed:1]": "Give their numbers, 0 to 63 in the order of the grid.",
    "autoencoder path=[0,1] classes=3": "autoencoder has no classes.",
    "dcgan path=[3]": "path=[3] must name at least two samples, such as path=[3,17].",
    "dcgan path=[3,64]": "path=[3,64]: 64 is none of the samples. Give their numbers, 0 to 63",
    "dcgan path=[3,seed:x]": "seed:x is none of the samples",
    "dcgan path=[class:3,class:4]": "dcgan has no classes.",
    "cgan path=[class:3,class:12]": "classes must be whole numbers from 0 to 9",
    "cgan path=[3,class]": "or class:C for the first one with another class.",
    "autoencoder path=[class:3,class:4]": "autoencoder has no classes.",
    "dcgan path=3": "path must be a list of samples",
    "dcgan path=[-1,2]": "path must be a list of samples",
    "dcgan path=[0,1] way=circle": "way must be one of auto, sphere, line",
    "dcgan path=[0,1] steps=1": "steps must be an integer from 2 to 1000",
    "dcgan path=[0,1] as=mp4": "Unknown format as=mp4.",
    "dcgan mean=3 as=gif": "as=gif is for path= and code=, and neither is given.",
    "dcgan as=npz": "as=npz is for path= and code=, and neither is given.",
    "dcgan code=c1": "code=c1: there is no such code. This model has z0 to z99, sefa0",
    "infogan code=c4": "code=c4: there is no such code. This model has c1, c2, c3, z0 to z14",
    "infogan code=z15": "code=z15: there is no such code.",
    "infogan code=sefa99": "code=sefa99: there is no such code.",
    "infogan code={c1:3}": "must be the name of one code, such as code=c1",
    "infogan code=c2 range=[2,-2]": "range=[2,-2] must go from a smaller to a larger number, such as range=[-2,2].",
    "infogan code=c2 range=[0,1,2]": "range must be a list of two numbers",
    "infogan code=c2 rows=0": "rows must be an integer from 1 to 64",
    "dcgan mean=8--3": "mean=8--3 must be a sum of classes",
    "vae mean=10": "mean=10: there is no class 10. There are 0 to 9",
    "infogan mean=8": "what class a sample of infogan shows is not known here",
    "cgan mean=8": "mean=8 needs a model whose latents alone make its samples, and cgan also takes y.",
    "dcgan input=nowhere": "No image at input=nowhere",
    "dcgan input=images invert=off": "input=images invert=off needs a model with an encoder. dcgan has none.",
    "cgan input=images": "needs to know the class that all the images show, one for all of them: classes=3",
    "cgan input=images classes=[3,4]": "one for all of them: classes=3",
    "infogan input=images feature_weight=1": "feature_weight=1 needs an extractor, and the run has none.",
    "vae input=images updates=9": "updates= has no effect here: the model has an encoder",
    "points input=images": "input=images needs a model of images",
    "points neighbours=3": "neighbours=3 needs a model of images",
    "cyclegan path=[0,1]": "path=[0,1] needs a model whose samples are made of latents z alone",
    "dcgan neighbours=0": "neighbours must be an integer from 1 to 50 or null",
    "dcgan path=[0,1] z=nowhere.npy": "z=nowhere.npy cannot be read",
}


@pytest.mark.parametrize(("command", "message"), BAD.items())
def test_wrong_input_gets_one_message(cli, runs, command, message, capsys):
    write_images(torch.zeros(1, 1, 28, 28))
    name, *args = command.split()
    check_refused(cli, capsys, message, "look", str(runs[name]), "out=out", *args)
