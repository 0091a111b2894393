# SPDX-License-Identifier: GPL-2.0-or-later
"""What a plugin does with the IPAM plugin that its configuration names."""
from .core import check, merge, require
from .protocol import error, newer_verbs, said
from .world import FAKE_ADDRESS, FAKE_GATEWAY, FakeIpam


def _delegates(target):
    return "" if target.spec.delegates else "delegates nothing"


def _newer(target):
    return _delegates(target) or newer_verbs(target)


def _attach(world, fake, container="c1", **override):
    return world.attach(container, override={**fake.override(), **override})


def _warm(world, fake):
    """What stays for good is made; then the log starts anew."""
    at = _attach(world, fake, "warm")
    require(world.delete(at).ok, "DEL after the first ADD")
    world.lab.write("/run/fake-ipam/log", "")


@check("ipam.passed-on", works=True, applies=_delegates)
def ipam_passed_on(world):
    """Address, gateway, routes and dns of the IPAM plugin are in the result, the address on the interface."""
    fake = FakeIpam(world)
    at = _attach(world, fake)
    ips = [(ip["address"], ip.get("gateway")) for ip in at.result.get("ips", [])]
    require(ips == [(FAKE_ADDRESS, FAKE_GATEWAY)], f"ips: {at.result.get('ips')}")
    routes = {route["dst"] for route in at.result.get("routes", [])}
    require({"0.0.0.0/0", "198.51.100.0/24"} <= routes, f"routes: {sorted(routes)}")
    require(at.result.get("dns", {}).get("nameservers") == ["192.0.2.53"], f"dns: {at.result.get('dns')}")
    there = [a["local"] for a in world.link_inside(at)["addr_info"]]
    require(FAKE_ADDRESS.split("/")[0] in there, f"addresses of {at.ifname}: {there}")


@check("ipam.called", works=True, applies=_delegates)
def ipam_called(world):
    """The IPAM plugin gets the same environment and the complete configuration."""
    fake = FakeIpam(world)
    at = _attach(world, fake)
    require(fake.calls() == ["ADD c1 eth0"], f"calls: {fake.calls()}")
    got = fake.stdin("ADD")
    require(got == at.config, f"configuration: {got}")


@check("ipam.fails", works=True, applies=_delegates)
def ipam_fails(world):
    """A failing IPAM plugin fails ADD with its code and message."""
    fake = FakeIpam(world)
    fake.fail("ADD")
    answer = error(world.call("ADD", merge(world.config(), fake.override())), 123)
    require("the fake pool is dry" in said(answer), f"{answer}")


@check("ipam.fails-clean", works=True, applies=_delegates)
def ipam_fails_clean(world):
    """ADD that a failing IPAM plugin failed leaves nothing, and succeeds when that does again."""
    fake = FakeIpam(world)
    _warm(world, fake)
    fake.fail("ADD")
    world.sandbox("c1")
    before = world.snapshot("c1")
    error(world.call("ADD", merge(world.config("c1"), fake.override())))
    world.clean(before, "c1")
    fake.answer(fake.result())
    _attach(world, fake)


@check("ipam.fails-del", works=True, applies=_delegates)
def ipam_fails_del(world):
    """A failing IPAM plugin is run with DEL before ADD fails."""
    fake = FakeIpam(world)
    fake.fail("ADD")
    error(world.call("ADD", merge(world.config(), fake.override())))
    require("DEL c1 eth0" in fake.calls(), f"calls: {fake.calls()}")


def _garbage(_):
    return [("text", ("garbage",)), ("nothing", ("",)), ("address", ({"ips": [{"address": "nonsense"}]},)),
            ("no-address", ({"ips": []},))]


@check("ipam.garbage", works=True, cases=_garbage, applies=_delegates)
def ipam_garbage(world, result):
    """An IPAM plugin that prints no valid result with an address fails ADD, which leaves nothing and calls DEL."""
    fake = FakeIpam(world)
    _warm(world, fake)
    fake.answer(result if isinstance(result, str) else fake.result(**result))
    world.sandbox("c1")
    before = world.snapshot("c1")
    error(world.call("ADD", merge(world.config("c1"), fake.override())))
    world.clean(before, "c1")
    require("DEL c1 eth0" in fake.calls(), f"the address is not given back: {fake.calls()}")


