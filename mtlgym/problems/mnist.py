"""MNIST-MTL: ten tasks, each of which separates one digit from all others."""

from collections.abc import Sequence

from mtlgym import checks
from mtlgym.datasets import sources
from mtlgym.datasets.images import fashion, mnist
from mtlgym.datasets.images.image_tasks import take
from mtlgym.datasets.sources import Source
from mtlgym.problems.images import ImageProblem


def build(
    data: str = "auto", tasks: int | Sequence[str] | None = None, validation: float = 0.1
) -> ImageProblem:
    """MNIST's digits, one against the rest.

    A task has 1,000 images of its digit and 1,000 of each of the others for training, of which
    `validation` is held out, and 200 in these proportions for the test, as far as is known: to
    answer "no" is right for 90 %. A network that is not told the task cannot do better on all.

    Source: Rosenbaum, Klinger, Riemer (ICLR 2018), section 5, "MNIST-MTL"; LeCun et al. (1998) for
    the images.
    Differs from it in that a part of the training images is held out; and without the real files
    the ten kinds of clothes of Fashion-MNIST are the tasks, with as many images of other kinds as
    of the own one.

    Args:
        data: `auto`, `real` or `embedded`.
        tasks: their names, or the number of the first ones; all by default.
        validation: share of the real training samples that is held out.

    Raises:
        ValueError: for an unknown task or mode, or a number that is not allowed; for a damaged
            file, which it names.
        FileNotFoundError: for `real` without the files; says how to get them.
    """
    checks.share("validation", validation)
    folder = sources.choose(data, "mnist")
    if folder is None:
        found, source = fashion.load()
        return ImageProblem("mnist", take(found, tasks), source)
    found = mnist.load(folder, tasks, validation)
    source = Source("mnist", "real", folder, mnist.digest(folder))
    return ImageProblem("mnist", found, source)
