# SPDX-License-Identifier: GPL-2.0-or-later
"""The CNI protocol: verbs, environment, versions, shapes of results and errors."""
import pytest

from support import configs, shapes, snapshot
from support.cni import Chain
from support.shapes import VERSIONS, at_least

SUITE = ["bridge", "host-local", "portmap", "loopback", "none"]
REQUIRED = {
    "ADD": ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
    "DEL": ["CNI_CONTAINERID", "CNI_IFNAME"],
    "CHECK": ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
}
SINCE = {"CHECK": "0.4.0", "GC": "1.1.0", "STATUS": "1.1.0"}


def config_of(plugin, version=configs.VERSION):
    """The smallest configuration that ADD takes."""
    config = {"cniVersion": version, "name": "net", "type": plugin}
    if plugin == "bridge":
        config = configs.bridge(version=version)
    elif plugin == "host-local":
        config["ipam"] = configs.host_local(configs.SUBNET)
    elif plugin == "portmap":
        config["prevResult"] = previous_of(version)
    return config


def previous_of(version):
    if not at_least(version, "0.3.0"):
        return {"cniVersion": version, "ip4": {"ip": "10.1.0.9/24"}}
    ip = {"address": "10.1.0.9/24", "interface": 0}
    if not at_least(version, "1.0.0"):
        ip["version"] = "4"
    return {"cniVersion": version, "ips": [ip],
            "interfaces": [{"name": "eth0", "mac": "02:00:00:00:00:09", "sandbox": "/run/netns/c1"}]}


def missing_of(outcome):
    """The list between brackets of "required env variables [A,B] missing"."""
    outcome.refused(4, "required env variables [", "] missing")
    return outcome.message.split("[")[1].split("]")[0].split(",")


# ---- without a command ----

@pytest.mark.parametrize("plugin", SUITE)
def test_no_command_prints_usage(cni, plugin):
    outcome = cni.call(None, plugin, "", netns=None, container=None, ifname=None, path=None).expect()
    assert outcome.stdout == ""
    for version in VERSIONS:
        assert version in outcome.stderr


@pytest.mark.parametrize("command", ["", "add", "ADD ", "FOO", "INIT", "A" * 5000])
def test_unknown_command(cni, command):
    outcome = cni.call(command, "none", config_of("none"))
    if command:
        shapes.check_error(outcome.refused(4, "CNI_COMMAND").json)
    else:
        outcome.expect()


# ---- VERSION ----

@pytest.mark.parametrize("plugin", SUITE)
@pytest.mark.parametrize("version", VERSIONS)
def test_version_answers_in_kind(cni, plugin, version):
    answer = cni.version(plugin, {"cniVersion": version}).expect().json
    shapes.check_versions(answer, version)


def test_version_with_full_environment_and_config(cni):
    answer = cni.call("VERSION", "bridge", config_of("bridge", "0.4.0")).expect().json
    shapes.check_versions(answer, "0.4.0")


@pytest.mark.parametrize("config", ["", "{}", " \n"])
def test_version_without_input(cni, config):
    """The reference does not read stdin at all: runtimes may send nothing."""
    answer = cni.version("bridge", config).expect().json
    assert answer["supportedVersions"] == VERSIONS
    assert answer["cniVersion"] in VERSIONS


# ---- environment ----

@pytest.mark.parametrize("plugin", SUITE)
@pytest.mark.parametrize("command,name", [(c, n) for c, names in REQUIRED.items() for n in names])
def test_each_missing_variable(cni, plugin, command, name):
    outcome = cni.call(command, plugin, config_of(plugin), env={name: None})
    assert missing_of(outcome) == [name]
    shapes.check_error(outcome.json)


@pytest.mark.parametrize("command", REQUIRED)
def test_all_missing_variables_are_listed(cni, command):
    outcome = cni.call(command, "bridge", config_of("bridge"), container=None, netns=None, ifname=None)
    assert missing_of(outcome) == REQUIRED[command]


@pytest.mark.parametrize("name", REQUIRED["ADD"])
def test_empty_variable_is_missing(cni, name):
    assert missing_of(cni.call("ADD", "none", config_of("none"), env={name: ""})) == [name]


def test_environment_comes_before_input(cni):
    missing_of(cni.call("ADD", "bridge", "not JSON", env={"CNI_IFNAME": None}))


@pytest.mark.parametrize("plugin", ["bridge", "host-local", "loopback", "none"])
def test_path_is_optional(cni, plugin):
    config = config_of(plugin)
    shapes.check_result(cni.add(plugin, config, path=None).expect().json, configs.VERSION, plugin == "host-local")
    assert cni.delete(plugin, config, path=None).expect().stdout == ""


