import pytest
import torch
from torch.testing import assert_close

from mtlgym.balancing import aggregate, gramian
from mtlgym.balancing.gramian import CHUNK


@pytest.mark.parametrize("parameters", [1, 5, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_chunks_add_up_to_the_plain_product(parameters, dtype):
    generator = torch.Generator().manual_seed(0)
    jacobian = torch.randn(5, parameters, generator=generator, dtype=dtype)
    wanted = jacobian.double() @ jacobian.double().T
    found = gramian(jacobian)
    assert found.dtype is torch.float64
    assert_close(found, wanted, rtol=1e-5 if dtype is torch.float32 else 1e-12, atol=1e-3)
    part = gramian(torch.randn(5, 2 * parameters, generator=generator, dtype=dtype)[:, ::2])
    assert part.shape == (5, 5)


def test_the_error_does_not_grow_with_the_number_of_columns():
    """Equal numbers, whose sum in float32 drifts to one side."""
    for parameters in (10 * CHUNK, 1000 * CHUNK):
        jacobian = torch.full((1, parameters), 0.1)
        wanted = parameters * float(jacobian[0, 0].double()) ** 2
        assert abs(float(gramian(jacobian)) / wanted - 1) < 1e-5


def test_an_empty_jacobian_has_a_gramian_of_zeros():
    assert torch.equal(gramian(torch.zeros(2, 0)), torch.zeros(2, 2, dtype=torch.float64))


def test_aggregate_reads_settings_and_keeps_the_state_of_an_instance():
    jacobian = torch.tensor([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]])
    assert_close(aggregate("mgda", jacobian), torch.tensor([0.0, 1.0, 1.0]))
    plain, tuned = aggregate("cagrad", jacobian), aggregate("cagrad:c=0.2", jacobian)
    assert not torch.equal(plain, tuned)
    with pytest.raises(ValueError, match="Did you mean 'mgda'"):
        aggregate("mdga", jacobian)
