# SPDX-License-Identifier: GPL-2.0-or-later
"""Plays a recorded client's calls again on a lab: same order, same overlap, other paths."""
import concurrent.futures
import json
import pathlib
import re
import threading

FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "fixtures"
_TOKEN = re.compile(r"@(NETNS|PID)(\d+)@")


def load(name):
    data = json.loads((FIXTURES / (name + ".json")).read_text())
    # What a plugin delegated is its own business; ours does it within the process.
    data["calls"] = [c for c in data["calls"] if not c["delegated"]]
    return data


def names():
    return sorted(p.stem for p in FIXTURES.glob("*.json"))


def get(entry, key, default=None):
    """A key as Go's decoder finds it: containerd writes HostPort where others write hostPort."""
    return next((v for k, v in entry.items() if k.lower() == key.lower()), default)


def published(call):
    config = call["stdin"].get("runtimeConfig", {})
    return [{"host_ip": get(m, "hostIP") or "", "host_port": get(m, "hostPort"),
             "port": get(m, "containerPort"), "proto": get(m, "protocol", "tcp")}
            for m in config.get("portMappings", [])]


class Failed(AssertionError):
    pass


class Replay:
    """One run of a fixture. `adapt_results`: pass on this run's results as prevResult, as the client would have."""

    def __init__(self, lab, plugins, fixture, adapt_results=True):
        self.lab, self.fixture = lab, fixture
        self._plugins, self.adapt_results = str(plugins), adapt_results
        self.results = {}      # (container, interface, network) -> the last ADD result
        self._processes = {}    # namespace name -> the process that shows it as /proc/PID/ns/net
        self.namespaces = {}    # container id -> namespace name
        self.paths = {}         # token -> path or pid that stands for it
        self.answers = []       # (call, decoded stdout), in the order of their ends
        self._lock = threading.Lock()
        self._make_namespaces()

    # ---- namespaces ----

    def _make_namespaces(self):
        for call in self.fixture["calls"]:
            found = _TOKEN.search(call["env"].get("CNI_NETNS", ""))
            if found and found[0] not in self.paths:
                name = f"c{found[2]}"
                self.lab.netns(name)
                self.paths[found[0]] = name if found[1] == "NETNS" else str(self._process(name).pid)
                self.namespaces[call["env"]["CNI_CONTAINERID"]] = name

    def _process(self, name):
        self._processes[name] = self.lab.start(["sleep", "300"], netns=name)
        return self._processes[name]

    def _drop_namespace(self, container):
        name = self.namespaces.pop(container, None)
        if name in self._processes:
            self.lab.stop(self._processes.pop(name))
        if name:
            self.lab.remove_netns(name)

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.close()

    def close(self):
        for container in list(self.namespaces):
            self._drop_namespace(container)

    # ---- one call ----

    def _fill(self, value):
        text = json.dumps(value).replace("@PLUGINS@", self._plugins).replace("/var/run/netns/", "/run/netns/")
        return json.loads(_TOKEN.sub(lambda m: self.paths.get(m[0], "0"), text))

    def _config(self, call, key):
        config = self._fill(call["stdin"])
        if self.adapt_results and "prevResult" in config and key in self.results:
            config["prevResult"] = self.results[key]
        return config

    def call(self, call):
        """One call; its decoded answer. A plugin that fails raises Failed."""
        env = {**self._fill(call["env"]), "CNI_PATH": self._plugins}
        key = (env["CNI_CONTAINERID"], env["CNI_IFNAME"], call["stdin"].get("name"))
        with self._lock:
            if env["CNI_COMMAND"] == "DEL" and not env["CNI_NETNS"]:
                self._drop_namespace(env["CNI_CONTAINERID"])
            config = self._config(call, key)
        done = self.lab.run([f"{self._plugins}/{call['plugin']}"], input=json.dumps(config), check=False,
                            env={**env, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        if done.returncode != call["status"]:
            raise Failed(f"{call['plugin']} {env['CNI_COMMAND']}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        answer = json.loads(done.stdout) if done.stdout.strip() else None
        with self._lock:
            self.answers.append((call, answer))
            if env["CNI_COMMAND"] == "ADD":
                self.results[key] = answer
        return answer

    # ---- all calls ----

    def run(self, calls=None):
        """A call starts when all that had ended before it in the recording have ended: the rest overlaps."""
        calls = self.fixture["calls"] if calls is None else calls
        with concurrent.futures.ThreadPoolExecutor(max(len(calls), 1)) as pool:
            jobs = []
            for call in calls:
                earlier = [job for other, job in zip(calls, jobs) if other["end_ms"] <= call["start_ms"]]
                jobs.append(pool.submit(self._after, earlier, call))
            for job in jobs:
                job.result()

    def _after(self, earlier, call):
        for job in earlier:
            job.result()
        return self.call(call)

    def phase(self, *commands):
        return [c for c in self.fixture["calls"] if c["env"]["CNI_COMMAND"] in commands]
