#!/usr/bin/env python3
"""Our benchmarks beside PyTorch and JAX on the same shapes and cores, as one table.

    python3 bench/peers/report.py --bench build/release/bench [--only s4d,s5] [--quick] [--markdown]
    python3 bench/peers/report.py --check

Needs numpy, and of torch, jax and transformers what is to be compared; the others are left out. Times are
the best of a few calls, in float. "x bound" is our time over the lower bound that the benchmark states,
"ratio" the time of a peer over ours. JAX compiles before the clock starts. --check compares the formulas
of the peers with recurrences in double instead.
"""

import argparse
import importlib
import os
import sys
import time

import ours
from cases import CHECKS, all_cases

COLUMNS = (26, 36, 10, 8, 13, 8, 13, 8)  # widths
TITLES = ("case", "shape", "ssm", "x bound", "torch", "ratio", "JAX", "ratio")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    groups = list(dict.fromkeys(case.group for case in all_cases()))
    add = parser.add_argument
    add("--bench", default="build/release/bench", help="folder of our executables")
    add("--threads", type=int, default=1, help="more than 1 leaves out benchmarks of one thread")
    add("--seconds", type=float, default=0.3, help="time for a number; slow calls run once")
    add("--only", default=",".join(groups), help="groups of cases (default: %(default)s)")
    add("--quick", action="store_true", help="leave out long cases")
    add("--markdown", action="store_true")
    add("--check", action="store_true", help="compare the formulas with their definitions")
    options = parser.parse_args()
    unknown = set(options.only.split(",")) - set(groups)
    if unknown:
        parser.error(f"no group {', '.join(sorted(unknown))}; there are {', '.join(groups)}")
    return options


def keep_to_cores(threads):
    """Confines this process and those it starts to some cores, before libraries are imported.

    JAX makes as many threads as it finds cores.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    os.environ.update(OMP_NUM_THREADS=str(threads), NPROC=str(threads))
    os.environ.update(JAX_PLATFORMS="cpu", CUDA_VISIBLE_DEVICES="")


def peers(threads):
    """{library: its prepare(kind, problem)} of the installed ones."""
    found = {}
    for library in ("torch", "jax"):
        try:
            importlib.import_module(library)
            found[library] = importlib.import_module(f"{library}_formulas").prepare
        except ImportError:
            pass
    if "torch" in found:
        importlib.import_module("torch").set_num_threads(threads)
    return found


def versions(found):
    return ", ".join(f"{name} {importlib.import_module(name).__version__}" for name in found)


def best_seconds(call, seconds):
    """The best of the calls that begin within a time: two at least, or one that takes over a second."""
    times = []
    while sum(times) < seconds or (len(times) == 1 and times[0] < 1.0):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def prepared(library, prepare, case):
    """A call that does what a case measures; None if the library has nothing for it."""
    import numpy

    import problems

    if hasattr(problems, case.kind):
        problem = getattr(problems, case.kind)(numpy.random.default_rng(1), **case.sizes)
        return prepare(case.kind, problems.single(problem))
    model = importlib.import_module(f"{library}_models").MODELS.get(case.kind)
    return model(**case.sizes) if model else None


def complain(what, error):
    """One line of an error, beside the table."""
    reason = (str(error).splitlines() or [""])[0]
    print(f"{what}: {type(error).__name__}: {reason}", file=sys.stderr, flush=True)


def peer_cells(library, prepare, case, seconds, own):
    """Time of a peer and its ratio to ours, as text."""
    if prepare is None:
        return "not installed", ""
    try:
        call = prepared(library, prepare, case)
        if call is None:
            return "-", ""
        taken = best_seconds(call, seconds) / case.calls
    except ImportError as error:
        return f"no {error.name}", ""
    except Exception as error:  # one case must not end the report
        complain(f"{case.title} in {library}", error)
        return "failed", ""
    return written_time(taken), f"{taken / own:.1f}" if own else ""


def own_cells(folder, case, threads, seconds):
    """Our time in seconds, or None, and the cells that show it and its bound."""
    try:
        taken, bound = ours.measure(folder, case, threads, seconds)
    except FileNotFoundError:
        return None, ("not built", "")
    except Exception as error:  # one case must not end the report
        complain(case.title, error)
        return None, ("failed", "")
    return taken, (written_time(taken), f"{bound:.2f}" if bound else "-")


def written_time(seconds):
    """Three digits and a unit."""
    units = (("s", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9))
    unit, factor = next((u for u in units if seconds * u[1] >= 1.0), units[-1])
    value = seconds * factor
    return f"{value:.0f} {unit}" if value >= 100.0 else f"{value:.3g} {unit}"


def print_row(cells, markdown):
    if markdown:
        print("| " + " | ".join(cells) + " |", flush=True)
        return
    texts, numbers = cells[:2], cells[2:]
    left = [text.ljust(width) for text, width in zip(texts, COLUMNS)]
    right = [number.rjust(width) for number, width in zip(numbers, COLUMNS[2:])]
    print(" ".join(left + right).rstrip(), flush=True)


def chosen(options):
    """The cases that the options leave."""
    for case in all_cases():
        fits = case.threaded or options.threads == 1
        if case.group in options.only.split(",") and fits and not (options.quick and case.long):
            yield case


def report(options):
    """The table, a row as soon as it is known."""
    found = peers(options.threads)
    print(f"{options.threads} thread(s), float; {versions(found) or 'no peer installed'}\n", flush=True)
    print_row(TITLES, options.markdown)
    if options.markdown:
        print_row(["---", "---"] + ["---:"] * (len(TITLES) - 2), True)
    for case in chosen(options):
        own, cells = own_cells(options.bench, case, options.threads, options.seconds)
        row = [case.title, case.shape, *cells]
        for library in ("torch", "jax"):
            row += peer_cells(library, found.get(library), case, options.seconds, own)
        print_row(row, options.markdown)


def largest_difference(got, wanted):
    """Between numbers, or tuples of them, relative to the largest wanted."""
    import numpy

    pairs = zip(got, wanted) if isinstance(wanted, tuple) else [(got, wanted)]
    return max(float(abs(numpy.asarray(g) - w).max() / abs(w).max()) for g, w in pairs)


def check(options):
    """The largest relative difference of every formula in double; whether all are small."""
    import numpy

    import definitions
    import problems

    found = peers(options.threads)
    if "jax" in found:
        importlib.import_module("jax").config.update("jax_enable_x64", True)
    good = True
    for kind, sizes in CHECKS.items():
        problem = getattr(problems, kind)(numpy.random.default_rng(1), **sizes)
        wanted = getattr(definitions, kind)(**problem)
        for library, prepare in found.items():
            difference = largest_difference(prepare(kind, problem)(), wanted)
            good = good and difference < 1e-11
            print(f"{kind:12} {library:6} {difference:.1e}", flush=True)
    return good


def main():
    options = arguments()
    keep_to_cores(options.threads)
    if options.check:
        sys.exit(0 if check(options) else 1)
    report(options)


if __name__ == "__main__":
    main()
