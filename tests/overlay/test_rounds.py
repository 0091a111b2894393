# SPDX-License-Identifier: GPL-2.0-or-later
"""No address has two living owners, whatever is killed meanwhile. FAIRLEAD_ROUNDS=10000 for the long run."""
import os

from support.cluster import Cluster
from support.rounds import Rounds
from support.truth import settled

CYCLES = int(os.environ.get("FAIRLEAD_ROUNDS", 600))
SECONDS = int(os.environ.get("FAIRLEAD_ROUNDS_SECONDS", 60))
SEED = int(os.environ.get("FAIRLEAD_ROUNDS_SEED", 1))


def test_rounds():
    with Cluster(nodes=3, members=3, config={"leaseSeconds": 5, "holdDownSeconds": 600}) as cluster:
        rounds = Rounds(cluster, CYCLES, SEED)
        result = rounds.run(SECONDS)
        print(result, *result.refusals.most_common(20), *rounds.around(), sep="\n")
        assert not result.faults, result.faults[:20]
        assert result.counts["ADD"] > CYCLES / 2 and result.counts["agents killed"] and result.counts["samples"] > 100
        settled(cluster, seconds=30)
        # What the store says is what is attached; and afterwards nothing is.
        attached = {container.name for containers in rounds.containers for container in containers if container.attached}
        assert {ep["container"] for ep in cluster.records("ep/").values()} == attached
        rounds.detach_all()
        settled(cluster, seconds=30)
        assert not cluster.records("ep/")