@pytest.mark.parametrize("command", ["GC", "STATUS"])
def test_gc_and_status_need_no_container(cni, command):
    for plugin in SUITE:
        config = {**config_of(plugin, "1.1.0"), "cni.dev/valid-attachments": []}
        config.pop("prevResult", None)
        assert cni.call(command, plugin, config, container=None, netns=None, ifname=None).expect().stdout == ""


@pytest.mark.parametrize("length,good", [(1, True), (64, True), (200, True), (201, False)])
def test_length_of_container_id(cni, length, good):
    outcome = cni.add("bridge", config_of("bridge"), container="a" * length, netns="c1")
    outcome.expect() if good else outcome.refused(4, "CNI_CONTAINERID")


@pytest.mark.parametrize("length,good", [(1, True), (200, True), (201, False)])
def test_length_of_network_name(cni, length, good):
    outcome = cni.add("bridge", {**config_of("bridge"), "name": "n" * length})
    outcome.expect() if good else outcome.refused(7, "name")


@pytest.mark.parametrize("ifname", ["e", "a-b_c.d", "x" * 15, "\N{GREEK SMALL LETTER ETA}0"])
def test_good_interface_names(cni, ifname):
    cni.add("bridge", config_of("bridge"), ifname=ifname).expect()
    assert configs.link(cni.lab, ifname, "c1")


@pytest.mark.parametrize("ifname", ["eth%d", "a%b"])
def test_interface_names_that_the_kernel_would_number(cni, ifname):
    cni.add("bridge", config_of("bridge"), ifname=ifname).refused(4, "CNI_IFNAME", ifname)


def test_del_does_not_need_a_namespace(cni):
    for plugin in ("bridge", "loopback", "none", "portmap"):
        for netns in (None, "", "/run/netns/never-was"):
            assert cni.delete(plugin, config_of(plugin), netns=netns).expect().stdout == ""


# ---- own namespace ----

@pytest.mark.parametrize("plugin", ["bridge", "loopback", "none"])
@pytest.mark.parametrize("path", ["/proc/self/ns/net", "/run/netns/alias"])
def test_own_namespace_is_refused(lab, cni, plugin, path):
    lab.alias_netns("alias")
    before = snapshot.take(lab)
    cni.add(plugin, config_of(plugin), netns=path).refused(8, path)
    assert not snapshot.diff(before, snapshot.take(lab))


@pytest.mark.parametrize("plugin", ["bridge", "loopback", "none"])
def test_del_with_own_namespace_succeeds_and_touches_nothing(lab, cni, plugin):
    lab.alias_netns("alias")
    cni.delete(plugin, config_of(plugin), ifname="lo", netns="/run/netns/alias").expect()
    cni.delete(plugin, config_of(plugin), ifname="up0", netns="/run/netns/alias").expect()
    links = {entry["ifname"]: entry for entry in lab.ip("link")}
    assert "UP" in links["lo"]["flags"] and "up0" in links


def test_netns_override(lab, cni):
    """CNI_NETNS_OVERRIDE, as the reference has it, allows the plugin's own namespace."""
    lab.alias_netns("alias")
    cni.add("loopback", config_of("loopback"), ifname="lo", netns="/run/netns/alias",
            env={"CNI_NETNS_OVERRIDE": "true"}).expect()


@pytest.mark.parametrize("plugin, members", [("bridge", {}), ("macvlan", {"master": "up0"}), ("tap", {})])
@pytest.mark.parametrize("how", ["del", "gc"])
def test_netns_override_leaves_nothing(lab, cni, plugin, members, how):
    """An interface made in the host's namespace on purpose is taken away again."""
    config = {**(configs.bridge() if plugin == "bridge" else config_of(plugin)), **members}
    lab.alias_netns("alias")
    cni.add(plugin, config, ifname="own0", netns="/run/netns/alias", env={"CNI_NETNS_OVERRIDE": "1"}).expect()
    assert lab.ip("link", "show", "own0")
    if how == "del":
        cni.delete(plugin, config, ifname="own0", netns="/run/netns/alias").expect()
    else:
        cni.gc(plugin, config, []).expect()
    links = [entry["ifname"] for entry in lab.ip("link")]
    assert "own0" not in links and "up0" in links and not any(name.startswith("veth") for name in links)


# ---- versions ----

