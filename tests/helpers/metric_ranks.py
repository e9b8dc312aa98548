"""A score that two gloo processes compute together."""

import torch
import torch.multiprocessing as mp
from torch import distributed


def of_two_ranks(folder, score, *arguments):
    """Return score(rank, *arguments) of each of two processes, which meet through a file in the folder."""
    answers = torch.zeros(2, dtype=torch.float64).share_memory_()
    mp.spawn(_rank, (f"file://{folder}/meeting", answers, score, arguments), nprocs=2)
    return answers.tolist()


def _rank(rank, address, answers, score, arguments):
    distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    answers[rank] = score(rank, *arguments)
    distributed.destroy_process_group()
