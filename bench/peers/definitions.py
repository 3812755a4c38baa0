"""What each formula has to compute: recurrences step by step and sums term by term, in double."""

import numpy as np


def both(half):
    """Conjugate pairs from one of each."""
    return np.concatenate([half, half.conj()], -1)


def softplus(x):
    return np.log1p(np.exp(x))


def silu(x):
    return x / (1.0 + np.exp(-x))


def diagonal(u, decay, drive, C, D):
    """x = decay x + drive u, y = 2 Re C x + D u for u (batch, H, L) and modes (H, n)."""
    x = np.zeros(u.shape[:2] + decay.shape[-1:], complex)
    y = np.empty_like(u)
    for t in range(u.shape[-1]):
        x = decay * x + drive * u[..., t, None]
        y[..., t] = 2.0 * (C * x).real.sum(-1) + D * u[..., t]
    return y


def s4d(u, poles, dt, C, D):
    """Zero-order hold, B = 1."""
    decay = np.exp(dt[:, None] * poles)
    return diagonal(u, decay, (decay - 1.0) / poles, C, D)


def s4(u, poles, P, B, C, dt, D):
    """Dense matrices of the bilinear method, C unfolded."""
    A = np.diag(both(poles)) - np.outer(both(P), both(P).conj())
    identity = np.eye(len(A))
    y = np.empty_like(u)
    for h, step in enumerate(dt):
        inverse = np.linalg.inv(identity - step / 2.0 * A)
        A_bar = inverse @ (identity + step / 2.0 * A)
        B_bar = step * inverse @ both(B)
        fold = identity - np.linalg.matrix_power(A_bar, u.shape[-1])
        plain_C = np.linalg.solve(fold.T, both(C[h]))
        x = np.zeros((u.shape[0], len(A)), complex)
        for t in range(u.shape[-1]):
            x = x @ A_bar.T + np.outer(u[:, h, t], B_bar)
            y[:, h, t] = (x @ plain_C).real + D[h] * u[:, h, t]
    return y


def cauchy(v, w, z):
    """Sums of v / (z - w) and of their conjugate partners."""
    sums = np.zeros((len(v), len(z)), complex)
    for n, pole in enumerate(w):
        sums += v[:, n, None] / (z - pole) + v[:, n, None].conj() / (z - pole.conj())
    return sums


def vandermonde(v, w, taps):
    """Twice the real part of the sum of v exp(w l), by repeated products."""
    power = v.copy()
    kernel = np.empty((len(v), len(taps)))
    for l in range(len(taps)):
        kernel[:, l] = 2.0 * power.real.sum(-1)
        power = power * np.exp(w)
    return kernel


def s5(u, poles, dt, B, C, D):
    """Zero-order hold."""
    decay = np.exp(dt * poles)
    drive = ((decay - 1.0) / poles)[:, None] * B
    x = np.zeros(len(poles), complex)
    y = np.empty_like(u)
    for t, now in enumerate(u):
        x = decay * x + drive @ now
        y[t] = 2.0 * (C @ x).real + D * now
    return y


def selective(u, delta, z, A, B, C, D, bias):
    """h = exp(dt A) h + dt B u, y = (C h + D u) silu(z), dt = softplus(delta + bias)."""
    h = np.zeros_like(A)
    y = np.empty_like(u)
    for t in range(len(u)):
        dt = softplus(delta[t] + bias)
        h = np.exp(dt[:, None] * A) * h + np.outer(dt * u[t], B[t])
        y[t] = (h @ C[t] + D * u[t]) * silu(z[t])
    return y


def ssd(x, delta, A, B, C, D):
    """S = exp(dt A) S + dt x B^T for each head, y = S C + D x."""
    S = np.zeros(x.shape[1:] + B.shape[1:])
    y = np.empty_like(x)
    for t in range(len(x)):
        dt = softplus(delta[t])[:, None]
        S = np.exp(dt * A[:, None])[..., None] * S + (dt * x[t])[..., None] * B[t]
        y[t] = S @ C[t] + D[:, None] * x[t]
    return y


def conv1d(u, weight, bias):
    """silu(bias + sum of weight times the last inputs); the last weight meets the present one."""
    width = weight.shape[1]
    y = np.tile(bias[:, None], (1, u.shape[1]))
    for t in range(u.shape[1]):
        for k in range(min(width, t + 1)):
            y[:, t] += weight[:, width - 1 - k] * u[:, t - k]
    return silu(y)


def s4d_step(u, x, decay, drive, C, D):
    """One step of `diagonal` from state x: y and the new state."""
    new = x.copy()
    for h, n in np.ndindex(x.shape):
        new[h, n] = decay[h, n] * x[h, n] + drive[h, n] * u[h]
    return np.array([2.0 * np.dot(C[h], new[h]).real + D[h] * u[h] for h in range(len(u))]), new


def s5_step(u, x, decay, drive, C, D):
    """One step of `s5` from state x: y and the new state."""
    new = np.array([decay[p] * x[p] + np.dot(drive[p], u) for p in range(len(x))])
    return np.array([2.0 * np.dot(C[h], new).real + D[h] * u[h] for h in range(len(u))]), new
