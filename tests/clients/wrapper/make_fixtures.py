#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Record what the real clients call and write it to fixtures/. To be run by hand, as root, when a client changes:

    FAIRLEAD_PLUGIN_DIR=/usr/lib/cni tests/clients/wrapper/make_fixtures.py
"""
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from clientlib import conflists, containerd, host, podman, recording  # noqa: E402

FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "fixtures"


def _version(*argv):
    words = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    return next(w for w in words if w[0].isdigit())


def _write(name, client, what, recorder):
    data = recording.fixture(client, what, recorder)
    (FIXTURES / (name + ".json")).write_text(json.dumps(data, indent=1, sort_keys=True) + "\n")
    print(f"{name}: {len(data['calls'])} calls")


def _podman(name, what, network, options):
    with host.Host() as machine:
        recorder = recording.Recorder(machine.scratch)
        client = podman.Podman(machine, [recorder.plugins])
        for conflist in (conflists.podman_style(), conflists.single_bridge()):
            client.add_network(conflist)
        client.up("c1", network, *options)
        client.up("c2", network.partition(":")[0])
        client.down("c1", "c2")
        _write(name, "podman " + _version("podman", "--version"), what, recorder)


def _containerd(name, what, drive, **network):
    with host.Host() as machine:
        recorder = recording.Recorder(machine.scratch)
        client = containerd.Containerd(machine, recorder.plugins, conflists.kubernetes(**network))
        try:
            drive(client)
        finally:
            client.close()
        _write(name, "containerd " + _version("ctr", "--version"), what, recorder)


def _pods(client):
    pod = client.cri.run_pod("web", [(80, 8080), (81, 8081)])
    other = client.cri.run_pod("other")
    for each in (pod, other):
        client.cri.stop(each)
        client.cri.remove(each)


def _rich_pod(client):
    pod = client.cri.run_pod(
        "rich", [(80, 8080), (53, 5353, "udp"), (81, 8081, "tcp", "127.0.0.1"), (82, 0)],
        dns=(["10.96.0.10"], ["default.svc.cluster.local", "svc.cluster.local"], ["ndots:5"]),
        annotations={"kubernetes.io/ingress-bandwidth": "10M", "kubernetes.io/egress-bandwidth": "20M"})
    client.cri.stop(pod)
    client.cri.remove(pod)


def main():
    _podman("podman-default", "the network that podman makes up itself, with ports and a range", "podman",
            ["-p", "8080:80", "-p", "9000-9003:9000-9003", "-p", "5353:53/udp", "-p", "127.0.0.1:8081:80"])
    _podman("podman-single-bridge", "one bridge plugin with capabilities; static address and MAC, an alias",
            "net-single:ip=10.72.0.77,mac=02:11:22:33:44:55,alias=web", ["-p", "8080:80"])
    _containerd("containerd-cri", "two pods of the CRI, one with host ports, stopped and removed", _pods)
    _containerd("containerd-cri-capabilities", "a pod with name servers and bandwidth; one bridge plugin",
                _rich_pod, style="bridge")
    _containerd("containerd-ctr", "ctr run --rm --cni", lambda c: c.run_once("c1", "/bin/true"))


main()
