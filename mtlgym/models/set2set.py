"""A vector of fixed size for a set of any size."""

import warnings

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it uses torch.jit when it is imported
    from torch_geometric.utils import scatter, softmax


class Set2Set(nn.Module):
    """Read a set by attention, `steps` times, each query coming from an LSTM.

    q = LSTM(q*), a = softmax over the set of x . q, r = sum a x, q* = [q, r].

    Source: Vinyals, Bengio, Kudlur (ICLR 2016), https://arxiv.org/abs/1511.06391.
    Differs from PyTorch Geometric's, whose parameters it loads, in that its gradient is summed in
    a fixed order: there, indexing with a tensor adds up by atomics, and two runs with more than
    one thread drift apart.
    """

    def __init__(self, features: int, steps: int = 3) -> None:
        """Make the LSTM for elements of that many features."""
        super().__init__()
        self._steps = steps
        self.lstm = nn.LSTM(2 * features, features)

    def forward(
        self, x: Float[Tensor, "elements features"], index: Int[Tensor, " elements"], sets: int
    ) -> Float[Tensor, "sets doubled"]:
        """Read each of the sets; `index` says, in ascending order, which set an element is of."""
        query = x.new_zeros(1, sets, 2 * x.shape[1])
        state = (x.new_zeros(1, sets, x.shape[1]), x.new_zeros(1, sets, x.shape[1]))
        for _ in range(self._steps):
            q, state = self.lstm(query, state)
            match = (x * q[0].index_select(0, index)).sum(dim=1, keepdim=True)
            attention = softmax(match, index, num_nodes=sets)
            read = scatter(attention * x, index, dim=0, dim_size=sets)
            query = torch.cat([q, read[None]], dim=2)
        return query[0]
