# SPDX-License-Identifier: GPL-2.0-or-later
"""netctl topology: tree, JSON, DOT, SVG."""
import concurrent.futures
import json
import os
import re
import shutil
import subprocess

import pytest

from support import configs as net
from support.netctl import FAILED, NOT_FOUND, USAGE
from support.svg import Picture

LONG = "a-name-that-is-longer-than-any-box-that-one-would-like-to-look-at"


@pytest.fixture
def drawn(cni, netctl):
    """c1 "web" on net and other with a port and a range, c2 with a long name on net; yields netctl."""
    web = {"args": "K8S_POD_NAME=web"}
    cni.add("bridge", net.publish(net.dual(), (8080, 80), *[(9000 + i, 9000 + i) for i in range(4)]), "c1", **web).expect()
    cni.add("bridge", net.second(isolate=True, ipMasq=False), "c1", ifname="eth1", **web).expect()
    cni.add("bridge", net.dual(), "c2", args=f"K8S_POD_NAME={LONG}").expect()
    return netctl


def fill(lab, cni, n, networks):
    """n containers by turns on `networks` networks, every fourth on two, every fifth with ports."""
    configs = [net.bridge(f"n{i}", subnets=(f"10.{i + 1}.0.0/16", f"fd00:{i + 1}::/64")) for i in range(networks)]

    def one(i):
        lab.netns(f"k{i}")
        config = configs[i % networks]
        if i % 5 == 0:
            config = net.publish(config, *[(1000 + 20 * i + 2 * k, 80 + k) for k in range(1 + i % 7)])
        cni.add("bridge", config, f"k{i}", args=f"K8S_POD_NAME={LONG if i % 11 == 3 else 'app'}-{i}").expect()
        if i % 4 == 1:
            cni.add("bridge", configs[(i + 1) % networks], f"k{i}", ifname="eth1").expect()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(n)))
    return {f"k{i}": sorted([f"n{i % networks}"] + ([f"n{(i + 1) % networks}"] if i % 4 == 1 else [])) for i in range(n)}


def test_tree(drawn):
    lines = drawn("topology").expect().stdout.splitlines()
    assert re.match(r"NAME +INTERFACE +ADDRESSES +PORTS, FLAGS", lines[0])
    assert re.search(r" up0 +192\.0\.2\.1/24 ", lines[1])
    text = "\n".join(lines)
    assert re.search(r"├─net \(bridge\) +net0 +10\.1\.0\.0/24 +masquerade", text)
    assert re.search(r"│ ├─web \* +eth0 +10\.1\.0\.2/24 +8080 -> 80/tcp\n"
                     r"│ │ +fd00:1::2/64 +9000-9003 -> 9000-9003/tcp", text)
    assert re.search(r"│ └─" + LONG + r" +eth0 +10\.1\.0\.3/24", text)
    assert re.search(r"└─other \(bridge\) +other0 +10\.2\.0\.0/24 +isolated\n +│ +gateway 10\.2\.0\.1", text)
    assert re.search(r"\n  └─web \* +eth1 +10\.2\.0\.2/24", text)
    assert lines[-1] == "* is on several networks"
    assert drawn("topology", "-q").expect().stdout == "net\nother\n"


