# SPDX-License-Identifier: GPL-2.0-or-later
"""The bridge among strangers: an address plugin and a chained plugin that are not ours."""
import json
import os
import pathlib

import pytest
from support import snapshot
from support.cni import Chain, Cni
from support.lab import HOST4, Lab

from clientlib import plugins

FAKES = pathlib.Path(__file__).with_name("fakes")
BUSY = {"code": 11, "msg": "the pool is busy", "details": "another one holds it"}
REFERENCE_KEEPS_ETH0 = "eth0 of a failed ADD, so that no retry can succeed"


@pytest.fixture
def cni(tmp_path):
    folder = plugins.link_folder(tmp_path / "plugins")
    for fake in FAKES.iterdir():
        if os.access(fake, os.X_OK) and fake.is_file():
            (folder / fake.name).symlink_to(fake)
    with Lab() as lab:
        yield Cni(lab, str(folder))


@pytest.fixture
def lab(cni):
    return cni.lab


@pytest.fixture
def spaces(lab):
    """Namespaces c1 and c2, as a runtime makes them."""
    for name in ("c1", "c2"):
        lab.netns(name)
    yield ("c1", "c2")
    for name in ("c1", "c2"):
        if lab.exists(f"/run/netns/{name}"):
            lab.remove_netns(name)


def links(lab, netns):
    return [link["ifname"] for link in lab.ip("link", netns=netns)]


class Foreign:
    """A bridge whose addresses come from the foreign plugin."""

    def __init__(self, cni, folder, version="1.0.0"):
        self.cni, self.lab = cni, cni.lab
        self._state, self._log = folder / "leases.json", folder / "log.jsonl"
        self.config = {
            "cniVersion": version, "name": "foreign", "type": "bridge", "bridge": "fl-foreign0", "isGateway": True,
            "ipMasq": True, "note": {"kept": [1, None, "\u00e4"]},
            "ipam": {"type": "foreign-ipam", "stateFile": str(self._state), "logFile": str(self._log),
                     "gateway": "10.74.0.1", "addresses": [["10.74.0.9/24"], ["10.74.0.10/24"]],
                     "routes": [{"dst": "0.0.0.0/0"}, {"dst": "198.51.100.0/24", "gw": "10.74.0.7"}],
                     "dns": {"nameservers": ["10.74.0.1"], "search": ["example.net"]}}}

    def variant(self, **ipam):
        return {**self.config, "ipam": {**self.config["ipam"], **ipam}}

    @property
    def leases(self):
        return json.loads(self._state.read_text() or "{}") if self._state.exists() else {}

    def calls(self):
        return [json.loads(line) for line in self._log.read_text().splitlines()] if self._log.exists() else []

    def commands(self):
        return [call["env"]["CNI_COMMAND"] for call in self.calls()]

    def forget_calls(self):
        self._log.write_text("")


@pytest.fixture
def foreign(cni, tmp_path, spaces):
    """One container came and went before, so that the bridge and fixed rules are there."""
    net = Foreign(cni, tmp_path)
    cni.add("bridge", net.config).expect()
    cni.delete("bridge", net.config).expect()
    net.forget_calls()
    return net


@pytest.fixture
def unchanged(compare, lab, foreign):
    before = snapshot.take(lab, ["c2"])
    yield
    compare(before, lambda: snapshot.take(lab, ["c2"]))


def needs_1_1(cni):
    if "1.1.0" not in cni.version("bridge").json["supportedVersions"]:
        pytest.skip("this bridge does not know CNI 1.1.0")


# ---- delegation ----

