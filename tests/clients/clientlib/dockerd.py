# SPDX-License-Identifier: GPL-2.0-or-later
"""The real dockerd on a test host, with its own networks and its own iptables rules."""
from support import tools

from . import image

_SUBNET_OF_BRIDGE = "172.31.255.1/24"


class Dockerd:
    def __init__(self, host):
        self.host = host
        self._socket = "unix:///run/docker.sock"
        self._start()
        layer = image.rootfs(host.scratch / "docker.tar")
        self("import", layer, "bb:1")

    def _start(self):
        ready = tools.Readiness(self.host.scratch / "ready")
        try:
            self._daemon = self.host.daemon(
                "env", f"NOTIFY_SOCKET={ready.path}", "dockerd", "--data-root", self.host.scratch / "docker",
                "--exec-root", "/run/docker", "--pidfile", "/run/docker.pid", "-H", self._socket,
                "--storage-driver", "vfs", "--bip", _SUBNET_OF_BRIDGE, "--cgroup-parent", self.host.cgroup,
                log="dockerd.log")
            ready.wait(60)
        except TimeoutError as error:
            raise AssertionError((self.host.scratch / "dockerd.log").read_text()[-3000:]) from error
        finally:
            ready.close()

    def __call__(self, *argv, **keywords):
        return self.host.out("/usr/bin/docker", "-H", self._socket, *argv, **keywords)

    def restart(self):
        """As after an upgrade: it writes its rules again."""
        self.stop()
        self._start()

    def stop(self):
        self.host.run("sh", "-ec", "kill $(cat /run/docker.pid)")
        self._daemon.wait(30)
