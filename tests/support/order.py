# SPDX-License-Identifier: GPL-2.0-or-later
"""In which order tests run, and which of them share a worker (pytest --dist loadgroup)."""
import pytest

# Files with tests that take ten seconds and more: they begin first, so that none is left over when the others end.
LONG = ("storm", "killed", "interrupted_kinds", "interrupted", "abandoned", "conformance", "hostdevice", "agent_interrupted",
        "static_interrupted", "dhcpd6", "dhcpd", "agent_life", "dns_plugin", "bandwidth", "foreign", "firewalld")


def arrange(items):
    """Long ones first; what shares things made for its file goes to one worker, and no more than two such files are at work at
    once, because a cluster on each worker would be slower than its leases."""
    files = sorted({item.path.stem for item in items if shares(item)})
    for item in items:
        if shares(item):
            item.add_marker(pytest.mark.xdist_group(f"shared-{files.index(item.path.stem) % 2}"))
    items.sort(key=lambda item: (not shares(item), rank(item)))


def rank(item):
    name = item.path.stem.removeprefix("test_")
    return LONG.index(name) if name in LONG else len(LONG)


def shares(item):
    definitions = item._fixtureinfo.name2fixturedefs.values()
    return any(found[-1].scope == "module" for found in definitions)
