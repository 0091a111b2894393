# SPDX-License-Identifier: GPL-2.0-or-later
"""Refused configurations, ADD twice, DEL in every order: what is left on the host."""
from .core import NotApplicable, Skipped, check, merge, require
from .protocol import error, said
from .world import World

# ---- bad configurations ----


def _bads(target):
    return [(bad.short, (bad,)) for bad in target.bads()]


class Refusals:
    """All bad configurations of a plugin tried on one host; each on a host of its own only if something stayed."""

    def __init__(self, target):
        self.target = target
        self.outcomes = {}
        self.dirty = {}
        with World(target) as world:
            self._try(world, target.bads(), lambda left: self._apart())

    def _try(self, world, bads, if_left):
        world.warm()
        at = world.start()
        before = world.snapshot("c1")
        for bad in bads:
            config = merge(at.config, bad.override)
            outcome = world.call("ADD", config)
            self.outcomes[bad.short] = outcome
            if outcome.ok:
                at.result = outcome.json or {}
                world.call("DEL", merge(config, {"prevResult": at.result}))
        try:
            world.clean(before, "c1")
        except AssertionError as left:
            if_left(left)

    def _apart(self):
        for bad in self.target.bads():
            if self.outcomes[bad.short].ok:
                continue

            def left(reason, short=bad.short):
                self.dirty[short] = str(reason)
            with World(self.target) as world:
                self._try(world, [bad], left)


def refusals(target):
    if not hasattr(target, "refusals"):
        target.refusals = Refusals(target)
    return target.refusals


@check("bad.refused", cases=_bads, world=False)
def bad_refused(target, bad):
    """A wrong type, a value out of range, a contradiction is refused with an error object."""
    error(refusals(target).outcomes[bad.short])


def _refused(target, bad):
    outcome = refusals(target).outcomes[bad.short]
    if outcome.ok:
        raise NotApplicable("it was accepted")
    return outcome


@check("bad.named", cases=_bads, world=False)
def bad_named(target, bad):
    """The message of a refused configuration names the key."""
    answer = error(_refused(target, bad))
    text = said(answer).lower()
    named = any(name.lower() in text for name in bad.names)
    if target.lacks and not named:
        raise Skipped(f"kernel has no {target.lacks}: the value may not have been looked at yet")
    require(named, f"none of {', '.join(bad.names)} in: {answer}")


@check("bad.clean", cases=_bads, world=False)
def bad_clean(target, bad):
    """A refused configuration changed nothing on the host or in the sandbox."""
    _refused(target, bad)
    require(bad.short not in refusals(target).dirty, refusals(target).dirty.get(bad.short))


@check("prev.missing", applies=lambda target: "" if target.spec.chained else "needs no prevResult")
def prev_missing(world):
    """A chained plugin refuses an ADD without prevResult."""
    error(world.call("ADD", world.config()))


@check("prev.bad", applies=lambda target: "" if target.spec.chained else "needs no prevResult")
def prev_bad(world):
    """A chained plugin refuses a prevResult with an address that is none."""
    at = world.start()
    config = merge(at.config, {})
    config["prevResult"]["ips"][0]["address"] = "nonsense"
    error(world.call("ADD", config))


# ---- ADD ----

@check("add.works", works=True)
def add_works(world):
    """ADD of the plugin's plain configuration succeeds."""
    at = world.attach()
    if world.spec.makes_link:
        require(world.link_inside(at), f"there is no {at.ifname} in the sandbox")


def _exclusive(target):
    return "" if target.spec.exclusive else "a second ADD does no harm"


@check("add.twice", works=True, applies=_exclusive)
def add_twice(world):
    """A second ADD of the same container and interface is refused, and the attachment stays whole."""
    at = world.attach()
    before = world.snapshot("c1")
    error(world.call("ADD", at.config))
    world.clean(before, "c1", what="the second ADD changed")
    if world.spec.makes_link:
        require(world.link_inside(at), f"{at.ifname} is gone")
    if world.target.supports("0.4.0"):
        world.settle(at)


def _link(target):
    return "" if target.spec.makes_link else "makes no interface"


@check("add.exists", works=True, applies=_link)
def add_exists(world):
    """ADD where the interface's name is taken is refused and leaves nothing, no address either."""
    world.warm()
    world.sandbox("c1")
    world.lab.run(["ip", "link", "add", world.spec.ifname, "type", "veth", "peer", "name", "other"], netns="c1")
    before = world.snapshot("c1")
    error(world.call("ADD", world.config("c1")))
    world.clean(before, "c1")


@check("add.loop", works=True)
def add_loop(world):
    """Five rounds of ADD and DEL of one attachment all succeed."""
    for _ in range(5):
        at = world.attach()
        outcome = world.delete(at)
        require(outcome.ok, f"DEL: {outcome}")
        world.finish(at)


# ---- DEL ----

def _silent(outcome, what):
    require(outcome.ok, f"{what}: {outcome}")
    require(outcome.stdout == "", f"{what} printed on stdout: {outcome}")


def _around(world, delete, container="c1"):
    """Warm up, ADD, `delete`; the host must be what it was."""
    world.warm()
    world.sandbox(container)
    before = world.snapshot(container)
    at = world.attach(container)
    delete(at)
    world.finish(at)
    world.clean(before, container)


@check("del.clean", works=True)
def del_clean(world):
    """DEL takes away all that ADD made, and what was there before is as it was."""
    _around(world, lambda at: _silent(world.delete(at), "DEL"))


