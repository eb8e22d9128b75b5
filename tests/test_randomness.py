"""The laws, the streams, and that nothing else draws."""

import ast
import hashlib
import itertools
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from processor import LESSER, lesser
from scipy import special, stats

from winnow import randomness
from winnow.audit.records import CHECKOUT
from winnow.images import training
from winnow.images.settings import ImageSettings
from winnow.randomness import STREAMS, Stream, generator

N = 1_000_000
LAWS = {
    "uniforms": lambda stream: stream.uniforms(N),
    "normals": lambda stream: stream.normals(N),
    "signs": lambda stream: stream.signs(N),
    "integers": lambda stream: stream.integers(10, N),
    "permutation": lambda stream: stream.permutation(N),
}
HASHES = {
    "uniforms": "0ab32d0fe50143701b99da2b7727ebe049f86354712229221f1410c75a946b29",
    "normals": "6e3893c75c72b588593dd7f962824760e793ddca1245a242662c75e4e1555d68",
    "signs": "eae8a7e2a30f0c24c0a4f3ed78cb390ec3eea10356b23cc6d091dd6d08927810",
    "integers": "779d8dd120d0f6161ac9f4d8fa1ac4bf7ba30439c03fc9e5bdea477024657c47",
    "permutation": "007b8fd139967fe9c8a29009589fcdcd2462cedc3d42e7ca21593a834794aefe",
}


def drawn(law: str) -> np.ndarray:
    return LAWS[law](generator(2025, "fig2a", 0, "mask"))


def hashes() -> dict[str, str]:
    return {law: hashlib.sha256(drawn(law).tobytes()).hexdigest() for law in LAWS}


def test_streams_are_reproducible_and_distinct():
    keys = [(root, name, seed, s) for root in (0, 1) for name in ("a", "b") for seed in (0, 1) for s in STREAMS]
    draws = {key: tuple(generator(*key).integers(2**63, 4)) for key in keys}
    assert len(set(draws.values())) == len(keys)
    assert all(tuple(generator(*key).integers(2**63, 4)) == draw for key, draw in draws.items())


def test_the_first_million_of_every_law_never_changes():
    """Results are compared across machines and years, so these numbers are part of the contract."""
    assert hashes() == HASHES


@pytest.mark.parametrize("processor", LESSER)
def test_numpy_gives_them_on_every_processor(processor):
    """Of numpy's loops for vector instructions, those that this processor has can be switched off at its start."""
    environment = {"PYTHONPATH": os.pathsep.join([*sys.path, str(CHECKOUT / "tests")])} | lesser(processor)
    off = environment["NPY_DISABLE_CPU_FEATURES"].split()
    print_hashes = (
        "import json, sys; from numpy._core._multiarray_umath import __cpu_features__ as features;"
        "import test_randomness;"
        "print(json.dumps([[name for name in sys.argv[1:] if features[name]], test_randomness.hashes()]))"
    )
    command = [sys.executable, "-c", print_hashes, *off]
    told = subprocess.run(command, env=os.environ | environment, check=True, capture_output=True, text=True).stdout
    assert json.loads(told) == [[], HASHES]


def test_an_unknown_stream_is_an_error():
    with pytest.raises(ValueError, match="coffee"):
        generator(0, "a", 0, "coffee")


@pytest.mark.parametrize("law", ["normals", "uniforms", "signs"])
def test_streams_are_uncorrelated(law):
    keys = [(root, name, seed, s) for root in (0, 1) for name in "ab" for seed in range(4) for s in STREAMS]
    draws = np.array([getattr(generator(*key), law)(4000) for key in keys])
    off = np.corrcoef(draws) - np.eye(len(draws))
    assert np.abs(off).max() < 5.5 / math.sqrt(4000)  # of 4560 pairs one exceeds it with a probability of 2e-4
    assert off[np.triu_indices(len(off), 1)].std() == pytest.approx(4000**-0.5, rel=0.05)


def test_one_stream_is_uncorrelated_with_itself_later():
    z = drawn("normals")
    for lag in (1, 2, 3, 100, randomness.BLOCK):
        assert abs(np.mean(z[lag:] * z[:-lag], dtype=float)) < 4 / math.sqrt(N)


def test_uniforms_have_their_law():
    u = drawn("uniforms")
    assert u.dtype == np.float32
    assert (u * 2.0**24 % 1 == 0).all()
    assert 0 <= u.min() < 1e-5
    assert 1 - 1e-5 < u.max() < 1
    assert stats.kstest(u, "uniform").pvalue > 1e-3
    assert stats.chisquare(np.bincount((u * 1000).astype(int), minlength=1000)).pvalue > 1e-3


