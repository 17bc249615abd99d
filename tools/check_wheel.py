"""Build the wheel, unpack it elsewhere, and check that the package works from there."""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROBE = """
import importlib.resources, pathlib, sys
import gymnasium, mtlgym, mtlgym.agents, mtlgym.envs_config
place = pathlib.Path(sys.argv[1])
for module in (mtlgym, mtlgym.agents, mtlgym.envs_config):
    assert place in pathlib.Path(module.__file__).parents, module.__file__
from mtlgym.presets.published import tables
from mtlgym.presets.published import figures
assert tables() and figures()
for name in ("page.css", "page.jinja", "page.js"):
    assert importlib.resources.files("mtlgym.report").joinpath(name).is_file(), name
IDS = "Bandit Emoji Emoji-Routing Fashion-Routing QM9-Mini Rooms TextMix"
for id in (f"MTL-{name}-v0" for name in IDS.split()):
    env = gymnasium.make(id)
    assert env.reset(seed=0)[0] in env.observation_space
"""


def main() -> None:
    """Exit with an error if the wheel does not stand alone."""
    with tempfile.TemporaryDirectory() as folder:
        build = [sys.executable, "-m", "build", "--wheel", "--outdir", folder, str(ROOT)]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        place = Path(folder).resolve() / "installed"
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            wheel.extractall(place)
        # -P keeps this folder, and the path below the editable install, out of the way.
        code = f"import sys; sys.path.insert(0, {str(place)!r});" + PROBE
        subprocess.run([sys.executable, "-P", "-c", code, str(place)], check=True, cwd=folder)
    sys.stdout.write("the wheel stands alone\n")


if __name__ == "__main__":
    main()
