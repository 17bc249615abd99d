"""What a graph was made from."""

from collections.abc import Iterable

from torch import Tensor


def leaves(root: Tensor, stops: Iterable[Tensor] = ()) -> list[Tensor]:
    """The tensors that a backward pass from here would fill the `.grad` of, each once.

    Nothing behind the `stops` counts.
    """
    found, waiting = [], [root.grad_fn]
    seen = {root.grad_fn, *(stop.grad_fn for stop in stops)}
    while waiting:
        node = waiting.pop()
        assert node is not None
        variable = getattr(node, "variable", None)  # of a node that accumulates gradients
        if variable is not None:
            found.append(variable)
        for child, _ in node.next_functions:
            if child is not None and child not in seen:
                seen.add(child)
                waiting.append(child)
    return found
