"""Items made by a thread while the ones before are used."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TypeVar

T = TypeVar("T")
DEPTH = 2  # items that are ready or in the making: one hides the time of the other


def prefetch(make: Callable[[int], T], start: int) -> Iterator[T]:
    """make(start), make(start + 1) and so on, without end, in one thread; an error comes where its item would."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
    try:
        coming = deque(pool.submit(make, start + i) for i in range(DEPTH))
        for k in count(start + DEPTH):
            item = coming.popleft().result()
            coming.append(pool.submit(make, k))
            yield item
    finally:
        pool.shutdown(cancel_futures=True)
