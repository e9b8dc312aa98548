import json

import numpy as np
import torch

from ganrun.files import assets_dir
from ganrun.metrics.extractors.base import InceptionExtractor, LeNetExtractor


def test_the_shipped_weights_classify_the_shipped_test_digits():
    with np.load(assets_dir() / "digits.npz") as digits:
        images, labels = torch.from_numpy(digits["x_test"]), torch.from_numpy(digits["y_test"])
    features, logits = LeNetExtractor()(images.view(-1, 1, 28, 28))
    assert features.shape == (1000, 128)
    assert (logits.argmax(1) == labels).float().mean() >= 0.98


def test_lenet_json_records_accuracy_baseline_and_yardstick():
    report = json.loads((assets_dir() / "lenet.json").read_text())
    assert report["test_accuracy"] >= 0.985
    assert report["floor"] < report["fd_of_others"]["noise of deviation 0.2"] < report["yardstick"]


def test_colour_and_size_hardly_change_the_features():
    with np.load(assets_dir() / "digits.npz") as digits:
        images = torch.from_numpy(digits["x_test"][::50]).view(-1, 1, 28, 28)
    large = images.repeat_interleave(2, 2).repeat_interleave(2, 3).expand(-1, 3, -1, -1)
    extractor = LeNetExtractor()
    assert torch.equal(extractor(images)[1].argmax(1), extractor(large)[1].argmax(1))
    assert torch.allclose(extractor(images)[0], extractor(images.expand(-1, 3, -1, -1))[0], atol=1e-4)


def test_features_are_float32_under_autocast_and_carry_no_gradient():
    images = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
    with torch.autocast("cpu", torch.bfloat16):
        features, logits = LeNetExtractor()(images)
    assert features.dtype == logits.dtype == torch.float32
    assert not features.requires_grad


def test_a_weight_file_can_be_given(tmp_path):
    path = tmp_path / "mine.safetensors"
    path.write_bytes((assets_dir() / "lenet.safetensors").read_bytes())
    mine, shipped = LeNetExtractor(path), LeNetExtractor()
    mine.load()
    shipped.load()
    assert mine.digest == shipped.digest


def test_only_inception_features_are_called_fid():
    names = ["fd", "intra_fd", "fd_infinity", "is", "recall"]
    assert [*map(LeNetExtractor().named, names)] == [f"{name}_lenet" for name in names]
    assert [*map(InceptionExtractor().named, names)] == ["fid", "intra_fid", "fid_infinity", "is", "recall"]


def test_out_of_memory_halves_the_images_of_one_pass():
    extractor, sizes = LeNetExtractor(), []
    extractor.load()
    network, x = extractor.network, torch.randint(0, 256, (12, 1, 28, 28), dtype=torch.uint8)
    plain = extractor(x)

    class Small(torch.nn.Module):
        def forward(self, pictures):
            sizes.append(len(pictures))
            if len(pictures) > 3:
                raise torch.cuda.OutOfMemoryError
            return network(pictures)

    extractor.network, extractor.at_once = Small(), 12
    result = extractor(x)
    assert sizes == [12, 6, 3, 3, 3, 3]
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(result, plain, strict=True))
