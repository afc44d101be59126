#!/usr/bin/env python3
"""Times latentflow and, where there is a PyTorch, Benchmarks/peer.py in alternation.

Called by scripts/bench.sh.  Needs Python 3.9 and nothing beside it.  For each model, thread count
and kind of pass one process of each side stays up, so that its peak memory is that pass's own;
repetitions take turns, so that a noisy machine is noisy to both.  Prints a table and, with --json, writes every repetition to a file.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

SIZES = {"DiT-S/2": (384, 12), "DiT-B/2": (768, 12), "DiT-L/2": (1024, 24), "DiT-XL/2": (1152, 28)}
BATCH, TOKENS, PATCH_VALUES = 8, 256, 16  # latents 4×32×32 in patches of 2×2


class SideFailed(Exception):
    pass


class Side:
    """One process that answers a command line with a JSON line."""

    def __init__(self, name, command):
        self.name = name
        environment = dict(os.environ, OMP_NUM_THREADS=command[command.index("--threads") + 1])
        try:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
            )
        except OSError as problem:
            raise SideFailed(f"{name}: {command[0]}: {problem.strerror}") from problem

    def ask(self, command, field):
        try:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            status = self.process.wait()
            raise SideFailed(f"{self.name} ended with status {status} at command {command!r}")
        try:
            return float(json.loads(line)[field])
        except (ValueError, KeyError, TypeError) as problem:
            raise SideFailed(
                f"{self.name} answered {command!r} with {line.strip()!r}, expected a {field!r}"
            ) from problem

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def forward_flops(model):
    """Floating-point operations of one forward pass of one image: products only, 2 per multiply-add."""
    d, depth = SIZES[model]
    t = TOKENS
    block = 2 * t * d * (3 * d + d + 4 * d + 4 * d) + 2 * 2 * t * t * d + 2 * d * 6 * d
    ends = 2 * 2 * t * PATCH_VALUES * d + 2 * d * 2 * d + 2 * (256 * d + d * d)
    return depth * block + ends


def measure(sides, what, model, threads, repetitions):
    """{what: {side: [values]}} of alternated repetitions, the machine's rate and the peak memory."""
    found = {name: {s.name: [] for s in sides} for name in (what, "gemm")}
    for side in sides:  # warm-up: pools, primitives, the peer's choice of mode
        for _ in range(2):
            side.ask(f"{what} {model} {threads}", "seconds")
    found["memory"] = {s.name: [s.ask("memory", "peak_bytes")] for s in sides}
    for _ in range(repetitions):
        for side in sides:
            found[what][side.name].append(side.ask(f"{what} {model} {threads}", "seconds"))
        for side in sides:
            found["gemm"][side.name].append(side.ask(f"gemm {threads}", "gflops"))
    return found


def rows(found, what, model, threads):
    """The table's rows; shares refer to the better side's GEMM rate."""
    median = {w: {s: statistics.median(v) for s, v in by.items()} for w, by in found.items()}
    rate = max(median["gemm"].values())
    factor = {"forward": 1, "step": 3}[what]  # backward is twice the forward
    torch = median[what].get("PyTorch")
    for side, taken in median[what].items():
        gflops = factor * BATCH * forward_flops(model) / taken / 1e9
        yield {
            "model": model,
            "threads": threads,
            "what": what,
            "side": side,
            "seconds": taken,
            "images_per_second": BATCH / taken,
            "gflops": gflops,
            "gemm_gflops": median["gemm"][side],
            "share_of_gemm": gflops / rate,
            "peak_bytes": median["memory"][side],
            "times_pytorch": torch / taken if torch else None,
        }


HEADER = (
    f"{'model':8} {'threads':>7} {'what':8} {'side':10} {'seconds':>8} {'images/s':>8} "
    f"{'GFLOP/s':>8} {'own GEMM':>8} {'share':>6} {'peak MB':>8} {'× PyTorch':>9}"
)


def text(row):
    times = f"{row['times_pytorch']:.2f}" if row["times_pytorch"] else "–"
    return (
        f"{row['model']:8} {row['threads']:>7} {row['what']:8} {row['side']:10} "
        f"{row['seconds']:8.3f} {row['images_per_second']:8.2f} {row['gflops']:8.1f} "
        f"{row['gemm_gflops']:8.1f} {row['share_of_gemm']:6.0%} {row['peak_bytes'] / 1e6:8.0f} "
        f"{times:>9}"
    )


def cpu_name():
    with open("/proc/cpuinfo") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--latentflow", required=True, help="command of our side, split at spaces")
    parser.add_argument("--torch-python", help="a Python that can import torch")
    parser.add_argument("--compile", action="store_true", help="the peer uses torch.compile")
    parser.add_argument("--models", nargs="+", default=["DiT-S/2", "DiT-B/2"], choices=SIZES)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file for every repetition")
    arguments = parser.parse_args()
    if arguments.repetitions < 1:
        parser.error("--repetitions: expected 1 or more")
    return arguments


def start(arguments, model, threads):
    choice = ["--model", model, "--threads", str(threads)]
    sides = [Side("latentflow", [*arguments.latentflow.split(), *choice])]
    if arguments.torch_python:
        peer = [arguments.torch_python, str(Path(__file__).with_name("peer.py")), *choice]
        sides.append(Side("PyTorch", peer + ["--compile"] * arguments.compile))
    return sides


def main():
    arguments = parse_arguments()
    print(f"{cpu_name()}, {os.cpu_count()} cores; batch {BATCH}, latents 4×32×32, float32;")
    print(f"medians of {arguments.repetitions} alternated repetitions; share: of the machine's")
    print("large-GEMM rate (2048³), the better side's, measured between the repetitions.\n")
    print(HEADER, flush=True)
    record = []
    for model in arguments.models:
        for threads in arguments.threads:
            for what in ("forward", "step"):
                sides = start(arguments, model, threads)
                try:
                    found = measure(sides, what, model, threads, arguments.repetitions)
                finally:
                    for side in sides:
                        side.close()
                table = list(rows(found, what, model, threads))
                print("\n".join(map(text, table)), flush=True)
                record.append({"rows": table, "repetitions": found})
    if arguments.json:
        arguments.json.write_text(json.dumps({"cpu": cpu_name(), "runs": record}, indent=1))


if __name__ == "__main__":
    try:
        main()
    except SideFailed as problem:
        sys.exit(f"error: {problem}.")
    except KeyboardInterrupt:
        sys.exit(130)
