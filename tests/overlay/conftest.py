# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures of the tests of overlay networks and of the etcd client below them."""
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support.etcd import Cluster  # noqa: E402
from support.gateway import Gateway  # noqa: E402
from support.lab import Lab  # noqa: E402


def pytest_collection_modifyitems(items):
    if os.geteuid() != 0:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="needs root"))


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
