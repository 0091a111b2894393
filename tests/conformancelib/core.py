# SPDX-License-Identifier: GPL-2.0-or-later
"""Words that the table, the checks and the runner share."""
import copy
import dataclasses
from typing import Callable

NETWORK = "conf"
SUBNET, POOL_ROUTE = "10.201.0.0/24", "198.51.100.0/24"
DELETE = object()       # as a value of an override: the key is taken out


class NotApplicable(Exception):
    """The check has no meaning for this plugin; the text says why."""


class Skipped(Exception):
    """The check cannot be run on this machine; the text says why."""


@dataclasses.dataclass(frozen=True)
class Bad:
    """A configuration that has to be refused.

    `names`: words of which the message must have one. `newer`: a key that older releases do not know; it is
    checked only when the executable contains the key's name. `at_del`: DEL must work in spite of it.
    """
    short: str
    override: dict
    names: tuple
    newer: bool = False
    at_del: bool = True

    def key(self):
        return next(iter(self.override))


@dataclasses.dataclass(frozen=True)
class Plugin:
    """What a plugin is given and what may be expected of it."""
    name: str
    role: str                               # main, ipam, chained or sandbox (no interface of its own)
    config: dict = dataclasses.field(default_factory=dict)
    each: Callable = None                   # container -> override of the configuration
    prepare: Callable = None                # world: what has to exist on the host
    netns: Callable = None                  # world, container -> path; absent: the container's own
    kernel: tuple = ()                      # kinds of links that ADD needs, keys of KERNEL
    ifname: str = "eth0"
    delegates: bool = False                 # takes an `ipam` object
    l2: bool = False                        # works without `ipam`
    addresses: bool = True                  # a result always has an address
    needs_netns: bool = True                # enters CNI_NETNS at ADD
    shows: str = ""                         # an interface that the result must list
    own_netns: bool = False                 # CNI_NETNS is the host's own, and must be
    exclusive: bool = True                  # a second ADD of the same attachment is refused
    stateful: bool = True                   # leaves something on the host that GC has to find
    daemon: str = ""                        # a word for what ADD waits for; nothing succeeds without it
    mac: bool = False                       # CNI_ARGS MAC and runtimeConfig.mac
    ip: bool = False                        # CNI_ARGS IP
    master: str = ""                        # host link whose loss DEL must survive
    bad: tuple = ()
    tamper: tuple = ()                      # names of TAMPER
    borrows: bool = False                   # moves a link of the host, which goes with a namespace that vanishes
    sections: Callable = None               # snapshot hook
    stays: tuple = ()                       # parts of a snapshot of the sandbox that DEL may leave changed

    @property
    def chained(self):
        return self.role == "chained"

    @property
    def is_ipam(self):
        return self.role == "ipam"

    @property
    def makes_link(self):
        return self.role == "main"


def merge(config, override):
    """A copy of `config` with the override laid over it, objects key by key."""
    out = copy.deepcopy(config)
    for key, value in (override or {}).items():
        if value is DELETE:
            out.pop(key, None)
        elif isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = merge(out[key], value)
        else:
            out[key] = copy.deepcopy(value)
    return out


@dataclasses.dataclass(frozen=True)
class Check:
    name: str
    about: str
    run: Callable
    cases: Callable         # target -> [(suffix, arguments)]
    works: bool             # an ADD has to succeed for it
    shared: bool            # changes nothing: may use a world that others use as well
    applies: Callable       # target -> "" or why not
    world: bool

    def named(self, suffix):
        return f"{self.name}.{suffix}" if suffix else self.name


CHECKS = []


def check(name, works=False, shared=False, cases=None, applies=None, world=True):
    """Registers a function of (world, *arguments); its docstring's first line is the description."""
    def register(function):
        CHECKS.append(Check(name, function.__doc__.strip().splitlines()[0], function,
                            cases or (lambda target: [("", ())]), works, shared,
                            applies or (lambda target: ""), world))
        return function
    return register


def require(condition, text):
    if not condition:
        raise AssertionError(text)
