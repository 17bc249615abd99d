"""A trunk and a head in one module, for training loops that have their own routes."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mtlgym.models.heads import Head, check_actions


class RoutingNet(nn.Module):
    """Class scores of images that are sent along given routes.

    Attributes:
        trunk: gives the features, (samples, features).
        head: gives the scores from the features, layer by layer.
    """

    def __init__(self, trunk: nn.Module, head: Head) -> None:
        """Take the trunk and the head, which must fit each other."""
        super().__init__()
        self.trunk = trunk
        self.head = head

    def forward(
        self,
        images: Float[Tensor, "samples channels height width"],
        task: Int[Tensor, "..."],
        routes: Int[Tensor, "..."],
    ) -> Float[Tensor, "samples classes"]:
        """The scores of each image.

        Args:
            images: what the trunk takes.
            task: of each image, (samples,) int64, in [0, tasks).
            routes: the action of each image at each depth, (samples, depth) int64.

        Raises:
            ValueError: for an unknown task, an action that is not possible at its depth, or
                another shape or type; nothing has been computed then.
        """
        self._check(len(images), task, routes)
        state = self.head.start(self.trunk(images))
        for depth in range(self.head.depth):
            state = self.head.layer(depth, state, task, routes[:, depth])
        return self.head.value(state, task)

    def _check(self, samples: int, task: Tensor, routes: Tensor) -> None:
        wanted = {"task": (task, (samples,)), "routes": (routes, (samples, self.head.depth))}
        for name, (value, shape) in wanted.items():
            if value.shape != shape or value.dtype != torch.int64:
                raise ValueError(
                    f"`{name}` must be of the shape {shape} and torch.int64, "
                    f"not {tuple(value.shape)} and {value.dtype}"
                )
        unknown = task[(task < 0) | (task >= self.head.tasks)]
        if len(unknown):
            raise ValueError(
                f"unknown task {unknown[0].item()} in `task`: tasks are the integers in "
                f"[0, {self.head.tasks})"
            )
        for depth, action in enumerate(routes.cpu().numpy().T):
            check_actions(self.head, depth, action)
