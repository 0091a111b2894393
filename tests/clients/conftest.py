# SPDX-License-Identifier: GPL-2.0-or-later
"""The real clients need root and their own programs; what is missing skips its tests, by name."""
import os
import pathlib
import shutil
import sys

import pytest

# tests/ itself, for the support modules that all integration tests share.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from clientlib import host as hosts, plugins, state  # noqa: E402

NEEDS = {"test_podman.py": ("podman", "conmon", "runc"), "test_podman_dns.py": ("podman", "conmon", "runc", "dnsmasq"), "test_containerd.py": ("containerd", "ctr", "runc"),
         "test_containerd_macvlan.py": ("containerd", "ctr", "runc"),
         "test_dockerd.py": ("dockerd", "docker", "containerd", "runc", "iptables"),
         "test_systemd.py": ("/lib/systemd/systemd", "systemctl", "journalctl", "etcd", "etcdctl", "openssl", "dnsmasq")}
EVERYWHERE = ("nft", "ip", "unshare", "nsenter", "busybox", "mdb_dump")


def pytest_collection_modifyitems(items):
    for item in items:
        needed = EVERYWHERE + NEEDS.get(item.path.name, ())
        missing = [program for program in needed if not shutil.which(program)]
        if os.geteuid():
            item.add_marker(pytest.mark.skip(reason="needs root"))
        elif missing:
            item.add_marker(pytest.mark.skip(reason="not installed: " + ", ".join(missing)))


@pytest.fixture(scope="session", autouse=True)
def plugin_folder():
    if not plugins.find("bridge", [plugins.directory()]):
        pytest.exit(f"no bridge plugin in {plugins.directory()}; set FAIRLEAD_PLUGIN_DIR", returncode=4)
    return plugins.directory()


@pytest.fixture(scope="module")
def host():
    with hosts.Host() as machine:
        yield machine


@pytest.fixture
def unchanged(request, host):
    """The host must look after the test as it did before; `reference_leaks` names a known exception."""
    before = state.take(host)
    yield
    check_unchanged(request, before, lambda: state.take(host))


def check_unchanged(request, before, take_again):
    if plugins.ours() or not request.node.get_closest_marker("reference_leaks"):
        found = state.difference(before, take_again)
        assert not found, found


@pytest.fixture
def compare(request):
    """compare(before, take_again): as `unchanged`, for tests that make their own host."""
    return lambda before, take_again: check_unchanged(request, before, take_again)


def pytest_configure(config):
    config.addinivalue_line("markers", "reference_leaks(why): the reference plugins leave something here, ours must not")