@check("del.twice", works=True)
def del_twice(world):
    """A second DEL succeeds."""
    def delete(at):
        _silent(world.delete(at), "DEL")
        _silent(world.delete(at), "second DEL")
    _around(world, delete)


@check("del.no-prev", works=True)
def del_no_prev(world):
    """DEL without prevResult takes everything away."""
    def delete(at):
        config = {key: value for key, value in at.config.items() if key != "prevResult"}
        _silent(world.call("DEL", config), "DEL without prevResult")
    _around(world, delete)


def _gone(world, **changes):
    """The namespace went with all that was in it before DEL came."""
    world.warm()
    before = world.snapshot()
    at = world.attach("c1")
    if world.spec.netns is None:
        world.remove_sandbox("c1")
    config = at.final()
    if not changes.pop("prev", True):
        del config["prevResult"]
    _silent(world.call("DEL", config, **changes), "DEL")
    if at.base:
        world.finish(at, netns="")
    world.clean(before, only_new=world.spec.borrows)


def _own_sandbox(target):
    if target.spec.netns:
        return "shares a namespace"
    return ""


@check("del.netns-gone", works=True, applies=_own_sandbox)
def del_netns_gone(world):
    """DEL whose CNI_NETNS does not exist any more leaves nothing."""
    _gone(world, netns="/run/netns/c1")


@check("del.netns-unset", works=True, applies=_own_sandbox)
def del_netns_unset(world):
    """DEL without CNI_NETNS leaves nothing."""
    _gone(world, netns=None)


@check("del.netns-empty", works=True, applies=_own_sandbox)
def del_netns_empty(world):
    """DEL with an empty CNI_NETNS and no prevResult, as containerd's second one, leaves nothing."""
    _gone(world, netns="", prev=False)


@check("del.without-add", works=False)
def del_without_add(world):
    """DEL of what was never added succeeds and changes nothing."""
    if world.spec.daemon:
        raise NotApplicable(f"needs {world.spec.daemon}")
    at = world.start()
    before = world.snapshot("c1")
    _silent(world.call("DEL", at.config), "DEL")
    config = {key: value for key, value in at.config.items() if key != "prevResult"}
    _silent(world.call("DEL", config, netns=""), "DEL without namespace")
    world.clean(before, "c1")


@check("del.neighbour", works=True)
def del_neighbour(world):
    """DEL of one container leaves the other's attachment as it was."""
    if world.spec.name == "static":
        raise NotApplicable("both get the same address")
    first = world.attach("c1")
    world.sandbox("c2")
    before = world.snapshot("c1", "c2")
    second = world.attach("c2")
    _silent(world.delete(second), "DEL")
    world.finish(second)
    world.clean(before, "c1", "c2", what="beside the other one, DEL left")
    if world.target.supports("0.4.0"):
        world.settle(first)


@check("del.other-network", works=True)
def del_other_network(world):
    """DEL in one network, of eth1, leaves the same container's eth0 in another alone."""
    if world.spec.role == "sandbox" or not world.spec.stateful:
        raise NotApplicable("keeps nothing on the host")
    at = world.attach("c1")
    before = world.snapshot("c1")
    config = {key: value for key, value in at.config.items() if key != "prevResult"}
    outcome = world.call("DEL", {**config, "name": "other"}, ifname="eth1")
    require(outcome.ok or world.spec.borrows, f"DEL in the other network: {outcome}")
    world.clean(before, "c1", what="DEL in another network changed")


@check("del.master-gone", works=True, applies=lambda target: "" if target.spec.master else "depends on no other link")
def del_master_gone(world):
    """DEL after the bridge or master link was deleted succeeds and leaves nothing."""
    world.warm()
    world.sandbox("c1")
    ignored = ("host/links", "host/routes", "host/sysctls", "host/fdb", "host/neighbours")
    before = world.snapshot("c1", ignore=ignored)
    at = world.attach("c1")
    world.lab.run(["ip", "link", "del", _master(world)])
    _silent(world.delete(at), "DEL")
    world.finish(at)
    world.clean(before, "c1", only_new=True, ignore=ignored)
    hosts = [link for link in world.lab.ip("link") if link["ifname"].startswith("veth")]
    require(not hosts, f"host ends are left: {[link['ifname'] for link in hosts]}")


def _master(world):
    if world.spec.master == "base0" and not any(link["ifname"] == "base0" for link in world.lab.ip("link")):
        raise NotApplicable("chained to a plugin without a bridge")
    return world.spec.master


def _kinds(target):
    return [(kind, (kind,)) for kind in ("types", "values") if _of_kind(target, kind)] or [("", ("",))]


def _of_kind(target, kind):
    return [b for b in target.bads() if b.at_del and b.short.endswith("-type") == (kind == "types")]


@check("del.bad", works=True, cases=_kinds)
def del_bad(world, kind):
    """DEL succeeds, and leaves nothing, though the configuration has types or values that ADD would refuse."""
    bads = _of_kind(world.target, kind)
    if not bads:
        raise NotApplicable("no bad values")
    world.warm()
    world.sandbox("c1")
    before = world.snapshot("c1")
    refused = []
    for bad in bads:
        at = world.attach("c1")
        outcome = world.call("DEL", merge(at.final(), bad.override))
        if not outcome.ok:
            refused.append(f"{bad.short} ({outcome.message})")
            world.delete(at)
        world.finish(at)
    require(not refused, "refused: " + "; ".join(refused))
    world.clean(before, "c1")
