#!/usr/bin/env python3
"""A DiT in PyTorch that answers timing commands: the other side of scripts/bench.sh.

One process serves one model at one thread count.  Commands come line by line on standard input,
one JSON line answers each on standard output (the protocol of Benchmarks/README.md):

  forward | step   {"model": …, "what": …, "threads": …, "seconds": one repetition}
  gemm             {"gflops": rate of one 2048³ product in float32}
  memory           {"peak_bytes": peak resident memory so far}

DiT with adaLN-Zero: Peebles & Xie 2022, arXiv 2212.09748; sizes from its table 1.
"""

import argparse
import contextlib
import json
import math
import os
import sys
import time

BATCH, CHANNELS, SIDE, PATCH, LABELS = 8, 4, 32, 2, 1001  # 1000 classes and the null label
SIZES = {  # width D, blocks, heads
    "DiT-S/2": (384, 12, 6),
    "DiT-B/2": (768, 12, 12),
    "DiT-L/2": (1024, 24, 16),
    "DiT-XL/2": (1152, 28, 16),
}

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--model", choices=SIZES, default="DiT-S/2")
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--compile", action="store_true", help="torch.compile (needs g++)")
parser.add_argument("--optimizer", choices=["fused", "foreach"], default="fused")
arguments = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(arguments.threads)

import torch  # noqa: E402  (after the thread count is in the environment)
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402


def grid_positions(width, side):
    """Fixed 2-D sine-cosine positions: [1, side², width], one half of the width per axis."""
    rates = 10_000.0 ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    angles = torch.arange(side, dtype=torch.float64)[:, None] * rates  # [side, D/4]
    axis = torch.cat([angles.sin(), angles.cos()], 1).float()  # [side, D/2]
    columns = axis[None].expand(side, side, -1)
    rows = axis[:, None].expand(side, side, -1)
    return torch.cat([columns, rows], -1).reshape(1, side * side, width)


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.modulation = nn.Linear(width, 6 * width)

    def attention(self, x):  # [B, T, D]
        b, t, d = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v)  # [B, h, T, D/h]
        return self.proj(y.transpose(1, 2).reshape(b, t, d))

    def forward(self, x, condition):  # [B, T, D], [B, D] after SiLU
        m = self.modulation(condition)[:, None].chunk(6, -1)  # shift, scale, gate, twice
        x = x + m[2] * self.attention(self.norm(x) * (1 + m[1]) + m[0])
        h = F.gelu(self.up(self.norm(x) * (1 + m[4]) + m[3]), approximate="tanh")
        return x + m[5] * self.down(h)


class DiT(nn.Module):
    def __init__(self, width, depth, heads):
        super().__init__()
        self.embed = nn.Linear(CHANNELS * PATCH**2, width)
        self.register_buffer("positions", grid_positions(width, SIDE // PATCH))
        self.register_buffer("rates", torch.exp(-math.log(10_000) * torch.arange(128) / 128))
        self.time = nn.Sequential(nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width))
        self.label = nn.Embedding(LABELS, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.modulation = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, CHANNELS * PATCH**2)

    def forward(self, x, t, labels):  # [B, C, H, W], [B], [B] → [B, C, H, W]
        n, side = x.shape[0], SIDE // PATCH
        tokens = x.view(n, CHANNELS, side, PATCH, side, PATCH).permute(0, 2, 4, 1, 3, 5)
        h = self.embed(tokens.reshape(n, side * side, -1)) + self.positions
        angles = t[:, None] * self.rates
        condition = F.silu(self.time(torch.cat([angles.cos(), angles.sin()], 1)) + self.label(labels))
        for block in self.blocks:
            h = block(h, condition)
        shift, scale = self.modulation(condition)[:, None].chunk(2, -1)
        h = self.out(self.norm(h) * (1 + scale) + shift).view(n, side, side, PATCH, PATCH, CHANNELS)
        return h.permute(0, 5, 1, 3, 2, 4).reshape(n, CHANNELS, SIDE, SIDE)


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Bench:
    """The model with its batch, and one repetition of each thing that is timed."""

    def __init__(self):
        torch.set_num_threads(arguments.threads)
        torch.manual_seed(0)
        self.model = DiT(*SIZES[arguments.model])
        self.run = torch.compile(self.model) if arguments.compile else self.model
        self.x = torch.randn(BATCH, CHANNELS, SIDE, SIDE)
        self.target = torch.randn_like(self.x)
        self.t = torch.rand(BATCH)
        self.labels = torch.randint(0, LABELS, (BATCH,))
        self.no_gradient = None  # the faster of no_grad and inference_mode, once it is known
        self.optimizer = None

    def forward_once(self, mode):
        with mode():
            self.run(self.x, self.t, self.labels)

    def forward(self):
        self.model.eval()
        if self.no_gradient is None:
            modes = [torch.no_grad, torch.inference_mode]
            for mode in modes:
                self.forward_once(mode)  # warm-up
            cost = {m: min(seconds(lambda: self.forward_once(m)) for _ in range(3)) for m in modes}
            self.no_gradient = min(cost, key=cost.get)
        return seconds(lambda: self.forward_once(self.no_gradient))

    def step(self):
        self.model.train()
        if self.optimizer is None:
            choice = {arguments.optimizer: True}
            self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, **choice)
            self.ema = [p.detach().clone() for p in self.model.parameters()]
        return seconds(self.step_once)

    def step_once(self):
        self.optimizer.zero_grad(set_to_none=True)
        loss = F.mse_loss(self.run(self.x, self.t, self.labels), self.target)
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.ema, [p.detach() for p in self.model.parameters()], 1e-4)

    def gemm(self, n=2048):
        if not hasattr(self, "square"):
            self.square = [torch.randn(n, n) for _ in range(3)]
        a, b, c = self.square
        return 2 * n**3 / seconds(lambda: torch.mm(a, b, out=c)) / 1e9


def peak_bytes():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def main():
    bench = Bench()
    for line in sys.stdin:
        command = line.split()[0] if line.strip() else ""
        if command in ("forward", "step"):
            answer = {
                "model": arguments.model,
                "what": command,
                "threads": arguments.threads,
                "seconds": getattr(bench, command)(),
            }
        elif command == "gemm":
            answer = {"gflops": bench.gemm()}
        elif command == "memory":
            answer = {"peak_bytes": peak_bytes()}
        else:
            answer = {"error": f"unknown command {line.strip()!r}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        main()
