"""Prepare items in a thread while the previous ones are used."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TypeVar

T = TypeVar("T")
DEPTH = 2  # items that are ready or in preparation: enough for one to hide the time of the other


def prefetch(make: Callable[[int], T], start: int) -> Iterator[T]:
    """Yield make(start), make(start + 1) and so on without end, made in a thread. Errors are raised in their turn."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
    try:
        queue = deque(pool.submit(make, start + i) for i in range(DEPTH))
        for k in count(start + DEPTH):
            item = queue.popleft().result()
            queue.append(pool.submit(make, k))
            yield item
    finally:
        pool.shutdown(cancel_futures=True)
