# SPDX-License-Identifier: GPL-2.0-or-later
"""Support for tests that drive the real executables in private namespaces.

    lab       a private host, the outside beside it, container namespaces, traffic
    cni       runs plugins and chains as a runtime does
    snapshot  what the kernel holds, read by ip, bridge and nft; and what differs
    shapes    strict checkers of result and error objects
    kernel    the few system calls that Python lacks
    configs   network configurations of the tests
    probes    echo servers and clients
    dns       asks resolvers, and is a name server of the outside
    upstream  a name server that does as it is told
    etcd      a cluster of etcd, its certificates, and the client under test
    gateway   a fake of etcd's gateway that does as it is told
    systemd   a private host that systemd booted, with fairlead installed in it
    stub      who asks the resolver, and what its daemon tells

Standard library only (configs skips by pytest; dns, upstream and stub have messages by dnspython). Needs root (CAP_SYS_ADMIN, CAP_NET_ADMIN).
"""