def test_sharers(lab, cni, netctl):
    """Each has the interfaces of the one whose sandbox it is in, and says whose; never the name that is in its own record."""
    for owner in ("c1", "c2"):
        cni.add("bridge", net.bridge(), owner, args=f"IgnoreUnknown=1;K8S_POD_NAME=web{owner}").expect()
    cni.add("bridge", net.second(), "c2", ifname="eth1", args="IgnoreUnknown=1;K8S_POD_NAME=webc2").expect()
    sharers = {"a1": "c1", "a2": "c1", "b1": "c2"}
    for number, (sharer, owner) in enumerate(sharers.items()):
        share = {"cniVersion": net.VERSION, "name": "shared", "type": "container", "container": owner}
        cni.add("container", share, sharer, netns=owner, ifname=f"eth{7 + number}").expect()
    owners = {sharer: f"(web{owner}'s)" for sharer, owner in sharers.items()}
    tree = netctl("topology").expect().stdout
    dot, svg = netctl("topology", "--dot").expect().stdout, netctl("topology", "--svg").expect().stdout
    top = {words[0]: words[2] for words in netctl("top", "--count", "1").expect().rows[1:] if words}
    for sharer, owner in owners.items():
        assert re.search(rf"─{sharer} +{re.escape(owner)}", tree), tree
        assert top[sharer] == owner
        box = re.search(rf'(e\d+) \[label="{sharer}"', dot).group(1)
        assert re.search(rf'-> {box} \[dir=none, label="{re.escape(owner)}', dot), dot
    assert svg.count("(webc1&#39;s)") + svg.count("(webc1's)") + svg.count("(webc1&apos;s)") == 2 and not re.search("eth[789]", tree + dot + svg)
    [shared] = [n for n in netctl.json("topology")["networks"] if n["name"] == "shared"]
    assert {e["container"]: e["sharesSandboxOf"] for e in shared["endpoints"]} == sharers
    # Who asks for a sharer is shown what it has.
    [reading] = map(json.loads, netctl("top", "--json", "--count", "1", "b1", "a2").expect().stdout.splitlines())
    assert sorted((e["container"], e["interface"], e["sharesSandboxOf"]) for e in reading) == [
        ("c1", "eth0", ""), ("c2", "eth0", ""), ("c2", "eth1", "")]
    assert all(isinstance(e["in"], float) for e in reading)
    # An owner outside of what is drawn is named all the same.
    assert owners["a1"] in netctl("topology", "shared").expect().stdout
    cni.delete("bridge", net.bridge(), "c1").expect()
    assert re.search(r"─a1 +\(c1's\)", netctl("topology").expect().stdout)
    netctl("top", "--count", "1", "a1").expect(NOT_FOUND, "shares the sandbox of c1, which is attached to no network any more")


def test_tree_in_ascii(drawn):
    text = drawn("topology", env={"LC_ALL": "C"}).expect().stdout
    assert text.isascii() and "|-net (bridge)" in text and "`-other (bridge)" in text


def test_json(drawn):
    found = drawn.json("topology")
    assert (found["host"]["uplink"], found["host"]["addresses"]) == ("up0", ["192.0.2.1/24", "2001:db8::1/64"])
    one, other = found["networks"]
    assert (one["name"], one["driver"], one["link"], one["parent"], one["subnets"], one["gateways"], one["flags"]) == \
        ("net", "bridge", "net0", "", ["10.1.0.0/24", "fd00:1::/64"], ["10.1.0.1/24", "fd00:1::1/64"], ["masquerade"])
    assert (other["name"], other["flags"]) == ("other", ["isolated"])
    assert [(e["container"], e["label"], e["interface"], e["alsoOn"]) for e in one["endpoints"]] == \
        [("c1", "web", "eth0", ["other"]), ("c2", LONG, "eth0", [])]
    assert {p["hostPort"]: p["range"] for p in one["endpoints"][0]["ports"]} == {8080: 1, 9000: 4}
    assert [e["addresses"] for e in other["endpoints"]] == [["10.2.0.2/24"]]


def test_only_some_networks(drawn):
    assert [n["name"] for n in drawn.json("topology", "other")["networks"]] == ["other"]
    assert "several" not in drawn("topology", "other").expect().stdout
    drawn("topology", "net", "nix").expect(NOT_FOUND, "nothing is attached to network nix")
    assert drawn("topology", "nix", "--json").error["code"] == 3


def test_nothing_there(netctl):
    assert netctl.json("topology")["networks"] == []
    assert "up0" in netctl("topology").expect().stdout
    assert not Picture(netctl("topology", "--svg").expect().stdout).containers
    assert netctl("topology", "--dot").expect().stdout.startswith("digraph")


def test_wrong_usage(drawn):
    drawn("topology", "--svg", "--dot").expect(USAGE, "exclude each other")
    drawn("topology", "-o", "/run/x").expect(USAGE, "--output needs")


def test_dot(lab, drawn):
    text = drawn("topology", "--dot").expect().stdout
    assert re.search(r'n0 \[label="net\\nbridge net0\\n10\.1\.0\.0/24\\nfd00:1::/64"', text)
    assert re.search(r'e0 \[label="web"', text) and text.count("-> e0 ") == 3
    assert r'outside -> e0 [label="8080 -&gt; 80/tcp\n9000-9003 -&gt; 9000-9003/tcp"' in text
    if shutil.which("dot"):
        lab.run(["dot", "-Tplain"], input=text)


