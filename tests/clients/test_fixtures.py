# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls that real clients made, played again: the shapes that no specification mentions."""
import json

import pytest
from support import snapshot
from support.lab import HOST4, Lab

from clientlib import plugins, replay, state

NAMES = replay.names()
# Recorded with a single bridge that publishes ports itself.
NEEDS_OURS = {"podman-single-bridge", "containerd-cri-capabilities"}


class Machine:
    """A lab and the folder of plugins to play on."""

    def __init__(self, lab, folder):
        self.lab, self.folder = lab, folder

    def play(self, fixture):
        return replay.Replay(self.lab, self.folder, fixture)

    def once(self, fixture):
        with self.play(fixture) as run:
            run.run()
        return run


@pytest.fixture
def machine(tmp_path):
    with Lab() as lab:
        yield Machine(lab, plugins.link_folder(tmp_path / "plugins"))


@pytest.fixture(params=NAMES)
def fixture(request, machine):
    """Each recording was played once before, so that bridges and fixed rules are there already."""
    data = replay.load(request.param)
    data["name"] = request.param
    machine.once(data)
    return data


@pytest.fixture
def unchanged(machine, fixture):
    before = snapshot.take(machine.lab)
    yield
    # The reference bridge forgets its masquerade rules when the namespace is gone before DEL.
    if plugins.ours() or fixture["name"] != "containerd-ctr":
        assert state.difference(before, lambda: snapshot.take(machine.lab)) == ""


def _probe(machine, name, mapping):
    """Ask a server in namespace `name` through the published port."""
    open_server = {"tcp": machine.lab.tcp_server, "udp": machine.lab.udp_server}[mapping["proto"]]
    server = open_server(name, port=mapping["port"])
    try:
        local = mapping["host_ip"] == "127.0.0.1"
        return machine.lab.probe(None if local else "outside", "127.0.0.1" if local else HOST4,
                                 mapping["host_port"], mapping["proto"]).server
    finally:
        server.close()


def test_calls_succeed_and_leave_nothing(machine, fixture, unchanged):
    with machine.play(fixture) as run:
        run.run(run.phase("VERSION", "ADD"))
        for name in set(run.namespaces.values()):
            assert [l["ifname"] for l in machine.lab.ip("link", netns=name)] == ["lo", "eth0"]
        run.run(run.phase("DEL"))
        for name in set(run.namespaces.values()):
            assert [l["ifname"] for l in machine.lab.ip("link", netns=name)] == ["lo"]


def test_published_ports_are_effective(machine, fixture, unchanged):
    """containerd writes HostPort: a decoder that misses it drops the ports without a word."""
    if fixture["name"] in NEEDS_OURS and not plugins.ours():
        pytest.skip("the reference bridge publishes no ports")
    with machine.play(fixture) as run:
        run.run(run.phase("ADD"))
        for call in run.phase("ADD"):
            for mapping in replay.published(call):
                name = run.namespaces[call["env"]["CNI_CONTAINERID"]]
                assert _probe(machine, name, mapping) == name
        run.run(run.phase("DEL"))


def test_every_del_may_come_again(machine, fixture, unchanged):
    with machine.play(fixture) as run:
        run.run(run.phase("ADD"))
        for _ in range(2):
            run.run(run.phase("DEL"))
    # And once more when the namespaces are gone, but their paths are still given.
    run.run(run.phase("DEL"))


def test_del_with_another_hosts_results(machine, fixture, unchanged):
    """prevResult as recorded: addresses, MACs and interfaces that are not those of this run."""
    if not plugins.ours() and fixture["name"].startswith("podman"):
        pytest.skip("the reference firewall and masquerade rules are removed by what prevResult says")
    # Nor is it ours what the reference's firewall leaves in our chain.
    fixture["calls"] = [c for c in fixture["calls"] if plugins.find(c["plugin"], [plugins.directory()])]
    with machine.play(fixture) as run:
        run.run(run.phase("ADD"))
        run.adapt_results = False
        run.run(run.phase("DEL"))


def test_results_are_in_the_version_of_the_configuration(machine, fixture):
    run = machine.once(fixture)
    for call, answer in run.answers:
        command = call["env"]["CNI_COMMAND"]
        if command == "ADD":
            assert answer["cniVersion"] == call["stdin"]["cniVersion"]
        elif command == "VERSION":
            assert {"0.4.0", "1.0.0"} <= set(answer["supportedVersions"])
        else:
            assert answer is None


def _other_container(call, container):
    return json.loads(json.dumps(call).replace(call["env"]["CNI_CONTAINERID"], container))


def test_old_containers_del_leaves_its_successor_alone(machine):
    """After a reboot: the cached result names an address and ports that a new container has meanwhile."""
    fixture = replay.load("containerd-cri")
    machine.once(fixture)
    with machine.play(fixture) as run:
        run.run(run.phase("ADD"))
        published = [(run.namespaces[c["env"]["CNI_CONTAINERID"]], m)
                     for c in run.phase("ADD") for m in replay.published(c)]
        before = snapshot.take(machine.lab)
        for call in run.phase("DEL"):
            gone = _other_container(call, "f" * 64)
            # This run's own results, as if they were the old container's.
            if "prevResult" in gone["stdin"]:
                key = (call["env"]["CNI_CONTAINERID"], call["env"]["CNI_IFNAME"], call["stdin"]["name"])
                gone["stdin"]["prevResult"] = run.results[key]
            gone["env"]["CNI_NETNS"] = "/run/netns/gone" if gone["env"]["CNI_NETNS"] else ""
            run.call(gone)
        assert snapshot.diff(before, snapshot.take(machine.lab)) == ""
        for name, mapping in published:
            assert _probe(machine, name, mapping) == name
        run.run(run.phase("DEL"))


def test_recordings_hold_what_they_are_kept_for():
    """A newer client that behaves otherwise must be noticed when the recordings are renewed."""
    calls = replay.load("containerd-cri")["calls"]
    dels = [(c["plugin"], c["env"]["CNI_CONTAINERID"]) for c in calls if c["env"]["CNI_COMMAND"] == "DEL"]
    assert dels and all(dels.count(d) == 2 for d in dels)
    adds = [c for c in calls if c["env"]["CNI_COMMAND"] == "ADD"]
    lo, eth0 = adds[0], adds[1]
    assert {lo["env"]["CNI_IFNAME"], eth0["env"]["CNI_IFNAME"]} == {"lo", "eth0"}
    assert eth0["start_ms"] < lo["end_ms"]
    assert any("HostPort" in m for c in adds for m in c["stdin"].get("runtimeConfig", {}).get("portMappings", []))
    second = [c for c in calls if c["env"]["CNI_COMMAND"] == "DEL" and not c["env"]["CNI_NETNS"]]
    assert second and not any("prevResult" in c["stdin"] for c in second)
