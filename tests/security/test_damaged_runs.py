"""Run folders whose files hold what ganrun does not write: one message, or the file counts as missing, at once."""

import json
import shutil
import time
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

import ganrun
from ganrun.cli.main import main
from ganrun.config.saved_yaml import parse_saved_config
from ganrun.files import UnsafeFileError
from ganrun.sweep.report.results import load_result
from ganrun.training.manifest import Manifest
from ganrun.training.metric_lines import read_metric_lines
from ganrun.training.run_folder import read_status

RUN = Path(__file__).parents[1] / "fixtures" / "v0.1" / "run"
WRONG = ["text", ["done"], {"a": {"b": 1}}, None, True, -1, float("nan"), float("inf"), 1e300, "x" * 10**5]
BOMBS = {
    "nested": "[" * 200_000,
    "digits": "9" * 5000,
    "no text": "\udcff\udcfe",
    "empty": "",
    "a list": "[1, 2]",
    "a number": "5",
    "many lists": "[" + "[]," * 300_000 + "[]]",
}


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(RUN, tmp_path / "stranger"))


def write(path: Path, text: str) -> None:
    path.write_bytes(text.encode(errors="surrogateescape"))


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("name", ["status.json", "metrics.jsonl", "config.yaml", "checkpoints/manifest.json"])
def test_a_bomb_in_a_file_counts_as_damage(name, bomb, stranger):
    start = time.process_time()
    write(stranger / name, BOMBS[bomb])
    assert main(["sample", "stranger", "n=1", "out=samples"]) == 0  # from the checkpoint alone
    assert main(["compare", "stranger", str(RUN), "out=page"]) == (0 if name[0] == "m" or "/" in name else 2)
    assert len(ganrun.runs()) == 0
    assert load_result(stranger).kimg in (0, 0.064)
    assert time.process_time() - start < 10


@pytest.mark.parametrize("value", WRONG, ids=lambda value: str(value)[:10])
def test_entries_of_status_json_with_a_wrong_type_count_as_missing(value, stranger):
    content = json.loads((stranger / "status.json").read_text())
    for key in ("state", "kimg", "seconds", "images_per_second", "best", "last", "choices", "host", "pid"):
        (stranger / "status.json").write_text(json.dumps({**content, key: value}))
        status = read_status(stranger)
        assert key not in status or type(status[key]) is type(content[key])
        assert len(status) >= len(content) - 1


def test_lines_of_metrics_with_wrong_types_are_left_out(tmp_path):
    path, good = tmp_path / "metrics.jsonl", {"kimg": 1.0, "val/fd": 2.0, "protocol": {"samples": 5, "splits": ["a"]}}
    deep = {"a": {"b": {"c": {"d": {"e": {"f": {"g": 1}}}}}}}
    bad = [{"kimg": value} for value in (*WRONG, 10**400)] + [{**good, "protocol": deep}, {"val/fd": 2.0}, 5, [], None]
    path.write_text("".join(json.dumps(line) + "\n" for line in bad if line != {"kimg": 10**400}))
    with path.open("a") as file:
        file.write('{"kimg": 1' + "0" * 400 + "}\n" + json.dumps(good) + "\n" + '{"kimg": 2')
    assert [*read_metric_lines(path)] == [good]


