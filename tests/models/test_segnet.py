import pytest
import torch
from torch.func import functional_call, vmap
from torch.nn import MaxUnpool2d
from torch.nn.functional import max_pool2d
from torch.testing import assert_close

from mtlgym.models.segnet import SegNet, SegNetTrunk, unpool

TINY = (4, 6, 6)
FORMATS = [torch.contiguous_format, torch.channels_last]


@pytest.fixture
def tiny():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SegNet((5, 1, 3), TINY).double()


@pytest.fixture
def image():
    return torch.rand(2, 3, 19, 26, generator=torch.Generator().manual_seed(1)).double()


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_published_size_has_the_published_number_of_parameters():
    model = SegNet((13, 1, 3))
    assert count(model) == 25_055_185
    assert count(model.trunk) == 24_943_296
    assert count(model.heads) == 111_889


def test_layers_start_as_published():
    model = SegNet((13,), (16, 32))
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(convolutions) == 8 + 2
    assert len(norms) == 8
    biases = [value for name, value in model.named_parameters() if name.endswith("bias")]
    assert len(biases) == 18
    assert not any(bias.any() for bias in biases)
    assert all((m.weight == 1).all() for m in norms)
    weight = next(m.weight for m in convolutions if m.weight.shape == (32, 32, 3, 3))
    assert weight.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.05)


@pytest.mark.parametrize("size", [(288, 384), (72, 96), (32, 32), (37, 45), (63, 33)])
def test_features_have_the_size_of_the_image(size):
    trunk = SegNetTrunk((2, 3, 3, 3, 3))
    assert trunk(torch.rand(1, 3, *size)).shape == (1, 2, *size)


def test_each_head_gives_its_channels(tiny, image):
    assert [tuple(output.shape) for output in tiny(image)] == [
        (2, channels, 19, 26) for channels in (5, 1, 3)
    ]


def test_a_maximum_comes_back_to_where_it_was():
    trunk = SegNetTrunk((1,))
    x = torch.arange(15.0).reshape(1, 1, 3, 5)
    pooled, indices = trunk.pool(x)
    back = unpool(pooled, indices, (3, 5))
    expected = torch.zeros_like(x)
    expected[0, 0, 1, 1], expected[0, 0, 1, 3] = 6, 8
    assert torch.equal(back, expected)


@pytest.mark.parametrize("layout", FORMATS)
def test_unpooling_is_that_of_torch_and_keeps_the_layout(layout):
    x = torch.rand(3, 4, 7, 10, generator=torch.Generator().manual_seed(0))
    pooled, indices = max_pool2d(x.contiguous(memory_format=layout), 2, return_indices=True)
    back = unpool(pooled, indices, (7, 10))
    assert torch.equal(back, MaxUnpool2d(2)(pooled, indices, output_size=[7, 10]))
    assert back.is_contiguous(memory_format=layout)


def test_too_small_an_image_is_refused():
    with pytest.raises(ValueError, match="at least 8 x 8 pixels, not 7 x 20"):
        SegNetTrunk(TINY)(torch.rand(1, 3, 7, 20))


@pytest.mark.parametrize("filters", [(), (0, 4)])
def test_filters_that_make_no_network_are_refused(filters):
    with pytest.raises(ValueError, match="`filters` must be channels"):
        SegNet((1,), filters)


def test_heads_without_channels_are_refused():
    with pytest.raises(ValueError, match="`outputs` must be channels"):
        SegNet((3, 0), TINY)


def test_channels_last_gives_the_same_outputs_and_keeps_the_format(tiny, image):
    expected = [output.detach().clone() for output in tiny(image)]
    features = tiny.trunk(image.to(memory_format=torch.channels_last))
    assert features.is_contiguous(memory_format=torch.channels_last)
    tiny = tiny.to(memory_format=torch.channels_last)
    for output, other in zip(
        tiny(image.to(memory_format=torch.channels_last)), expected, strict=True
    ):
        assert_close(output, other, rtol=1e-9, atol=1e-9)


def test_a_call_with_other_parameters_leaves_the_model_alone(tiny, image):
    state = {name: value.clone() for name, value in tiny.state_dict().items()}
    own = {name: value.detach() * 2 for name, value in tiny.state_dict().items()}
    functional_call(tiny, own, (image,))
    assert all(torch.equal(value, state[name]) for name, value in tiny.state_dict().items())
    expected = SegNet((5, 1, 3), TINY).double()
    expected.load_state_dict({name: value * 2 for name, value in state.items()})
    for output, other in zip(functional_call(tiny, own, (image,)), expected(image), strict=True):
        assert_close(output, other)


@pytest.mark.parametrize("layout", FORMATS)
def test_batched_gradients_equal_those_of_a_loop(tiny, image, layout):
    tiny = tiny.to(memory_format=layout)
    outputs = tiny(image.contiguous(memory_format=layout))
    losses = torch.stack([output.square().mean() for output in outputs])
    parameters = list(tiny.trunk.parameters())
    looped = [torch.autograd.grad(loss, parameters, retain_graph=True) for loss in losses]
    batched = torch.autograd.grad(
        losses, parameters, torch.eye(3).to(losses), is_grads_batched=True
    )
    for gradient, *rows in zip(batched, *looped, strict=True):
        assert_close(gradient, torch.stack(rows), rtol=1e-6, atol=1e-9)


def test_many_models_are_evaluated_in_one_vmapped_call(tiny, image):
    tiny.eval()
    other = SegNet((5, 1, 3), TINY).double().eval()
    stacked = {
        name: torch.stack([value, other.state_dict()[name]])
        for name, value in tiny.state_dict().items()
    }
    outputs = vmap(lambda state: functional_call(tiny, state, (image,)))(stacked)
    for output, one, two in zip(outputs, tiny(image), other(image), strict=True):
        assert_close(output, torch.stack([one, two]))


def test_inputs_and_saved_values_stay_as_they_are(tiny, image):
    before = image.clone()
    losses = [output.square().mean() for output in tiny(image)]
    assert torch.equal(image, before)
    for loss in losses:  # one after the other, as gradient methods do
        loss.backward(retain_graph=True)
    assert all(parameter.grad.isfinite().all() for parameter in tiny.parameters())
