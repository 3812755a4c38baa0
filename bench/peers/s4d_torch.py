#!/usr/bin/env python3
"""S4D in PyTorch on the cases of the benchmarks, for comparison on the same machine.

    python3 bench/peers/s4d_torch.py [--threads 1] [--quick]

Needs torch (Debian: apt-get install python3-torch). The layer is the textbook one: a kernel by a Vandermonde
product in complex64, then a convolution by real FFTs of twice the length, as the published S4D code does
without its CUDA extension. Times are the best of a few runs; the model is the one of bench/model/training.
"""

import argparse
import math
import time

import torch
from torch import nn


class S4D(nn.Module):
    def __init__(self, width, state=64):
        super().__init__()
        modes = state // 2
        self.D = nn.Parameter(torch.randn(width))
        self.log_dt = nn.Parameter(torch.rand(width) * math.log(100) + math.log(1e-3))
        self.log_decay = nn.Parameter(torch.log(0.5 * torch.ones(width, modes)))
        self.frequency = nn.Parameter(math.pi * torch.arange(modes).float().repeat(width, 1))
        self.C = nn.Parameter(torch.randn(width, modes, 2) / math.sqrt(2))

    def kernel(self, length):
        poles = -torch.exp(self.log_decay) + 1j * self.frequency
        scaled = poles * torch.exp(self.log_dt).unsqueeze(-1)
        weights = torch.view_as_complex(self.C) * (torch.exp(scaled) - 1.0) / poles
        powers = torch.exp(scaled.unsqueeze(-1) * torch.arange(length))
        return 2 * torch.einsum("hn,hnl->hl", weights, powers).real

    def forward(self, u):  # (batch, H, L)
        length = u.size(-1)
        spectrum = torch.fft.rfft(self.kernel(length), n=2 * length) * torch.fft.rfft(u, n=2 * length)
        return torch.fft.irfft(spectrum, n=2 * length)[..., :length] + u * self.D.unsqueeze(-1)


class Block(nn.Module):
    def __init__(self, width, state, dropout):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.system = S4D(width, state)
        self.inner = nn.Sequential(nn.Dropout(dropout), nn.GELU(), nn.Dropout(dropout))
        self.mix = nn.Sequential(nn.Linear(width, 2 * width), nn.GLU())
        self.dropout = nn.Dropout(dropout)

    def forward(self, u):  # (batch, L, H)
        y = self.system(self.norm(u).transpose(1, 2)).transpose(1, 2)
        return u + self.dropout(self.mix(self.inner(y)))


def classifier(width, depth, state, dropout=0.1):
    blocks = [Block(width, state, dropout) for _ in range(depth)]
    return nn.Sequential(nn.Linear(1, width), *blocks, nn.LayerNorm(width)), nn.Linear(width, 10)


def best_time(call, repeats):
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def forward_case(length, batch, width=256, state=64):
    layer = S4D(width, state)
    u = torch.rand(batch, width, length) * 2 - 1

    def call():
        with torch.no_grad():
            layer(u)

    seconds = best_time(call, 3)
    print(f"forward        L {length:6d}  batch {batch}  H {width}: {seconds * 1e3:9.2f} ms, "
          f"{seconds * 1e9 / u.numel():7.2f} ns/number", flush=True)


def training_case(length, batch, width, depth, state):
    body, head = classifier(width, depth, state)
    optimizer = torch.optim.AdamW([*body.parameters(), *head.parameters()], lr=1e-3)
    u = torch.randn(batch, length, 1)
    labels = torch.randint(10, (batch,))

    def call():
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(head(body(u).mean(1)), labels).backward()
        optimizer.step()

    seconds = best_time(call, 3)
    print(f"training step  L {length:6d}  batch {batch}  H {width}  depth {depth}: {seconds * 1e3:9.2f} ms, "
          f"{batch / seconds:7.1f} samples/s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="leave out long sequences")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    for length in (1024, 4096) if arguments.quick else (1024, 4096, 16384):
        for batch in (1, 8):
            forward_case(length, batch)
    training_case(64, 64, 48, 3, 32)
    training_case(1024, 16, 128, 6, 64)


if __name__ == "__main__":
    main()
