# SPDX-License-Identifier: GPL-2.0-or-later
"""What netctl shows of containers of other nodes, from the local store alone."""
from support.peers import FAR, FAR6, config, peer, tunnel
from support.svg import Picture


# ---- network inspect ----

def test_inspect(host_netctl, peers):
    [before] = host_netctl.json("network", "inspect", "ov")
    assert before["peers"] == [] and "On other nodes" not in host_netctl("network", "inspect", "ov").expect().stdout
    peers.put(peer("web", FAR, FAR6, aliases=["www"]), peer("db", "10.5.3.10", node="node-a", suspect=True),
              peer("far", "10.6.2.10", network="ov2"))
    [one] = host_netctl.json("network", "inspect", "ov")
    assert [(p["node"], p["label"], p["addresses"], p["aliases"], p["suspect"]) for p in one["peers"]] == \
        [("node-a", "db", ["10.5.3.10"], [], True), ("node-b", "web", [FAR, FAR6], ["www"], False)]
    assert one["peers"][1]["mac"] == "02:00:00:00:00:0b" and one["peers"][1]["id"] == "web-id"
    assert [e["container"] for e in one["endpoints"]] == ["c1"]
    rows = host_netctl("network", "inspect", "ov").expect().rows
    at = rows.index(["On", "other", "nodes"])
    assert rows[at + 1:at + 4] == [["CONTAINER", "NODE", "ADDRESSES", "SUSPECT", "MAC"],
                                   ["db", "node-a", "10.5.3.10", "yes", "02:00:00:00:00:0b"],
                                   ["web", "node-b", FAR, "no", "02:00:00:00:00:0b"]]
    host_netctl.check_documented(["network", "inspect"], one["peers"])


def test_ipam_who(host_netctl, peers):
    peers.put(peer("web", FAR, FAR6), peer("db", "10.5.3.10", node="node-a", suspect=True))
    [web], [db] = (host_netctl.json("ipam", "who", address) for address in (FAR6, "10.5.3.10"))
    assert (web["kind"], web["network"], web["label"], web["node"], web["state"]) == ("container", "ov", "web", "node-b", "live")
    assert (db["label"], db["node"], db["state"]) == ("db", "node-a", "suspect")


def test_hostile_names_are_shown_and_not_obeyed(host_netctl, peers):
    peers.put(peer("web\x1b[31m<b>\"", FAR, node="node\n\x1b]0;x"))
    for argv in (("network", "inspect", "ov"), ("topology",), ("dns", "ls"), ("why", "near", FAR), ("ipam", "who", FAR), ("topology", "--dot"),
                 ("topology", "--svg"), ("network", "inspect", "ov", "--json"), ("topology", "--json")):
        assert "\x1b" not in host_netctl(*argv).stdout, argv


# ---- topology ----

def test_topology(host_netctl, peers, host):
    assert all(net["nodes"] == [] for net in host_netctl.json("topology")["networks"])
    peers.put(*(peer(f"web{i}", f"10.5.2.{i}", suspect=i == 3) for i in range(1, 12)), peer("db", FAR6, node="node-c"),
              peer("far", "10.6.2.10", network="ov2"), peer("nobody", "10.7.0.2", network="ov3"))
    nets = {net["name"]: net for net in host_netctl.json("topology")["networks"]}
    b, c = nets["ov"]["nodes"]
    assert (b["node"], b["tunnel"], b["count"], b["suspect"], len(b["peers"])) == ("node-b", tunnel(host), 11, 1, 8)
    assert (c["node"], c["count"], c["suspect"], [p["label"] for p in c["peers"]]) == ("node-c", 1, 0, ["db"])
    assert [n["count"] for n in nets["ov2"]["nodes"]] == [1] and set(nets) == {"ov", "ov2"}
    host_netctl.check_documented(["topology"], nets["ov"]["nodes"] + b["peers"])
    text = host_netctl("topology", "ov").expect().stdout
    for words in ("node node-b", "11 containers, 1 suspect", "web1 ", "+ 3 more", "node node-c", "1 container", FAR6):
        assert words in text
    assert "far" not in text and text.count("web") == 8


def test_pictures(host_netctl, peers, host):
    peers.put(*(peer(f"web{i}", f"10.5.2.{i}") for i in range(1, 12)), peer("db", FAR6, node="node-c"))
    dot = host_netctl("topology", "--dot").expect().stdout
    assert "node node-b\\n11 containers\\nweb1\\n" in dot and "+ 3 more" in dot and f'label="{tunnel(host)}"' in dot
    text = host_netctl("topology", "--svg").expect().stdout
    picture = Picture(text)
    assert picture.containers == ["c1", "c2"] and not picture.overflows() and not picture.overlaps()
    for words in ('data-node="node-b"', 'data-node="node-c"', ">11 containers<", ">web1<", ">+ 5 more<", ">db<"):
        assert words in text
    assert len(picture.nodes) == 2


def test_pictures_of_many_nodes(host_netctl, peers):
    """In several rows, each with a line to its network."""
    peers.put(*(peer(f"web{i}", f"10.5.2.{i}", node=f"a-node-of-a-long-name-{i}.example.org") for i in range(1, 60)))
    picture = Picture(host_netctl("topology", "--svg").expect().stdout)
    assert len(picture.nodes) == 59 and not picture.overflows() and not picture.overlaps()


# ---- dns ls ----

def test_dns_ls(host_netctl, peers):
    header = ["CONTAINER", "NETWORKS", "LISTENS", "SERVED", "NAMES"]
    assert host_netctl("dns", "ls").expect().rows[0] == header
    peers.put(peer("web", FAR, id="0123456789abcdef", aliases=["www"]), peer("nobody", "10.7.0.2", network="ov3"),
              peer("lost", "10.5.2.11", suspect=True))
    rows = host_netctl.json("dns", "ls")
    [web] = [row for row in rows if row["kind"] == "peer"]
    assert (web["label"], web["node"], web["networks"], web["names"], web["served"]) == \
        ("web", "node-b", ["ov"], ["web", "www", "0123456789ab"], None)
    assert {row["node"] for row in rows if row is not web} == {""}
    shown = host_netctl("dns", "ls").expect().rows
    assert shown[0] == ["CONTAINER", "NODE", *header[1:]]
    assert ["web", "node-b", "ov", "-", "-", "web"] in shown


# ---- nobody takes them for its own ----

def test_doctor_and_gc(host_netctl, peers, nodes, host):
    found = host_netctl("doctor", "--json").json
    peers.put(*(peer(f"web{i}", f"10.5.2.{i}") for i in range(1, 30)), peer("near", FAR))
    before = peers.list()
    assert host_netctl("doctor", "--json").json == found
    host_netctl("doctor", "--repair")
    host_netctl("gc").expect()
    assert peers.list() == before
    assert {e["container"] for e in host_netctl.json("endpoint", "ls")} == {"c1", "c2"}
    nodes[0].cni.delete("overlay", config(nodes), "c1").expect()
    assert peers.list() == before
