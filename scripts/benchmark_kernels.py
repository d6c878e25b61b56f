# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Time the kernels as eager torch, compiled torch and Warp, side by side; prints a table, writes JSON and a plot."""

import argparse
import datetime
import functools
import json
import platform
import re
import statistics
import time
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import torch
import warp as wp

from flow_rl.kernels import lambda_scan, svgd_field
from flow_rl.utils.check import require_device
from flow_rl.utils.checkpoint import revision

STATES = {  # (B, P, A)
    "cpu": [(16, 8, 80), (256, 8, 28), (1024, 8, 80), (8192, 8, 80), (1024, 8, 512), (1024, 32, 28), (256, 64, 80)],
    "cuda": [
        (256, 8, 80),
        (8192, 8, 28),
        (8192, 8, 80),
        (32768, 8, 80),
        (8192, 8, 512),
        (4096, 32, 80),
        (4096, 64, 80),
    ],
}
ROLLOUTS = [(32, 64), (32, 1024), (32, 8192), (128, 1024), (512, 64), (512, 8192)]  # (T, E)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda:0" if torch.cuda.is_available() else "cpu", help="where to measure")
    parser.add_argument("--output", type=Path, default=Path("outputs/kernels"), help="folder of the JSON and the plot")
    parser.add_argument("--quick", action="store_true", help="one small size each, to see that everything runs")
    parser.add_argument(
        "--no-compile", action="store_true", help="leave torch.compile out, which takes minutes on a CPU"
    )
    args = parser.parse_args()
    try:
        require_device("--device", args.device)
    except ValueError as error:
        parser.error(str(error))
    device = torch.device(args.device)
    torch.set_num_threads(1)
    wp.config.log_level = wp.LOG_WARNING
    torch.manual_seed(0)
    states, rollouts = ([(4, 5, 28)], [(8, 16)]) if args.quick else (STATES[device.type], ROLLOUTS)
    cases = [("svgd_field", "B P A", size, field_call(size, device)) for size in states]
    cases += [("lambda_scan", "T E", size, scan_call(size, device)) for size in rollouts]
    rows = []
    print(f"{'kernel':12} {'size':>16} {'torch ms':>10} {'compile ms':>10} {'warp ms':>10} {'copy ms':>10}  warp is")
    for kernel, letters, size, (call, num_bytes) in cases:
        rows.append(measure(call, num_bytes, device, args) | {"kernel": kernel, letters: size})
        print(line(kernel, size, rows[-1]), flush=True)
    args.output.mkdir(parents=True, exist_ok=True)
    report = {"machine": machine(device), "rows": rows}
    (args.output / f"{device.type}.json").write_text(json.dumps(report, indent=1) + "\n")
    plot(rows, report["machine"], args.output / f"{device.type}.png")


def field_call(size: tuple[int, int, int], device: torch.device):
    """The field as a function of the backend, and the bytes that it must move."""
    inputs = [torch.randn(size, device=device) for _ in range(3)]
    return functools.partial(svgd_field, *inputs, temperature=0.001), 4 * 4 * inputs[0].numel()


def scan_call(size: tuple[int, int], device: torch.device):
    """The scan as a function of the backend, and the bytes that it must move."""
    floats = [torch.rand(size, device=device) for _ in range(2)]
    ends = [torch.rand(size, device=device) < 0.01 for _ in range(2)]
    return functools.partial(lambda_scan, *floats, *ends, 0.99, 0.95), (3 * 4 + 2) * floats[0].numel()


def measure(call, num_bytes: int, device: torch.device, args) -> dict:
    """Median times [ms] from interleaved repetitions, peak memory [MB] and bandwidth [GB/s] of each implementation."""
    source = torch.rand(num_bytes // 8, device=device)
    target = torch.empty_like(source)  # reading one and writing the other moves as much as the kernel must
    runs = {"torch": functools.partial(call, backend="torch"), "warp": functools.partial(call, backend="warp")}
    if not args.no_compile:
        torch._dynamo.reset()
        runs["compile"] = torch.compile(runs["torch"], dynamic=False)
    runs["copy"] = functools.partial(target.copy_, source)
    memory = {name: peak_memory(run, device) for name, run in runs.items()}  # also warms up and compiles
    repetitions = 2 if args.quick else 30
    times = {name: [] for name in runs}
    for _ in range(repetitions):
        for name, run in runs.items():
            times[name].append(elapsed(run, device))
    median = {name: statistics.median(values) for name, values in times.items()}
    return {
        "ms": median | ({"compile": None} if args.no_compile else {}),
        "best_ms": {name: min(values) for name, values in times.items()},
        "gb_per_s": {name: num_bytes / value / 1e6 for name, value in median.items()},
        "peak_mb": memory,
    }


def elapsed(run, device: torch.device) -> float:
    """Time [ms] of one call: CUDA events on a GPU, the wall clock on a CPU."""
    if device.type == "cpu":
        start = time.perf_counter()
        run()
        return 1e3 * (time.perf_counter() - start)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    run()
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def peak_memory(run, device: torch.device) -> float | None:
    """Memory [MB] that a call takes beyond its inputs, after three to warm up; only known on a GPU."""
    for _ in range(3):
        run()
    if device.type == "cpu":
        return None
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    run()
    return (torch.cuda.max_memory_allocated(device) - before) / 1e6


def machine(device: torch.device) -> dict:
    """What the numbers belong to."""
    names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "hardware": torch.cuda.get_device_name(device) if device.type == "cuda" else f"{names[0]}, one thread",
        "date": datetime.date.today().isoformat(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "warp": wp.__version__},
        "revision": revision(),
    }


def line(kernel: str, size: tuple[int, ...], row: dict) -> str:
    """One row of the table; what was not measured is a dash."""
    cells = [
        "-" if row["ms"][name] is None else f"{row['ms'][name]:.3f}" for name in ("torch", "compile", "warp", "copy")
    ]
    ratio = row["ms"]["torch"] / row["ms"]["warp"]
    return f"{kernel:12} {size!s:>16} " + " ".join(f"{cell:>10}" for cell in cells) + f"  {ratio:.2f}x as fast as torch"


def plot(rows: list[dict], about: dict, path: Path) -> None:
    """Bars of the median times, one panel per kernel."""
    matplotlib.use("agg")
    kernels = list(dict.fromkeys(row["kernel"] for row in rows))
    figure, panels = plt.subplots(1, len(kernels), figsize=(12, 4.5), layout="constrained")
    for panel, kernel in zip(panels, kernels, strict=True):
        chosen = [row for row in rows if row["kernel"] == kernel]
        names = [name for name in ("torch", "compile", "warp", "copy") if chosen[0]["ms"][name] is not None]
        for k, name in enumerate(names):
            shifts = [index + (k - 0.5 * len(names) + 0.5) * 0.8 / len(names) for index in range(len(chosen))]
            panel.bar(shifts, [row["ms"][name] for row in chosen], 0.8 / len(names), label=name)
        letters = next(key for key in chosen[0] if " " in key)
        panel.set_xticks(range(len(chosen)), [" x ".join(map(str, row[letters])) for row in chosen], rotation=30)
        panel.set(yscale="log", xlabel=letters.replace(" ", " x "), ylabel="median time [ms]", title=kernel)
        panel.legend()
    figure.suptitle(f"{about['hardware']}, {about['date']}")
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
