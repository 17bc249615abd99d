import numpy as np
import pytest
import torch

from mtlgym.envs.training.actions import Interface, Logits, Tasks, Weights

INTERFACES: dict[str, Interface] = {
    "logits": Logits(3, 2.0),
    "weights": Weights(3),
    "tasks": Tasks(3),
}
REFUSED = {
    "logits": [
        np.zeros(2),
        np.zeros((1, 3)),
        0.0,
        np.array([0.0, np.nan, 0.0]),
        np.array([0.0, np.inf, 0.0]),
        np.array([0.0, 1.5, 0.0]),
        np.array(["a", "b", "c"]),
        np.array([True, False, True]),
        None,
        {},
        [[0.0], [0.0, 1.0], [0.0]],
        torch.zeros(3, requires_grad=True),
        torch.zeros(3, dtype=torch.bfloat16),
    ],
    "weights": [
        np.array([1.0, -1e-9, 1.0]),
        np.array([1.0, np.nan, 1.0]),
        np.array([1.0, np.inf, 1.0]),
        np.zeros(4),
        np.zeros(3, complex),
        "one",
        [[1.0], [1.0, 1.0], 1.0],
        torch.ones(3, requires_grad=True),
    ],
    "tasks": [-1, 3, 1.0, True, np.array([1]), None, "1", np.float32(1), np.nan, [[0], [0, 1]]],
}


@pytest.mark.parametrize("name", INTERFACES)
def test_encode_undoes_decode(name):
    interface = INTERFACES[name]
    interface.space.seed(0)
    for _ in range(50):
        decision = interface.decode(interface.space.sample())
        again = interface.decode(interface.encode(decision.weights.numpy()))
        torch.testing.assert_close(again.weights, decision.weights, rtol=1e-5, atol=1e-6)
        assert again.task == decision.task


@pytest.mark.parametrize(
    ("name", "action"), [(name, action) for name in REFUSED for action in REFUSED[name]]
)
def test_what_is_no_action_is_refused(name, action):
    with pytest.raises(ValueError, match="`action`"):
        INTERFACES[name].decode(action)


def test_logits_are_n_softmax_of_the_scaled_action():
    action = np.array([-1.0, 0.25, 1.0], np.float32)
    expected = 3 * np.exp(2.0 * action) / np.exp(2.0 * action).sum()
    np.testing.assert_allclose(INTERFACES["logits"].decode(action).weights, expected, rtol=1e-6)


def test_weights_too_far_apart_for_the_scale_are_refused():
    with pytest.raises(ValueError, match="differ by more"):
        INTERFACES["logits"].encode(np.array([1.0, 1.0, 1e6]))


@pytest.mark.parametrize("action", [0, np.int64(2), np.array(1), np.uint8(1)])
def test_every_integer_type_is_a_task(action):
    assert INTERFACES["tasks"].decode(action).task == int(action)
