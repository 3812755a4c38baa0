"""Times of our own benchmarks, from their executables."""

import json
import subprocess

NANOSECONDS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}


def measure(folder, case, threads, seconds):
    """(seconds an iteration, times its lower bound or None), the best of the runs of a case.

    Names hold no character with a meaning of its own in regular expressions.
    """
    name = case.benchmark.format(threads=threads)
    command = [
        f"{folder}/{case.executable}",
        f"--benchmark_filter=^{name}$",
        f"--benchmark_min_time={seconds / case.runs:.3f}",
        f"--benchmark_repetitions={case.runs}",
        "--benchmark_format=json",
    ]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    done = subprocess.run(command, check=True, **quiet)
    if not done.stdout.strip().startswith("{"):
        raise LookupError(f"{case.executable} has no benchmark {name}")
    runs = [run for run in json.loads(done.stdout)["benchmarks"] if run["run_type"] == "iteration"]
    best = min(runs, key=lambda run: run["real_time"])
    return best["real_time"] * NANOSECONDS[best["time_unit"]] * 1e-9, best.get("x_bound")
