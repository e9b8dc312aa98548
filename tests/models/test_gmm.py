"""The baselines against closed forms and scikit-learn's own EM."""

import math

import numpy as np
import pytest
import torch
from helpers.model_training import job_of, train
from sklearn.mixture import GaussianMixture

from ganrun.cli.main import main
from ganrun.networks.gaussians import Gaussians

RING = ["data=ring", "data.points=640", "batch_size=640"]  # every batch is all of the data


def points(job):
    return job.data.contents.splits["train"]["x"]


def test_one_gaussian_has_the_mean_and_covariance_of_the_data():
    job = train(job_of("model=gaussian", *RING, "data.sigma=0.3"), 1)
    x, mixture = points(job).double(), job.model.mixture
    assert mixture.means.tolist()[0] == pytest.approx(x.mean(0).tolist(), abs=1e-6)
    expected = x.T.cov(correction=0) + 1e-5 * torch.eye(2)
    assert torch.allclose(mixture.covariances[0].double(), expected, atol=1e-6)
    assert mixture.shares.tolist() == pytest.approx([1])


def test_a_step_is_an_iteration_of_em_done_by_hand():
    """Two components on a line: responsibilities, then weighted shares, means and variances."""
    x = torch.tensor([[-1.2], [-0.8], [0.1], [0.9], [1.5]])
    mixture = Gaussians([1], 2, regularization=1e-6)
    with torch.no_grad():
        mixture.means.copy_(torch.tensor([[-1.0], [1.0]]))
        mixture.shares.copy_(torch.tensor([0.3, 0.7]))
        mixture.covariances.copy_(torch.tensor([[[0.5]], [[2.0]]]))
    (shares, means, covariances), log_likelihood = mixture.improve(x)
    rows = [value for (value,) in x.tolist()]
    density = [
        [
            0.3 * math.exp(-((v + 1) ** 2) / 1.0) / math.sqrt(math.pi),
            0.7 * math.exp(-((v - 1) ** 2) / 4) / math.sqrt(4 * math.pi),
        ]
        for v in rows
    ]
    r = np.array([[p / sum(row) for p in row] for row in density])
    mean = (r * x.numpy()).sum(0) / r.sum(0)
    assert shares.tolist() == pytest.approx(r.mean(0).tolist())
    assert means[:, 0].tolist() == pytest.approx(mean.tolist())
    variances = (r * (x.numpy() - mean) ** 2).sum(0) / r.sum(0) + 1e-6
    assert covariances[:, 0, 0].tolist() == pytest.approx(variances.tolist())
    assert log_likelihood.item() == pytest.approx(np.mean([math.log(sum(row)) for row in density]))


def test_steps_are_those_of_scikit_learn_from_the_same_clusters():
    job = train(job_of("model=gmm", "model.mixture.components=8", *RING, "seed=3", "data.sigma=0.2"), 6)
    order = job.data.batch(0)["x"].double().numpy()  # k-means depends on it
    expected = GaussianMixture(8, reg_covar=1e-5, max_iter=6, tol=0, random_state=3)
    with pytest.warns(UserWarning, match="did not converge"):
        expected.fit(order)
    mixture = job.model.mixture
    assert mixture.shares.tolist() == pytest.approx(expected.weights_.tolist(), abs=1e-5)
    assert mixture.means.detach().numpy() == pytest.approx(expected.means_, abs=1e-5)
    assert mixture.covariances.detach().numpy() == pytest.approx(expected.covariances_, abs=1e-5)


def test_a_lower_rate_goes_part_of_the_way():
    job = job_of("model=gmm", "model.mixture.components=3", *RING, "optimizer.lr=0.25")
    before = [w.detach().clone() for w in job.model.mixture.parameters()]
    improved, _ = job.model.mixture.improve(job.data.batch(0)["x"], job.model.seed)
    train(job, 1)
    for w, old, new in zip(job.model.mixture.parameters(), before, improved, strict=True):
        assert torch.allclose(w, old + (new - old) / 4, atol=1e-6)


def test_samples_have_the_shares_means_and_covariances():
    mixture = Gaussians([2], 2, 1e-6)
    with torch.no_grad():
        mixture.means.copy_(torch.tensor([[-5.0, 0.0], [5.0, 1.0]]))
        mixture.shares.copy_(torch.tensor([0.2, 0.8]))
        mixture.covariances[1] = torch.tensor([[2.0, 0.9], [0.9, 0.5]])
    x = mixture.sample(40_000, torch.Generator().manual_seed(0)).double()
    right = x[x[:, 0] > 0]
    assert len(right) / len(x) == pytest.approx(0.8, abs=0.01)
    assert right.mean(0).tolist() == pytest.approx([5, 1], abs=0.03)
    assert torch.allclose(right.T.cov(), mixture.covariances[1].double(), atol=0.05)


def test_the_command_fits_scores_and_resumes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    settings = [*RING, "model.mixture.components=8", "logger=none", "checkpoint.kimg=0.64"]
    assert main(["train", "model=gmm", *settings, "kimg=3.2", "folder=once"]) == 0
    assert main(["train", "model=gmm", *settings, "kimg=1.28", "folder=twice"]) == 0
    assert main(["resume", "twice", "kimg=3.2"]) == 0
    once, twice = (torch.load(f"{run}/checkpoints/kimg000003.200.ckpt")["state_dict"] for run in ("once", "twice"))
    assert all(torch.equal(once[name], twice[name]) for name in once)
    assert main(["sample", "once", "n=20"]) == 0
    assert "val/high_quality" in capsys.readouterr().out


def test_without_scikit_learn_its_installation_is_advised(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "sklearn.mixture", None)
    assert main(["train", "model=gmm", *RING, "kimg=1"]) == 2
    assert "pip install 'ganrun[baselines]'" in capsys.readouterr().err
