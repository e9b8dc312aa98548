"""Networks compiled in place by torch.compile."""

import shutil

import pytest
import torch
from helpers.model_training import SMALL, job_of, train
from torch.torch_version import TorchVersion

from ganrun.config.hardware import COMPILES_SINCE
from ganrun.networks.eval_mode import eval_mode
from ganrun.training.callbacks.compilation import Compilation


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler on the CPU")
@pytest.mark.skipif(TorchVersion(torch.__version__) < COMPILES_SINCE, reason="trainer.compile=full is refused")
@pytest.mark.filterwarnings("ignore")  # torch's own, of its compiler
@pytest.mark.parametrize("name", ["dcgan", "cyclegan"])
def test_compiled_networks_train_to_the_same_weights_under_the_same_names(name):
    overrides = [*SMALL[name], "trainer.precision=64-true", "optimizer=sgd", "optimizer.fused=false"]
    plain = train(job_of(*overrides), 3).model.state_dict()
    compilation = Compilation()
    compilation.networks = True
    job = train(job_of(*overrides), 3, compilation)
    found = job.model.state_dict()
    assert list(found) == list(plain)
    assert all(torch.allclose(found[key], plain[key], atol=1e-9) for key in plain if torch.is_tensor(plain[key]))
    assert all(net._compiled_call_impl for player in job.model.players() for net in player.nets)


def test_networks_in_eval_mode_are_not_compiled_for_every_batch_size():
    network, calls = torch.nn.Linear(2, 2), []
    network._compiled_call_impl = lambda *inputs: calls.append(inputs)
    with eval_mode(network) as inside:
        assert inside(torch.ones(3, 2)).shape == (3, 2)
    assert not calls
    network(torch.ones(3, 2))
    assert len(calls) == 1