def test_svg(drawn):
    picture = Picture(drawn("topology", "--svg").expect().stdout)
    assert picture.containers == ["c1", "c2"]
    assert [g.get("data-network") for g in picture.networks] == ["net", "other"]
    web, longest = map(picture.texts, picture.sandboxes)
    assert web == ["web", "eth0", "10.1.0.2/24", "fd00:1::2/64", "eth1", "10.2.0.2/24", "8080 → 80/tcp",
                   "9000-9003 → 9000-9003/tcp"]
    assert longest[0].endswith("…") and LONG.startswith(longest[0][:-1]) and LONG in picture.titles()
    assert picture.lines() == {"c1": ["net", "other"], "c2": ["net"]}
    assert "192.0.2.1/24, 2001:db8::1/64" in " ".join(picture.texts(picture.root))
    assert not picture.overflows() and not picture.overlaps()


def test_file(lab, drawn):
    lab.write("/run/picture.svg", "before")
    drawn("topology", "--svg", "-o", "/run/picture.svg").expect()
    assert Picture(lab.read("/run/picture.svg")).containers == ["c1", "c2"]
    assert [name for name in lab.files("/run") if "picture" in name] == ["picture.svg"]
    lab.run(["mkdir", "/run/picture.d"])
    drawn("topology", "--svg", "-o", "/run/picture.d").expect(FAILED, "/run/picture.d: Is a directory")
    assert [name for name in lab.files("/run") if "picture" in name] == ["picture.d", "picture.svg"]
    outcome = drawn("topology", "--svg", "-o", "/run/nowhere/picture.svg").expect(FAILED, "/run/nowhere/picture.svg")
    assert not outcome.stdout


def test_file_that_is_not_regular(lab, drawn):
    """A link stays one; a device and a pipe are written to."""
    lab.write("/run/real.svg", "before")
    for name, to in (("link.svg", "/run/real.svg"), ("new.svg", "/run/made.svg"), ("chain.svg", "link.svg")):
        lab.run(["ln", "-s", to, f"/run/{name}"])
    for name, to in (("link.svg", "real.svg"), ("new.svg", "made.svg"), ("chain.svg", "real.svg")):
        lab.run(["rm", "-f", f"/run/{to}"] if name == "new.svg" else ["sh", "-c", f"echo before > /run/{to}"])
        drawn("topology", "--svg", "-o", f"/run/{name}").expect()
        assert Picture(lab.read(f"/run/{to}")).containers == ["c1", "c2"]
        assert lab.call(os.path.islink, f"/run/{name}") and not lab.call(os.path.islink, f"/run/{to}")
    lab.run(["mknod", "/run/null", "c", "1", "3"])
    drawn("topology", "--svg", "-o", "/run/null").expect()
    assert lab.run(["stat", "-c", "%F", "/run/null"]).stdout == "character special file\n"
    lab.run(["mkfifo", "/run/fifo"])
    reader = lab.start(["cat", "/run/fifo"], stdout=subprocess.PIPE, text=True)
    drawn("topology", "--svg", "-o", "/run/fifo").expect()
    assert Picture(reader.communicate(timeout=20)[0]).containers == ["c1", "c2"]
    assert lab.run(["stat", "-c", "%F", "/run/fifo"]).stdout == "fifo\n"
    assert Picture(drawn("topology", "--svg", "-o", "/dev/stdout").expect().stdout).containers == ["c1", "c2"]
    assert not [name for name in lab.files("/run") if ".svg." in name or "null." in name]


@pytest.mark.parametrize("n, networks", [(1, 1), (2, 1), (20, 3), (200, 6)])
def test_svg_of_many(lab, cni, netctl, n, networks):
    attached = fill(lab, cni, n, networks)
    picture = Picture(netctl("topology", "--svg").expect().stdout)
    assert len(picture.containers) == n and picture.lines() == attached
    wide, high = picture.size
    assert not picture.overflows() and not picture.overlaps()
    assert 0.9 < wide / high < 2.3
    assert max(len(picture.texts(g)) for g in picture.sandboxes) <= 1 + 2 * 8 + 4


def test_parents(lab, cni, netctl):
    config = {"cniVersion": net.VERSION, "name": "mv", "type": "macvlan", "master": "up0",
              "ipam": net.host_local("10.3.0.0/24")}
    cni.add("macvlan", config, "c1").expect()
    [found] = netctl.json("topology")["networks"]
    assert (found["parent"], found["flags"]) == ("up0", ["direct"])
    assert re.search(r"mv \(macvlan\) +up0 ", netctl("topology").expect().stdout)
    assert "gateway" not in netctl("topology").stdout
