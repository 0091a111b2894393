# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures of the tests of networks that span nodes, and of the etcd client below them."""
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support.cni import plugin_dir  # noqa: E402
from support.etcd import Cluster  # noqa: E402
from support.gateway import Gateway  # noqa: E402
from support.lab import Lab  # noqa: E402
from support.netctl import Netctl  # noqa: E402
from support.nodes import Nodes  # noqa: E402
from support.order import arrange  # noqa: E402
from support import peers as elsewhere  # noqa: E402


@pytest.hookimpl(tryfirst=True)     # the groups must be there when xdist reads them
def pytest_collection_modifyitems(items):
    arrange(items)
    if os.geteuid() != 0:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture(scope="session", autouse=True)
def executables():
    folder = pathlib.Path(plugin_dir())
    if os.geteuid() == 0 and not (folder / "overlay").exists():
        pytest.exit(f"no executables in {folder}: build first, or set FAIRLEAD_PLUGIN_DIR", 2)


@pytest.fixture
def nodes():
    with Nodes(2) as nodes:
        yield nodes


@pytest.fixture
def three():
    with Nodes(3) as nodes:
        yield nodes


@pytest.fixture
def host(nodes):
    """Node 0, with a container on each of two networks (support.peers.attach)."""
    return elsewhere.attach(nodes)


@pytest.fixture
def peers(host):
    """Containers of other nodes, in that node's store."""
    return elsewhere.Peers(host)


@pytest.fixture
def host_netctl(host):
    return Netctl(host)


@pytest.fixture
def lab():
    with Lab() as lab:
        yield lab


@pytest.fixture
def etcd(lab):
    """One member."""
    with Cluster(lab) as cluster:
        yield cluster


@pytest.fixture
def etcd3(lab):
    """Three members."""
    with Cluster(lab, 3) as cluster:
        yield cluster


@pytest.fixture
def gateway(lab):
    with Gateway(lab) as gateway:
        yield gateway


@pytest.fixture
def netctl(lab):
    return Netctl(lab)
