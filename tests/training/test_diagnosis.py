"""The diagnosis: on curves made by hand, and its test of a trend against all orders of the scores."""

import math
import random
import time
from itertools import permutations, product

import pytest

from ganrun.training.diagnosis import (
    MAX_EXACT,
    MIN_BATCHES,
    MIN_SCORES,
    NEAR_CERTAIN,
    SIGNIFICANT,
    Evidence,
    count_orders,
    diagnose,
    p_rising,
    rising_minus_falling,
)

NAME = "val/fd_lenet"


def diagnosis(values, mode="min", **options):
    """The diagnosis on scores at 100, 200, ... kimg."""
    return diagnose(NAME, mode, [(100.0 * (k + 1), value) for k, value in enumerate(values)], Evidence(**options))


# ---- the trend -------------------------------------------------------------------------------------------------------
def s(values):
    pairs = ((i, j) for i in range(len(values)) for j in range(i))
    return sum(math.copysign(1, values[i] - values[j]) for i, j in pairs if values[i] != values[j])


def test_pairs_are_counted_as_one_by_one():
    for _ in range(200):
        values = [random.choice([1, 2, 3, 5.5, -1, random.random()]) for _ in range(random.randint(1, 60))]
        assert rising_minus_falling(values) == s(values)


def test_the_diagnosis_of_many_scores_takes_no_longer_than_they_are_many():
    seconds = []
    for count in (40_000, 400_000):
        values = [random.gauss(5, 1) for _ in range(count)]
        start = time.process_time()
        diagnosis(values)
        seconds.append(time.process_time() - start)
    assert seconds[1] < 25 * seconds[0]  # 12 times as many steps; pair by pair, 100


@pytest.mark.parametrize("n", range(1, 5))
def test_the_probability_of_a_trend_is_that_among_all_orders_of_the_scores_ties_included(n):
    for values in product(range(n), repeat=n):
        result = [s(order) >= s(values) for order in permutations(values)]
        assert p_rising(values) == pytest.approx(sum(result) / len(result))


@pytest.mark.parametrize("ties", [(1, 1, 1, 1, 1, 1), (2, 1, 3), (3, 3), (1, 2, 1, 2), (6,)])
def test_the_orders_are_counted_by_their_pairs_in_falling_order(ties):
    values = [k for k, m in enumerate(ties) for _ in range(m)]
    distinct = set(permutations(values))
    falling = [sum(o[i] < o[j] for i in range(6) for j in range(i)) for o in distinct]
    counts = count_orders(ties)
    assert counts == [falling.count(k) for k in range(len(counts))]
    assert sum(counts) == len(distinct)


def test_kendalls_own_table_for_ten_scores():
    values = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    at = {21: 0.036, 23: 0.023, 45: 1 / math.factorial(10)}  # Kendall 1970, table 1: P(S >= s)
    for wanted, p in at.items():
        order = with_s(values, wanted)
        assert p_rising(order) == pytest.approx(p, abs=5e-4 if p > 1e-3 else 1e-12)


