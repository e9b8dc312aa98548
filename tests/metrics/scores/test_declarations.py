"""The better direction of a score follows from its name."""

import pytest

from ganrun.metrics.scores.declarations import better_direction

LOWER = "fid fd_lenet fd_infinity_lenet kid intra_fid fd_lenet_a_to_b l1_a_to_b reverse_kl near_copies_lenet"
HIGHER = "is is_lenet precision coverage_inception modes mode_overlap accuracy_lenet_a_to_b"
NEITHER = "is_deviation kid_deviation_lenet diversity_lenet l1_a_to_b_untranslated"


@pytest.mark.parametrize(("names", "word"), [(LOWER, "lower"), (HIGHER, "higher"), (NEITHER, "")])
def test_the_better_direction_is_known(names, word):
    assert {name: better_direction(f"val/{name}") for name in names.split()} == dict.fromkeys(names.split(), word)