def test_uniforms_reach_both_ends_and_no_further():
    raw = np.array([0, 2**40 - 1, 2**40, 2**64 - 1], np.uint64)
    assert randomness.uniform(raw).tolist() == [0, 0, 2**-24, 1 - 2**-24]


def test_normals_have_their_moments_and_their_tails():
    z = drawn("normals")
    assert z.dtype == np.float32
    z = z.astype(float)
    for power, moment in enumerate((0, 1, 0, 3, 0, 15), 1):
        deviation = math.sqrt((special.factorial2(2 * power - 1) - moment**2) / N)
        assert np.mean(z**power) == pytest.approx(moment, abs=4 * deviation)
    assert stats.kstest(z, "norm").pvalue > 1e-3
    for bound in (1.438, 2, 3, 4, 4.5):  # the first is where the centre ends
        for beyond in (np.count_nonzero(z > bound), np.count_nonzero(z < -bound)):
            assert stats.binomtest(beyond, N, special.ndtr(-bound)).pvalue > 1e-3


def test_normals_are_the_quantiles():
    """AS 241 is exact to about 1e-16, and so are ours at every probability there is, in both tails."""
    ends = np.concatenate([np.arange(3000), 2 ** np.arange(11, 51)]).astype(np.uint64)
    ends = np.concatenate([ends << 12, 2**64 - 1 - (ends << 12)])  # around the median
    raw = np.concatenate([ends, ends ^ 2**63, np.random.PCG64(1).random_raw(N)])  # and in both tails
    places = (raw >> 12).astype(np.int64)  # of 2^52; in two's complement, the second half comes first
    z, upper = randomness.normal(raw), places < 2**51
    tail = np.where(upper, 2**51 - places - 0.5, places - 2**51 + 0.5) * 2.0**-52
    np.testing.assert_allclose(z, np.where(upper, -1, 1) * special.ndtri(tail), rtol=2e-15)
    assert np.abs(z).max() == pytest.approx(8.2095, abs=1e-4)


def test_the_logarithm_is_right_to_two_units_in_the_last_place():
    x = np.exp(np.random.default_rng(0).uniform(-700, 700, 200_000))
    near = 1 + np.arange(-500, 500) * 2.0**-52
    for values in (x, near, np.random.default_rng(1).uniform(0, 1, 200_000), 2.0 ** np.arange(-60, 60)):
        exact = np.array([math.log(value) for value in values])
        assert (np.abs(randomness.log(values) - exact) <= 2 * np.spacing(np.abs(exact))).all()


def test_signs_are_fair():
    signs = drawn("signs")
    assert signs.dtype == np.float32
    assert sorted(set(signs.tolist())) == [-1, 1]
    assert stats.binomtest(np.count_nonzero(signs > 0), N).pvalue > 1e-3


@pytest.mark.parametrize("high", [1, 2, 3, 10, 1000])
def test_integers_are_uniform(high):
    drawn = Stream(high).integers(high, N)
    assert drawn.dtype == np.int64
    assert high == 1 or stats.chisquare(np.bincount(drawn, minlength=high)).pvalue > 1e-3


def test_integers_have_no_bias_where_it_would_be_large():
    """Of 3/4 of 2^64 the lower third would come twice as often; a quarter of the raw numbers must be drawn again."""
    high, drawn = 3 * 2**61, Stream(0).integers(3 * 2**61, 200_000)
    assert stats.kstest(drawn / high, "uniform").pvalue > 1e-3
    assert ((drawn >= 0) & (drawn < high)).all()
    raw = np.random.PCG64(0).random_raw(200_000)
    fine = raw < 2 * high
    assert 0.2 < 1 - fine.mean() < 0.3
    assert np.array_equal(drawn[fine], raw[fine] % high)


@pytest.mark.parametrize("n", [2, 4, 5])
def test_permutations_are_uniform(n):
    stream, count = Stream(n), dict.fromkeys(itertools.permutations(range(n)), 0)
    for _ in range(200 * len(count)):
        count[tuple(stream.permutation(n).tolist())] += 1
    assert stats.chisquare(list(count.values())).pvalue > 1e-3


def test_long_permutations_hold_all_and_leave_no_order():
    order = drawn("permutation")
    assert order.dtype == np.int64
    assert np.array_equal(np.sort(order), np.arange(N))
    assert abs(stats.spearmanr(order, np.arange(N)).statistic) < 4 / math.sqrt(N)
    assert Stream(0).permutation(0).tolist() == []