@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("plugin", SUITE)
def test_result_shape_of_each_version(cni, plugin, version):
    config = config_of(plugin, version)
    outcome = cni.add(plugin, config)
    if plugin == "none" and version in shapes.OLD:
        outcome.refused(None, "IP address")  # a result without an address does not exist there
        return
    shapes.check_result(outcome.expect().json, version, plugin == "host-local")
    cni.delete(plugin, config).expect()


@pytest.mark.parametrize("version", VERSIONS)
def test_dual_stack_result_of_each_version(cni, version):
    config = configs.dual(version=version, isDefaultGateway=None, isGateway=True, ipam=configs.host_local(
        configs.SUBNET, configs.SUBNET6, routes=["0.0.0.0/0", "::/0"]), dns={"nameservers": ["192.0.2.53"]})
    result = cni.add("bridge", config).expect().json
    shapes.check_result(result, version)
    assert result["dns"]["nameservers"] == ["192.0.2.53"]
    if version in shapes.OLD:
        assert result["ip4"]["ip"].startswith("10.1.0.") and result["ip6"]["ip"].startswith("fd00:1::")
        assert [r["dst"] for r in result["ip6"]["routes"]] == ["::/0"]
    else:
        assert [ip["interface"] for ip in result["ips"]] == [2, 2]
        assert [i["name"] for i in result["interfaces"]][::2] == ["net0", "eth0"]


