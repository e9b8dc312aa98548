import pytest
import torch
from helpers.metric_fakes import Means, Pictures, Shift

from ganrun.data.images import to_float
from ganrun.errors import UserError
from ganrun.metrics.translation import Translation


def suite(samples=40, batch_size=16):
    return Translation(Means, "val/fd_means", "min", samples, batch_size=batch_size)


def shifted_pairs(by=51, n=40):
    """Domain b is domain a, brighter by `by` of 255 everywhere."""
    data = Pictures(n, keys=("a", "b"), is_paired=True)
    data.arrays["a"] = data.arrays["a"] // 2
    data.arrays["b"] = data.arrays["a"] + by
    return data


def test_the_true_translation_has_no_distance_to_the_counterparts():
    result = suite().score(Shift(51 / 127.5), shifted_pairs())
    for way in ("a_to_b", "b_to_a"):
        assert result[f"val/l1_{way}"] == pytest.approx(0, abs=1e-6)
        assert result[f"val/fd_means_{way}"] == pytest.approx(0, abs=1e-6)
        assert result[f"val/l1_{way}_untranslated"] == pytest.approx(51 / 127.5, rel=1e-5)
    assert result["val/fd_means"] == pytest.approx(0, abs=1e-6)


def test_untranslated_images_keep_their_distance():
    result = suite().score(Shift(0), shifted_pairs())
    for way in ("a_to_b", "b_to_a"):
        assert result[f"val/l1_{way}"] == pytest.approx(51 / 127.5, rel=1e-5)
        assert result[f"val/fd_means_{way}"] == pytest.approx(4 * 51**2, rel=1e-6)  # four means, each off by 51
    assert result["val/fd_means"] == pytest.approx(4 * 51**2, rel=1e-6)


def test_the_monitored_score_is_the_mean_of_both_ways():
    result = suite().score(Shift(0.1), Pictures(30, keys=("a", "b")))
    assert result["val/fd_means"] == pytest.approx((result["val/fd_means_a_to_b"] + result["val/fd_means_b_to_a"]) / 2)
    assert not any("l1" in name or "accuracy" in name for name in result)


def test_data_with_digit_intensities_are_scored_on_them():
    data = shifted_pairs(n=40)
    level = (torch.arange(40) % 10).mul(25.5).round().byte()
    data.arrays = {key: level.view(-1, 1, 1, 1).expand(40, 1, 28, 28) for key in "ab"}
    data.arrays["b"] = 255 - data.arrays["b"]
    data.intensity = lambda x, domain: x if domain == "a" else -x

    class Half(Shift):
        """Right from a to b; from b to a every picture becomes the digit 0."""

        def translate(self, x, to):
            return -x if to == "b" else torch.full_like(x, -1.0)

    result = suite().score(Half(0), data)
    assert result["val/accuracy_means_a_to_b"] == 1
    assert result["val/accuracy_means_b_to_a"] == pytest.approx(0.1)
    assert result["val/fd_means_a_to_b"] == pytest.approx(0, abs=1e-6)
    assert result["val/l1_a_to_b"] == pytest.approx(0, abs=1e-6)


def test_a_diverged_models_l1_is_nan():
    result = suite().score(Shift(float("nan")), shifted_pairs())
    assert result["val/l1_a_to_b"] != result["val/l1_a_to_b"]


def test_the_number_of_test_images_can_be_limited():
    data = shifted_pairs()
    data.arrays["b"][20:] = 0
    assert suite().score(Shift(51 / 127.5), data, samples=20)["val/l1_a_to_b"] == pytest.approx(0, abs=1e-6)
    assert suite().protocol(data, samples=20)["samples_a_to_b"] == 20
    assert suite(samples=1000).protocol(data)["samples_b_to_a"] == 40


def test_images_are_translated_in_batches():
    sizes = []

    class Watched(Shift):
        def translate(self, x, to):
            sizes.append(len(x))
            return super().translate(x, to)

    suite().score(Watched(0), shifted_pairs())
    assert sizes == [16, 16, 8] * 2


def test_translating_does_not_change_the_global_random_stream():
    state = torch.random.get_rng_state()
    suite().score(Shift(0), shifted_pairs())
    assert torch.equal(torch.random.get_rng_state(), state)


def test_data_without_two_domains_is_refused():
    with pytest.raises(UserError, match="no two domains"):
        suite().prepare(Pictures())


def test_test_images_are_floats_in_the_models_range():
    assert torch.equal(to_float(shifted_pairs().arrays["a"]), shifted_pairs().test("a"))
