"""The page of the benchmark, which is written after minutes: made here from one row of each table."""

import importlib.util
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "bench/core.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("bench_core", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("second_level", "kind"), [(1 << 20, "fast"), (2 << 20, "slow")])
def test_the_page_says_which_bars_hold(bench, monkeypatch, second_level, kind):
    assert isinstance(bench.slow_third_level(), bool)
    monkeypatch.setattr(bench, "slow_third_level", lambda: second_level >= 2 << 20)
    times = ("core_ms", "autograd_ms", "compile_ms", "jax_ms", "decomposition_us", "decomposition_share")
    ratios = ("share_of_gemm", "core_vs_jax", "core_vs_autograd", "core_vs_compile")
    parts = ("core_ms", "near_ms", "empty_ms", "ns_per_chunk", "ns_to_fetch")
    layer = ("core_ms", "vs_masked", "vs_torch")
    page = bench.report(
        {"machine": "a processor", "isa": "v4", "gemm_gflops": 1, "copy_gbs": 1, "peer": "left out: not here"}
        | {"rows": [{"density": 0.5} | dict.fromkeys(times + ratios, 0.1)], "large": {"step_ms": 1, "peak_gb": 1}}
        | {"parts": [{"density": 0.5} | dict.fromkeys(parts, 1)], "layer": [{"density": 0.5} | dict.fromkeys(layer, 2)]}
        | {"epoch": [{"density": 1, "epoch_s": 1, "torch_s": 2, "faster": 2}]}
        | {"step": [{"density": 0.1} | dict.fromkeys(("vgg_step_ms", "vgg_step", "resnet_step_ms", "resnet_step"), 4)]}
        | {"convolutions": [{"density": 0.1} | dict.fromkeys(("vgg16", "vgg64", "resnet20", "slowest"), 4)]}
    )
    assert bench.KINDS[kind == "slow"] in page
    assert "(NOT met: " in page and "(met: " in page
