# SPDX-License-Identifier: GPL-2.0-or-later
"""CHECK, GC and STATUS."""
from .core import NotApplicable, check, merge, require
from .damage import TAMPER
from .protocol import error, newer_verbs, said


def _check(target):
    return "" if target.supports("0.4.0") else "the plugin ends before CNI 0.4.0"


@check("check.ok", works=True, applies=_check)
def check_ok(world):
    """CHECK after ADD succeeds and prints nothing."""
    at = world.attach()
    world.settle(at)
    require(world.check(at).stdout == "", "CHECK printed on stdout")


@check("check.changes-nothing", works=True, applies=_check)
def check_changes_nothing(world):
    """CHECK leaves everything as it was."""
    at = world.attach()
    world.settle(at)
    before = world.snapshot("c1")
    world.check(at)
    world.clean(before, "c1", what="CHECK changed")


@check("check.no-prev", works=True, applies=_check)
def check_no_prev(world):
    """CHECK without prevResult is refused."""
    if world.spec.is_ipam:
        raise NotApplicable("a reservation is known by its container")
    at = world.attach()
    config = {key: value for key, value in at.config.items() if key != "prevResult"}
    error(world.call("CHECK", config))


@check("check.later-plugin", works=True, applies=_check)
def check_later_plugin(world):
    """CHECK tolerates what a later plugin of the chain added to the result and to the interface."""
    at = world.attach()
    more = merge(at.result, {})
    if world.spec.makes_link:
        world.lab.run(["ip", "route", "add", "203.0.113.0/24", "dev", at.ifname], netns=at.inside)
        more.setdefault("interfaces", []).append({"name": "ifb-later", "mac": "02:00:00:00:00:99"})
    outcome = world.call("CHECK", merge(at.config, {"prevResult": more}))
    require(outcome.ok, f"{outcome}")


@check("check.route-without-gw", works=True, applies=lambda target: _check(target) or (
    "" if target.spec.delegates else "sets no routes"))
def check_route_without_gw(world):
    """CHECK after ADD succeeds with a route whose next hop is left to the plugin."""
    at = world.attach(override={"ipam": {"routes": [{"dst": "203.0.113.0/24"}]}})
    world.settle(at)


def _tampers(target):
    return [(name, (name,)) for name in target.spec.tamper]


@check("check.tamper", works=True, cases=_tampers, applies=_check)
def check_tamper(world, name):
    """CHECK fails after something of the attachment was damaged."""
    at = world.attach()
    world.settle(at)
    TAMPER[name](world, at)
    outcome = world.check(at)
    require(not outcome.ok, f"CHECK succeeds though {TAMPER[name].__doc__}")
    error(outcome)


@check("del.tampered", works=True, cases=_tampers)
def del_tampered(world, name):
    """DEL succeeds after something of the attachment was damaged, and what remained is gone."""
    world.warm()
    world.sandbox("c1")
    before = world.snapshot("c1")
    at = world.attach()
    TAMPER[name](world, at)
    outcome = world.delete(at)
    require(outcome.ok, f"DEL after {TAMPER[name].__doc__}: {outcome}")
    world.finish(at)
    # What the damage itself took away need not come back.
    ignored = ("host/nft",) if name == "nft" else ()
    world.clean(before, "c1", ignore=ignored, only_new=name == "state" or (world.spec.borrows and name == "link"))


# ---- GC ----

def _gc(target):
    return newer_verbs(target)


def _gc_state(target):
    return newer_verbs(target) or ("" if target.spec.stateful else "keeps nothing on the host")


@check("gc.ok", shared=True, applies=_gc)
def gc_ok(world):
    """GC with nothing there succeeds and prints nothing."""
    outcome = world.gc([])
    require(outcome.ok and not outcome.stdout, f"{outcome}")


_MALFORMED = [("type", ("c1",)), ("entry", (["c1"],)), ("key", ([{"containerID": 5, "ifname": "eth0"}],)),
              ("half", ([{"ifname": "eth0"}],))]


@check("gc.malformed", shared=True, applies=_gc, cases=lambda target: _MALFORMED)
def gc_malformed(world, value):
    """Malformed cni.dev/valid-attachments are refused."""
    config = world.config()
    config["cni.dev/valid-attachments"] = value
    error(world.bare("GC", config))