def test_endless_metrics_are_refused(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("5\n" * (10**6 + 1))
    with pytest.raises(UnsafeFileError, match="more than 1,000,000 scores"):
        [*read_metric_lines(path)]
    with path.open("wb") as file:
        file.truncate(10**11)
    with pytest.raises(UnsafeFileError, match="has 100,000,000,000 bytes"):
        [*read_metric_lines(path)]


def test_a_score_of_a_wrong_type_does_not_rank_a_run(stranger):
    lines = [{"kimg": 1.0, "val/fd_lenet": value, "protocol": {}} for value in (5.0, "1", [1], True)]
    (stranger / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert load_result(stranger, "val/fd_lenet").history == [(1.0, 5.0)]


def test_a_training_goes_on_after_scores_of_wrong_types(stranger):
    with (stranger / "metrics.jsonl").open("a") as file:
        for value in ("text", [1], {"a": 1}, None):
            file.write(json.dumps({"kimg": 0.05, "train/g": value, "val/fd_lenet": value, "protocol": {}}) + "\n")
            file.write(json.dumps({"kimg": 0.05, "train/generator/loss": value}) + "\n")
    assert main(["resume", "stranger", "kimg=0.096"]) == 0


@pytest.mark.parametrize(
    "key", ["last", "previous", "best", "kept", "sha256", "scores", "monitor", "superseded", "found"]
)
def test_a_manifest_with_a_wrong_type_counts_as_missing(key, stranger):
    path = stranger / "checkpoints" / "manifest.json"
    content = json.loads(path.read_text())
    for value in (5, True, [1], {"a": [1]}, [["x"]], [None], {"last": 5}):
        path.write_text(json.dumps({**content, key: value}))
        manifest = Manifest.read(path.parent)
        assert manifest.last is None or getattr(manifest, key) == value


YAML = {
    "alias": "a: &a [x]\nb: *a\n",
    "alias bomb": "a: &a [x, x]\n" + "".join(f"b{i}: &b{i} [*a, *a]\n" for i in range(30)),
    "flow": "[" * 10**5,
    "maps": "{a: " * 10**5,
    "tag": "a: !!python/object/apply:os.system [true]\n",
    "timestamp": "a: !!timestamp x\n",
    "many": "".join(f"a{i}: 1\n" for i in range(10**5)),
    "long": f"a: {'x' * 10**5}\n",
    "digits": f"a: {'9' * 9000}\n",
    "base 60": "a: " + ":".join(["1"] * 4000) + "\n",
    "interpolation": "a: '" + "${a:" * 2000 + "'\n",
    "a list": "- 1\n",
    "set": "a: !!set {x}\n",
    "keys": "? [1]\n: 2\n",
    "a key twice": "a: 1\nb: 2\na: 3\n",
}


@pytest.mark.parametrize("name", YAML)
def test_yaml_that_ganrun_does_not_write_is_refused_at_once(name):
    start = time.monotonic()
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own text
        parse_saved_config(YAML[name])
    assert time.monotonic() - start < 3


def test_numbers_of_a_config_are_read_as_omegaconf_reads_them():
    text = "{a: 1e-4, b: 5.0e-05, c: 1_0, d: 2026-11-27, e: null, f: yes, g: '1e-4', h: .inf}"
    assert parse_saved_config(text) == OmegaConf.to_container(OmegaConf.create(text))


def change_checkpoint(run: Path, *keys: str, value: object) -> None:
    """Change an entry of the checkpoint."""
    (path,) = (run / "checkpoints").glob("*.ckpt")
    content = node = torch.load(path, weights_only=True)
    for key in keys[:-1]:
        node = node[key]
    node[keys[-1]] = value
    torch.save(content, path)
    manifest = json.loads((run / "checkpoints" / "manifest.json").read_text())
    (run / "checkpoints" / "manifest.json").write_text(json.dumps({**manifest, "sha256": {}}))


ENTRIES = [
    "seen",
    "seen images",
    "state_dict",
    "pytorch-lightning_version",
    "loops",
    "optimizer_states",
    "ganrun choices",
]


@pytest.mark.parametrize("keys", [*ENTRIES, "ganrun schema", "ganrun config", "ganrun plan", "ganrun versions"])
def test_a_checkpoint_with_a_wrong_type_ends_in_one_message(keys, stranger, capsys):
    change_checkpoint(stranger, *keys.split(), value=[{"a": 1}, 5, "x"])
    verb = ["resume", "stranger", "kimg=0.096"] if keys == "ganrun plan" else ["sample", "stranger"]
    assert main(verb) == 2
    assert "Traceback" not in capsys.readouterr().err


SETTINGS = [
    "model",
    "data",
    "optimizers",
    "optimizer",
    "schedule",
    "ema",
    "init",
    "model generator",
    "trainer",
    "metrics",
]


@pytest.mark.parametrize("keys", [*SETTINGS, "model generator", "kimg", "logger", "data source", "minutes"])
@pytest.mark.parametrize("value", [5, "text", [1], {"a": [None]}], ids=str)
def test_a_saved_setting_of_a_wrong_type_ends_in_one_message(keys, value, stranger, capsys):
    if keys == "minutes" and value == 5:
        return
    change_checkpoint(stranger, "ganrun", "plan", *keys.split(), value=value)
    assert main(["resume", "stranger", "kimg=0.096" if keys != "kimg" else "seed=0", "dry_run=true"]) in (0, 2)
    assert "Traceback" not in capsys.readouterr().err


def test_a_branch_of_a_stranger_is_written_below_outputs(stranger, tmp_path):
    change_checkpoint(stranger, "ganrun", "choices", "model", value="../../../mine/gan")
    assert main(["resume", "stranger", "branch=true", "kimg=0.096"]) == 0
    (run,) = ganrun.runs()
    assert run.model == "../../../mine/gan"
    assert [path.name for path in tmp_path.iterdir() if path.name != "stranger"] == ["outputs"]
