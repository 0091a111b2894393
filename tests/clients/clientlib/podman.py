# SPDX-License-Identifier: GPL-2.0-or-later
"""The real podman with its CNI backend, confined to a test host."""
import json
import os

from support.cni import LIBEXEC, libexec_dir

from . import image

_CONTAINERS = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1000:1000"]
log_driver = "k8s-file"
[network]
network_backend = "cni"
cni_plugin_dirs = [{dirs}]
network_config_dir = "{scratch}/net.d"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
tmp_dir = "/run/libpod"
"""
_STORAGE = """
[storage]
driver = "vfs"
runroot = "/run/containers/storage"
graphroot = "{scratch}/storage"
"""


class Podman:
    def __init__(self, host, plugin_dirs):
        self.host = host
        self.networks = host.scratch / "net.d"
        self.networks.mkdir()
        dirs = ", ".join(f'"{d}"' for d in plugin_dirs)
        self._env = dict(os.environ)
        if libexec_dir():
            self._env[LIBEXEC] = libexec_dir()
        for name, text in (("CONTAINERS_CONF", _CONTAINERS), ("CONTAINERS_STORAGE_CONF", _STORAGE)):
            path = host.scratch / (name.lower() + ".toml")
            path.write_text(text.format(dirs=dirs, scratch=host.scratch))
            self._env[name] = str(path)
        self("import", image.rootfs(host.scratch / "rootfs.tar"), "bb")

    def __call__(self, *argv, check=True):
        return self.host.run("podman", *argv, env=self._env, check=check).stdout.strip()

    def add_network(self, conflist):
        (self.networks / (conflist["name"] + ".conflist")).write_text(json.dumps(conflist))

    def up(self, name, network, *options, command=("/bin/sleep", "600")):
        """Start a container in the background and return its address on `network`."""
        self("run", "-d", "--name", name, "--network", network, "--cgroup-parent", self.host.cgroup,
             *options, "bb", *command)
        return self.address(name, network.partition(":")[0])

    def address(self, name, network):
        info = json.loads(self("inspect", name))[0]
        return info["NetworkSettings"]["Networks"][network]["IPAddress"]

    def netns(self, name):
        return f"/proc/{json.loads(self('inspect', name))[0]['State']['Pid']}/ns/net"

    def down(self, *names):
        # -t 0: sleep as process 1 ignores SIGTERM, and podman would wait ten seconds for it.
        self("rm", "-f", "-t", "0", *names)

    def serve(self, name, *ports):
        """Serve each port's own number as its page; httpd goes to the background only when it listens already."""
        one = "mkdir -p /tmp/{0} && echo {0} >/tmp/{0}/index.html && httpd -p {0} -h /tmp/{0}"
        self("exec", name, "/bin/sh", "-ec", "\n".join(one.format(port) for port in ports))
