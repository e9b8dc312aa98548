"""Compare the speed of ganrun with other code and write benchmarks/WHAT.json.

python scripts/bench.py loop            ganrun's training step against plain loops, Lightning's tutorial, loops of other
                                        projects and a loop without a trainer; 25 minutes
python scripts/bench.py metrics         FID, KID and IS in one pass and FID's matrix root against torchmetrics, and the
                                        memory of precision and recall; 5 minutes
python scripts/bench.py data            batches against DataLoaders, and decoding on two CPUs; 8 minutes
python scripts/bench.py start           from the command to the first training step, and a sweep; 25 minutes
python scripts/bench.py checkpoint      the cost of saving; 5 minutes
python scripts/bench.py ranks           two processes against one; 8 minutes
python scripts/bench.py gpu             the training step on a GPU: bf16, channels_last, graphs, compiled; 5 minutes
python scripts/bench.py WHAT --quick    a short look; nothing is written
python scripts/bench.py loop --only "dcgan 3x64x64"
                                        the works with this in their names; their rows of the file are replaced;
                                        --only torchgan or "written anew" for those of other projects

Times are CPU seconds of one thread in one process, measured alternately; for checkpoint, gpu, ranks and decoding they
are wall-clock seconds. ratio: the other's time / ganrun's, the median over pairs of rounds, with the bounds of its
95 % confidence interval. 2.0 means that ganrun is twice as fast.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from math import comb
from pathlib import Path
from statistics import median

import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
# Each is scripts/bench_WHAT.py with a NOTE and parts(rounds, is_quick) -> {name: function that returns the results}.
ROW = "{:<42} {:<47} {:>6}  {:<13} {}"
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


def format_result(result: dict) -> str:
    """Format a ratio as a row of a table, another measurement as its figures."""
    if "ratio" in result:
        bounds = f"{result['low']:.3f}-{result['high']:.3f}"
        return ROW.format(result["work"], result["against"], f"{result['ratio']:.3f}", bounds, result["rounds"])
    figures = ", ".join(f"{key} {value}" for key, value in result.items() if key not in ("work", "machine"))
    return f"{result['work']}: {figures}"


def choose_parts(parts: Mapping[str, Callable], text: str) -> Mapping[str, Callable]:
    """Return the part of that name, or else those with the text in their names. SystemExit if there is none."""
    chosen = {text: parts[text]} if text in parts else {name: parts[name] for name in parts if text in name}
    if not chosen:
        raise SystemExit(f"--only {text!r}: nothing has this in its name. There are:\n  " + "\n  ".join(parts))
    return chosen


def run_parts(parts: Mapping[str, Callable]) -> list[dict]:
    """Measure, print each result as it comes, and how long that took."""
    results, start = [], time.monotonic()
    for measure in parts.values():
        for result in map(summarize, measure()):
            print(format_result(result), flush=True)
            results.append(result)
    print(f"{(time.monotonic() - start) / 60:.1f} minutes in all")
    return results


def merge_results(before: Sequence[dict], results: Sequence[dict]) -> list[dict]:
    """Return the results in the places of those before of the same rows, and those of other rows."""
    rows = {(result["work"], result.get("against")): result for result in before}
    return [*(rows | {(result["work"], result.get("against")): result for result in results}).values()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=SUBJECTS)
    parser.add_argument("--rounds", type=int, help="pairs of rounds per workload")
    parser.add_argument("--quick", action="store_true", help="a few small rounds; nothing is written")
    parser.add_argument("--only", metavar="NAME", default="", help="measure only the works with NAME in their names")
    options = parser.parse_args()
    torch.set_num_threads(1)
    subject = import_module(f"bench_{options.what}")
    parts = choose_parts(subject.parts(options.rounds, options.quick), options.only)
    header = ROW.format("work", "against", "ratio", "95 %", "rounds")
    print(subject.NOTE, "", describe_machine(), header, sep="\n", flush=True)
    results, path = run_parts(parts), BENCHMARKS / f"{options.what}.json"
    if options.only and path.exists():
        results = merge_results(json.loads(path.read_text()), results)
    if not options.quick:
        BENCHMARKS.mkdir(exist_ok=True)
        path.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
