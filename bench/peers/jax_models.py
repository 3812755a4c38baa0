"""The classifier of bench/model/training in JAX, its whole training step compiled."""

import math

import jax
import numpy as np
from jax import numpy as jnp

import jax_formulas

DROPOUT = 0.1


def random_weights(rng, H, depth, N):
    """A tree of arrays with the shapes of the model of torch_models.py."""

    def linear(inputs, outputs):
        scale = 1 / math.sqrt(inputs)
        return {"weight": rng.uniform(-scale, scale, (inputs, outputs)), "bias": np.zeros(outputs)}

    def norm():
        return {"weight": np.ones(H), "bias": np.zeros(H)}

    def block():
        modes = N // 2
        system = {
            "D": rng.standard_normal(H),
            "log_dt": rng.uniform(math.log(1e-3), math.log(1e-1), H),
            "log_decay": np.full((H, modes), math.log(0.5)),
            "frequency": np.tile(math.pi * np.arange(modes), (H, 1)),
            "C": rng.standard_normal((2, H, modes)) / math.sqrt(2),
        }
        return {"norm": norm(), "system": system, "mix": linear(H, 2 * H)}

    blocks = [block() for _ in range(depth)]
    weights = {"encoder": linear(1, H), "blocks": blocks, "norm": norm(), "head": linear(H, 10)}
    return jax.tree_util.tree_map(lambda array: jnp.asarray(array, jnp.float32), weights)


def linear(w, u):
    return u @ w["weight"] + w["bias"]


def normalised(w, u):
    centred = u - u.mean(-1, keepdims=True)
    variance = (centred**2).mean(-1, keepdims=True)
    return centred / jnp.sqrt(variance + 1e-5) * w["weight"] + w["bias"]


def dropped(key, u):
    kept = jax.random.bernoulli(key, 1 - DROPOUT, u.shape)
    return jnp.where(kept, u / (1 - DROPOUT), 0)


def system(w, u):
    """S4D of u (batch, L, H)."""
    poles = -jnp.exp(w["log_decay"]) + 1j * w["frequency"]
    C = w["C"][0] + 1j * w["C"][1]
    y = jax_formulas.s4d(u.transpose(0, 2, 1), poles, jnp.exp(w["log_dt"]), C, w["D"])
    return y.transpose(0, 2, 1)


def loss(weights, u, labels, key):
    """Cross entropy of the classes of sequences u (batch, L, 1)."""
    u = linear(weights["encoder"], u)
    for block in weights["blocks"]:
        key, *keys = jax.random.split(key, 4)
        y = dropped(keys[0], system(block["system"], normalised(block["norm"], u)))
        y = dropped(keys[1], jax.nn.gelu(y, approximate=False))
        u = u + dropped(keys[2], jax.nn.glu(linear(block["mix"], y)))
    logits = linear(weights["head"], normalised(weights["norm"], u).mean(1))
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
    return -chosen.mean()


def updated(carried, u, labels):
    """AdamW: weights, both moments, the count of steps and the key, one step further."""
    weights, first, second, count, key = carried
    key, now = jax.random.split(key)
    gradient = jax.grad(loss)(weights, u, labels, now)
    tree_map = jax.tree_util.tree_map
    count = count + 1
    first = tree_map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
    second = tree_map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradient)

    def moved(w, m, v):
        direction = m / (1 - 0.9**count) / (jnp.sqrt(v / (1 - 0.999**count)) + 1e-8)
        return w - 1e-3 * (direction + 0.01 * w)

    return tree_map(moved, weights, first, second), first, second, count, key


def training_step(L, batch, H, depth, N):
    """A call that does forward, loss, backward and update of a classifier of sequences."""
    rng = np.random.default_rng(1)
    weights = random_weights(rng, H, depth, N)
    zeros = jax.tree_util.tree_map(jnp.zeros_like, weights)
    carried = (weights, zeros, zeros, jnp.float32(0), jax.random.PRNGKey(1))
    u = jnp.asarray(rng.standard_normal((batch, L, 1)), jnp.float32)
    labels = jnp.asarray(rng.integers(10, size=batch))
    step = jax.jit(updated).lower(carried, u, labels).compile()

    def call():
        nonlocal carried
        carried = jax.block_until_ready(step(carried, u, labels))

    return call


MODELS = {"training_step": training_step}
