"""MIN-MTL: ten tasks of five labels each out of mini-ImageNet."""

from collections.abc import Sequence

from mtlgym import checks
from mtlgym.datasets import sources
from mtlgym.datasets.images import emoji, mini_imagenet
from mtlgym.datasets.images.image_tasks import take
from mtlgym.datasets.sources import Source
from mtlgym.problems.images import ImageProblem


def build(
    data: str = "auto", tasks: int | Sequence[str] | None = None, validation: float = 0.1
) -> ImageProblem:
    """Tasks of classifying five labels of mini-ImageNet each.

    Of each label 50 images are for the test and 800, or all others where there are fewer, for
    training, of which `validation` is held out. As far as is known these are the paper's numbers;
    mini-ImageNet itself is said to have 600 images a label.

    Source: Rosenbaum, Klinger, Riemer (ICLR 2018), section 5, "MIN-MTL"; Vinyals et al. (NIPS
    2016) for the images.
    Differs from it in that a part of the training images is held out, and in which labels make a
    task, as that was not published; and without the real files six groups of emoji, as four
    artists drew them, are the tasks.

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
    folder = sources.choose(data, "mini_imagenet")
    if folder is None:
        found, source = emoji.load_groups()
        return ImageProblem("mini_imagenet", take(found, tasks), source)
    found = mini_imagenet.load(folder, tasks, validation)
    return ImageProblem(
        "mini_imagenet",
        found,
        Source("mini_imagenet", "real", folder, mini_imagenet.digest(folder)),
    )
