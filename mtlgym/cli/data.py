"""The command `mtlgym data`."""

from typing import Annotated

import tyro
from rich.table import Table
from tqdm import tqdm

from mtlgym import checks
from mtlgym.cli.bench import FAILED, console
from mtlgym.datasets import audit, sources
from mtlgym.datasets.domains import sets
from mtlgym.lookup import lookup


def status() -> int:
    """List the data sets: which are there, and how to get the others."""
    table = Table("data set", "real files", "embedded stand-in")
    for name in sources.DATASETS:
        found = sources.status(name)
        table.add_row(name, str(found.real or found.remedy), str(found.embedded))
    console.print(table)
    return 0


def verify() -> int:
    """Read every file of the data sets; compare SHA-256 checksums where they are known."""
    audits = [each for name in sources.DATASETS for each in audit.audit(name).items()]
    for path, damage in audits:
        text, style = (f"damaged  {damage}", "red") if damage else (f"sound  {path}", "green")
        console.print(text, style=style, soft_wrap=True)
    return FAILED if any(damage for _, damage in audits) else 0


def features(
    name: tyro.conf.Positional[str],
    backbone: str = "efficientnet_lite0",
    batch_size: int = 32,
    threads: int | None = None,
) -> int:
    """Compute the features of a benchmark's images. An interrupted call continues when repeated.

    They are written beside the images, to `features`, where environments look for them.

    Args:
        name: office_home, office_caltech, imageclef or domainnet.
        backbone: the network of the features: efficientnet_lite0; transformers:NAME for an image
            model on the Hugging Face hub or in a local folder; or the path of a .pt2 file.
        batch_size: images that are run at once.
        threads: of torch; as many as it chooses by default.
    """
    import torch

    from mtlgym.datasets.domains.features import extract
    from mtlgym.datasets.domains.image_lists import find_all
    from mtlgym.models.backbones import backbone as backbone_of

    domains = lookup(sets.DOMAIN_SETS, name, "data set of images").domains
    folder = sources.choose("real", name)
    assert folder is not None
    if threads is not None:
        checks.integer("threads", threads, least=1)
        torch.set_num_threads(threads)
    checks.integer("batch_size", batch_size, least=1)
    images = find_all(folder, domains)
    place = extract(folder, images, backbone_of(backbone), batch_size, _Bars())
    console.print(f"features in {place}", soft_wrap=True)
    return 0


class _Bars:
    """A progress bar a domain."""

    def __init__(self) -> None:
        self._bars: dict[str, tqdm] = {}

    def __call__(self, domain: str, done: int, total: int) -> None:
        if domain not in self._bars:
            self._bars[domain] = tqdm(total=total, desc=domain, unit="image")
        bar = self._bars[domain]
        bar.update(done - bar.n)
        if done == total:
            bar.close()


_Action = (
    Annotated[int, tyro.conf.subcommand("status", constructor=status)]
    | Annotated[int, tyro.conf.subcommand("verify", constructor=verify)]
    | Annotated[int, tyro.conf.subcommand("features", constructor=features)]
)


def data(action: tyro.conf.OmitSubcommandPrefixes[tyro.conf.OmitArgPrefixes[_Action]]) -> int:
    """List or check the data sets, or compute features of images."""
    return action
