import torch

from ganrun.networks.tiles import far_permutations, shuffle_tiles


def test_tiles_change_places_as_in_a_loop_over_pixels():
    x = torch.randn(3, 2, 10, 14, generator=torch.Generator().manual_seed(0))
    places = torch.stack([torch.randperm(9, generator=torch.Generator().manual_seed(i)) for i in range(3)])
    shuffled = shuffle_tiles(x, places, 3)
    assert shuffled.shape == (3, 2, 9, 12)
    for i in range(3):
        for n in range(9):
            source = int(places[i, n])
            for r in range(3):
                for c in range(4):
                    expected = x[i, :, source // 3 * 3 + r, source % 3 * 4 + c]
                    assert torch.equal(shuffled[i, :, n // 3 * 3 + r, n % 3 * 4 + c], expected)


def test_the_unchanged_order_leaves_the_image():
    x = torch.randn(2, 1, 9, 9)
    assert torch.equal(shuffle_tiles(x, torch.arange(9).expand(2, 9), 3), x)


def test_each_permutation_is_a_farthest_one_from_those_before():
    """Against a loop over all permutations of four tiles."""
    from itertools import permutations

    chosen = [tuple(p) for p in far_permutations(4, 8).tolist()]
    everything = [*permutations(range(4))]

    def distance(p, others):
        return min(sum(a != b for a, b in zip(p, q, strict=True)) for q in others)

    assert len(set(chosen)) == 8
    for n in range(1, 8):
        assert distance(chosen[n], chosen[:n]) == max(distance(p, chosen[:n]) for p in everything)


def test_thirty_permutations_of_nine_tiles_are_far_from_each_other():
    chosen = far_permutations(9, 30)
    differing = (chosen[:, None] != chosen[None]).sum(2)
    differing.fill_diagonal_(9)
    assert differing.min() >= 7
    assert torch.equal(chosen.sort(1).values, torch.arange(9).expand(30, 9))
