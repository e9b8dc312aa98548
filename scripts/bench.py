"""Compare the speed of ganrun with other code and write benchmarks/WHAT.json.

python scripts/bench.py loop            ganrun's training step against plain loops, Lightning's tutorial and a loop
                                        without a trainer; 20 minutes
python scripts/bench.py metrics         FID, KID and IS in one pass and FID's matrix root against torchmetrics, and the
                                        memory of precision and recall; 5 minutes
python scripts/bench.py data            batches against DataLoaders, and decoding on two CPUs; 8 minutes
python scripts/bench.py start           from the command to the first training step, and a sweep; 25 minutes
python scripts/bench.py checkpoint      the cost of saving; 5 minutes
python scripts/bench.py ranks           two processes against one; 8 minutes
python scripts/bench.py gpu             the training step on a GPU: bf16, channels_last, graphs, compiled; 5 minutes
python scripts/bench.py WHAT --quick    a short look; nothing is written

Times are CPU seconds of one thread in one process, measured alternately; for checkpoint, gpu, ranks and decoding they
are wall-clock seconds. ratio: the other's time / ganrun's, the median over pairs of rounds, with the bounds of its
95 % confidence interval. 2.0 means that ganrun is twice as fast.
"""

import argparse
import json
import platform
from collections.abc import Sequence
from importlib import import_module
from math import comb
from pathlib import Path
from statistics import median

import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
# Each is scripts/bench_WHAT.py with a NOTE and measure(rounds, is_quick).
SUBJECTS = ["checkpoint", "data", "gpu", "loop", "metrics", "ranks", "start"]


def summarize(result: dict) -> dict:
    """Return a measurement as it is written, with the median and interval of its ratios in place of the ratios."""
    summary = {key: value for key, value in result.items() if key != "ratios"}
    if "ratios" in result:
        low, high = confidence_interval(result["ratios"])
        summary |= {"ratio": round(median(result["ratios"]), 3), "low": round(low, 3), "high": round(high, 3)}
        summary["rounds"] = len(result["ratios"])
    return {**summary, "machine": result.get("machine", describe_machine())}


def confidence_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Return the order statistics that enclose the median with at least this confidence; the extremes if n < 6.

    The k-th smallest and k-th largest miss it with probability 2 P(Binomial(n, 1/2) < k).
    """
    n, k, below = len(values), 1, 1
    while 2 * (below + comb(n, k)) <= (1 - confidence) * 2**n:
        below += comb(n, k)
        k += 1
    ordered = sorted(values)
    return ordered[k - 1], ordered[-k]


def describe_machine() -> str:
    """Return the processor and the version of torch."""
    names = [platform.processor() or platform.machine()]
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")] or names
    return f"{names[0]}, 1 thread, torch {torch.__version__}"


def format_table(results: Sequence[dict]) -> str:
    """Format the ratios as a table, then the other measurements, one per line."""
    ratios = [r for r in results if "ratio" in r]
    widths = [max((len(r[key]) for r in ratios), default=0) + 2 for key in ("work", "against")]
    lines = [f"{'work':{widths[0]}}{'against':{widths[1]}}{'ratio':>7}  {'95 %':15}rounds"] if ratios else []
    for r in ratios:
        bounds = f"{r['low']:.3f}-{r['high']:.3f}"
        lines.append(f"{r['work']:{widths[0]}}{r['against']:{widths[1]}}{r['ratio']:7.3f}  {bounds:15}{r['rounds']}")
    for r in (r for r in results if "ratio" not in r):
        figures = ", ".join(f"{key} {value}" for key, value in r.items() if key not in ("work", "machine"))
        lines.append(f"{r['work']}: {figures}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=SUBJECTS)
    parser.add_argument("--rounds", type=int, help="pairs of rounds per workload")
    parser.add_argument("--quick", action="store_true", help="a few small rounds; nothing is written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    subject = import_module(f"bench_{options.what}")
    results = [summarize(result) for result in subject.measure(options.rounds, options.quick)]
    print(f"{subject.NOTE}\n\n{describe_machine()}\n{format_table(results)}")
    if not options.quick:
        BENCHMARKS.mkdir(exist_ok=True)
        (BENCHMARKS / f"{options.what}.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
