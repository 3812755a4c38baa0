"""Inputs of the cases, as numpy arrays in double: everything that a formula takes as an argument.

L time steps, H channels, n stored modes of conjugate pairs (a state of N = 2 n), P modes of S5.
"""

import math

import numpy as np


def single(problem):
    """The same problem in float and complex of single precision."""
    narrow = {"d": np.float32, "D": np.complex64}
    return {name: array.astype(narrow[array.dtype.char]) for name, array in problem.items()}


def complex_normal(rng, *shape):
    """Circular normal numbers of variance 1."""
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)) / math.sqrt(2)


def time_steps(rng, count):
    """Log-uniform from 1e-3 to 1e-1."""
    return np.exp(rng.uniform(math.log(1e-3), math.log(1e-1), count))


def lin_poles(modes):
    """S4D-Lin: -1/2 + i pi n."""
    return -0.5 + 1j * math.pi * np.arange(modes)


def legs(modes):
    """HiPPO-LegS of 2 `modes` states, diagonal plus rank one: poles, P, B of one of each pair."""
    index = np.arange(2 * modes)
    B = np.sqrt(2.0 * index + 1.0)
    P = B / math.sqrt(2.0)
    A = -np.tril(np.outer(B, B), -1) - np.diag(index + 1.0)
    skew = A + np.outer(P, P) + 0.5 * np.eye(2 * modes)
    frequency, vectors = np.linalg.eigh(-1j * skew)
    half = vectors[:, :modes].conj().T
    return -0.5 + 1j * frequency[:modes], half @ P, half @ B


def s4d(rng, L, batch, H, n):
    """An S4D layer: u (batch, H, L), poles and C (H, n), dt and D (H)."""
    return {
        "u": rng.standard_normal((batch, H, L)),
        "poles": np.tile(lin_poles(n), (H, 1)),
        "dt": time_steps(rng, H),
        "C": complex_normal(rng, H, n),
        "D": rng.standard_normal(H),
    }


def s4(rng, L, batch, H, n):
    """An S4 layer: poles, P and B (n), C (H, n) folded for length L as published code stores it."""
    poles, P, B = legs(n)
    return {
        "u": rng.standard_normal((batch, H, L)),
        "poles": poles,
        "P": P,
        "B": B,
        "C": complex_normal(rng, H, n),
        "dt": time_steps(rng, H),
        "D": rng.standard_normal(H),
    }


def cauchy(rng, n, nodes, products):
    """v (products, n) over z - w for imaginary z (nodes)."""
    return {
        "v": complex_normal(rng, products, n),
        "w": 0.01 * legs(n)[0],
        "z": 2j * np.tan(math.pi * np.arange(1, nodes + 1) / (2 * nodes + 2)),
    }


def vandermonde(rng, L, H, n):
    """v and logarithms of poles w (H, n) of kernels of L taps; `taps` counts them."""
    return {
        "v": complex_normal(rng, H, n),
        "w": np.outer(time_steps(rng, H), lin_poles(n)),
        "taps": np.arange(float(L)),
    }


def s5(rng, L, H, P):
    """An S5 layer: u (L, H), poles and dt (P), B (P, H), C (H, P), D (H)."""
    return {
        "u": rng.standard_normal((L, H)),
        "poles": legs(P)[0],
        "dt": time_steps(rng, P),
        "B": complex_normal(rng, P, H) / math.sqrt(H),
        "C": complex_normal(rng, H, P) / math.sqrt(P),
        "D": rng.standard_normal(H),
    }


def selective(rng, L, D, N):
    """Mamba's scan: u, delta and z (L, D), A (D, N), B and C (L, N), D and bias (D)."""
    return {
        "u": rng.uniform(-1.7, 1.7, (L, D)),
        "delta": rng.uniform(-2.5, 2.2, (L, D)),
        "z": rng.uniform(-2.0, 2.0, (L, D)),
        "A": -np.tile(np.arange(1.0, N + 1.0), (D, 1)),
        "B": rng.uniform(-1.0, 1.0, (L, N)),
        "C": rng.uniform(-1.0, 1.0, (L, N)),
        "D": rng.uniform(0.5, 1.5, D),
        "bias": rng.uniform(-6.0, -3.0, D),
    }


def ssd(rng, L, heads, P, N):
    """Mamba-2's scan: x (L, heads, P), delta (L, heads), A and D (heads), B and C (L, N)."""
    return {
        "x": rng.uniform(-1.0, 1.0, (L, heads, P)),
        "delta": rng.uniform(-7.0, -2.2, (L, heads)),
        "A": rng.uniform(-16.0, -1.0, heads),
        "B": rng.uniform(-1.0, 1.0, (L, N)),
        "C": rng.uniform(-1.0, 1.0, (L, N)),
        "D": np.ones(heads),
    }


def conv1d(rng, L, channels, width):
    """Causal depthwise convolution: u (channels, L), weight (channels, width), bias (channels)."""
    return {
        "u": rng.standard_normal((channels, L)),
        "weight": rng.standard_normal((channels, width)),
        "bias": rng.standard_normal(channels),
    }


def s4d_step(rng, H, n):
    """One step of a discretised S4D layer: u and D (H), the state x, decay, drive and C (H, n)."""
    exponents = np.outer(time_steps(rng, H), lin_poles(n))
    return {
        "u": rng.standard_normal(H),
        "x": complex_normal(rng, H, n),
        "decay": np.exp(exponents),
        "drive": (np.exp(exponents) - 1.0) / lin_poles(n),
        "C": complex_normal(rng, H, n),
        "D": rng.standard_normal(H),
    }


def s5_step(rng, H, P):
    """One step of a discretised S5 layer: u and D (H), x and decay (P), drive (P, H), C (H, P)."""
    return {
        "u": rng.standard_normal(H),
        "x": complex_normal(rng, P),
        "decay": np.exp(time_steps(rng, P) * legs(P)[0]),
        "drive": complex_normal(rng, P, H) / math.sqrt(H),
        "C": complex_normal(rng, H, P) / math.sqrt(P),
        "D": rng.standard_normal(H),
    }
