"""The pruned linear layer against the dense masked one."""

import pytest
import torch

from winnow import core
from winnow.core import linear


def layer(density, rows=70, columns=90, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(rows, columns, generator=generator) < density
    pointers = torch.zeros(rows + 1, dtype=torch.int64)
    pointers[1:] = mask.sum(1).cumsum(0)
    pattern = core.Pattern((rows, columns), pointers, mask.nonzero()[:, 1].int().contiguous())
    return mask, pattern, torch.randn(rows, columns, generator=generator), torch.randn(rows, generator=generator)


@pytest.mark.parametrize("density", [0, 0.02, 0.3, 0.7, 2])
@pytest.mark.parametrize("batch", [1, 33, 128, 300, 1024])
def test_forward_and_gradients_are_those_of_the_dense_layer(density, batch):
    mask, pattern, dense, bias = layer(density)
    kept, dense, bias = dense[mask].requires_grad_(), dense.requires_grad_(), bias.requires_grad_()
    x = torch.randn(batch, 90, generator=torch.Generator().manual_seed(1)).requires_grad_()
    y = core.masked_linear(x, kept, pattern, bias)
    expected = torch.nn.functional.linear(x, dense * mask, bias)
    assert torch.allclose(y, expected, atol=1e-4)
    push = torch.randn(batch, 70, generator=torch.Generator().manual_seed(2))
    ours = torch.autograd.grad(y, (x, kept, bias), push)
    theirs = torch.autograd.grad(expected, (x, dense, bias), push)
    for a, b in zip(ours, (theirs[0], theirs[1][mask], theirs[2]), strict=True):
        assert (a - b).norm() <= 1e-5 * b.norm()


@pytest.fixture(params=["v4", "v3", "plain"])
def isa(request, monkeypatch):
    monkeypatch.setenv("WINNOW_ISA", request.param)
    try:
        return core.isa()
    except RuntimeError:
        pytest.skip(f"this processor does not have {request.param}")


@pytest.mark.parametrize("density", [0, 0.02, 0.3, 0.7, 2])
@pytest.mark.parametrize("rows,columns", [(1, 1), (3, 5), (70, 90), (203, 130)])
def test_dense_and_sparse_products_have_the_same_bits(isa, monkeypatch, density, rows, columns):
    monkeypatch.setattr(linear, "dense_pays", lambda density: True)
    mask, pattern, dense, bias = layer(density, rows, columns)
    by_column = pattern.by_column
    for batch in (1, 16, 33, 100, 128, 215, 300):
        x, push = torch.randn(batch, columns).requires_grad_(), torch.randn(batch, rows)
        kept = dense[mask].requires_grad_()
        y = core.masked_linear(x, kept, pattern, bias)
        found = [y, *torch.autograd.grad(y, (x, kept), push)]
        across, g = linear.coordinate_major(x.detach()), linear.coordinate_major(push)
        z, to_x, to_kept = linear.room(rows, batch), linear.room(columns, batch), torch.empty(len(kept))
        torch.ops.winnow.multiply(pattern.pointers, pattern.coordinates, kept, across, z)
        torch.ops.winnow.shift(bias, z, False)
        torch.ops.winnow.backward(*by_column, kept, across, g, to_kept, to_x)
        for a, b in zip(found, (linear.batch_major(z), linear.batch_major(to_x), to_kept), strict=True):
            assert torch.equal(a, b), (batch, (a - b).abs().max())


def test_the_crossover_is_timed_only_where_it_depends_on_the_processor(monkeypatch):
    assert 0 < linear.crossover.__wrapped__() < 3
    monkeypatch.setattr(linear, "crossover", lambda: 0.4)
    assert [linear.dense_pays(d) for d in (0.35, 0.45)] == [False, True]
    monkeypatch.setattr(linear, "crossover", None)
    assert [linear.dense_pays(d) for d in (0.1, 0.3, 0.61, 1)] == [False, False, True, True]


def test_without_bias_and_with_more_axes():
    mask, pattern, dense, _ = layer(0.2)
    x = torch.randn(4, 5, 90).transpose(0, 1)
    assert torch.allclose(core.masked_linear(x, dense[mask], pattern), x @ (dense * mask).T, atol=1e-4)


def test_what_a_gpu_compiles_is_the_same_layer():
    mask, pattern, dense, bias = layer(0.2)
    x, kept = torch.randn(8, 90), dense[mask].requires_grad_()
    y = linear._dense(x, kept, pattern.flat(x.device), pattern.shape, bias)
    ours = core.masked_linear(x, kept, pattern, bias)
    assert torch.allclose(y, ours, atol=1e-4)
    gradients = [torch.autograd.grad(z.square().sum(), kept)[0] for z in (y, ours)]
    assert torch.allclose(*gradients, rtol=1e-3, atol=1e-3)


def test_only_the_gradients_asked_for():
    mask, pattern, dense, _ = layer(0.2)
    kept = dense[mask].requires_grad_()
    core.masked_linear(torch.randn(8, 90), kept, pattern).sum().backward()
    assert kept.grad.shape == kept.shape


def test_a_pattern_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="coordinate"):
        core.Pattern((1, 4), torch.tensor([0, 1]), torch.tensor([4], dtype=torch.int32))
    with pytest.raises(ValueError, match="pointers"):
        core.Pattern((1, 4), torch.tensor([0, 2]), torch.tensor([3], dtype=torch.int32))


@pytest.mark.parametrize("density", [0.2, 2])
def test_other_inputs_than_those_of_the_mask_are_refused_and_not_read(density):
    pattern = layer(density)[1]
    weights = torch.zeros(len(pattern.coordinates))
    matrix = linear.dense_matrix(weights, pattern)
    with pytest.raises(ValueError, match=r"^64 inputs; the mask is of 90"):
        linear.multiply(linear.room(64, 16), weights, pattern, matrix)


@pytest.mark.parametrize("columns", [1, 16, 90, 96])
def test_dense_and_back_on_every_instruction_set(isa, columns):
    mask, pattern, dense, _ = layer(0.6, columns=columns)
    whole, kept = torch.full_like(dense, torch.nan), torch.full((int(mask.sum()),), torch.nan)
    torch.ops.winnow.expand(pattern.pointers, pattern.bits, dense[mask], whole)
    torch.ops.winnow.collect(pattern.pointers, pattern.bits, dense, kept)
    assert torch.equal(whole, dense * mask) and torch.equal(kept, dense[mask])
