"""The better direction of a score follows from its name."""

import pytest

from ganrun.metrics.scores.declarations import better_direction, error_name, spread_names

LOWER = "fid fd_lenet fd_infinity_lenet kid intra_fid fd_lenet_a_to_b l1_a_to_b reverse_kl near_copies_lenet"
HIGHER = "is is_lenet precision coverage_inception modes mode_overlap accuracy_lenet_a_to_b"
NEITHER = "is_deviation kid_deviation_lenet diversity_lenet l1_a_to_b_untranslated"


@pytest.mark.parametrize(("names", "word"), [(LOWER, "lower"), (HIGHER, "higher"), (NEITHER, "")])
def test_the_better_direction_is_known(names, word):
    assert {name: better_direction(f"val/{name}") for name in names.split()} == dict.fromkeys(names.split(), word)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("val/fid", "val/fid_error"),
        ("val/fd_lenet", "val/fd_error_lenet"),
        ("val/fd_infinity_lenet", "val/fd_infinity_error_lenet"),
        ("val/fid_infinity", "val/fid_infinity_error"),
        ("val/intra_fid", "val/intra_fid_error"),
        ("val/fid_a_to_b", "val/fid_error_a_to_b"),
        ("val/is_inception", "val/is_error_inception"),
        ("val/of_a_user", ""),
    ],
)
def test_the_error_of_a_score_has_a_name_of_its_own(name, error):
    assert error_name(name) == error
    assert name not in spread_names(name)


def test_the_deviation_of_a_score_is_called_as_it_is_declared():
    assert spread_names("val/is_lenet")[0] == "val/is_deviation_lenet"
    assert spread_names("val/kid")[0] == "val/kid_deviation"