def test_address_routes_and_dns_are_the_foreign_plugins(cni, lab, foreign, unchanged):
    result = cni.add("bridge", foreign.config).expect().json
    assert result["ips"][0]["address"] == "10.74.0.9/24"
    assert result["interfaces"][result["ips"][0]["interface"]]["name"] == "eth0"
    assert result["dns"] == foreign.config["ipam"]["dns"] or not plugins.ours()
    assert {r["dst"] for r in result["routes"]} == {"0.0.0.0/0", "198.51.100.0/24"}
    routes = {r["dst"]: r.get("gateway") for r in lab.ip("route", netns="c1")}
    assert routes == {"default": "10.74.0.1", "10.74.0.0/24": None, "198.51.100.0/24": "10.74.0.7"}
    cni.delete("bridge", foreign.config).expect()
    assert foreign.leases == {}


def test_both_families(cni, lab, foreign):
    config = foreign.variant(addresses=[["10.74.0.9/24", "2001:db8:74::9/64"]])
    cni.add("bridge", config).expect()
    found = {a["local"] for a in lab.ip("addr", "show", "eth0", netns="c1")[0]["addr_info"] if a["scope"] == "global"}
    assert found == {"10.74.0.9", "2001:db8:74::9"}
    cni.delete("bridge", config).expect()


@pytest.mark.parametrize("command", ("ADD", "CHECK", "DEL"))
def test_delegate_gets_the_same_environment_and_the_complete_configuration(cni, foreign, unchanged, command):
    added = cni.add("bridge", foreign.config).expect()
    config = {**foreign.config, "prevResult": added.json} if command != "ADD" else foreign.config
    if command == "ADD":
        cni.delete("bridge", config).expect()
    foreign.forget_calls()
    given = {"LC_ALL": "C.UTF-8", "SOMETHING_ELSE": "a b=c"}
    args = "IgnoreUnknown=1;K8S_POD_NAME=web"
    cni.call(command, "bridge", config, args=args, env=given).expect()
    call, = foreign.calls()
    expected = {"PATH": os.environ["PATH"], "CNI_COMMAND": command, "CNI_CONTAINERID": "c1",
                "CNI_NETNS": "/run/netns/c1", "CNI_IFNAME": "eth0", "CNI_ARGS": args,
                "CNI_PATH": cni.bindir, **given}
    assert {k: call["env"].get(k) for k in expected} == expected
    assert call["stdin"] == config
    cni.delete("bridge", foreign.config).expect()


def test_plugin_is_taken_from_the_first_folder_of_the_path_that_has_it(cni, foreign, tmp_path, unchanged):
    empty = tmp_path / "empty"
    empty.mkdir()
    cni.add("bridge", foreign.config, path=f"/nonexistent:{empty}:{cni.bindir}").expect()
    cni.delete("bridge", foreign.config).expect()


# ---- failing ADD ----

@pytest.mark.reference_leaks(REFERENCE_KEEPS_ETH0)
def test_error_of_the_delegate_passes_through(cni, lab, foreign, unchanged):
    failed = cni.add("bridge", foreign.variant(fail={"ADD": BUSY}))
    failed.refused(11, "the pool is busy", "another one holds it")


@pytest.mark.reference_leaks(REFERENCE_KEEPS_ETH0)
@pytest.mark.parametrize("how", (
    {"fail": {"ADD": BUSY}}, {"print": {"ADD": ""}}, {"print": {"ADD": "no json"}},
    {"print": {"ADD": '{"cniVersion":"1.0.0","ips":[]}'}}, {"print": {"ADD": '{"ips":[{"address":"10.74.0.9"}]}'}},
    {"type": "not-installed"}),
    ids=("error", "silent", "garbage", "no-address", "bad-address", "missing"))
def test_failed_delegate_leaves_nothing_and_a_retry_succeeds(cni, lab, foreign, unchanged, how):
    cni.add("bridge", foreign.variant(**how)).refused()
    if not plugins.ours():
        pytest.skip("the reference keeps " + REFERENCE_KEEPS_ETH0)
    assert links(lab, "c1") == ["lo"]
    assert foreign.leases == {}
    cni.add("bridge", foreign.config).expect()
    assert links(lab, "c1") == ["lo", "eth0"]
    cni.delete("bridge", foreign.config).expect()


