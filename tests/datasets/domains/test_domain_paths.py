from pathlib import Path

import pytest

from mtlgym.datasets import sources
from mtlgym.datasets.domains.paths import matching
from mtlgym.datasets.domains.sets import DOMAIN_SETS


@pytest.mark.parametrize("name", DOMAIN_SETS)
def test_every_set_is_known_to_the_sources_and_finds_its_own_names(name):
    chosen = DOMAIN_SETS[name]
    assert sources.DATASETS[name].embedded == "emoji_features.npz"
    assert set(sources.DATASETS) >= set(DOMAIN_SETS)
    paths = [Path(f"{domain}_train.txt") for domain in chosen.domains]
    for domain, path in zip(chosen.domains, paths, strict=True):
        assert matching(paths, chosen.domains[domain]) == [path]


@pytest.mark.parametrize(
    ("name", "domain", "path"),
    [
        ("office_home", "real_world", "Real World"),
        ("office_home", "real_world", "RealWorld"),
        ("office_home", "real_world", "Real_World_resnet50.npy"),
        ("office_caltech", "amazon", "amazon_SURF_L10.mat"),
        ("office_caltech", "caltech", "Caltech10_SURF_L10.mat"),
        ("office_caltech", "caltech", "caltech-256"),
        ("imageclef", "imagenet", "i"),
        ("imageclef", "bing", "bList.txt"),
        ("imageclef", "pascal", "p_list.txt"),
        ("domainnet", "real", "real_train.txt"),
    ],
)
def test_spellings_that_are_in_use_are_found(name, domain, path):
    domains = DOMAIN_SETS[name].domains
    found = {each for each in domains if matching([Path(path)], domains[each])}
    assert found == {domain}
    assert not matching([Path(f"x{path}")], domains[domain])


def test_a_whole_name_is_preferred_to_its_beginning(tmp_path):
    paths = [Path("real_test.npz"), Path("Real.npz")]
    assert matching(paths, ("real",)) == [Path("Real.npz")]
    assert matching([*paths, Path("real.mat")], ("real",)) == [Path("Real.npz"), Path("real.mat")]
    assert matching(paths[:1], ("real",)) == paths[:1]
    assert matching(paths, ("sketch",)) == []
