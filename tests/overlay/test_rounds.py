# SPDX-License-Identifier: GPL-2.0-or-later
"""No address has two living owners, whatever is killed meanwhile. FAIRLEAD_ROUNDS=10000 for the long run."""
import os

import pytest

from support.cluster import Cluster
from support.rounds import Rounds
from support.truth import settled

CYCLES = os.environ.get("FAIRLEAD_ROUNDS")
SECONDS = int(os.environ.get("FAIRLEAD_ROUNDS_SECONDS", 60))
SEED = int(os.environ.get("FAIRLEAD_ROUNDS_SEED", 1))


@pytest.mark.parametrize("config, cycles", [("keys", 600), ("blocks", 200)], ids=["keys", "blocks"])
def test_rounds(config, cycles):
    cycles = int(CYCLES or cycles)
    with Cluster(nodes=3, members=3, config={"leaseSeconds": 5, "holdDownSeconds": 600}) as cluster:
        rounds = Rounds(cluster, cycles, SEED, config)
        result = rounds.run(SECONDS)
        print(result, *result.refusals.most_common(20), *rounds.around(), sep="\n")
        assert not result.faults, result.faults[:20]
        assert result.counts["ADD"] > cycles / 2 and result.counts["agents killed"] and result.counts["samples"] > 100
        settled(cluster, seconds=30)
        # What the store says is what is attached; and afterwards nothing is.
        attached = {container.name for containers in rounds.containers for container in containers if container.attached}
        assert {ep["container"] for ep in cluster.records("ep/").values()} == attached
        rounds.detach_all()
        settled(cluster, seconds=30)
        assert not cluster.records("ep/")