@pytest.mark.reference_leaks(REFERENCE_KEEPS_ETH0)
def test_failure_after_the_delegate_gives_the_address_back(cni, lab, foreign, unchanged):
    """The kernel refuses a gateway that no address of the interface reaches."""
    routes = [{"dst": "198.51.100.0/24", "gw": "203.0.113.1"}]
    cni.add("bridge", foreign.variant(routes=routes)).refused()
    assert foreign.commands() == ["ADD", "DEL"]
    assert foreign.leases == {}
    if plugins.ours():
        assert links(lab, "c1") == ["lo"]
        cni.add("bridge", foreign.config).expect()
        cni.delete("bridge", foreign.config).expect()


def test_exhausted_pool_does_not_harm_the_others(cni, lab, foreign, unchanged):
    config = foreign.variant(addresses=[["10.74.0.9/24"]])
    cni.add("bridge", config).expect()
    cni.add("bridge", config, "c2").refused(102, "no addresses left")
    assert list(foreign.leases) == ["c1/eth0"]
    assert "ttl=" in lab.run(["busybox", "ping", "-c", "1", "-W", "3", "10.74.0.9"]).stdout
    cni.delete("bridge", config, "c2").expect()
    cni.delete("bridge", config).expect()


# ---- DEL ----

@pytest.mark.reference_leaks("masquerade rules when DEL comes without a namespace")
@pytest.mark.parametrize("netns", ("/run/netns/c1", "", None), ids=("vanished", "empty", "unset"))
def test_del_is_forwarded_when_the_namespace_is_gone(cni, lab, foreign, unchanged, netns):
    cni.add("bridge", foreign.config).expect()
    lab.remove_netns("c1")
    cni.delete("bridge", foreign.config, netns=netns).expect()
    assert foreign.leases == {}
    assert foreign.commands() == ["ADD", "DEL"]


def test_del_without_a_record_is_forwarded(cni, lab, foreign, unchanged):
    """State may be lost, or another's ADD is cleaned up: the delegate alone knows its leases."""
    foreign._state.write_text(json.dumps({"c1/eth0": ["10.74.0.9/24"]}))
    cni.delete("bridge", foreign.config).expect()
    assert foreign.commands() == ["DEL"] and foreign.leases == {}


@pytest.mark.reference_leaks("masquerade rules when the first DEL already took the interface")
def test_del_can_be_repeated_after_the_delegate_failed(cni, lab, foreign, unchanged):
    cni.add("bridge", foreign.config).expect()
    cni.delete("bridge", foreign.variant(fail={"DEL": BUSY})).refused(11, "the pool is busy")
    assert foreign.leases
    cni.delete("bridge", foreign.config).expect()
    assert foreign.leases == {} and links(lab, "c1") == ["lo"]


# ---- CHECK, GC, STATUS ----

def test_check_is_forwarded_and_its_error_passes_through(cni, foreign, unchanged):
    added = cni.add("bridge", foreign.config).expect().json
    good = {**foreign.config, "prevResult": added}
    cni.check("bridge", good).expect()
    cni.check("bridge", {**foreign.variant(fail={"CHECK": BUSY}), "prevResult": added}).refused(11, "the pool is busy")
    cni.delete("bridge", good).expect()


def test_gc_is_forwarded_with_the_valid_attachments(cni, lab, foreign, unchanged):
    needs_1_1(cni)
    config = {**foreign.config, "cniVersion": "1.1.0"}
    for container in ("c1", "c2"):
        cni.add("bridge", config, container).expect()
    cni.gc("bridge", config, [("c1", "eth0")]).expect()
    assert list(foreign.leases) == ["c1/eth0"]
    last = foreign.calls()[-1]
    assert last["env"]["CNI_COMMAND"] == "GC"
    assert last["stdin"]["cni.dev/valid-attachments"] == [{"containerID": "c1", "ifname": "eth0"}]
    cni.gc("bridge", {**foreign.variant(fail={"GC": BUSY}), "cniVersion": "1.1.0"}, [("c1", "eth0")]).refused(
        None, "the pool is busy")
    cni.delete("bridge", config).expect()
    assert links(lab, "c2") == ["lo"]


