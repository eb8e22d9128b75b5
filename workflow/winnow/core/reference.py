"""The oracle of the core: the same network, dense, in plain torch with autograd."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus


def logits(weights: Tensor, mask: Tensor, output: Tensor, power: int, inputs: Tensor, patches: Tensor) -> Tensor:
    """F [K, n] of a network weights [M, d], mask [M, d], output [K, M] on inputs [d, C] through patches [n, P]."""
    activations = ((weights * mask) @ inputs).relu() ** power
    return (output @ activations)[:, patches.long()].sum(-1)


def losses(f: Tensor, labels: Tensor, loss: str) -> Tensor:
    """The loss of every example [n]: softmax cross-entropy, or log(1 + exp(-y F)) for one output and labels +-1."""
    if loss == "logistic":
        return softplus(-labels * f[0])
    return cross_entropy(f.T, labels, reduction="none")


def error(f: Tensor, labels: Tensor, loss: str) -> float:
    """The share of misclassified examples: argmax, the first one wins; for the logistic loss F = 0 is half an error."""
    if loss == "logistic":
        margin = labels * f[0]
        return ((margin < 0).double() + 0.5 * (margin == 0).double()).mean().item()
    return (f.argmax(0) != labels).double().mean().item()


def descend(
    weights, mask, output, power, inputs, patches, labels, *, steps, learning_rate, loss, reduction, train_output
):
    """(losses [steps + 1], weights, output) of full-batch gradient descent on the kept weights.

    A learning rate [K] has one for the gradient through every output.
    """
    # An output weight that is exactly 0 is no connection.
    weights, output, connected = weights.clone(), output.clone(), output != 0
    trained = [weights.requires_grad_(), *([output.requires_grad_()] if train_output else [])]
    rates = torch.as_tensor(learning_rate, dtype=inputs.dtype)
    trace = []
    for step in range(steps + 1):
        f = logits(weights, mask, output, power, inputs, patches)
        each = losses(f, labels, loss)
        trace.append(each.mean().item())
        if step == steps:
            return trace, weights.detach(), output.detach()
        pull = torch.autograd.grad(each.mean() if reduction == "mean" else each.sum(), f, retain_graph=True)[0]
        changes = torch.autograd.grad(f, trained, (rates * pull.T).T)
        with torch.no_grad():
            for parameter, change, kept in zip(trained, changes, (mask, connected), strict=False):
                parameter -= change * kept
