# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures of the tests that drive the executables in private namespaces."""
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support.cni import Cni, plugin_dir  # noqa: E402
from support.lab import Lab  # noqa: E402
from support.netctl import Netctl  # noqa: E402
from support.order import arrange  # noqa: E402


@pytest.hookimpl(tryfirst=True)     # the groups must be there when xdist reads them
def pytest_collection_modifyitems(items):
    arrange(items)
    if os.geteuid() != 0:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture(scope="session", autouse=True)
def executables():
    folder = pathlib.Path(plugin_dir())
    if os.geteuid() == 0 and not (folder / "bridge").exists():
        pytest.exit(f"no executables in {folder}: build first, or set FAIRLEAD_PLUGIN_DIR", 2)


@pytest.fixture
def lab():
    with Lab() as lab:
        yield lab


@pytest.fixture
def cni(lab):
    """Two containers, c1 and c2, and the means to call plugins for them."""
    for name in ("c1", "c2"):
        lab.netns(name)
    return Cni(lab)


@pytest.fixture
def netctl(lab):
    return Netctl(lab)


@pytest.fixture
def upstream(lab):
    """The name server of the host's resolv.conf, 192.0.2.2 outside."""
    from support import stub
    from support.upstream import Upstream
    with Upstream(lab) as server:
        stub.host_servers(lab, "192.0.2.2")
        yield server


@pytest.fixture
def resolving(cni, upstream):
    """The same, and container c1 with a resolver; yields the server."""
    from support import stub
    cni.add("bridge", stub.config()).expect()
    return upstream
