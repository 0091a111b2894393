# SPDX-License-Identifier: GPL-2.0-or-later
"""A node's own MAC and address in a network, after it was taken for dead: no plugin makes the device anew for that."""
import pytest

from support import configs
from support.cluster import Cluster


def config(mode):
    return {"cniVersion": "1.1.0", "name": mode, "type": "overlay", "mode": "etcd", "overlayMode": mode, "ipMasq": True,
            "subnets": [f"10.{5 + (mode == 'l3')}.0.0/24"]}


@pytest.fixture(scope="module")
def pair():
    with Cluster(nodes=2, config={"leaseSeconds": 2, "holdDownSeconds": 3}) as pair:
        for mode in ("l2", "l3"):
            for node in pair:
                node.attach(config(mode), f"{mode}-1")
                node.lab.tcp_server(f"{mode}-1", port=80)
        yield pair


def away(pair):
    """The second node, until its things are swept."""
    pair[1].kill()
    pair.wait(lambda: not [key for key in pair.keys("join/") if key.endswith("/node2")], what="the sweeping")


def joins(pair):
    names = {key.split("/")[1]: record["name"] for key, record in pair.records("net/").items()}
    return {names[key.split("/")[1]]: record for key, record in pair.records("join/").items() if key.endswith("/node2")}


def device(node, mode):
    return next(link["ifname"] for link in node.lab.ip("link") if link["ifname"][:3] == {"l2": "flo", "l3": "flx"}[mode] and
                f"10.{5 + (mode == 'l3')}." in "".join(configs.addresses(node.lab, link["ifname"])))


def back(pair):
    pair[1].start()
    pair.wait(lambda: len(joins(pair)) == 2, what="the node", seconds=20)
    return joins(pair)


def test_it_has_them_again(pair):
    before = joins(pair)
    away(pair)
    after = back(pair)
    for mode in ("l2", "l3"):
        assert (after[mode]["mac"], after[mode]["ip4"]) == (before[mode]["mac"], before[mode]["ip4"])
        assert configs.link(pair[1].lab, device(pair[1], mode))["address"] == after[mode]["mac"]
        pair.wait(lambda mode=mode: pair[1].lab.reaches(None, address(pair[0], mode), 80), what="the way there and back")


def test_somebody_else_has_them(pair):
    """The device gets others; what the node sends comes from there."""
    before = joins(pair)
    away(pair)
    for mode in ("l2", "l3"):
        pair[0].attach(configs.runtime(config(mode), ips=[before[mode]["ip4"]]), f"{mode}-2")
        pair[0].lab.tcp_server(f"{mode}-2", port=80)
    after = back(pair)
    for mode in ("l2", "l3"):
        assert after[mode]["mac"] == before[mode]["mac"] and after[mode]["ip4"] != before[mode]["ip4"]
        found = configs.addresses(pair[1].lab, device(pair[1], mode))
        assert {a for a in found if a.startswith("10.")} - {f"10.{5 + (mode == 'l3')}.0.1/32"} == {
            after[mode]["ip4"] + ("/24" if mode == "l2" else "/32")}
        for to in (address(pair[0], mode), before[mode]["ip4"]):
            pair.wait(lambda to=to: pair[1].lab.reaches(None, to, 80), what="the way there and back")
            assert pair[1].lab.probe(None, to, 80).peer == after[mode]["ip4"]


def address(node, mode):
    return next(a.split("/")[0] for a in configs.addresses(node.lab, "eth0", netns=f"{mode}-1") if a.startswith("10."))
