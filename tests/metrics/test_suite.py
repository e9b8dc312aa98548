import logging
import math
import warnings

import pytest
import torch
from helpers.metric_fakes import Means, Noise, Pictures, mixture
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch.nn.functional import pdist
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore

from ganrun import seeds
from ganrun.data.images import to_uint8
from ganrun.errors import UserError
from ganrun.files import conf_dir
from ganrun.metrics.sampling import generate_batches, isolated_rng, scoring_seed
from ganrun.metrics.scores.frechet import IdentityFeatures
from ganrun.metrics.scores.kid import kernel_distance
from ganrun.metrics.scores.prdc import prdc
from ganrun.metrics.suite import Generation


def suite(samples=120, batch_size=50, extractor=Means, **options):
    kinds = {"scores": ["fd", "is", "diversity"], "final": ["kid", "prdc", "fd_infinity", "intra"]}
    return Generation(extractor, "val/fd_means", "min", samples, batch_size=batch_size, **(kinds | options))


def from_config(name, *overrides):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose(f"metrics/{name}", [f"metrics.{override}" for override in overrides]).metrics
    return instantiate(cfg) if cfg._target_ else cfg


def test_scores_equal_torchmetrics_classes_fed_one_image_at_a_time():
    data, model, extractor = Pictures(), Noise(), Means()
    result = suite().score(model, data, seed=3)
    distance = FrechetInceptionDistance(IdentityFeatures(4))
    distance.set_dtype(torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        score = InceptionScore(IdentityFeatures(10))
    for image in data.arrays["x"]:
        distance.update(extractor(image[None])[0], real=True)
    for batch, _ in generate_batches(model, data, 120, 50, seed=3):
        for image in to_uint8(batch):
            features, logits = extractor(image[None])
            distance.update(features, real=False)
            score.update(logits)
    assert result["val/fd_means"] == pytest.approx(distance.compute().item(), rel=1e-6)
    with isolated_rng(scoring_seed(3)):
        assert result["val/is_means"] == pytest.approx(score.compute()[0].item(), rel=1e-6)


def test_the_same_seed_gives_the_same_scores_and_another_seed_others():
    data, model = Pictures(), Noise()
    first = suite().score(model, data, seed=1)
    torch.rand(7)
    assert suite().score(model, data, seed=1) == first
    assert suite().score(model, data, seed=2) != first


def test_scoring_does_not_change_the_global_random_stream():
    state = torch.random.get_rng_state()
    suite().score(Noise(needs=("x", "y")), Pictures())
    assert torch.equal(torch.random.get_rng_state(), state)


def test_samples_that_draw_from_the_global_stream_are_reproducible_too():
    class Dropout(Noise):
        def sample(self, n, y=None, generator=None):
            return super().sample(n, y, generator) * (torch.rand(n, 1, 1, 1) > 0.5)

    scores = [suite().score(Dropout(), Pictures()) for _ in range(2)]
    assert scores[0] == scores[1]


def test_a_collapsed_model_has_inception_score_one_however_sure_the_classifier_is():
    class Sure(Means):
        def __call__(self, images):
            features, logits = super().__call__(images)
            return features, logits * 1000

    class Collapsed(Noise):
        def sample(self, n, y=None, generator=None):
            return torch.full((n, 1, 28, 28), -1.0)

    assert suite(extractor=Sure).score(Collapsed(), Pictures())["val/is_means"] == pytest.approx(1)


def test_accuracy_is_the_share_of_samples_classified_as_requested():
    class Obedient(Noise):
        """Right for every class but 9, which looks like 8."""

        def sample(self, n, y=None, generator=None):
            level = y.clamp(max=8) * 25.5 / 127.5 - 1
            return level.view(-1, 1, 1, 1).expand(n, 1, 28, 28) + 0.01 * torch.rand(n, 1, 28, 28, generator=generator)

    result = suite(samples=120).score(Obedient(needs=("x", "y")), Pictures())
    assert result["val/accuracy_means"] == pytest.approx(0.9)


def test_classes_that_the_extractor_does_not_know_have_no_accuracy():
    data = Pictures()
    data.classes = ["bag"] * 10
    assert "val/accuracy_means" not in suite().score(Noise(needs=("x", "y")), data)
    assert "val/accuracy_means" not in suite().score(Noise(), Pictures())


def test_cached_statistics_give_identical_scores_without_reading_the_images(cache):
    first = suite().score(Noise(), Pictures())
    data = Pictures()
    again = suite()
    again.prepare(data)
    assert data.reads == 0
    assert again.score(Noise(), data) == first
    assert len(list((cache / "statistics").iterdir())) == 1


def test_damaged_statistics_are_measured_again(cache):
    first = suite().score(Noise(), Pictures())
    (file,) = (cache / "statistics").iterdir()
    good = file.read_bytes()
    file.write_bytes(good[:-100])
    assert suite().score(Noise(), Pictures()) == first
    assert file.read_bytes()[-1000:] == good[-1000:]


def test_other_data_and_other_counts_have_separate_statistics(cache):
    suite().prepare(Pictures())
    suite().prepare(Pictures(seed=1))
    suite(reference=30).prepare(Pictures())
    assert len(list((cache / "statistics").iterdir())) == 3


def test_too_few_samples_cause_one_warning(caplog):
    few = suite(samples=3)
    with caplog.at_level(logging.WARNING):
        few.score(Noise(), Pictures())
        few.score(Noise(), Pictures())
    assert caplog.text.count("3 samples for 4 features: the covariance is rank deficient") == 1


def test_the_final_scores_equal_the_functions_applied_to_the_same_features():
    data, model = Pictures(), Noise()
    result = suite().score(model, data, seed=3, is_final=True)
    real = Means()(data.arrays["x"])[0]
    fake = torch.cat([Means()(to_uint8(x))[0] for x, _ in generate_batches(model, data, 120, 50, seed=3)])[:60]
    expected = prdc(real, fake)
    assert {name: result[f"val/{name}_means"] for name in expected} == pytest.approx(expected)
    with isolated_rng(0):
        mean, deviation = kernel_distance(real, fake, subset_size=60)
    assert result["val/kid_means"] == pytest.approx(mean, rel=1e-3)  # all 60 of 60 in each subset, in another order
    assert result["val/kid_deviation_means"] == pytest.approx(deviation, abs=1e-2 * abs(mean))
    assert set(result) == {*suite().names(model, data)}
    assert suite().score(model, data, seed=3).items() <= result.items()


def test_diversity_is_the_root_mean_squared_distance_relative_to_the_data():
    data, model = Pictures(), Noise()
    result = suite().score(model, data, seed=3)
    fake = torch.cat([Means()(to_uint8(x))[0] for x, _ in generate_batches(model, data, 120, 50, seed=3)])
    ratio = pdist(fake.double()).square().mean() / pdist(Means()(data.arrays["x"])[0].double()).square().mean()
    assert result["val/diversity_means"] == pytest.approx(ratio.sqrt().item())


def test_the_inception_score_has_its_deviation_over_the_splits():
    result = suite().score(Noise(), Pictures())
    assert 0 < result["val/is_deviation_means"] < result["val/is_means"]


class Labelled(Pictures):
    """Pictures i of class i % 10, as bright as their class."""

    def __init__(self):
        super().__init__(200)
        y = self.labels(200)
        self.arrays = {"x": (self.arrays["x"] // 25 + 25 * y.view(-1, 1, 1, 1)).byte(), "y": y}
        self.gives = ("x", "y", "picture")


class Bright(Noise):
    """Gives each class its brightness, or each the next one's."""

    def __init__(self, shift=0):
        super().__init__(needs=("x", "y"))
        self.shift = shift

    def sample(self, n, y=None, generator=None):
        level = 25 * ((y + self.shift) % 10).view(-1, 1, 1, 1) + 10 * torch.rand(n, 1, 28, 28, generator=generator)
        return level / 127.5 - 1


def test_intra_fd_detects_swapped_classes_and_fd_does_not():
    right, wrong = (suite().score(Bright(shift), Labelled(), is_final=True) for shift in (0, 1))
    assert wrong["val/fd_means"] == pytest.approx(right["val/fd_means"], rel=0.01)
    assert wrong["val/intra_fd_means"] > 100 * right["val/intra_fd_means"]
    assert wrong["val/accuracy_means"] == 0 < right["val/accuracy_means"]


def test_samples_without_classes_have_no_intra_fd():
    assert "val/intra_fd_means" not in suite().score(Noise(), Labelled(), is_final=True)
    assert math.isnan(suite().score(Bright(), Pictures(), is_final=True)["val/intra_fd_means"])


@pytest.mark.parametrize(("share", "is_collapsed"), [(0.9, False), (0.1, True), (0.0, True)])
def test_samples_that_hardly_differ_count_as_collapsed(share, is_collapsed):
    class Alike(Noise):
        def sample(self, n, y=None, generator=None):
            return share * super().sample(n, y, generator)

    reason = suite().collapsed(suite().score(Alike(), Pictures()))
    assert (reason is not None) == is_collapsed
    assert not reason or "of the data's" in reason


def test_each_score_has_a_note_with_its_count_method_and_direction():
    data, model = Pictures(), Noise(needs=("x", "y"))
    notes = suite(reference=40).score_notes(data, samples=77)
    assert {*notes} >= {*suite().names(model, data)}
    assert notes["val/fd_means"] == (77, "against 40 real", "lower")
    assert notes["val/kid_means"] == (40, "100 subsets of 40, against 40 real", "lower")
    assert notes["val/precision_means"] == (40, "k = 5, against 40 real", "higher")


def test_baselines_score_one_half_of_the_real_images_against_the_other():
    data = Pictures()
    baselines = suite().real_baselines(data)
    features = Means()(data.arrays["x"])[0]
    halves = features[torch.randperm(60, generator=seeds.generator(2))].split(30)
    assert baselines["val/precision_means"] == prdc(*halves)["precision"]
    assert {*baselines} >= {*suite().names(Noise(), data)} - {"val/fd_infinity_means"}


def test_too_few_samples_for_neighbours_have_no_precision():
    result = suite().score(Noise(), Pictures(), samples=3, is_final=True)
    assert math.isnan(result["val/precision_means"])
    assert math.isnan(result["val/fd_infinity_means"])
    assert math.isfinite(result["val/fd_means"])


def test_an_unknown_score_is_refused_with_the_allowed_ones():
    with pytest.raises(UserError, match=r"no score fidd.*Allowed: accuracy, cas, cmmd, diversity, fd, fd_error, fd_"):
        Generation(Means, "val/fd_means", "min", 10, scores=["fidd"], final=[])


def test_one_sample_is_refused():
    with pytest.raises(UserError, match=r"metrics\.samples=1 is too few"):
        suite().score(Noise(), Pictures(), samples=1)


def test_points_are_refused_with_the_metrics_that_fit():
    data = mixture([[0.0, 0.0]], 1.0)
    data.shape = (2,)
    with pytest.raises(UserError, match="metrics=modes"):
        suite().prepare(data)


def test_the_protocol_has_plain_types_and_all_settings():
    protocol = suite(reference=40).protocol(Pictures(), samples=77)
    assert protocol.pop("floor") > 0
    assert protocol == {
        "extractor": "means",
        "weights": "sha256:0000000000000000",
        "resize": "none",
        "samples": 77,
        "reference_splits": ["train"],
        "reference": 40,
        "is_splits": 10,
        "kid_prdc_samples": 40,
        "kid_prdc_reference": 40,
        "kid_subsets": 100,
        "kid_subset_size": 40,
        "prdc_k": 5,
        "ndb_bins": 100,
        "cas_steps": 1000,
        "parzen_validation": 1000,
    }


def test_lenet_scores_noise_far_from_real_images():
    lenet = from_config("lenet", "samples=40", "batch_size=16")
    result = lenet.score(Noise(needs=("x", "y")), Pictures())
    kinds = ("fd", "is", "is_deviation", "diversity", "accuracy")
    assert set(result) == {f"val/{kind}_lenet" for kind in kinds}
    assert lenet.monitor in result
    assert result["val/fd_lenet"] > 0


@pytest.mark.slow
def test_inception_loads_a_file_in_the_public_layout_and_scores_images(inception_file):
    inception = from_config("inception", f"weights={inception_file}", "samples=4", "batch_size=2")
    data = Pictures(3, shape=(3, 8, 8))
    result = inception.score(Noise((3, 8, 8)), data)
    assert set(result) == {"val/fid", "val/is", "val/is_deviation", "val/diversity"}
    assert result["val/fid"] > 0
    assert result["val/is"] >= 1
    assert inception.protocol(data)["resize"].startswith("tf1")


@pytest.mark.parametrize("name", ["lenet", "inception", "translation", "translation_lenet", "modes", "none"])
def test_every_metrics_config_states_monitor_and_mode(name):
    built = from_config(name)
    assert built.mode in ("min", "max")
    assert built.samples >= 2
    assert (built.monitor is None) == (name == "none")


def test_scores_of_pixels_do_not_have_the_name_of_the_extractor():
    data = Pictures(n=120)
    result = suite(scores=["fd"], final=["ndb", "parzen"]).score(Noise(), data, samples=110, is_final=True)
    assert [*result] == ["val/fd_means", "val/ndb", "val/ndb_divergence", "val/parzen", "val/parzen_deviation"]
    assert all(map(math.isfinite, result.values()))


def test_scores_that_train_on_classes_are_of_conditional_models_alone():
    data = Pictures(n=60, keys=("x", "y"))
    assert suite(final=["cas"]).names(Noise(), data) == suite(final=[]).names(Noise(), data)
