"""The names that are asked for, and the files that servers and clients read them from."""

import ipaddress
import os
import random

from .world import SCRATCH

FIRST_ADDRESS = ipaddress.ip_address("10.64.0.1")


class Names:
    """
    Of single labels, as one container calls another. In random order (the same in every run): a server must not
    find each beside the one before.
    """

    def __init__(self, count):
        self.count = count
        self.pairs = [(f"ctr{i:05d}", str(FIRST_ADDRESS + i)) for i in range(count)]
        random.Random(count).shuffle(self.pairs)
        self.file = self.write("names", "{name} {address}\n")  # of our own tools
        self.queries = self.write("queries", "{name} A\n")  # of dnsperf

    def write(self, what, line):
        """A file of a line for each name."""
        path = os.path.join(SCRATCH, f"{what}-{self.count}")
        with open(path, "w", encoding="ascii") as f:
            f.writelines(line.format(name=n, address=a) for n, a in self.pairs)
        return path
