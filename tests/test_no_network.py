"""Nothing is asked of a network: neither by an import, nor by environments, nor by agents."""

import shutil
import subprocess
import sys

import pytest

from tests import ROOT
from tests.envs.test_ids import IDS

BLOCKED = """
import socket, sys

def refuse(*args, **kwargs):
    raise AssertionError(f"the network is asked for something: {args[:3]}")

class Refused(socket.socket):
    def __init__(self, *args, **kwargs):
        refuse("socket", *args)

names = ("getaddrinfo", "gethostbyname", "create_connection", "create_server", "socketpair")
for name in names:
    setattr(socket, name, refuse)
socket.socket = Refused
asked = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
sys.addaudithook(lambda event, args: refuse(event, *args) if event in asked else None)
"""
USED = """
import warnings
warnings.simplefilter("ignore", UserWarning)
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from tests.envs.hostile import gym, small, small_vector
from mtlgym import agents
from mtlgym.agents import AGENTS

for id in sys.argv[2].split(","):
    env = small(id)
    env.reset(seed=0)
    env.action_space.seed(0)
    env.step(env.action_space.sample())
    env.close()
made = 0
for id in ("MTL-Bandit-v0", "MTL-Emoji-v0", "MTL-Emoji-Routing-v0"):
    env = small(id)
    for name in AGENTS:
        try:
            agents.make(name, env.observation_space, env.action_space, seed=0)
            made += 1
        except ValueError:
            pass  # it is of another action space
vector = small_vector("MTL-Bandit-v0")
vector.reset(seed=0)
vector.step(vector.action_space.sample())
print("made", made)
"""


def run(code, *command):
    return subprocess.run(
        [*command, sys.executable, "-c", code, str(ROOT), ",".join(IDS)],
        capture_output=True,
        text=True,
    )


def assert_made(child):
    assert child.returncode == 0, child.stderr[-3000:]
    assert int(child.stdout.split()[-1]) > 16  # agents, some of them for several spaces


def test_the_block_is_one():
    for use in (
        "socket.socket()",
        "socket.create_connection(('127.0.0.1', 9))",
        "__import__('urllib.request').request.urlopen('http://localhost:9')",
        "__import__('_socket').socket().connect(('127.0.0.1', 9))",
    ):
        child = subprocess.run(
            [sys.executable, "-c", BLOCKED + use], capture_output=True, text=True
        )
        assert child.returncode, use
        assert "the network is asked for something" in child.stderr


def test_nothing_asks_the_network_when_every_id_and_agent_is_made_and_used():
    assert_made(run(BLOCKED + USED))


def unshared():
    command = shutil.which("unshare")
    if not command:
        return False
    return subprocess.run([command, "-n", "true"], capture_output=True).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not unshared(), reason="no process without a network can be made here")
def test_every_id_and_agent_is_made_and_used_where_there_is_no_network():
    assert_made(run("import sys" + USED, "unshare", "-n"))
