"""What `mtlgym.envs` exports, and the import paths that the documentation names."""

import subprocess
import sys

import pytest

import mtlgym.envs


@pytest.mark.parametrize("name", mtlgym.envs.__all__)
def test_every_exported_name_can_be_imported(name):
    assert getattr(mtlgym.envs, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'Training'"):
        mtlgym.envs.Training  # noqa: B018


def test_documented_paths_lead_to_the_same_objects():
    from mtlgym.envs import observations, routing_parallel
    from mtlgym.envs.routing.pettingzoo import parallel

    assert observations.FEATURES is mtlgym.envs.FEATURES
    assert routing_parallel.parallel is parallel


def test_importing_the_package_does_not_import_torch():
    code = "import sys, mtlgym.envs; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout == "False\n", found.stderr
