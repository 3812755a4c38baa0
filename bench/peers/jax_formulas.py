"""The formulas in JAX, compiled: arguments and shapes are those of problems.py.

S5 is an associative scan, as it is published; Mamba's scan a `lax.scan`, which keeps no states.
"""

import math

import jax
from jax import lax
from jax import numpy as jnp


def prepare(kind, problem):
    """A call that evaluates formula `kind`, compiled here; None if there is none."""
    formula = FORMULAS.get(kind)
    if not formula:
        return None
    arguments = {name: jnp.asarray(array) for name, array in problem.items()}
    compiled = jax.jit(lambda given: formula(**given)).lower(arguments).compile()
    return lambda: jax.block_until_ready(compiled(arguments))


def both(half):
    """Conjugate pairs from one of each."""
    return jnp.concatenate([half, half.conj()], -1)


def convolve(u, kernel, D):
    """Causal convolution of u (batch, H, L) by kernel (H, L), with a skip."""
    length = u.shape[-1]
    spectrum = jnp.fft.rfft(kernel, n=2 * length) * jnp.fft.rfft(u, n=2 * length)
    return jnp.fft.irfft(spectrum, n=2 * length)[..., :length] + D[:, None] * u


def vandermonde(v, w, taps):
    return 2 * jnp.einsum("hn,hnl->hl", v, jnp.exp(w[..., None] * taps)).real


def s4d(u, poles, dt, C, D):
    exponents = dt[:, None] * poles
    taps = jnp.arange(u.shape[-1], dtype=u.dtype)
    return convolve(u, vandermonde(C * (jnp.exp(exponents) - 1) / poles, exponents, taps), D)


def cauchy(v, w, z):
    return both(v) @ (1 / (z - both(w)[:, None]))


def s4(u, poles, P, B, C, dt, D):
    """Four Cauchy sums and Woodbury's identity at the roots of unity."""
    length = u.shape[-1]
    angle = jnp.arange(length // 2 + 1, dtype=dt.dtype) * (math.pi / length)
    sine, cosine = jnp.sin(angle), jnp.cos(angle)
    shared = [jnp.broadcast_to(P.conj() * weight, C.shape) for weight in (B, P)]
    weights = both(dt[:, None, None] * jnp.stack([C * B, C * P, *shared], 1))
    resolvent = 1 / (2j * sine - both(dt[:, None] * poles)[..., None] * cosine)
    CB, CP, PB, PP = jnp.moveaxis(weights @ resolvent, 1, 0)
    spectrum = jnp.exp(1j * angle) * (CB - cosine * CP * PB / (1 + cosine * PP))
    return convolve(u, jnp.fft.irfft(spectrum, n=length), D)


def combine(early, late):
    """x -> a x + b, one after the other."""
    return late[0] * early[0], late[0] * early[1] + late[1]


def s5(u, poles, dt, B, C, D):
    decay = jnp.exp(dt * poles)
    drive = ((decay - 1) / poles)[:, None] * B
    inputs = lax.complex(u @ drive.real.T, u @ drive.imag.T)
    _, x = lax.associative_scan(combine, (jnp.broadcast_to(decay, inputs.shape), inputs))
    return 2 * (x.real @ C.real.T - x.imag @ C.imag.T) + D * u


def selective(u, delta, z, A, B, C, D, bias):
    dt = jax.nn.softplus(delta + bias)

    def step(h, now):
        u, dt, B, C = now
        h = jnp.exp(dt[:, None] * A) * h + (dt * u)[:, None] * B
        return h, h @ C

    _, y = lax.scan(step, jnp.zeros_like(A), (u, dt, B, C))
    return (y + D * u) * jax.nn.silu(z)


def ssd(x, delta, A, B, C, D):
    """Matrix products within chunks of 64, and between them the recurrence of their states."""
    length, heads, channels = x.shape
    chunks = (length // 64, 64)
    dt = jax.nn.softplus(delta)
    scaled = (dt[..., None] * x).reshape(*chunks, heads, channels)
    B, C = B.reshape(*chunks, -1), C.reshape(*chunks, -1)
    # (chunks, heads, chunk)
    log_decay = (dt * A).reshape(*chunks, heads).cumsum(1).transpose(0, 2, 1)
    between = log_decay[..., :, None] - log_decay[..., None, :]
    mask = jnp.exp(jnp.where(jnp.tri(64, dtype=bool), between, -jnp.inf))
    scores = jnp.einsum("cin,cjn->cij", C, B)[:, None] * mask
    within = jnp.einsum("chij,cjhp->cihp", scores, scaled)
    to_end = jnp.exp(log_decay[..., -1:] - log_decay)
    states = jnp.einsum("cjn,chj,cjhp->chpn", B, to_end, scaled)

    def step(state, now):
        decay, state_of_chunk = now
        return decay[:, None, None] * state + state_of_chunk, state

    _, entering = lax.scan(step, jnp.zeros_like(states[0]), (jnp.exp(log_decay[..., -1]), states))
    carried = jnp.einsum("cin,chi,chpn->cihp", C, jnp.exp(log_decay), entering)
    return (within + carried).reshape(x.shape) + D[:, None] * x


def conv1d(u, weight, bias):
    """A sum of shifted inputs, which the compiler makes one loop."""
    width = weight.shape[1]
    padded = jnp.pad(u, ((0, 0), (width - 1, 0)))
    terms = (weight[:, k, None] * padded[:, k : k + u.shape[1]] for k in range(width))
    return jax.nn.silu(bias[:, None] + sum(terms))


def s4d_step(u, x, decay, drive, C, D):
    x = decay * x + drive * u[:, None]
    return 2 * (C * x).sum(-1).real + D * u, x


def s5_step(u, x, decay, drive, C, D):
    x = decay * x + lax.complex(drive.real @ u, drive.imag @ u)
    return 2 * (C.real @ x.real - C.imag @ x.imag) + D * u, x


FORMULAS = {
    formula.__name__: formula
    for formula in (s4d, s4, cauchy, vandermonde, s5, selective, ssd, conv1d, s4d_step, s5_step)
}
