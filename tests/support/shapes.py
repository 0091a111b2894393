# SPDX-License-Identifier: GPL-2.0-or-later
"""Strict checkers of what a plugin prints: every key known, required keys there, types right.

Shapes as in the specification's sections "Success" and "Error", for each version.
"""
import ipaddress
import re

VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]
OLD = ["0.1.0", "0.2.0"]
_MAC = re.compile(r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$")


def at_least(version, other):
    return [int(n) for n in version.split(".")] >= [int(n) for n in other.split(".")]


def _keys(where, value, required, optional=()):
    assert isinstance(value, dict), f"{where}: an object is expected, not {value!r}"
    missing, extra = set(required) - value.keys(), value.keys() - set(required) - set(optional)
    assert not missing, f"{where}: missing {sorted(missing)} in {value}"
    assert not extra, f"{where}: unexpected {sorted(extra)} in {value}"


def _is(where, value, kind):
    assert type(value) is kind, f"{where}: {kind.__name__} is expected, not {value!r}"


def _cidr(where, text):
    _is(where, text, str)
    assert "/" in text, f"{where}: no prefix length in {text!r}"
    return ipaddress.ip_interface(text)


def check_dns(where, dns):
    _keys(where, dns, (), ("nameservers", "domain", "search", "options"))
    for key, value in dns.items():
        _is(f"{where}.{key}", value, str if key == "domain" else list)
        for item in value if key != "domain" else ():
            _is(f"{where}.{key}[]", item, str)


def _check_route(where, route, version):
    new = ("mtu", "advmss", "priority", "table", "scope") if at_least(version, "0.3.0") else ()
    _keys(where, route, ("dst",), ("gw", *new))
    _cidr(f"{where}.dst", route["dst"])
    if "gw" in route:
        ipaddress.ip_address(route["gw"])
    for key in new:
        if key in route:
            _is(f"{where}.{key}", route[key], int)


def _check_family(where, value, version, family):
    _keys(where, value, ("ip",), ("gateway", "routes"))
    assert _cidr(f"{where}.ip", value["ip"]).version == family, f"{where}: wrong family"
    if "gateway" in value:
        assert ipaddress.ip_address(value["gateway"]).version == family
    for i, route in enumerate(value.get("routes", [])):
        _check_route(f"{where}.routes[{i}]", route, version)


def _check_interface(where, interface, version):
    extra = ("mtu", "socketPath", "pciID") if at_least(version, "1.0.0") else ()
    _keys(where, interface, ("name",), ("mac", "sandbox", *extra))
    _is(f"{where}.name", interface["name"], str)
    if "mac" in interface:
        assert _MAC.match(interface["mac"]), f"{where}.mac: {interface['mac']!r}"
    if "sandbox" in interface:
        _is(f"{where}.sandbox", interface["sandbox"], str)
        assert interface["sandbox"], f"{where}: an empty sandbox is to be left out"
    if "mtu" in interface:
        _is(f"{where}.mtu", interface["mtu"], int)


def _check_ip(where, ip, version, interfaces):
    old = ("version",) if not at_least(version, "1.0.0") else ()
    _keys(where, ip, ("address", *old), ("gateway", "interface"))
    address = _cidr(f"{where}.address", ip["address"])
    if old:
        assert ip["version"] == str(address.version), f"{where}.version: {ip}"
    if "gateway" in ip:
        assert ipaddress.ip_address(ip["gateway"]).version == address.version
    if ip.get("interface") is not None:
        _is(f"{where}.interface", ip["interface"], int)
        assert 0 <= ip["interface"] < interfaces, f"{where}.interface: no such interface"


def check_result(result, version, ipam=False):
    """The result of an ADD in this version; of an IPAM plugin when `ipam`."""
    if version in OLD:
        _keys("result", result, ("cniVersion",), ("ip4", "ip6", "dns"))
        assert "ip4" in result or "ip6" in result, "result: no address"
        for key, family in (("ip4", 4), ("ip6", 6)):
            if key in result:
                _check_family(key, result[key], version, family)
    else:
        allowed = ("ips", "routes", "dns") if ipam else ("interfaces", "ips", "routes", "dns")
        _keys("result", result, ("cniVersion",), allowed)
        interfaces = result.get("interfaces", [])
        for i, interface in enumerate(interfaces):
            _check_interface(f"interfaces[{i}]", interface, version)
        for i, ip in enumerate(result.get("ips", [])):
            _check_ip(f"ips[{i}]", ip, version, len(interfaces))
            assert not (ipam and "interface" in ip), "ips[].interface is not for IPAM plugins"
        for i, route in enumerate(result.get("routes", [])):
            _check_route(f"routes[{i}]", route, version)
    assert result["cniVersion"] == version
    if "dns" in result:
        check_dns("dns", result["dns"])


def check_error(error, version=None):
    """An error object; `version`: what its cniVersion must be, when that is known."""
    _keys("error", error, ("cniVersion", "code", "msg"), ("details",))
    _is("error.code", error["code"], int)
    assert error["code"] > 0
    for key in ("cniVersion", "msg", "details"):
        if key in error:
            _is(f"error.{key}", error[key], str)
    assert error["msg"], "error: an empty message"
    assert error["cniVersion"] in VERSIONS
    assert version is None or error["cniVersion"] == version


def check_versions(answer, version):
    _keys("version", answer, ("cniVersion", "supportedVersions"))
    assert answer["cniVersion"] == version
    assert answer["supportedVersions"] == VERSIONS
