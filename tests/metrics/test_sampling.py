import pytest
import torch
from helpers.metric_fakes import Noise, Pictures

from ganrun.errors import UserError
from ganrun.metrics import sampling


def generate(model, samples=10, batch_size=4, seed=0):
    return list(sampling.generate_batches(model, Pictures(), samples, batch_size, seed))


def test_labels_are_requested_in_the_datas_proportions_batch_by_batch():
    model = Noise(needs=("x", "y"))
    labels = [y.tolist() for _, y in generate(model)]
    assert labels == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [y.tolist() for y in model.asked] == labels


def test_a_model_gets_all_that_its_samples_take_and_labels_are_the_requested_ones():
    class Reader(Noise):
        takes = ("words", "y")

        def sample(self, n, words, y, generator=None):
            assert torch.equal(words, y)
            return super().sample(n, y, generator)

    assert [y.tolist() for _, y in generate(Reader())] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_model_of_version_0_1_may_have_a_parameter_y_without_a_default():
    class Old(Noise):
        def sample(self, n, y, generator):
            return super().sample(n, y, generator)

    assert [y for _, y in generate(Old())] == [None] * 3


def test_unconditional_models_get_no_labels():
    assert [y for _, y in generate(Noise())] == [None] * 3


def test_processes_share_the_samples_and_have_their_own_noise(monkeypatch):
    parts = []
    for rank in range(2):
        monkeypatch.setattr(sampling, "rank_and_world", lambda rank=rank: (rank, 2))
        model = Noise(needs=("x", "y"))
        parts.append((torch.cat([x for x, _ in generate(model, 11)]), torch.cat(model.asked).tolist()))
    assert parts[0][1] == [0, 2, 4, 6, 8, 0]
    assert parts[1][1] == [1, 3, 5, 7, 9]
    assert not torch.equal(parts[0][0][:5], parts[1][0])


def test_too_few_samples_for_the_processes_are_refused(monkeypatch):
    monkeypatch.setattr(sampling, "rank_and_world", lambda: (0, 2))
    with pytest.raises(UserError, match="at least 4 samples"):
        generate(Noise(), 3)


def test_the_global_stream_is_seeded_inside_and_restored_after():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with sampling.isolated_rng(1):
        first = torch.rand(3)
        assert not torch.is_grad_enabled()
    with sampling.isolated_rng(1):
        assert torch.equal(torch.rand(3), first)
    assert torch.equal(torch.rand(3), expected)