def test_status_is_forwarded(cni, foreign, unchanged):
    needs_1_1(cni)
    config = {**foreign.variant(addresses=[["10.74.0.9/24"]]), "cniVersion": "1.1.0"}
    cni.status("bridge", config).expect()
    cni.add("bridge", config).expect()
    cni.status("bridge", config).refused(50, "no addresses left")
    cni.delete("bridge", config).expect()


# ---- a chained plugin that rewrites the result ----

REWRITES = {
    "no-index": {"dropIndex": True},
    "interface-first": {"addInterface": "fake0"},
    "renamed": {"rename": True},
    "neighbours-address": {"address": "10.75.0.3/24"},
    "foreign-address": {"address": "203.0.113.9/24", "dropIndex": True},
    "empty": {"dropAll": True}}
PORTS = {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}


def rewritten(how):
    ipam = {"type": "host-local", "ranges": [[{"subnet": "10.75.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": "fl-rewrite0", "isGateway": True, "ipMasq": True, "ipam": ipam}
    if plugins.ours():
        bridge["capabilities"] = {"portMappings": True}
    return {"cniVersion": "0.4.0", "name": "rewritten",
            "plugins": [bridge, {"type": "rewriter", "rewrite": how}]}


@pytest.fixture(params=REWRITES.values(), ids=REWRITES.keys())
def chain(request, cni, spaces):
    """The chain after one container without rewriting; addresses are asked for, so that 10.75.0.3 is c2's."""
    Chain(cni, rewritten({})).add("c1", args="IgnoreUnknown=1;IP=10.75.0.9").expect()
    Chain(cni, rewritten({})).delete("c1").expect()
    return Chain(cni, rewritten(request.param))


def test_del_removes_what_add_made_whatever_the_result_claims(lab, chain):
    chain.add("c2", args="IgnoreUnknown=1;IP=10.75.0.3").expect()
    server = lab.tcp_server("c2", port=80)
    before = snapshot.take(lab, ["c1", "c2"])
    chain.add("c1", args="IgnoreUnknown=1;IP=10.75.0.2", capabilities=PORTS).expect()
    assert links(lab, "c1") == ["lo", "eth0"]
    chain.delete("c1").expect()
    difference = snapshot.diff(before, snapshot.take(lab, ["c1", "c2"]))
    assert difference == ""
    assert lab.probe(None, "10.75.0.3", 80).server == "c2"
    server.close()
    chain.delete("c2").expect()


def test_ports_follow_the_real_address(lab, chain):
    if not plugins.ours():
        pytest.skip("the reference bridge publishes no ports")
    chain.add("c1", args="IgnoreUnknown=1;IP=10.75.0.2", capabilities=PORTS).expect()
    server = lab.tcp_server("c1", port=80)
    assert lab.probe("outside", HOST4, 8080).server == "c1"
    server.close()
    chain.delete("c1").expect()
    assert lab.blocked("outside", HOST4, 8080)


def test_deleted_address_is_free_again(lab, chain):
    for _ in range(2):
        chain.add("c1", args="IgnoreUnknown=1;IP=10.75.0.2").expect()
        chain.delete("c1").expect()


@pytest.mark.parametrize("how", ("no-index", "interface-first"))
def test_check_tolerates_what_a_later_plugin_added(cni, spaces, how):
    chain = Chain(cni, rewritten(REWRITES[how]))
    chain.add("c1").expect()
    if not plugins.ours() and how == "interface-first":
        pytest.skip("the reference bridge looks for the stranger's interface")
    chain.check("c1").expect()
    chain.delete("c1").expect()
