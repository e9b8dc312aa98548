"""Seeds from where one stands."""

import itertools

import torch

from ganrun import seeds

CPU = torch.device("cpu")


def slow_mix(*parts):
    """For each part FNV-1a's step and two rounds of MurmurHash3's finalizer, modulo 2^32."""
    h = 2166136261
    for part in parts:
        h = (h ^ (part % 2**32)) * 16777619 % 2**32
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
            h = (h ^ h >> shift) * factor % 2**32
    return h ^ h >> 16


def test_the_mix_is_that_of_a_slow_loop():
    for parts in [(), (0,), (1, 2, 3), (2**40, -1), (4294967295, 7)]:
        assert seeds.hash_integers(*parts) == slow_mix(*parts)
        assert 0 <= seeds.hash_integers(*parts) < 2**32


def test_no_two_of_many_near_places_share_a_number():
    places = list(itertools.product(range(8), range(8), range(200)))
    numbers = {seeds.hash_integers(*place) for place in places}
    assert len(numbers) >= len(places) - 1  # 12,800 of 2^32 numbers: .02 pairs by chance


def test_every_bit_of_the_number_is_set_for_half_of_the_batches():
    numbers = [seeds.hash_integers(0, 0, batch) for batch in range(4000)]
    shares = [sum(number >> bit & 1 for number in numbers) / len(numbers) for bit in range(32)]
    assert all(0.46 < share < 0.54 for share in shares)


def test_the_order_of_the_parts_counts():
    assert seeds.hash_integers(1, 2) != seeds.hash_integers(2, 1)


def noise(seed, rank, batch):
    seeds.seed_training_noise(CPU, seed, rank, batch)
    return torch.randn(6)


def test_training_noise_depends_on_seed_rank_and_batch_and_on_nothing_before():
    with torch.random.fork_rng():
        first = noise(1, 0, 5)
        torch.rand(11)
        assert torch.equal(first, noise(1, 0, 5))
        for other in ((2, 0, 5), (1, 1, 5), (1, 0, 6)):
            assert not torch.equal(first, noise(*other))


def test_a_generator_is_seeded_by_its_parts_and_leaves_the_default_stream_alone():
    stream = torch.get_rng_state()
    first, again, other = (torch.rand(4, generator=seeds.generator(*parts)) for parts in ((1, 2), (1, 2), (1, 3)))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), stream)
