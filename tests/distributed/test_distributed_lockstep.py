import pytest
import torch
from torch import distributed, multiprocessing

from mtlgym.balancing import Balancer
from tests.distributed.distributed_worker import Net, train, work

CELLS = [
    ("nash", "heads_loop"),
    ("nash", "loop"),
    ("igbv1+mgda", "auto"),
    ("dwa:window=1+pcgrad", "heads_loop"),
    ("gradnorm", "loop"),
    ("uw+graddrop", "heads_loop"),
    ("db_mtl", "loop"),
]


def test_two_processes_that_share_the_batch_equal_one(tmp_path):
    multiprocessing.spawn(work, (2, str(tmp_path), CELLS), nprocs=2)
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for (spec, strategy), first, second in zip(CELLS, *ranks, strict=True):
        alone = train(spec, "heads_loop" if strategy == "auto" else strategy, 0, 1)
        assert torch.equal(first, second)
        torch.testing.assert_close(first, alone, rtol=1e-12, atol=1e-12)


def test_strategies_that_cannot_be_averaged_are_refused():
    group = distributed.ProcessGroup(distributed.HashStore(), 0, 1)
    for strategy in ("batched", "layers", "features"):
        with pytest.raises(ValueError, match="cannot average gradients over processes"):
            Balancer("nash", shared=Net().trunk, strategy=strategy, group=group)
