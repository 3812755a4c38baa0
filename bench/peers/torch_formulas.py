"""The formulas in PyTorch, as one writes them from the papers without kernels of one's own.

Arguments and shapes are those of problems.py. A sum over modes is a batched product, a recurrence a
loop over time with one call a step, which was faster than recursive doubling.
"""

import math

import torch
from torch.nn import functional


def prepare(kind, problem):
    """A call that evaluates formula `kind`; None if there is none."""
    formula = FORMULAS.get(kind)
    arguments = {name: torch.from_numpy(array) for name, array in problem.items()}

    def call():
        with torch.no_grad():
            return formula(**arguments)

    return call if formula else None


def both(half):
    """Conjugate pairs from one of each."""
    return torch.cat([half, half.conj()], -1)


def convolve(u, kernel, D):
    """Causal convolution of u (batch, H, L) by kernel (H, L), with a skip."""
    length = u.shape[-1]
    spectrum = torch.fft.rfft(kernel, n=2 * length) * torch.fft.rfft(u, n=2 * length)
    return torch.fft.irfft(spectrum, n=2 * length)[..., :length] + D[:, None] * u


def recur(decay, x):
    """x[t] += decay[t] x[t-1] along the first axis, in place."""
    rows = x.unbind(0)
    for factor, before, row in zip(decay.expand_as(x).unbind(0)[1:], rows, rows[1:]):
        row.addcmul_(factor, before)
    return x


def vandermonde(v, w, taps):
    powers = torch.exp(w[..., None] * taps)
    return 2 * torch.einsum("hn,hnl->hl", v, powers).real


def s4d(u, poles, dt, C, D):
    exponents = dt[:, None] * poles
    taps = torch.arange(u.shape[-1], dtype=u.dtype)
    return convolve(u, vandermonde(C * (torch.exp(exponents) - 1) / poles, exponents, taps), D)


def cauchy(v, w, z):
    return both(v) @ (1 / (z - both(w)[:, None]))


def s4_kernel(poles, P, B, C, dt, length):
    """Four Cauchy sums and Woodbury's identity at the roots of unity, and back."""
    angle = torch.arange(length // 2 + 1, dtype=dt.dtype) * (math.pi / length)
    sine, cosine = torch.sin(angle), torch.cos(angle)
    shared = [(P.conj() * weight).expand_as(C) for weight in (B, P)]
    weights = both(dt[:, None, None] * torch.stack([C * B, C * P, *shared], 1))
    resolvent = 1 / (2j * sine - both(dt[:, None] * poles)[..., None] * cosine)
    CB, CP, PB, PP = (weights @ resolvent).unbind(1)
    spectrum = torch.exp(1j * angle) * (CB - cosine * CP * PB / (1 + cosine * PP))
    return torch.fft.irfft(spectrum, n=length)


def s4(u, poles, P, B, C, dt, D):
    return convolve(u, s4_kernel(poles, P, B, C, dt, u.shape[-1]), D)


def s5(u, poles, dt, B, C, D):
    decay = torch.exp(dt * poles)
    drive = ((decay - 1) / poles)[:, None] * B
    x = recur(decay, torch.complex(u @ drive.real.T, u @ drive.imag.T))
    return 2 * (x.real @ C.real.T - x.imag @ C.imag.T) + D * u


def selective(u, delta, z, A, B, C, D, bias):
    dt = functional.softplus(delta + bias)
    decay = torch.exp(dt[..., None] * A)
    states = recur(decay, (dt * u)[..., None] * B[:, None])
    y = torch.einsum("ldn,ln->ld", states, C) + D * u
    return y * functional.silu(z)


def ssd(x, delta, A, B, C, D, chunk=64):
    """Matrix products within chunks, and between them the recurrence of their states."""
    length, heads, channels = x.shape
    dt = functional.softplus(delta)
    chunks = (length // chunk, chunk)
    scaled = (dt[..., None] * x).view(*chunks, heads, channels)
    B, C = B.view(*chunks, -1), C.view(*chunks, -1)
    # (chunks, heads, chunk)
    log_decay = (dt * A).view(*chunks, heads).cumsum(1).transpose(1, 2)
    between = log_decay[..., :, None] - log_decay[..., None, :]
    future = torch.ones(chunk, chunk, dtype=torch.bool).triu(1)
    mask = torch.exp(between.masked_fill(future, -math.inf))
    scores = (C @ B.transpose(1, 2))[:, None] * mask
    within = torch.einsum("chij,cjhp->cihp", scores, scaled)
    to_end = torch.exp(log_decay[..., -1:] - log_decay)
    states = torch.einsum("cjn,chj,cjhp->chpn", B, to_end, scaled)
    recur(torch.exp(log_decay[..., -1])[..., None, None], states)
    carried = torch.einsum("cin,chi,chpn->cihp", C[1:], torch.exp(log_decay[1:]), states[:-1])
    within[1:] += carried
    return within.reshape(x.shape) + D[:, None] * x


def conv1d(u, weight, bias):
    channels, width = weight.shape
    y = functional.conv1d(u[None], weight[:, None], bias, padding=width - 1, groups=channels)
    return functional.silu(y[0, :, : u.shape[1]])


def s4d_step(u, x, decay, drive, C, D):
    x = decay * x + drive * u[:, None]
    return 2 * (C * x).sum(-1).real + D * u, x


def s5_step(u, x, decay, drive, C, D):
    x = decay * x + torch.complex(drive.real @ u, drive.imag @ u)
    return 2 * (C.real @ x.real - C.imag @ x.imag) + D * u, x


FORMULAS = {
    formula.__name__: formula
    for formula in (s4d, s4, cauchy, vandermonde, s5, selective, ssd, conv1d, s4d_step, s5_step)
}