@check("ipam.after-failure", works=True, applies=_delegates)
def ipam_after_failure(world):
    """When ADD fails after IPAM succeeded, because the name is taken, the address is given back."""
    fake = FakeIpam(world)
    _warm(world, fake)
    world.sandbox("c1")
    world.lab.run(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other"], netns="c1")
    error(world.call("ADD", merge(world.config("c1"), fake.override())))
    calls = [call.split()[0] for call in fake.calls()]
    require("ADD" not in calls or "DEL" in calls[calls.index("ADD"):], f"calls: {calls}")


@check("ipam.missing", works=True, applies=_delegates)
def ipam_missing(world):
    """An IPAM plugin that is not in CNI_PATH fails ADD, which names it and leaves nothing."""
    world.warm()
    world.sandbox("c1")
    before = world.snapshot("c1")
    answer = error(world.call("ADD", world.config(override={"ipam": {"type": "not-there"}})))
    require("not-there" in said(answer), f"{answer}")
    world.clean(before, "c1")


@check("ipam.del", works=True, applies=_delegates)
def ipam_del(world):
    """DEL reaches the IPAM plugin."""
    fake = FakeIpam(world)
    at = _attach(world, fake)
    require(world.delete(at).ok, "DEL")
    require(fake.calls()[-1] == "DEL c1 eth0", f"calls: {fake.calls()}")


@check("ipam.del-netns-gone", works=True, applies=_delegates)
def ipam_del_netns_gone(world):
    """DEL reaches the IPAM plugin when the namespace is gone, with and without CNI_NETNS."""
    for netns in ("/run/netns/c1", ""):
        fake = FakeIpam(world)
        at = _attach(world, fake)
        world.remove_sandbox("c1")
        world.lab.write("/run/fake-ipam/log", "")
        if world.spec.borrows:  # the device went with the namespace
            outcome = world.call("DEL", at.final(), netns=netns)
            require("DEL c1 eth0" in fake.calls(), f"CNI_NETNS={netns!r}: calls: {fake.calls()}; {outcome}")
            return
        require(world.call("DEL", at.final(), netns=netns).ok, f"DEL with CNI_NETNS={netns!r}")
        require("DEL c1 eth0" in fake.calls(), f"CNI_NETNS={netns!r}: calls: {fake.calls()}")


@check("ipam.del-without-add", works=True, applies=_delegates)
def ipam_del_without_add(world):
    """DEL reaches the IPAM plugin although no ADD was seen: its lease may be all that is left."""
    fake = FakeIpam(world)
    require(world.call("DEL", merge(world.config(), fake.override())).ok, "DEL")
    require("DEL c1 eth0" in fake.calls(), f"calls: {fake.calls()}")


def _checks(target):
    return _delegates(target) or ("" if target.supports("0.4.0") else "the plugin ends before CNI 0.4.0")


@check("ipam.check", works=True, applies=_checks)
def ipam_check(world):
    """CHECK reaches the IPAM plugin and fails when that does."""
    fake = FakeIpam(world)
    at = _attach(world, fake)
    outcome = world.check(at)
    require(outcome.ok, f"{outcome}")
    require("CHECK c1 eth0" in fake.calls(), f"calls: {fake.calls()}")
    fake.fail("CHECK")
    error(world.check(at))


@check("ipam.status", works=True, applies=_newer)
def ipam_status(world):
    """STATUS is passed on to the IPAM plugin, and so is its failure."""
    fake = FakeIpam(world)
    config = merge(world.config(), fake.override())
    require(world.bare("STATUS", config).ok, "STATUS")
    fake.fail("STATUS", code=50)
    error(world.bare("STATUS", config), 50)


@check("ipam.gc", works=True, applies=_newer)
def ipam_gc(world):
    """GC is passed on to the IPAM plugin."""
    fake = FakeIpam(world)
    at = _attach(world, fake)
    outcome = world.gc([at], fake.override())
    require(outcome.ok, f"{outcome}")
    require([call for call in fake.calls() if call.startswith("GC")], f"calls: {fake.calls()}")
    got = fake.stdin("GC").get("cni.dev/valid-attachments")
    require(got == [{"containerID": "c1", "ifname": "eth0"}], f"valid attachments: {got}")