def with_s(values, wanted):
    """Rising values after as many swaps of neighbours as leave this S."""
    values, swaps = [*values], (len(values) * (len(values) - 1) // 2 - wanted) // 2
    for end in range(len(values) - 1, 0, -1):
        for k in range(end):
            if swaps and values[k] < values[k + 1]:
                values[k], values[k + 1], swaps = values[k + 1], values[k], swaps - 1
    return values


@pytest.mark.parametrize("ties", [1, 3])
def test_the_normal_law_beyond_many_scores_is_near_the_exact_one(ties):
    rng = random.Random(0)
    for _ in range(20):
        values = [rng.gauss(0.02 * k, 1) for k in range(MAX_EXACT)]
        values = [math.floor(v * 10 / ties) for v in values] if ties > 1 else values
        longer = [*values, max(values) + 1]
        counts = count_orders([longer.count(v) for v in set(longer)])
        exact = sum(counts[: int(len(counts) - 1 - s(longer)) // 2 + 1]) / sum(counts)
        assert p_rising(longer) == pytest.approx(exact, abs=2e-3)


def test_many_equal_scores_have_no_trend():
    assert p_rising([1.0] * (MAX_EXACT + 1)) > 0.5
    assert p_rising([1.0] * 5) == 1


# ---- the scores ------------------------------------------------------------------------------------------------------
NOISY = [300, 90, 30, 12, 6.1, 5.9, 6.2, 5.64, 6.0, 5.8]
FALLING = [300, 150, 90, 70, 55, 46, 44.0, 41.2, 39.9, 38.7]
U_SHAPED = [90, 40, 12.1, 14, 17, 22, 29, 35, 44, 54]
JUMP = [90, 40, 20, 12.1, 13, 55, 52, 57, 53, 54]
STATES = {
    "noisy and level": (NOISY, "converged"),
    "level with one pair out of chance": (
        [300, 90, 30, 12, 6.3, 6.2, 6.1, 6.12, 6.05],
        "converged",
    ),  # 4 %: not worth it
    "falling": (FALLING, "improving"),
    "falling with one slip": ([300, 150, 90, 70, 55, 46, 44.0, 41.2, 41.5, 38.7], "improving"),
    "falling after a peak": ([12, 54, 300, 250, 200, 150, 120, 100], "improving"),
    "u-shaped": (U_SHAPED, "diverged"),
    "a jump": (JUMP, "diverged"),
    "not a number at the end": ([90, 40, 20, math.nan, math.nan], "diverged"),
    "infinite at the end": ([90, 40, 20, math.inf], "diverged"),
    "never a number": ([math.nan, math.nan], "diverged"),
    "not a number on the way": ([*FALLING[:4], math.nan, *FALLING[4:]], "improving"),
    "one": ([5.0], "unclear"),
    "three falling": ([50.0, 40.0, 30.0], "unclear"),
    "swinging": ([90, 40, 22, 60, 20, 35, 12, 60, 20, 35], "unclear"),
    "a single bad end": ([90, 40, 20, 12, 12.5, 12.1, 12.3, 12.2, 12, 54], "unclear"),
    "a lucky start": ([20, 400, 410, 390, 405, 395, 402, 398], "unclear"),
    "never learned": ([500, 510, 505, 498, 503, 508], "converged"),
}


@pytest.mark.parametrize("name", STATES)
def test_a_curve_has_the_state_that_one_sees_and_so_has_its_mirror_image_where_more_is_better(name):
    values, state = STATES[name]
    assert diagnosis(values).state == state
    assert diagnosis([1 / value if value < math.inf else value for value in values], "max").state == state


def test_the_summary_tells_what_is_seen():
    improving = diagnosis(FALLING, command="ganrun resume run kimg=2000")
    assert improving.summary == "improving: val/fd_lenet fell from 46 to 38.7 over the last 400 kimg"
    assert improving.command == "ganrun resume run kimg=2000"
    assert diagnosis(NOISY, command="ganrun resume run kimg=2000").command == ""
    assert diagnosis(NOISY).summary == "converged: val/fd_lenet shows no trend since 600 kimg (best 5.64)"
    assert diagnosis(U_SHAPED).summary == (
        "diverged after 300 kimg: val/fd_lenet rose from 12.1 to 54; the best checkpoint, at 300 kimg, is kept"
    )
    assert diagnosis([9, 5, math.nan]).summary == (
        "diverged after 200 kimg: val/fd_lenet is NaN or Inf at the end; the best checkpoint, at 200 kimg, is kept"
    )
    assert diagnosis([9, 5]).summary == "unclear: 2 scores are too few to tell"
    assert diagnosis([9]).summary == "unclear: one score is too few to tell"
    assert diagnosis([20, *[400] * 7]).summary == "unclear: val/fd_lenet started at 20 at 100 kimg and is now 400"


RING = [0.0056, 0.1536, 0.3692, 0.694, 0.7888, 0.7684, 0.8, 0.87, 0.8536, 0.86]  # gan, experiment=ring, 1000 kimg
GRID = [0.0128, 0.0124, 0.0156, 0.0188, 0.0144, 0.0132, 0.0224, 0.0204, 0.0148, 0.0196]  # wgan, 1500 kimg
CLOUD = [0.04, 0.0068, 0.022, 0.0164, 0.0128, 0.0124, 0.0176, 0.0156, 0.0168, 0.0124]  # wgan on the grid, 300 kimg
DIGITS = [803.4, 262.1, 177.6, 127.3, 82.13, 77.54, 69.37, 59.27, 45.41, 46.05]  # cgan, a minute


@pytest.mark.parametrize(
    ("values", "mode", "summary"),
    [
        (RING, "max", "unclear: val/fd_lenet rose from 0.7684 to 0.86 since 600 kimg, but too unsteadily to be sure"),
        (GRID, "max", "unclear: val/fd_lenet varies between 0.0132 and 0.0224 since 600 kimg, without a trend"),
        (CLOUD, "max", "unclear: val/fd_lenet started at 0.04 at 100 kimg and is now 0.0124"),
        (DIGITS, "min", "improving: val/fd_lenet fell from 77.54 to 46.05 over the last 400 kimg"),
    ],
)
def test_the_summary_of_four_real_trainings(values, mode, summary):
    assert diagnosis(values, mode).summary == summary


def test_where_more_is_better_a_rise_is_a_gain():
    result = diagnosis([0.1, 0.2, 0.4, 0.5, 0.55, 0.6, 0.66, 0.7], "max")
    assert result.summary == "improving: val/fd_lenet rose from 0.55 to 0.7 over the last 300 kimg"


@pytest.mark.parametrize(
    ("values", "summary"),
    [
        (NOISY, "collapsed: 1 of 8 modes"),
        ([9, 5], "collapsed: 1 of 8 modes"),
        (
            FALLING,
            "improving: val/fd_lenet fell from 46 to 38.7 over the last 400 kimg; "
            "but the last samples are not diverse yet: 1 of 8 modes",
        ),
        (
            JUMP,
            "collapsed: 1 of 8 modes; val/fd_lenet rose from 12.1 to 54; the best checkpoint, at 400 kimg, is kept",
        ),
    ],
)
def test_samples_without_diversity_count_as_collapsed_unless_the_scores_get_better(values, summary):
    assert diagnosis(values, collapsed="1 of 8 modes").summary == summary


LEVEL = [500, 510, 505, 498, 503, 508]


@pytest.mark.parametrize(
    ("values", "mode", "untrained", "state"),
    [
        (LEVEL, "min", 520, "stuck"),
        (LEVEL, "min", 700, "stuck"),
        (LEVEL, "min", 800, "converged"),
        (LEVEL, "min", None, "converged"),  # not measured
        ([0.02] * 6, "max", 0.02, "stuck"),
        ([0.02] * 6, "max", 0.0, "converged"),
        ([0.9] * 6, "max", 0.02, "converged"),
        ([0.0] * 6, "min", 520, "converged"),
        (FALLING, "min", 40, "improving"),
        (U_SHAPED, "min", 13, "diverged"),
    ],
)
def test_scores_like_those_without_any_training_are_never_called_converged(values, mode, untrained, state):
    assert diagnosis(values, mode, untrained=untrained).state == state


def test_a_training_that_is_stuck_shows_both_scores():
    assert diagnosis(LEVEL, untrained=520).summary == (
        "stuck: val/fd_lenet is 508 at the end, and 520 without any training"
    )


@pytest.mark.parametrize("values", [[5.0], LEVEL, FALLING, U_SHAPED])
@pytest.mark.parametrize("collapsed", [None, "1 of 8 modes"])
def test_a_few_batches_are_too_little_training_to_say(values, collapsed):
    command = "ganrun resume run kimg=2"
    short = diagnosis(values, batches=MIN_BATCHES - 1, collapsed=collapsed, command=command)
    assert short.summary == "unclear: 199 batches are too little training to say; 200 may be enough"
    assert (short.state, short.command) == ("unclear", command)
    assert "too little" not in diagnosis(values, batches=MIN_BATCHES, collapsed=collapsed).summary


def test_scores_that_are_not_finite_have_diverged_however_short_the_training():
    assert diagnosis([9, math.nan], batches=2).state == "diverged"


def test_without_scores_the_discriminator_is_what_one_knows():
    found = diagnose(None, "min", [], Evidence(readings=readings(0.99), batches=1000))
    assert found.summary == "unclear: no score was measured"
    assert found.remark == "the discriminator tells real from fake in 99 % of pairs"
    assert diagnose(None, "min", [], Evidence(batches=13)).summary.startswith("unclear: 13 batches are too little")


def test_a_level_curve_is_seldom_called_anything_else_and_a_falling_one_never_diverged():
    rng = random.Random(0)
    for noise, share in ((0.02, 0.9), (0.05, 0.7)):  # trends of under 5 % do not count; of the others, LIKELY ones do
        level = [diagnosis([200, 60, 20, *(6 * (1 + rng.gauss(0, noise)) for _ in range(7))]).state for _ in range(400)]
        assert level.count("converged") > share * len(level)
        assert level.count("improving") + level.count("diverged") < 2 * SIGNIFICANT * len(level)
    falling = [diagnosis([100 * 0.8**k * (1 + rng.gauss(0, 0.1)) for k in range(10)]).state for _ in range(400)]
    assert falling.count("improving") > 0.8 * len(falling)
    assert {*falling} <= {"improving", "unclear"}


@pytest.mark.parametrize("n", range(1, 40))
def test_there_is_a_diagnosis_on_any_number_of_scores(n):
    assert diagnosis([1.0] * n).state == ("unclear" if n < MIN_SCORES else "converged")
    assert diagnosis([0.0] * n).state == ("unclear" if n < MIN_SCORES else "converged")
    assert diagnosis([100.0 - k for k in range(n)]).state in ("unclear", "improving", "converged")


# ---- the discriminator -----------------------------------------------------------------------------------------------
def readings(accuracy, d=1.0, g=1.0, side="", before=0.7, n=30):
    """A tenth of them with this accuracy, the others with the one before."""
    base = {"train/discriminator/gradient": d, "train/generator/gradient": g, "train/discriminator/loss": 1.0}
    values = [before] * (n - n // 10) + [accuracy] * (n // 10)
    return [{f"train/discriminator/accuracy{side}": value, **base} for value in values]


def remark(**values):
    return diagnosis(NOISY, readings=readings(**values)).remark


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"accuracy": 0.7, "before": 0.99}, ""),
        ({"accuracy": math.nan}, ""),
        ({"accuracy": NEAR_CERTAIN - 0.01, "d": 0.0}, ""),
        ({"accuracy": 0.99}, "the discriminator tells real from fake in 99 % of pairs"),
        ({"accuracy": 0.98, "side": "_a"}, "the discriminator of a tells real from fake in 98 % of pairs"),
        (
            {"accuracy": 0.99, "d": 0.02},
            "the discriminator tells real from fake in 99 % of pairs and has 2 % of the gradient norm: "
            "it has little left to learn",
        ),
        (
            {"accuracy": 0.99, "g": 0.01},
            "the discriminator tells real from fake in 99 % of pairs and has 99 % of the gradient norm: "
            "the generator hardly learns",
        ),
        ({"accuracy": 1.0, "d": math.nan}, "the discriminator tells real from fake in 100 % of pairs"),
        (
            {"accuracy": 1.0, "d": 0.0, "g": 0.0},
            "the discriminator tells real from fake in 100 % of pairs, and all gradients are zero",
        ),
        ({"accuracy": 0.31}, ""),
        (
            {"accuracy": 0.52},
            "the discriminator tells real from fake in 52 % of pairs, which is chance: "
            "either the samples look real to it, or it has stopped learning",
        ),
    ],
)
def test_the_discriminator_is_mentioned_only_if_its_accuracy_says_something(values, expected):
    assert remark(**values) == expected


def test_without_a_step_of_the_generator_the_share_of_the_gradient_is_unknown():
    first = [{"train/discriminator/accuracy": 1.0, "train/discriminator/gradient": 1.0}]
    assert diagnosis(NOISY, readings=first).remark.endswith("tells real from fake in 100 % of pairs")


def test_readings_in_which_a_player_had_no_turn_leave_the_means_of_the_others():
    pages = readings(0.99, g=0.01, n=40)
    for page in pages[1::2]:  # those of the discriminator's further steps, the last one among them
        del page["train/generator/gradient"]
    assert diagnosis(NOISY, readings=pages).remark.endswith("the generator hardly learns")
