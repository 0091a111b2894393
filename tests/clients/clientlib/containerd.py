# SPDX-License-Identifier: GPL-2.0-or-later
"""The real containerd on a test host, with its CRI service and ctr."""
import json

from . import cri, image

_SOCKET = "/run/containerd/c.sock"
_CONFIG = """
version = 2
root = "{scratch}/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[grpc]
address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{image}"
restrict_oom_score_adj = true
disable_apparmor = true
"""


class Containerd:
    def __init__(self, host, plugins, conflist):
        """`plugins`: folder with the executables; `conflist`: the one network of pods and of ctr."""
        self.host = host
        host.run("ln", "-s", plugins, "/opt/cni/bin")
        # Written through the host's mounts: ctr knows no other place than /etc/cni/net.d.
        (host.root / "etc/cni/net.d/10-test.conflist").write_text(json.dumps(conflist))
        self._config = host.scratch / "containerd.toml"
        self._config.write_text(_CONFIG.format(scratch=host.scratch, socket=_SOCKET, image=image.NAME))
        self._start()
        layer = image.rootfs(host.scratch / "layer.tar")
        archive = image.oci(host.scratch / "bb.tar", layer)
        for namespace in ("default", "k8s.io"):
            self.ctr("-n", namespace, "images", "import", archive)

    def _start(self):
        self._daemon = self.host.daemon("containerd", "-c", self._config, log="containerd.log")
        self.cri = cri.Cri(f"{self.host.root}{_SOCKET}", self.host.cgroup)
        self.cri.ready()

    def restart(self):
        """As after a crash or an upgrade: the shims and the pods go on running."""
        self.cri.close()
        self.host.end(self._daemon)
        self._start()

    def ctr(self, *argv, **keywords):
        return self.host.run("ctr", "-a", _SOCKET, *argv, **keywords).stdout

    def run_once(self, name, *command):
        """One container with a network, in the foreground; it is gone when this returns."""
        return self.ctr("run", "--rm", "--cni", "--cgroup", f"{self.host.cgroup}/{name}", image.NAME, name, *command)

    def serve(self, pod, *ports):
        """HTTP inside a pod's own processes, so that it ends with them; ready when this returns."""
        for port in ports:
            self.ctr("-n", "k8s.io", "task", "exec", "--exec-id", f"serve{port}", pod,
                     "/bin/httpd", "-p", str(port), "-h", "/www")

    def netns(self, pod):
        for line in self.ctr("-n", "k8s.io", "task", "ls").splitlines():
            if line.startswith(pod):
                return f"/proc/{line.split()[1]}/ns/net"
        raise KeyError(pod)

    def kill(self, pod):
        """Kill a pod's process behind the runtime's back and wait until containerd has seen it end."""
        self.ctr("-n", "k8s.io", "task", "kill", "-s", "SIGKILL", pod)
        self.cri.wait_not_ready(pod)

    def close(self):
        self.cri.close()
