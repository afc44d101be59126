#!/usr/bin/env python3
"""Times FID's Inception network, ours and one in PyTorch, in alternation.

  LATENTFLOW_TORCH_PYTHON=/path/to/python Benchmarks/inception.py LATENTFLOW [--threads N…]

The peer is the same network with batch norms folded into its convolutions, channels last, under
`inference_mode`: what is fastest in eager PyTorch on CPUs.  Images are 256×256, resized by either side.
Each side is one process per thread count that answers «forward» with a JSON line.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("latentflow", nargs="?", help="the binary")
parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
parser.add_argument("--batch", type=int, default=16)
parser.add_argument("--repetitions", type=int, default=7)
parser.add_argument("--peer", action="store_true", help="be the PyTorch side")
arguments = parser.parse_args()


def peer(threads, batch):
    import torch
    import torch.nn.functional as F
    from torch import nn

    torch.set_num_threads(threads)

    class Conv(nn.Module):
        def __init__(self, inputs, outputs, kernel=1, stride=1, padding=0):
            super().__init__()
            self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding)

        def forward(self, x):
            return F.relu(self.conv(x), inplace=True)

    def average(x):
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)

    class Branches(nn.Module):
        """Chains of convolutions side by side, and a pooled branch."""

        def __init__(self, inputs, chains, pool, pooled=None):
            super().__init__()
            self.chains = nn.ModuleList()
            for chain in chains:
                layers, width = [], inputs
                for outputs, *rest in chain:
                    layers.append(Conv(width, outputs, *rest))
                    width = outputs
                self.chains.append(nn.Sequential(*layers))
            self.pool = pool
            self.pooled = Conv(inputs, pooled) if pooled else nn.Identity()

        def forward(self, x):
            return torch.cat([c(x) for c in self.chains] + [self.pooled(self.pool(x))], 1)

    class Split(nn.Module):
        """Mixed_7b and 7c."""

        def __init__(self, inputs, pool):
            super().__init__()
            self.one, self.pooled = Conv(inputs, 320), Conv(inputs, 192)
            self.once = Conv(inputs, 384)
            self.twice = nn.Sequential(Conv(inputs, 448), Conv(448, 384, 3, 1, 1))
            self.rows = nn.ModuleList(Conv(384, 384, (1, 3), 1, (0, 1)) for _ in range(2))
            self.columns = nn.ModuleList(Conv(384, 384, (3, 1), 1, (1, 0)) for _ in range(2))
            self.pool = pool

        def forward(self, x):
            a, b = self.once(x), self.twice(x)
            return torch.cat(
                [self.one(x), self.rows[0](a), self.columns[0](a), self.rows[1](b),
                 self.columns[1](b), self.pooled(self.pool(x))], 1)

    row, column = ((1, 7), 1, (0, 3)), ((7, 1), 1, (3, 0))
    shrink, same = nn.MaxPool2d(3, 2), nn.MaxPool2d(3, 1, 1)

    def a(inputs, pooled):
        return Branches(
            inputs, [[(64,)], [(48,), (64, 5, 1, 2)], [(64,), (96, 3, 1, 1), (96, 3, 1, 1)]],
            average, pooled)

    def c(n):
        return Branches(
            768,
            [[(192,)], [(n,), (n, *row), (192, *column)],
             [(n,), (n, *column), (n, *row), (n, *column), (192, *row)]], average, 192)

    network = nn.Sequential(
        Conv(3, 32, 3, 2), Conv(32, 32, 3), Conv(32, 64, 3, 1, 1), shrink, Conv(64, 80),
        Conv(80, 192, 3), shrink, a(192, 32), a(256, 64), a(288, 64),
        Branches(288, [[(384, 3, 2)], [(64,), (96, 3, 1, 1), (96, 3, 2)]], shrink),
        c(128), c(160), c(160), c(192),
        Branches(768, [[(192,), (320, 3, 2)], [(192,), (192, *row), (192, *column), (192, 3, 2)]],
                 shrink),
        Split(1280, average), Split(2048, same))
    network = network.eval().to(memory_format=torch.channels_last)
    images = torch.rand(batch, 3, 256, 256).to(memory_format=torch.channels_last)
    for line in sys.stdin:
        begin = time.perf_counter()
        with torch.inference_mode():
            x = F.interpolate(images, size=(299, 299), mode="bilinear", align_corners=False)
            found = network(2 * x - 1).mean((2, 3))
        seconds = time.perf_counter() - begin
        assert found.shape == (batch, 2048)
        print(json.dumps({"seconds": seconds}), flush=True)


def start(command, threads):
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def ask(process):
    process.stdin.write("forward\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        sys.exit(f"error: {process.args[0]} ended with status {process.wait()}")
    return json.loads(line)["seconds"]


if arguments.peer:
    peer(arguments.threads[0], arguments.batch)
    sys.exit()
if not arguments.latentflow:
    parser.error("the binary of latentflow is needed")
python = os.environ.get("LATENTFLOW_TORCH_PYTHON", sys.executable)
for threads in arguments.threads:
    sizes = ["--threads", str(threads), "--batch", str(arguments.batch)]
    sides = {
        "latentflow": start([arguments.latentflow, "bench", "inception", "--server", *sizes], threads),
        "PyTorch": start([python, __file__, "--peer", *sizes], threads),
    }
    found = {name: [] for name in sides}
    for repetition in range(arguments.repetitions + 2):  # two to warm up
        for name, process in sides.items():
            seconds = ask(process)
            if repetition >= 2:
                found[name].append(seconds)
    for process in sides.values():
        process.stdin.close()
        process.wait()
    median = {name: statistics.median(values) for name, values in found.items()}
    for name, seconds in median.items():
        print(
            f"{threads} threads  {name:10} {seconds:7.3f} s  {arguments.batch / seconds:6.2f} images/s  "
            f"{median['PyTorch'] / seconds:5.2f} × PyTorch", flush=True)
