"""The script that builds the embedded features of emoji, on small inputs."""

from importlib import import_module

import numpy as np
import pytest

from mtlgym.datasets import sources
from mtlgym.datasets.domains import emoji as emoji_domains
from mtlgym.datasets.images import emoji
from tests import ROOT

TOOLS = ROOT / "tools"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))
        yield import_module("emoji_features")


def test_a_code_is_the_root_of_a_features_share_of_its_top_in_five_bits(script):
    features = np.random.default_rng(0).gamma(0.5, size=(400, 3)).astype(np.float32)
    features[:, 1] = 0
    codes, tops = script.coded(features)
    assert codes.dtype == np.uint8
    assert codes[:, [0, 2]].max(axis=0).tolist() == [31, 31]
    np.testing.assert_allclose(tops[::2], np.quantile(features, 0.999, axis=0)[::2], rtol=1e-6)
    assert tops[1] == np.float32(1e-6)
    assert not codes[:, 1].any()
    roots = np.sqrt(np.minimum(features / tops, 1))
    assert abs(codes / 31 - roots).max() <= 0.5 / 31 + 1e-6


def test_the_shipped_file_holds_codes_in_five_bits_of_all_shared_glyphs():
    arrays, source = sources.embedded("office_home")
    glyphs = emoji.glyphs()[0]
    index = emoji_domains.pick(glyphs)[0]
    assert source.path.name == "emoji_features.npz"
    assert arrays["codes"].shape == (4, 674, 1280)
    assert arrays["codes"].dtype == np.uint8
    assert arrays["codes"].max() == 31
    assert arrays["tops"].shape == (1280,)
    assert (arrays["tops"] >= np.float32(1e-6)).all()
    assert arrays["tops"].max() <= 6  # as features of the network
    assert arrays["codepoints"].tolist() == [glyphs.codepoints[at] for at in index]
