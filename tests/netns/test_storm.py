# SPDX-License-Identifier: GPL-2.0-or-later
"""ADDs and DELs of 64 containers while somebody flushes the ruleset at random: the rules and the records still agree."""
import json
import os
import random
import threading
import time

from support import configs

SECONDS = float(os.environ.get("FAIRLEAD_STORM_SECONDS", "30"))
CONTAINERS = 64


def config_of(index):
    """One exact port, one range; every container its own."""
    return configs.publish(configs.bridge(), (20000 + index, 80), configs.port(30000 + 10 * index, 30000 + 10 * index, range=10))


def come_and_go(cni, index, end, seed, failures):
    """One container's life until the end. Returns its address if it stays attached, else None."""
    chance, attached = random.Random(seed), None
    while time.monotonic() < end:
        outcome = cni.call("DEL" if attached else "ADD", "bridge", config_of(index), f"s{index}")
        if not outcome.ok:
            failures.append(str(outcome))
            return None
        attached = None if attached else outcome.address
        if attached and chance.random() < 0.02:
            break
    return attached


def rules(lab):
    """[(chain, rule's text)] of our table, in order."""
    listed = json.loads(lab.run(["nft", "-j", "list", "table", "inet", "fairlead"]).stdout)["nftables"]
    return [(e["rule"]["chain"], json.dumps(e["rule"]["expr"], sort_keys=True)) for e in listed if "rule" in e]


def published(lab):
    """({host port: address}, {first port of a range: address}) as nftables has them."""
    elements = configs.nft_elements(lab)
    exact = {value_of(key)[1]: value["concat"][0] for key, value in elements.get("publish4", [])}
    ranges = {value_of(key)[1]["range"][0]: value for key, value in elements.get("publish4_range", [])}
    return exact, ranges


def value_of(key):
    return (key["elem"]["val"] if "elem" in key else key)["concat"]


def test_flushes_among_adds_and_dels(lab, cni):
    for index in range(CONTAINERS):
        lab.netns(f"s{index}")
    configs.attach(cni, configs.bridge(), "c1")
    wanted, failures, stop = rules(lab), [], threading.Event()

    def flush_at_random():
        chance = random.Random(1)
        while not stop.wait(chance.uniform(0, 0.2)):
            lab.run(["nft", "flush", "ruleset"])

    flusher = threading.Thread(target=flush_at_random)
    flusher.start()
    end = time.monotonic() + SECONDS
    # The workers of the lab are needed by the calls themselves.
    results = [None] * CONTAINERS
    threads = [threading.Thread(target=lambda i=i: results.__setitem__(i, come_and_go(cni, i, end, i, failures)))
               for i in range(CONTAINERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    flusher.join()
    assert not failures, failures[0]
    # Whatever was flushed last is mended by the next operation.
    configs.attach(cni, configs.bridge(), "c2")
    exact, ranges = published(lab)
    assert exact == {20000 + i: address for i, address in enumerate(results) if address}
    assert ranges == {30000 + 10 * i: address for i, address in enumerate(results) if address}
    assert rules(lab) == wanted
    living = [address for address in results if address]
    assert len(set(living)) == len(living)
