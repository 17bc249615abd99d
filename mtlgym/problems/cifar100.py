"""CIFAR-MTL: the 20 superclasses of CIFAR-100 as tasks."""

from collections.abc import Sequence

from mtlgym import checks
from mtlgym.datasets import sources
from mtlgym.datasets.images import cifar100, emoji
from mtlgym.datasets.images.image_tasks import take
from mtlgym.datasets.sources import Source
from mtlgym.problems.images import ImageProblem


def build(
    data: str = "auto", tasks: int | Sequence[str] | None = None, validation: float = 0.1
) -> ImageProblem:
    """CIFAR-100's superclasses, each a task of classifying its five classes.

    2,500 images a task are for training, of which `validation` is held out, and 500 for the test.

    Source: Rosenbaum, Klinger, Riemer (ICLR 2018), section 5, "CIFAR-MTL"; Krizhevsky (2009) for
    the images.
    Differs from it in that a part of the training images is held out; and without the real files
    six groups of emoji, as four artists drew them, are the tasks.

    Args:
        data: `auto`, `real` or `embedded`.
        tasks: their names, or the number of the first ones; all by default.
        validation: share of the real training images that is held out.

    Raises:
        ValueError: for an unknown task or mode, or a number that is not allowed; for a damaged
            file, which it names.
        FileNotFoundError: for `real` without the files; says how to get them.
    """
    checks.share("validation", validation)
    folder = sources.choose(data, "cifar100")
    if folder is None:
        found, source = emoji.load_groups()
        return ImageProblem("cifar100", take(found, tasks), source)
    found = cifar100.load(folder, tasks, validation)
    source = Source("cifar100", "real", folder, cifar100.digest(folder))
    return ImageProblem("cifar100", found, source)