def test_result_interfaces(lab, cni):
    result = cni.add("bridge", config_of("bridge")).expect().json
    on_bridge, host_end, inside = result["interfaces"]
    assert "sandbox" not in on_bridge and "sandbox" not in host_end
    assert inside["sandbox"] == "/run/netns/c1"
    for interface, netns in ((on_bridge, None), (host_end, None), (inside, "c1")):
        assert configs.link(lab, interface["name"], netns)["address"] == interface["mac"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("command", SINCE)
def test_verbs_by_version(cni, command, version):
    config = {**config_of("none", version), "cni.dev/valid-attachments": []}
    if command == "CHECK" and at_least(version, "0.4.0"):
        config["prevResult"] = cni.add("none", config).expect().json
    outcome = cni.call(command, "none", config)
    if at_least(version, SINCE[command]):
        assert outcome.expect().stdout == ""
    else:
        outcome.refused(1, f"does not allow {command}")
        shapes.check_error(outcome.json, version)


def test_absent_version_is_the_oldest(cni):
    config = config_of("bridge")
    del config["cniVersion"]
    result = cni.add("bridge", config).expect().json
    shapes.check_result(result, "0.1.0")


@pytest.mark.parametrize("plugin", SUITE)
@pytest.mark.parametrize("version", ["9.9.9", "1.2.0", "1.0", "0.0.0", "latest", "1.1.0 "])
def test_unsupported_version(cni, plugin, version):
    outcome = cni.add(plugin, {**config_of(plugin), "cniVersion": version}).refused(1, version)
    shapes.check_error(outcome.json)
    for known in VERSIONS:
        assert known in outcome.message


@pytest.mark.parametrize("version", VERSIONS)
def test_error_carries_the_version(cni, version):
    outcome = cni.add("bridge", {**config_of("bridge", version), "mtu": "big"}).refused(6, "mtu")
    shapes.check_error(outcome.json, version)


@pytest.mark.parametrize("version", VERSIONS[2:])
def test_previous_result_of_each_version_is_passed_on(cni, version):
    """A chained plugin without work to do prints what came before it."""
    config = config_of("portmap", version)
    result = cni.add("portmap", config).expect().json
    shapes.check_result(result, version)
    assert {k: v for k, v in result.items() if k != "dns"} == config["prevResult"]


def test_previous_result_of_another_version_is_converted(cni):
    config = {**config_of("portmap", "0.4.0"), "cniVersion": "1.1.0"}
    result = cni.add("portmap", config).expect().json
    shapes.check_result(result, "1.1.0")


# ---- JSON ----

def test_unknown_keys_are_ignored(cni):
    config = {**config_of("bridge"), "x": {"y": [1, None]}, "cniVersions": ["1.1.0"], "disableGC": True,
              "capabilities": {"portMappings": True}, "args": {"cni": {"labels": [{"key": "a", "value": "b"}]}}}
    config["ipam"]["x"] = 1
    cni.add("bridge", config).expect()


def test_null_is_absent(cni):
    config = {**config_of("bridge"), "mtu": None, "dns": None, "vlan": None, "runtimeConfig": None, "args": None,
              "prevResult": None}
    cni.add("bridge", config).expect()


def test_byte_order_of_keys_does_not_matter(cni):
    config = config_of("bridge")
    cni.add("bridge", dict(reversed(config.items()))).expect()


def test_runtime_keys_ignoring_case(lab, cni):
    """containerd sends the field names of its own structs."""
    config = configs.runtime(config_of("bridge"), portMappings=[
        {"HostPort": 8080, "ContainerPort": 80, "Protocol": "tcp", "HostIP": ""}])
    cni.add("bridge", config).expect()
    lab.tcp_server("c1", port=80)
    assert lab.probe("outside", "192.0.2.1", 8080).server == "c1"


def test_config_keys_ignoring_case(lab, cni):
    config = {**config_of("bridge"), "MTU": 1400}
    config["IPAM"] = {"Type": "host-local", "Ranges": [[{"Subnet": "10.9.0.0/24"}]]}
    del config["ipam"]
    assert cni.add("bridge", config).expect().address.startswith("10.9.0.")
    assert configs.link(lab, "eth0", "c1")["mtu"] == 1400


def test_exact_key_wins(lab, cni):
    config = {"MTU": 1300, **config_of("bridge"), "mtu": 1400, "Mtu": 1200}
    cni.add("bridge", config).expect()
    assert configs.link(lab, "eth0", "c1")["mtu"] == 1400


def test_result_is_indented_json_with_newline(cni):
    outcome = cni.add("bridge", config_of("bridge")).expect()
    assert outcome.stdout.endswith("}\n") and "\n    \"" in outcome.stdout


# ---- CNI_ARGS ----

KUBERNETES = ("K8S_POD_INFRA_CONTAINER_ID=0f;IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;"
              "K8S_POD_UID=b8a9")


@pytest.mark.parametrize("args", ["", KUBERNETES, "K8S_POD_NAME=web-0;IgnoreUnknown=true", "IgnoreUnknown=1"])
@pytest.mark.parametrize("plugin", ["bridge", "host-local", "loopback", "none"])
def test_foreign_arguments(cni, plugin, args):
    cni.add(plugin, config_of(plugin), args=args).expect()
    cni.delete(plugin, config_of(plugin), args=args).expect()


def test_arguments_for_two_plugins(lab, cni):
    """MAC is the bridge's, IP is the IPAM's: neither is unknown to the other."""
    outcome = cni.add("bridge", config_of("bridge"), args="MAC=02:00:00:00:00:77;IP=10.1.0.77").expect()
    assert outcome.address == "10.1.0.77"
    assert configs.link(lab, "eth0", "c1")["address"] == "02:00:00:00:00:77"


# ---- loopback and none ----

def test_loopback(lab, cni):
    config = config_of("loopback", "1.0.0")
    result = cni.add("loopback", config, ifname="lo").expect().json
    assert "UP" in configs.link(lab, "lo", "c1")["flags"]
    assert [ip["address"] for ip in result["ips"]] == ["127.0.0.1/8", "::1/128"]
    assert result["interfaces"] == [{"name": "lo", "mac": "00:00:00:00:00:00", "sandbox": "/run/netns/c1"}]
    cni.check("loopback", configs.with_previous(config, result), ifname="lo").expect()
    lab.run(["ip", "link", "set", "lo", "down"], netns="c1")
    cni.check("loopback", configs.with_previous(config, result), ifname="lo").refused(None, "lo")
    for _ in range(2):
        cni.delete("loopback", config, ifname="lo").expect()


def test_none(lab, cni):
    config = config_of("none")
    result = cni.add("none", config).expect().json
    assert not result.get("ips")
    assert "UP" in configs.link(lab, "lo", "c1")["flags"]
    assert [entry["ifname"] for entry in lab.ip("link", netns="c1")] == ["lo"]
    cni.check("none", configs.with_previous(config, result)).expect()
    for _ in range(2):
        cni.delete("none", config).expect()


def test_the_pair_that_a_pod_gets(lab, cni):
    """A pod's loopback and network are added at the same time, with the same container id."""
    calls = [lab.submit(cni.add, plugin, config_of(plugin, "0.3.1"), ifname=ifname)
             for plugin, ifname in (("loopback", "lo"), ("bridge", "eth0"))]
    for call in calls:
        call.result().expect()
    chain = Chain(cni, configs.conflist({**config_of("bridge"), "type": "bridge"}))
    chain.delete("c1").expect()                 # sandbox is stopped
    chain.delete("c1", netns="").expect()       # and removed
