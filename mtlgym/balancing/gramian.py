"""The Gramian of the tasks' gradients: all that most gradient methods see of them."""

import torch
from jaxtyping import Float
from torch import Tensor

CHUNK = 4096  # columns of one product; a chunk of eleven rows fits a processor's cache


def gramian(jacobian: Float[Tensor, "tasks parameters"]) -> Float[Tensor, "tasks tasks"]:
    """K = G G^T of the tasks' gradients, float64, on the CPU.

    Products are made chunk by chunk in G's own type and added up in float64. For few rows and
    millions of columns that takes about half the time of `G @ G.T`, and its error does not grow
    with the number of parameters.

    Args:
        jacobian: one gradient a row.
    """
    parameters = jacobian.shape[1]
    chunks = parameters // CHUNK
    whole = jacobian[:, : chunks * CHUNK].unflatten(1, (chunks, CHUNK)).transpose(0, 1)
    rest = jacobian[:, chunks * CHUNK :]
    total = (rest @ rest.T).double()
    if chunks:
        total = total + torch.bmm(whole, whole.mT).sum(dim=0, dtype=torch.float64)
    return total.cpu()
