"""ganrun export, and what is done with the folders that it writes: with ganrun and without."""

import ast
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import yaml
from helpers.model_training import CODED
from helpers.picture_sets import write_pictures
from helpers.runs import RING, SCORED, files
from helpers.scenes import write_scenes
from PIL import Image
from safetensors.torch import load_file, save_file

import ganrun
from ganrun.cli.main import main
from ganrun.errors import UntrustedError
from ganrun.files import sha256_of_file
from ganrun.training.export import bundle, formats, loading, openers

SMALL = ["network.width=4", "batch_size=4", "init.std=0.3", "logger=none"]
CGAN = ["model=cgan", "data=digits", *SMALL, *SCORED, "kimg=0.032", "ema.half_life_kimg=0.02"]
CYCLEGAN = ["model=cyclegan", "data=unpaired_digits", "data.size=32", "network.blocks=1", "kimg=0.004", *SMALL]
ALONE = """
import runpy, sys
sys.path.append(sys.argv[1])
sys.modules["ganrun"] = None
try:
    import ganrun
    sys.exit("ganrun is there")
except ImportError:
    pass
sys.argv = sys.argv[2:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def work(workplace):
    """The working folder, with a run of cgan and one of cyclegan, and the first exported in each format."""
    assert main(["train", *CGAN, "folder=cgan"]) == 0
    assert main(["train", *CYCLEGAN, "metrics=none", "folder=cyclegan"]) == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", False)  # as for users
        for form in formats.FORMATS:
            assert main(["export", "cgan", f"format={form}", f"out={form}", "license=MIT"]) == 0
    return workplace


@pytest.fixture
def copied(work, tmp_path):
    """Copies an exported folder, so that a test may damage it."""
    return lambda name: Path(shutil.copytree(name, tmp_path / name))


def run_alone(script, *args, folder):
    """Run a script in a Python that cannot import ganrun, in an empty working folder."""
    folder.mkdir(exist_ok=True)
    command = [
        sys.executable,
        "-B",
        "-S",
        "-W",
        "ignore",
        "-c",
        ALONE,
        sysconfig.get_path("purelib"),
        str(script.absolute()),
    ]
    env = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1"}
    return subprocess.run([*command, *args], cwd=folder, env=env, capture_output=True, text=True, timeout=100)


def tiles(path, count, side):
    """The first images of a grid of eight columns, uint8 [count, side, side, ...]."""
    grid = np.asarray(Image.open(path))
    return np.stack([grid[side * (i // 8) :, side * (i % 8) :][:side, :side] for i in range(count)])


def card_of(folder):
    return json.loads((Path(folder) / "card.json").read_text())


def edit_card(folder, **entries):
    (folder / "card.json").write_text(json.dumps(card_of(folder) | entries))


@pytest.mark.parametrize("form", ["safetensors", "torchscript"])
def test_the_script_of_a_torch_bundle_draws_the_samples_of_ganrun_without_ganrun(work, form, tmp_path):
    assert main(["sample", "cgan", "n=20", "as=npz", f"out={tmp_path / 'samples'}"]) == 0
    result = run_alone(Path(form, "sample.py"), "20", folder=tmp_path / "alone")
    assert (result.returncode, result.stderr) == (0, "")
    with np.load(tmp_path / "samples" / "samples.npz") as arrays:
        expected = arrays["x"][..., 0]
    assert np.array_equal(tiles(tmp_path / "alone" / "samples.png", 20, 28), expected)


def test_the_script_of_an_onnx_bundle_draws_samples_of_a_class_without_ganrun_and_torch(work, tmp_path):
    result = run_alone(Path("onnx", "sample.py"), "9", "7", folder=tmp_path / "alone")
    assert (result.returncode, result.stderr) == (0, "")
    assert tiles(tmp_path / "alone" / "samples.png", 9, 28).std() > 5
    assert "torch" not in Path("onnx/sample.py").read_text()
    refused = run_alone(Path("onnx", "sample.py"), "9", "10", folder=tmp_path / "alone")
    assert (refused.returncode, "label: invalid choice: 10" in refused.stderr) == (2, True)


@pytest.mark.slow
@pytest.mark.parametrize("form", formats.FORMATS)
def test_the_script_of_a_bundle_has_a_help_says_what_it_wrote_and_takes_a_seed(work, form, tmp_path):
    script, drawn = Path(form, "sample.py"), []
    shown = run_alone(script, "--help", folder=tmp_path / "alone")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert all(
        word in shown.stdout for word in ("usage: sample.py", "[n]", "[label]", "--seed", "samples without ganrun")
    )
    for seed in ("1", "2", "1"):
        written = run_alone(script, "8", "--seed", seed, folder=tmp_path / "alone")
        assert (written.returncode, written.stdout) == (0, "8 samples in samples.png\n")
        drawn.append((tmp_path / "alone" / "samples.png").read_bytes())
    assert drawn[0] == drawn[2] != drawn[1]


def test_the_same_noise_gives_the_same_samples_in_each_format(work):
    noise, y = torch.randn(12, 64), torch.arange(12) % 10
    found = [openers.OPENERS[form](Path(form), "generator")(noise, y) for form in formats.FORMATS]
    assert all(torch.allclose(x, found[0], atol=1e-5) for x in found)
    assert found[0].std() > 0.05


def test_the_scripts_have_some_twenty_lines(work):
    for form in formats.FORMATS:
        lines = [line for line in Path(form, "sample.py").read_text().splitlines() if line]
        assert len(lines) <= 22


def test_the_card_says_what_was_exported_and_how_it_scored(work):
    card, readme = card_of("onnx"), Path("onnx/README.md").read_text()
    status = json.loads(Path("cgan/status.json").read_text())
    assert {name: card["scores"][name] for name in card["scores"]} == {
        name: value for name, value in status["last"].items() if name.startswith("val/")
    }
    assert (card["model"], card["data"], card["license"], card["opset"]) == ("cgan", "digits", "MIT", 18)
    assert card["averaged_weights"] is True
    assert card["protocol"]["samples"] == 20
    assert card["check"]["largest_difference"] <= 1e-4
    assert card["config"]["model"]["_target_"] == "ganrun.models.cgan.CGAN"
    assert {each["name"]: each["shape"] for each in card["programs"][0]["inputs"]} == {"z": [64], "y": []}
    for form in formats.FORMATS:
        assert files(Path(form)) == {"README.md", "card.json", *card_of(form)["files"]}
    graph = onnx.load("onnx/generator.onnx")
    assert [(each.domain, each.version) for each in graph.opset_import if not each.domain] == [("", 18)]
    assert [
        [side.dim_param or side.dim_value for side in each.type.tensor_type.shape.dim] for each in graph.graph.input
    ] == [
        ["n", 64],
        ["n"],
    ]
    for text in ("opset 18", 'license: "MIT"', "| val/fd_lenet |", "samples: 20", "from 0 to below 10", "pillow"):
        assert text in readme


@pytest.mark.parametrize("form", ["safetensors", "torchscript"])
def test_the_hints_of_an_export_work_as_they_are(work, form, tmp_path, capsys):
    out = tmp_path / "with space"
    assert main(["export", "cgan", f"format={form}", f"out={out}"]) == 0
    alone, command = re.search("^next +(.*)   or   (.*)$", capsys.readouterr().out, re.MULTILINE).groups()
    assert shlex.split(alone) == ["python", str(out / "sample.py")]
    assert main([*shlex.split(command)[1:], "copies=0"]) == 0
    assert shlex.split(command)[:2] == ["ganrun", "eval"]


@pytest.mark.parametrize("text", ["Ümlaut & Co. (2026)", "2.0", '"Apache 2.0", © Jane'])
def test_a_license_may_be_any_text(work, text, tmp_path):
    quoted = f"'{text}'" if "," in text else text
    assert main(["export", "cgan", f"license={quoted}", f"out={tmp_path / 'out'}"]) == 0
    assert card_of(tmp_path / "out")["license"] == text
    front_matter = (tmp_path / "out" / "README.md").read_text().split("---")[1]
    assert yaml.safe_load(front_matter)["license"] == text


def test_no_path_of_this_machine_leaves_it_and_no_data_are_needed(work, tmp_path):
    write_pictures(tmp_path / "secret-place", 8, size=(28, 28))
    data = ["data=folder", f"data.root={tmp_path / 'secret-place'}", "data.size=28", "data.channels=3"]
    run, out = tmp_path / "run", tmp_path / "out"
    assert main(["train", "model=dcgan", *data, *SMALL, "kimg=0.008", "metrics=none", f"folder={run}"]) == 0
    shutil.rmtree(tmp_path / "secret-place")
    assert main(["export", str(run), f"out={out}"]) == 0
    assert not [path for path in out.iterdir() if str(tmp_path).encode() in path.read_bytes()]
    assert main(["sample", str(out), "n=4", f"out={tmp_path / 'samples'}"]) == 0


@pytest.mark.parametrize("form", [*formats.FORMATS])
def test_an_exported_model_scores_as_its_run(work, form, tmp_path, capsys):
    scores = []
    for run in ("cgan", form):
        before = {*Path("outputs/eval").glob("*")}
        assert main(["eval", run, "copies=0", *(["trust=true"] if form != "safetensors" else [])]) == 0
        (folder,) = {*Path("outputs/eval").glob("*")} - before
        scores.append(json.loads((folder / "scores.json").read_text()))
    of_run, of_bundle = scores
    assert of_bundle["protocol"] == of_run["protocol"]
    assert of_bundle["scores"] == pytest.approx(of_run["scores"], rel=1e-3, abs=1e-4)
    assert of_bundle["differs_from_training"] == []
    assert "as in training      yes" in capsys.readouterr().out


def test_eval_names_what_keeps_scores_from_those_of_the_training(work, capsys):
    assert main(["eval", "safetensors", "copies=0", "samples=30"]) == 0
    shown = capsys.readouterr().out
    assert "as in training      no, other samples: 30 (training: 20)" in shown


def test_an_exported_model_samples_and_is_exported_again_like_its_run(work, tmp_path):
    for run, name in (("cgan", "a"), ("safetensors", "b"), ("safetensors/weights.safetensors", "c")):
        assert main(["sample", run, "n=6", "as=npz", "classes=[3]", f"out={tmp_path / name}"]) == 0
    arrays = [np.load(tmp_path / name / "samples.npz")["x"] for name in "abc"]
    assert np.array_equal(arrays[0], arrays[1])
    assert np.array_equal(arrays[0], arrays[2])
    assert main(["export", "safetensors", "format=torchscript", f"out={tmp_path / 'again'}"]) == 0
    ours, first = card_of(tmp_path / "again"), card_of("torchscript")
    assert (ours["checkpoint"], ours["scores"]) == (first["checkpoint"], first["scores"])
    noise, y = torch.randn(3, 64), torch.arange(3)
    programs = [openers.open_torchscript(Path(folder), "generator") for folder in (tmp_path / "again", "torchscript")]
    assert torch.equal(programs[0](noise, y), programs[1](noise, y))


@pytest.mark.parametrize("form", ["safetensors", pytest.param("onnx", marks=pytest.mark.slow)])
def test_a_translator_is_exported_in_both_directions(work, form, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (33, 40, 3), np.uint8)).save(tmp_path / "in.png")
    out = tmp_path / "bundle"
    assert main(["export", "cyclegan", f"format={form}", f"out={out}"]) == 0
    result = run_alone(out / "translate.py", str(tmp_path / "in.png"), "new.png", "b_to_a", folder=tmp_path / "alone")
    assert (result.returncode, result.stderr) == (0, "")
    found = np.asarray(Image.open(tmp_path / "alone" / "new.png")).astype(int)
    for run, more in (("cyclegan", []), (str(out), ["trust=true"])):
        folder = tmp_path / Path(run).name
        folder = folder if run == "cyclegan" else tmp_path / "of-bundle"
        assert main(["translate", run, f"input={tmp_path / 'in.png'}", "to=a", f"out={folder}", *more]) == 0
        expected = np.asarray(Image.open(folder / "pictures" / "in.png")).astype(int)
        assert np.abs(found - expected).max() <= 1
    assert main(["sample", str(out), "trust=true", f"out={tmp_path / 'no'}"]) == 2


def test_points_are_exported_as_a_table(work, tmp_path, capsys):
    assert main(["train", *RING, f"folder={tmp_path / 'ring'}"]) == 0
    capsys.readouterr()
    assert main(["export", str(tmp_path / "ring"), "format=onnx", f"out={tmp_path / 'out'}"]) == 0
    assert f"or   ganrun sample {tmp_path / 'out'} trust=true" in capsys.readouterr().out  # a run without scores
    result = run_alone(tmp_path / "out" / "sample.py", "5", folder=tmp_path / "alone")
    assert (result.returncode, result.stderr) == (0, "")
    assert np.loadtxt(tmp_path / "alone" / "samples.csv", delimiter=",").shape == (5, 2)
    assert "not scored" in (tmp_path / "out" / "README.md").read_text()


def test_a_model_and_data_of_the_user_are_exported_with_their_conditions(cli, monkeypatch):
    write_scenes(cli.folder)
    scenery = ["--config-dir", "mine", "model=scenery", "data=scenes", "logger=none", "kimg=0.08"]
    assert cli.run("train", *scenery, "folder=run") == 0
    assert cli.run("export", "run", "out=out", "trust=true") == 0
    monkeypatch.setattr(sys, "argv", ["sample.py", "20"])
    monkeypatch.syspath_prepend("out")
    runpy.run_path("out/sample.py", run_name="__main__")
    sys.modules.pop("network")
    assert Path("samples.png").is_file()
    assert len(json.loads(Path("out/tokens.json").read_text())) == 16
    assert cli.run("sample", "out", "n=4", "out=samples") == 2  # its class is not ganrun's
    assert cli.run("sample", "out", "n=4", "out=samples", "trust=true") == 0


def test_an_exported_model_beside_images_is_not_among_them(work, tmp_path, capsys):
    shutil.copytree("safetensors", write_pictures(tmp_path / "images", 3, size=(28, 28)) / "generator")
    command = ["eval", "--folder", str(tmp_path / "images"), "data=digits", "samples=3", "metrics.reference=200"]
    assert main(command) == 0
    assert "3 images used; left out: 1 folder of a run or cache" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "needs_others"), [("vae", "reconstruction_l1"), ("infogan", "code_recovery")])
def test_scores_that_need_other_networks_are_left_out_of_an_exported_model(cli, name, needs_others, capsys):
    """They would be those of random weights: a bundle has the network that samples come from alone."""
    scored = ["metrics=lenet", "metrics.samples=8", "validate_kimg=null", "logger=none", "kimg=0.008"]
    assert cli.run("train", *CODED[name], *scored, "folder=run") == 0
    assert cli.run("export", "run", "out=bundle", "license=MIT") == 0
    shown = {}
    for run in ("run", "bundle"):
        capsys.readouterr()
        assert cli.run("eval", run, "samples=8", "copies=0") == 0
        shown[run] = capsys.readouterr().out
    assert all("fd_lenet" in text for text in shown.values())
    assert needs_others in shown["run"]
    assert needs_others not in shown["bundle"]


def test_the_python_api_loads_an_exported_model(work):
    exported, run = ganrun.load("safetensors", device="cpu"), ganrun.load("cgan", which="last", device="cpu")
    assert torch.equal(exported.sample(5, y=3), run.sample(5, y=3))
    assert (exported.scores, exported.kimg) == (run.scores, run.kimg)
    with pytest.raises(UntrustedError, match=r"ganrun.load\('onnx', trust=True\)"):
        ganrun.load("onnx")
    program = ganrun.load("onnx", device="cpu", trust=True)
    assert torch.allclose(program.sample(5, y=3), run.sample(5, y=3), atol=1e-4)


def test_what_a_run_of_a_stranger_says_is_text_in_its_bundle(work, tmp_path):
    content = torch.load(checkpoint_path("cgan"), weights_only=True)
    hostile = '"""\nimport os; os.mkdir("ran")\n"""<script>|'
    content["ganrun"]["choices"]["model"] = content["ganrun"]["choices"]["data"] = hostile
    torch.save(content, tmp_path / "stranger.ckpt")
    assert main(["export", str(tmp_path / "stranger.ckpt"), f"out={tmp_path / 'out'}"]) == 0
    scripts = [ast.parse((folder / "sample.py").read_text()) for folder in (tmp_path / "out", Path("safetensors"))]
    assert ast.dump(ast.Module(scripts[0].body[1:], [])) == ast.dump(ast.Module(scripts[1].body[1:], []))
    assert len(ast.parse((tmp_path / "out" / "network.py").read_text()).body) == 5
    assert "<script>" not in (tmp_path / "out" / "README.md").read_text()


def checkpoint_path(run):
    folder = Path(run, "checkpoints")
    return folder / json.loads((folder / "manifest.json").read_text())["last"]


# What is refused


def refused(*args, code=2):
    assert main([*args]) == code


@pytest.mark.parametrize("verb", ["eval", "sample", "export"])
@pytest.mark.parametrize("form", ["torchscript", "onnx"])
def test_programs_need_trust(work, verb, form, capsys, monkeypatch):
    monkeypatch.setattr(loading, "open_programs", lambda *_: pytest.fail("the program was opened"))
    refused(verb, form)
    assert "program, and running it runs its code" in (message := capsys.readouterr().err)
    assert "trust=true" in message


def test_the_code_in_a_bundle_is_never_run_by_ganrun(copied, tmp_path):
    folder = copied("safetensors")
    for name in ("network.py", "sample.py", "safetensors.py", "torch.py"):
        (folder / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    assert main(["sample", str(folder), "n=4", f"out={tmp_path / 'samples'}"]) == 0
    assert main(["eval", str(folder), "copies=0"]) == 0
    assert not (tmp_path / "ran").exists()


def test_a_config_with_a_class_of_a_stranger_needs_trust(copied, capsys):
    folder = copied("safetensors")
    config = card_of(folder)["config"]
    config["model"]["generator"]["_target_"] = "os.system"
    edit_card(folder, config=config)
    refused("sample", str(folder))
    assert "contains model.generator._target_=os.system" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "weights.safetensors").unlink(), "lacks weights.safetensors"),
        (lambda folder: (folder / "weights.safetensors").write_bytes(b"x"), "its bytes have changed since the export"),
        (lambda folder: (folder / "card.json").write_text("{"), "cannot be read as the card"),
        (lambda folder: (folder / "card.json").write_text("{}"), "it lacks bundle"),
        (lambda folder: edit_card(folder, kimg="1"), "kimg is not what ganrun writes there"),
        (lambda folder: edit_card(folder, programs=[{"name": "../x", "inputs": []}]), "programs.0.name is not what"),
        (lambda folder: edit_card(folder, bundle=99), "was written by a newer ganrun"),
        (lambda folder: edit_card(folder, format="pickle"), "names format=pickle. Readable are safetensors"),
        (lambda folder: edit_card(folder, config={}), "holds settings that cannot be used"),
        (lambda folder: (folder / "more").symlink_to("/etc/passwd"), "is a link to /etc/passwd"),
    ],
)
def test_a_damaged_bundle_is_refused_with_the_reason(copied, damage, message, capsys):
    folder = copied("safetensors")
    damage(folder)
    refused("sample", str(folder))
    assert message in capsys.readouterr().err


def test_weights_that_are_missing_or_too_many_are_refused(copied, capsys):
    folder = copied("safetensors")
    weights = load_file(folder / "weights.safetensors")
    name = next(name for name in weights if name.endswith(".weight"))
    others = {
        "other": {**weights, "other": weights[name].clone()},
        name: {n: w for n, w in weights.items() if n != name},
    }
    others["all"] = {}
    for missing, content in others.items():
        save_file(content, folder / "weights.safetensors")
        edit_card(folder, files={"weights.safetensors": sha256_of_file(folder / "weights.safetensors")})
        refused("sample", str(folder))
        message = capsys.readouterr().err
        assert "do not fit the networks of the card's config" in message
        assert missing in message


def test_a_folder_that_exists_is_refused_before_any_work(work, tmp_path, capsys):
    refused("export", "does-not-exist", f"out={tmp_path}")
    assert f"{tmp_path} exists. Give a new out=" in capsys.readouterr().err


def test_nothing_stays_of_an_export_that_fails(work, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(bundle, "TOLERANCE", 0.0)
    refused("export", "cgan", "format=onnx", f"out={tmp_path / 'out'}", code=1)
    assert "As format=onnx, samples differ from the model's by" in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["cgan", "format=pickle"], "Unknown format=pickle. Allowed: onnx, safetensors, torchscript"),
        (["cgan", "format=onx"], "Did you mean"),
        (["none"], "none does not exist"),
        ([], "export needs a run folder, a checkpoint file or the word last"),
        (["cgan", "which=newest"], "which=newest is unknown. Allowed: last, best."),
        (["safetensors", "which=best"], "which=best has no effect on safetensors, which holds one exported model"),
        (["onnx", "trust=true"], "only its programs are there. Export the run that it came from."),
    ],
)
def test_a_wrong_command_is_refused_with_the_reason(work, args, message, capsys):
    refused("export", *args)
    assert message in capsys.readouterr().err


def test_packages_that_are_missing_are_named(work, capsys, monkeypatch):
    monkeypatch.setattr(openers, "find_spec", lambda name: None if name == "onnxscript" else True)
    refused("export", "cgan", "format=onnx")
    assert "format=onnx needs onnxscript. Install: pip install 'ganrun[export]'" in capsys.readouterr().err


OWN = """
import torch
from ganrun.models.gan import GAN

class Own(GAN):
    def sample(self, n, y=None, generator=None):
        z = self.noise(n, generator)
        return {body}
"""


@pytest.fixture(scope="module")
def own(work):
    """A run whose model is in own.py, which tests write anew."""
    Path("own.py").write_text(OWN.format(body="self.generator(z)"))
    assert main(["train", *RING, "model._target_=own.Own", "folder=own"]) == 0
    yield
    sys.modules.pop("own", None)  # imported before a test: no test forgets it


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("self.generator(z) + torch.zeros(2).normal_(generator=generator)", "draws random numbers by aten.normal_"),
        ("self.generator(z) if z.sum() > 0 else self.generator(-z)", "must not branch on values"),
        ("self.generator(z) + torch.arange(len(z))[:, None]", "not as len(x)"),
        ("self.generator(torch.randn(self.z_dim, generator=generator).expand(n, -1))", "noise of its own"),
    ],
)
def test_a_model_of_the_user_that_cannot_be_exported_is_refused_by_name(own, body, message, tmp_path, capsys):
    sys.modules.pop("own", None)
    Path("own.py").write_text(OWN.format(body=body))
    refused("export", "own", "trust=true", f"out={tmp_path / 'out'}")
    assert message in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]
