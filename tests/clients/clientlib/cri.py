# SPDX-License-Identifier: GPL-2.0-or-later
"""The few CRI calls that a pod's network needs, over gRPC. Protobuf is packed by hand: no generated code, no crictl."""
import time

import grpc

_SERVICE = "/runtime.v1.RuntimeService/"


def _varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def field(number, value):
    """One protobuf field: an int as varint, text, bytes or a nested message as length-delimited."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def message(*fields):
    return b"".join(field(number, value) for number, value in fields)


def _read_varint(data, at):
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at


def parse(data):
    """A message as {field number: [values]}; nested messages stay bytes."""
    at, found = 0, {}
    while at < len(data):
        tag, at = _read_varint(data, at)
        if tag & 7 == 0:
            value, at = _read_varint(data, at)
        elif tag & 7 == 2:
            size, at = _read_varint(data, at)
            value, at = data[at:at + size], at + size
        else:
            raise ValueError(f"wire type {tag & 7} is not expected here")
        found.setdefault(tag >> 3, []).append(value)
    return found


def _dns_config(*lists):
    return message(*[(number, value) for number, values in enumerate(lists, 1) for value in values])


def _port_mapping(inner, outer, protocol="tcp", host_address=""):
    return message((1, ("tcp", "udp", "sctp").index(protocol)), (2, inner), (3, outer), (4, host_address))


class Cri:
    def __init__(self, socket, cgroup_parent):
        self._channel = grpc.insecure_channel("unix://" + socket)
        self._cgroup_parent = cgroup_parent

    def close(self):
        self._channel.close()

    def _call(self, method, request, timeout=30):
        call = self._channel.unary_unary(_SERVICE + method)
        return parse(call(request, timeout=timeout, wait_for_ready=True))

    def ready(self):
        """Wait until the runtime answers; its socket appears before its services do."""
        return self._call("Version", b"")

    def run_pod(self, name, ports=(), dns=None, annotations=None):
        """Returns the pod's id.

        ports: (container port, host port[, protocol[, host address]]); dns: (servers, searches, options).
        """
        metadata = message((1, name), (2, "uid-" + name), (3, "default"), (4, 0))
        config = message(
            (1, metadata), (2, name), (3, ""),
            *[(4, _dns_config(*dns)) for dns in [dns] if dns],
            *[(5, _port_mapping(*port)) for port in ports],
            *[(7, message((1, k), (2, v))) for k, v in (annotations or {}).items()],
            (8, message((1, self._cgroup_parent))))
        return self._call("RunPodSandbox", message((1, config)))[1][0].decode()

    def _status(self, pod):
        return parse(self._call("PodSandboxStatus", message((1, pod)))[1][0])

    def address(self, pod):
        return parse(self._status(pod)[5][0])[1][0].decode()

    def wait_not_ready(self, pod, seconds=10):
        """State is field 3: 0, which protobuf leaves out, is ready. There is no event to wait for in this version."""
        end = time.monotonic() + seconds
        while self._status(pod).get(3, [0]) == [0]:
            if time.monotonic() > end:
                raise TimeoutError(f"pod {pod} stays ready")
            time.sleep(0.02)

    def pods(self):
        return [parse(item)[1][0].decode() for item in self._call("ListPodSandbox", b"").get(1, [])]

    def stop(self, pod):
        self._call("StopPodSandbox", message((1, pod)))

    def remove(self, pod):
        self._call("RemovePodSandbox", message((1, pod)))
