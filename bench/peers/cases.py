"""What is compared: a benchmark of ours, and a formula or model of the peers of the same shape."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """`kind` names a function of problems.py, or a model of the peers, and `sizes` its arguments."""

    group: str
    title: str
    kind: str
    sizes: dict
    executable: str
    benchmark: str
    runs: int = 3  # of the benchmark, of which the best counts
    calls: int = 1  # iterations of the benchmark that one call of a peer does
    long: bool = False

    @property
    def threaded(self):
        """Whether the benchmark can use several threads."""
        return "{threads}" in self.benchmark

    @property
    def shape(self):
        return " ".join(f"{name}={size}" for name, size in self.sizes.items())


def s4d_cases():
    for L in (1024, 4096, 16384):
        for batch in (1, 8):
            sizes = {"L": L, "batch": batch, "H": 256, "n": 32}
            name = f"forward<evaluation::Auto>/L:{L}/batch:{batch}/H:256/N:64"
            yield Case("s4d", "S4D layer", "s4d", sizes, "bench_layer", name, long=L > 4096)


def s4_cases():
    for L in (1024, 4096):
        for batch in (1, 8):
            sizes = {"L": L, "batch": batch, "H": 256, "n": 32}
            name = f"forward<Plain>/L:{L}/batch:{batch}/H:256/folded:1"
            yield Case("s4", "S4 layer", "s4", sizes, "bench_layer", name, long=L > 1024)


def sum_cases():
    sizes = {"n": 32, "nodes": 511, "products": 4}
    yield Case("sums", "Cauchy sums", "cauchy", sizes, "bench_kernel", "sums<float>/4")
    sizes = {"L": 4096, "H": 256, "n": 32}
    name = "kernel<float>/4096"
    yield Case("sums", "Vandermonde sums", "vandermonde", sizes, "bench_kernel", name)


def scan_cases():
    sizes = {"L": 4096, "H": 256, "P": 256}
    name = "forward<S5<float>>/L:4096/batch:1/H:256/P:256"
    yield Case("s5", "S5 layer", "s5", sizes, "bench_layer", name)
    sizes = {"L": 2048, "D": 1536, "N": 16}
    name = "forward<float>/channels:1536/length:2048/N:16"
    yield Case("selective", "selective scan", "selective", sizes, "bench_scan", name)
    sizes = {"L": 2048, "heads": 24, "P": 64, "N": 128}
    name = "forward<float>/L:2048/heads:24/P:64/N:128"
    yield Case("ssd", "SSD", "ssd", sizes, "bench_scan", name)
    sizes = {"L": 2048, "channels": 1536, "width": 4}
    name = "conv1d_forward/2048/1536"
    yield Case("conv1d", "causal convolution, SiLU", "conv1d", sizes, "bench_layer", name)


def step_cases():
    sizes = {"H": 512, "n": 32}
    yield Case("step", "step of S4D", "s4d_step", sizes, "bench_layer", "step/H:512")
    sizes = {"H": 256, "P": 256}
    yield Case("step", "step of S5", "s5_step", sizes, "bench_layer", "step/H:256/P:256")


def model_cases():
    for L, batch, H, depth, N in ((64, 64, 48, 3, 32), (1024, 16, 128, 6, 64)):
        sizes = {"L": L, "batch": batch, "H": H, "depth": depth, "N": N}
        shape = "/".join(f"{name}:{size}" for name, size in sizes.items())
        name = f"training_step/{shape}/threads:{{threads}}/real_time"
        title = "training step, S4D"
        yield Case("training", title, "training_step", sizes, "bench_model", name, long=L > 64)
    once = {"executable": "bench_model", "runs": 1, "long": True}
    name = "prompt/L:512/threads:{threads}/real_time"
    yield Case("lm", "Mamba 130m, prompt", "prompt", {"L": 512}, benchmark=name, **once)
    name = "decode<Full>/texts:1/threads:{threads}/iterations:50/real_time"
    yield Case("lm", "Mamba 130m, each token", "decode", {"tokens": 8}, benchmark=name, calls=8, **once)


def all_cases():
    return [*s4d_cases(), *s4_cases(), *sum_cases(), *scan_cases(), *step_cases(), *model_cases()]


# Small sizes for every formula, against its definition.
CHECKS = {
    "s4d": {"L": 40, "batch": 2, "H": 3, "n": 4},
    "s4": {"L": 40, "batch": 2, "H": 3, "n": 4},
    "cauchy": {"n": 4, "nodes": 9, "products": 3},
    "vandermonde": {"L": 40, "H": 3, "n": 4},
    "s5": {"L": 40, "H": 5, "P": 4},
    "selective": {"L": 40, "D": 5, "N": 3},
    "ssd": {"L": 192, "heads": 3, "P": 4, "N": 5},
    "conv1d": {"L": 40, "channels": 3, "width": 4},
    "s4d_step": {"H": 3, "n": 4},
    "s5_step": {"H": 5, "P": 4},
}