@pytest.mark.parametrize(("rows", "columns"), [(70, 1000), (3, 2 * randomness.BLOCK + 5), (5, 1)])
def test_normals_at_some_places_are_those_of_the_whole(rows, columns):
    whole, rng = Stream(1).normals(rows, columns), np.random.default_rng(0)
    keep = rng.random((rows, columns)) < rng.choice([0, 0.01, 0.5, 1], size=(rows, 1))
    for kept in (keep, np.zeros_like(keep), np.ones_like(keep)):
        stream = Stream(1)
        assert np.array_equal(stream.normals_at([np.flatnonzero(row) for row in kept], columns), whole[kept])
        after = Stream(1)
        after.normals(rows, columns)
        assert stream.uniforms(3).tolist() == after.uniforms(3).tolist()


def test_blocks_do_not_show(monkeypatch):
    whole = {law: drawn(law) for law in ("normals", "uniforms")}
    monkeypatch.setattr(randomness, "BLOCK", 1777)
    assert all(np.array_equal(drawn(law), numbers) for law, numbers in whole.items())


# What draws: modules, and functions whatever they are called on. `integers` and `permutation` are ours as well, and a
# Generator that has them besides needs a name of numpy.random first; `power` is also numpy's.
MODULES = {"random", "secrets", "numpy.random", "torch.random", "torch.distributions", "torch.nn.init"}
SHORT = ("np.random", "numpy.random", "torch.random", "torch.distributions", "nn.init", "torch.nn.init")
DISTRIBUTIONS = {name for name in dir(np.random.Generator) if not name.startswith("_")}
FUNCTIONS = DISTRIBUTIONS - {"integers", "permutation", "power"} | {f"{name}_" for name in DISTRIBUTIONS}
FUNCTIONS |= {"rand", "rand_like", "randn", "randn_like", "randint", "randint_like", "randperm", "random_", "cauchy_"}
FUNCTIONS |= {"bernoulli_", "log_normal_", "manual_seed", "Dropout", "dropout", "rvs", "bootstrap", "permutation_test"}
FUNCTIONS |= {"bernoulli", "urandom", "uuid4", "default_rng"}
# torch draws weights where such a layer is made, but not by skip_init; the runner's layers are given theirs
FILLED = {prefix + layer for prefix in ("", "nn.", "torch.nn.") for layer in ("Linear", "Conv2d")}


def draws(source: str) -> list[str]:
    """What draws random numbers in a module, other than a Stream."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name in MODULES]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            found += [whole for name, whole in names.items() if name in FUNCTIONS or {whole, node.module} & MODULES]
        elif isinstance(node, ast.Attribute):
            name = ast.unparse(node)
            found += [name] if node.attr in FUNCTIONS or name.startswith(SHORT) else []
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in FILLED:
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize(
    "line",
    [
        "np.random.default_rng(0).normal()",
        "import numpy.random as r",
        "from numpy.random import Generator",
        "from numpy import random",
        "import random",
        "from random import sample",
        "rng.standard_normal(3)",
        "torch.randn(3)",
        "torch.empty(3).normal_()",
        "nn.init.kaiming_normal_(w)",
        "nn.Linear(3, 4)",
        "torch.nn.Conv2d(3, 4, 1)",
        "Linear(3, 4)",
        "stats.norm.rvs(5)",
        "stats.bootstrap(x, f)",
        "rng.shuffle(x)",
    ],
)
def test_a_module_that_draws_otherwise_is_found(line):
    assert draws(line)


def test_nothing_else_draws():
    modules = {path: draws(path.read_text()) for path in (CHECKOUT / "workflow").rglob("*.py")}
    own = modules.pop(CHECKOUT / "workflow/winnow/randomness.py")
    assert set(own) <= {"np.random", "np.random.PCG64", "np.random.SeedSequence"}
    assert len(modules) > 50
    assert not {str(path): found for path, found in modules.items() if found}


@pytest.mark.parametrize("model", [{}, {"architecture": "vgg", "depth": 11}, {"architecture": "resnet", "depth": 8}])
def test_a_run_leaves_the_generators_of_torch_and_numpy_alone(model, library):
    """What torch or numpy drew unseen would be taken from these."""
    before = torch.get_rng_state(), np.random.get_state()
    tree = {"model": {"width": 2, **model} if model else {"hidden": [9]}, "pruning": {"method": "snip"}}
    tree["training"] = {"epochs": 1, "batch_size": 10, "augment": bool(model)}
    arrays = {f"{split}_images": np.arange(30 * 64, dtype=np.uint8).reshape(30, 1, 8, 8) for split in ("train", "test")}
    arrays |= {f"{split}_labels": np.arange(30) % 10 for split in ("train", "test")}
    streams = {name: Stream(i) for i, name in enumerate(training.STREAMS)}
    training.run(ImageSettings(kind="images", data={"sigma": 0.1}, **tree), arrays, 0.5, streams)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert str(np.random.get_state()) == str(before[1])
