# SPDX-License-Identifier: GPL-2.0-or-later
"""netctl's frame: dispatch, options, help, tables, JSON, errors."""
import pytest

from support import configs as net
from support.netctl import FAILED, NOT_FOUND, USAGE, program


@pytest.fixture
def attached(cni, netctl):
    """Network "net" with c1 and c2, "other" with c1; yields netctl."""
    for config, containers in ((net.dual(), ("c1", "c2")), (net.second(), ("c1",))):
        netctl.write(net.conflist({k: v for k, v in config.items() if k not in ("cniVersion", "name")}, name=config["name"]))
        for container in containers:
            cni.add("bridge", config, container, ifname="eth0" if config["name"] == "net" else "eth1").expect()
    return netctl


def test_overview_help_and_version(netctl):
    assert netctl().status == USAGE
    assert "endpoint ls" in netctl("help").expect().stdout
    assert netctl("--help").expect().stdout == netctl("help").stdout
    assert "--no-header" in netctl("help", "endpoint", "ls").expect().stdout
    assert netctl("endpoint", "ls", "--help").stdout == netctl("help", "endpoint", "ls").stdout
    assert netctl("--version").expect().stdout == netctl("version").stdout
    assert "1.1.0" in netctl.json("version")["cniVersions"]


@pytest.mark.parametrize("argv, words", [
    (["netwrok", "ls"], 'did you mean "network"'),
    (["network", "lss"], 'did you mean "network ls"'),
    (["endpoint", "ls", "--jsno"], "did you mean --json"),
    (["endpoint", "ls", "-Z"], "no such option"),
    (["endpoint", "ls", "a", "b"], "b: one argument too many"),
    (["endpoint", "ls", "--container"], "expected a value"),
    (["endpoint", "ls", "--color=often"], "expected auto, always or never"),
    (["xyzzy"], "no such verb"),
])
def test_wrong_usage(netctl, argv, words):
    outcome = netctl(*argv).expect(USAGE, words)
    assert not outcome.stdout


def test_nothing_there(lab, netctl):
    assert netctl.json("network", "ls") == []
    assert netctl.json("endpoint", "ls") == []
    netctl("endpoint", "ls", "net").expect(NOT_FOUND, "nothing is attached to network net")
    assert netctl("endpoint", "ls", "net", "--json").error["code"] == 3
    assert not any(lab.files(f"/run/fairlead/{folder}") for folder in lab.files("/run/fairlead"))


def test_endpoints(attached):
    rows = attached("endpoint", "ls").expect().rows
    assert rows[0] == ["CONTAINER", "NETWORK", "DRIVER", "INTERFACE", "HOST", "ADDRESSES", "MAC", "STATE"]
    assert [row[:2] for row in rows[1:] if len(row) > 1] == [["c1", "net"], ["c2", "net"], ["c1", "other"]]
    one = attached.json("endpoint", "ls", "other")
    assert [(e["container"], e["interface"], e["addresses"], e["state"]) for e in one] == \
        [("c1", "eth1", ["10.2.0.2/24"], "ready")]
    assert attached("endpoint", "ls", "-q", "net").expect().stdout == "c1\nc2\n"
    assert attached("endpoint", "ls", "--no-header", "net").expect().rows[0][0] == "c1"
    assert [e["network"] for e in attached.json("endpoint", "ls", "--container", "c1")] == ["net", "other"]


def test_networks(attached):
    found = {n["name"]: n for n in attached.json("network", "ls")}
    assert {name: (n["endpoints"], n["subnets"], n["link"]) for name, n in found.items()} == {
        "net": (2, ["10.1.0.0/24", "fd00:1::/64"], "net0"), "other": (1, ["10.2.0.0/24"], "other0")}
    attached.lab.run(["rm", "/etc/cni/net.d/50-other.conflist"])
    attached.lab.write("/etc/cni/net.d/10-bad.conflist", "{")
    outcome = attached("network", "ls").expect()
    assert "10-bad.conflist: not JSON" in outcome.stderr
    found = {n["name"]: n for n in attached.json("network", "ls")}
    assert found["other"]["file"] == "" and found["other"]["driver"] == "bridge"


def test_colours_only_when_wanted(attached):
    assert "\x1b" not in attached("endpoint", "ls").expect().stdout
    assert "\x1b[32m" in attached("endpoint", "ls", "--color=always").expect().stdout


def test_not_root(attached):
    done = attached.lab.run(["setpriv", "--reuid", "65534", "--clear-groups", program(), "endpoint", "ls"], check=False,
                            env=attached.environment())
    assert done.returncode == FAILED and "run netctl as root" in done.stderr