@check("gc.keeps", works=True, applies=_gc)
def gc_keeps(world):
    """GC leaves a valid attachment as it was."""
    at = world.attach()
    before = world.snapshot("c1")
    outcome = world.gc([at])
    require(outcome.ok and not outcome.stdout, f"{outcome}")
    world.clean(before, "c1", what="GC changed")
    world.settle(at)


def _collect(world, gone):
    world.warm()
    valid = world.attach("c1")
    world.sandbox("c2")
    before = world.snapshot("c1", *([] if gone else ["c2"]))
    stale = world.attach("c2")
    if gone:
        world.remove_sandbox("c2")
    outcome = world.gc([valid])
    require(outcome.ok and not outcome.stdout, f"{outcome}")
    world.finish(stale)
    world.clean(before, "c1", *([] if gone else ["c2"]), what="GC left of the stale attachment",
                only_new=gone and world.spec.borrows)
    world.settle(valid)


@check("gc.removes", works=True, applies=_gc_state)
def gc_removes(world):
    """GC takes away an attachment that is not valid, whose namespace is still there, and leaves its neighbour."""
    _collect(world, gone=False)


@check("gc.removes-gone", works=True, applies=_gc_state)
def gc_removes_gone(world):
    """GC takes away what is left of an attachment whose namespace is gone: addresses, rules."""
    if world.spec.chained:
        raise NotApplicable("nothing of it depends on the namespace")
    _collect(world, gone=True)


@check("gc.all", works=True, applies=_gc_state)
def gc_all(world):
    """GC without any valid attachment takes all of this network away."""
    world.warm()
    world.sandbox("c1")
    before = world.snapshot("c1")
    at = world.attach()
    outcome = world.gc([])
    require(outcome.ok, f"{outcome}")
    world.finish(at)
    world.clean(before, "c1", what="GC left")


@check("gc.other-network", works=True, applies=_gc_state)
def gc_other_network(world):
    """GC of another network does not touch this one's attachments."""
    at = world.attach()
    before = world.snapshot("c1")
    override = {"name": "other"}
    if world.spec.name == "bridge":
        override["bridge"] = "cbr1"
    outcome = world.gc([], override)
    require(outcome.ok, f"{outcome}")
    world.clean(before, "c1", what="GC of another network changed")
    world.settle(at)


# ---- STATUS ----

@check("status.ok", works=True, shared=True, applies=newer_verbs)
def status_ok(world):
    """STATUS succeeds where ADD would, and prints nothing."""
    outcome = world.bare("STATUS", world.config())
    require(outcome.ok and not outcome.stdout, f"{outcome}")


def _pool(target):
    ipam = target.spec.config.get("ipam") or {}
    return newer_verbs(target) or ("" if ipam.get("type") == "host-local" else "has no pool of addresses")


@check("status.exhausted", works=True, applies=_pool)
def status_exhausted(world):
    """STATUS fails with code 50 when the last address is given out, and succeeds when it came back."""
    one = {"ipam": {"ranges": [[{"subnet": "10.201.0.0/24", "rangeStart": "10.201.0.5", "rangeEnd": "10.201.0.5"}]]}}
    at = world.attach(override=one)
    error(world.bare("STATUS", world.config(override=one)), 50)
    world.delete(at)
    require(world.bare("STATUS", world.config(override=one)).ok, "STATUS still fails after DEL")


@check("status.bad-values", applies=newer_verbs)
def status_bad_values(world):
    """STATUS of a configuration that ADD would refuse does not say that all is well."""
    bads = [b for b in world.target.bads() if b.short.endswith("-type")]
    bads = [b for b in bads if b.key() not in ("runtimeConfig", "prevResult")]
    if not bads:
        raise NotApplicable("no key of a fixed type")
    well = [b.short for b in bads if world.bare("STATUS", world.config(override=b.override)).ok]
    require(not well, f"succeeds: {', '.join(well)}")


# ---- a daemon that is not there ----

def _daemon(target):
    return "" if target.spec.daemon else "needs no daemon"


@check("daemon.add", applies=_daemon)
def daemon_add(world):
    """ADD without the daemon fails at once and names its socket."""
    answer = error(world.call("ADD", world.config()))
    require(world.spec.daemon in said(answer), f"{world.spec.daemon} is not named: {answer}")


@check("daemon.status", applies=lambda target: _daemon(target) or newer_verbs(target))
def daemon_status(world):
    """STATUS without the daemon fails with code 50."""
    error(world.bare("STATUS", world.config()), 50)
