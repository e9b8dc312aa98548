"""What the extractors by transformers share: weight files, refusals and the optional package."""

import subprocess
import sys

import pooch
import pytest
import torch
from helpers.metric_fakes import Noise, Pictures
from helpers.pretrained import SmallCLIP, SmallDINOv2, without, write_small_clip, write_small_dinov2

from ganrun.errors import UserError
from ganrun.files import sha256_of_file
from ganrun.metrics.extractors import pretrained
from ganrun.metrics.extractors.clip import CLIPExtractor
from ganrun.metrics.extractors.dinov2 import DINOv2Extractor
from ganrun.metrics.suite import Generation


@pytest.fixture(scope="module")
def dinov2_file(tmp_path_factory):
    return write_small_dinov2(tmp_path_factory.mktemp("dinov2"))


@pytest.fixture(scope="module")
def clip_file(tmp_path_factory):
    return write_small_clip(tmp_path_factory.mktemp("clip"))


def test_the_digest_of_the_file_is_in_the_protocol_and_other_weights_cause_one_warning(dinov2_file, caplog, capfd):
    extractor = SmallDINOv2(dinov2_file)
    extractor.load()
    extractor.load()
    assert extractor.protocol()["weights"] == f"sha256:{sha256_of_file(dinov2_file)[:16]}"
    assert caplog.text.count("do not compare FD-DINOv2 to published ones") == 1
    assert not any(w.requires_grad for w in extractor.network.parameters())
    assert not extractor.network.training
    assert "Loading weights" not in "".join(capfd.readouterr())


def test_what_rounds_images_embeds_none_that_change_little(dinov2_file):
    with pytest.raises(UserError, match="dinov2 sees images of 8 bits"):
        SmallDINOv2(dinov2_file).embed(torch.zeros(1, 3, 28, 28))


def test_half_precision_files_are_computed_in_single_precision(dinov2_file, tmp_path):
    from safetensors.torch import load_file, save_file

    save_file({name: x.half() for name, x in load_file(dinov2_file).items()}, tmp_path / "half.safetensors")
    extractor = SmallDINOv2(tmp_path / "half.safetensors")
    extractor.load()
    assert {w.dtype for w in extractor.network.parameters()} == {torch.float32}


def test_the_file_of_another_network_is_refused(clip_file, dinov2_file):
    with pytest.raises(UserError, match=r"does not fit Dinov2Model: of 61 tensors 61 missing \(first: embeddings\."):
        SmallDINOv2(clip_file).load()
    with pytest.raises(UserError, match=r"does not fit CLIPVisionModelWithProjection: .* missing"):
        SmallCLIP(dinov2_file).load()


def test_an_incomplete_file_is_refused_with_the_missing_tensor(dinov2_file, capfd):
    with pytest.raises(UserError, match=r"1 missing \(first: layernorm\.bias\)\. Pass the right file"):
        SmallDINOv2(without(dinov2_file, "layernorm.bias")).load()
    assert "REPORT" not in "".join(capfd.readouterr())


def test_weights_of_another_size_are_refused_with_the_tensor(dinov2_file):
    class Wide(SmallDINOv2):
        architecture = SmallDINOv2.architecture | {"hidden_size": 64}

    with pytest.raises(UserError, match=r"of another shape \(first: embeddings\.cls_token\)"):
        Wide(dinov2_file).load()


@pytest.mark.parametrize("content", [b"", b"no weights"])
@pytest.mark.parametrize("name", ["w.bin", "w.safetensors"])
def test_a_damaged_file_is_refused_with_its_name(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name} cannot be read as a weight file"):
        SmallCLIP(tmp_path / name).load()


@pytest.mark.parametrize("extractor", [DINOv2Extractor, CLIPExtractor])
def test_the_download_is_pinned_by_revision_and_digest(extractor, cache, monkeypatch):
    asked = []

    def offline(url, known_hash, **options):
        asked.append((url, known_hash))
        raise ConnectionError("no route to host")

    monkeypatch.setattr(pooch, "retrieve", offline)
    published = extractor.published
    with pytest.raises(UserError) as refusal:
        extractor().load()
    assert asked == [(published.url, published.digest)]
    assert len(published.digest) == 64
    assert len(published.url.split("/resolve/")[1].split("/")[0]) == 40
    assert published.digest[:8] in published.file
    assert published.url in str(refusal.value)
    assert str(cache / "downloads" / published.file) in str(refusal.value)
    assert extractor().describe_download().startswith(f"the {published.network} weights (1")


@pytest.mark.parametrize("extractor", [DINOv2Extractor, CLIPExtractor])
def test_without_transformers_the_message_names_the_command_and_nothing_is_downloaded(extractor, monkeypatch):
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    monkeypatch.setattr(pooch, "retrieve", None)
    for action in (extractor().load, extractor().describe_download):
        with pytest.raises(UserError, match=rf"metrics={extractor.name} needs .*pip install 'ganrun\[features\]'$"):
            action()


@pytest.mark.slow
def test_transformers_is_imported_by_the_network_alone():
    code = "import sys, ganrun; from ganrun.metrics.extractors.clip import CLIPExtractor; CLIPExtractor()"
    code += "; from ganrun.metrics.extractors import dinov2; print('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def suite(extractor, weights, **options):
    return Generation(extractor, "val/x", "min", 40, batch_size=20, weights=weights, **options)


def test_the_suites_scores_have_baselines_and_none_of_classifiers(dinov2_file, clip_file):
    data, model = Pictures(shape=(3, 20, 20)), Noise((3, 20, 20))
    by_dinov2 = suite(SmallDINOv2, dinov2_file, scores=["fd"], final=["prdc"])
    by_clip = suite(SmallCLIP, clip_file, scores=["cmmd"], final=["fd"])
    names = [f"val/{name}_dinov2" for name in ("fd", "precision", "recall", "density", "coverage")]
    assert [*by_dinov2.score(model, data, is_final=True)] == by_dinov2.names(model, data) == names
    assert [*by_clip.score(model, data, is_final=True)] == by_clip.names(model, data) == ["val/cmmd", "val/fd_clip"]
    assert by_clip.real_baselines(data)["val/cmmd"] >= 0
    assert "val/cmmd_dinov2" not in by_dinov2.real_baselines(data)
    note = "kernel of width 10, times 1,000, against 60 real"
    assert by_clip.score_notes(data)["val/cmmd"] == (40, note, "lower")
    assert by_clip.protocol(data)["cmmd_sigma"] == 10
    assert "cmmd_sigma" not in by_dinov2.protocol(data)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("cmmd", "features of clip, not of dinov2"), ("is", "logits of a classifier"), ("accuracy", "logits")],
)
def test_a_score_that_the_extractor_cannot_have_is_refused(name, reason):
    with pytest.raises(UserError, match=rf"final has {name}, but it .*{reason}.*Leave it out\.$"):
        suite(SmallDINOv2, None, scores=["fd"], final=[name])
