# SPDX-License-Identifier: GPL-2.0-or-later
"""Process 1 of a test host: prepares its private mounts, then reaps orphans until stdin ends.

The tests keep the other end of stdin. When they end, however they end, this process exits, the kernel kills
everything in its pid namespace, and with the last process go the mounts and the network namespaces.
"""
import os
import signal
import subprocess
import sys

# The machine's cgroup tree has to be reachable below a sysfs that belongs to the new network namespace.
MOUNTS = """
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /run/cg /run/netns
mount --rbind /sys/fs/cgroup /run/cg
mount -t sysfs sysfs /sys
mount --rbind /run/cg /sys/fs/cgroup
mkdir -p /var/lib/cni /etc/cni /opt
mount -t tmpfs tmpfs /var/lib/cni
mount -t tmpfs tmpfs /etc/cni
mount -t tmpfs tmpfs /opt
mount -t tmpfs tmpfs /dev/shm
mkdir -p /etc/cni/net.d /opt/cni
ip link set lo up
ip netns add outside
ip link add up0 type veth peer name eth0 netns outside
ip addr add 192.0.2.1/24 dev up0
ip link set up0 up
ip route add default via 192.0.2.2
ip -n outside link set lo up
ip -n outside addr add 192.0.2.2/24 dev eth0
ip -n outside link set eth0 up
"""


def _reap(_signum, _frame):
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def main():
    subprocess.run(["sh", "-ec", MOUNTS], check=True, timeout=20, stdin=subprocess.DEVNULL)
    signal.signal(signal.SIGCHLD, _reap)
    print("ready", flush=True)
    sys.stdin.read()


main()
