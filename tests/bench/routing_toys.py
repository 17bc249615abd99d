"""Small images in place of those that routing ids embed."""

from dataclasses import replace

from mtlgym import problems
from mtlgym.datasets.images.image_tasks import take
from tests.envs.routing import toy_images

TASKS = 10
SIZES = {"train": 400, "val": 60, "test": 60}


def build(data="auto", tasks=None, validation=0.1):
    """As the builders of `IMAGE_PROBLEMS`, with ten tasks."""
    toy = toy_images.problem(flipped=(False, True) * (TASKS // 2), sizes=SIZES)
    return replace(toy, data=take(toy.data, tasks))


def stand_in(monkeypatch):
    """Let every routing id have them."""
    for name in problems.IMAGE_PROBLEMS:
        monkeypatch.setitem(problems.IMAGE_PROBLEMS, name, f"{__name__}:build")
