"""The names that are asked for, and the files that servers and clients read them from."""

import hashlib
import ipaddress
import itertools
import os
import random

from .world import SCRATCH

FIRST_ADDRESS = ipaddress.ip_address("10.64.0.1")
KINDS = ("ctr{:05d}".format, "svc{:05d}".format, lambda i: hashlib.sha256(str(i).encode()).hexdigest()[:12])


class Names:
    """
    Of single labels, as one container calls another: each has a name, the alias of its service, and its short id. In
    random order (the same in every run): a server must not find each beside the one before.
    """

    def __init__(self, count):
        self.count = count
        self.pairs = [(kind(i // len(KINDS)), str(FIRST_ADDRESS + i // len(KINDS)))
                      for i, kind in zip(range(count), itertools.cycle(KINDS))]
        self.file = self.write("names", "{name} {address}\n")  # of our own tools: a container's together
        random.Random(count).shuffle(self.pairs)
        self.queries = self.write("queries", "{name} A\n")  # of dnsperf

    def write(self, what, line):
        """A file of a line for each name."""
        path = os.path.join(SCRATCH, f"{what}-{self.count}")
        with open(path, "w", encoding="ascii") as f:
            f.writelines(line.format(name=n, address=a) for n, a in self.pairs)
        return path
