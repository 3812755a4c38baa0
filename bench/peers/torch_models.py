"""Whole models in PyTorch: the classifier of bench/model/training and the Mamba of transformers."""

import functools
import math
import os

import torch
from torch import nn

import torch_formulas


class S4D(nn.Module):
    """S4D with B = 1 and zero-order hold, all of it trained."""

    def __init__(self, width, state):
        super().__init__()
        modes = state // 2
        self.D = nn.Parameter(torch.randn(width))
        self.log_dt = nn.Parameter(torch.rand(width) * math.log(100) + math.log(1e-3))
        self.log_decay = nn.Parameter(torch.full((width, modes), math.log(0.5)))
        self.frequency = nn.Parameter(math.pi * torch.arange(modes).float().repeat(width, 1))
        self.C = nn.Parameter(torch.randn(width, modes, 2) / math.sqrt(2))

    def forward(self, u):  # (batch, H, L)
        poles = torch.complex(-torch.exp(self.log_decay), self.frequency)
        C = torch.view_as_complex(self.C)
        return torch_formulas.s4d(u, poles, torch.exp(self.log_dt), C, self.D)


class Block(nn.Module):
    """Normalisation, S4D, GELU and a gated product, around them a residual."""

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


def training_step(L, batch, H, depth, N):
    """A call that does forward, loss, backward and update of a classifier of sequences."""
    blocks = [Block(H, N, dropout=0.1) for _ in range(depth)]
    body = nn.Sequential(nn.Linear(1, H), *blocks, nn.LayerNorm(H))
    head = nn.Linear(H, 10)
    optimizer = torch.optim.AdamW([*body.parameters(), *head.parameters()], lr=1e-3)
    u = torch.randn(batch, L, 1)
    labels = torch.randint(10, (batch,))

    def call():
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(head(body(u).mean(1)), labels).backward()
        optimizer.step()

    return call


@functools.lru_cache(maxsize=1)
def mamba_130m():
    """The language model of transformers in the shape of mamba-130m, with random weights."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import transformers

    transformers.logging.set_verbosity_error()
    config = transformers.MambaConfig(
        vocab_size=50280, hidden_size=768, num_hidden_layers=24, use_bias=False
    )
    return transformers.MambaForCausalLM(config).eval()


def prompt(L):
    """A call that reads a prompt and gives the logits of the next token."""
    model = mamba_130m()
    tokens = torch.randint(1, 50280, (1, L))

    def call():
        with torch.no_grad():
            return model.lm_head(model.backbone(tokens, use_cache=True)[0][:, -1])

    return call


def decode(tokens):
    """A call that generates that many tokens, one forward each, from a prompt of one."""
    model = mamba_130m()
    start = torch.ones(1, 1, dtype=torch.long)
    settings = {"max_new_tokens": tokens, "min_new_tokens": tokens, "do_sample": False}
    return lambda: model.generate(start, attention_mask=torch.ones_like(start), **settings)


MODELS = {model.__name__: model for model in (training_step, prompt, decode)}
