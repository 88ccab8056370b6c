"""Lints and renders a chart with Helm's own library, as its Python wheel helm-sdkpy brings it.

    helm.py LIBRARY CHART < [{"release": …, "namespace": …, "values": {…}}, …]

The library installs into a cluster and cannot merely render; so this stands in for an API server
that has nothing, accepts everything, and keeps it. Prints a list: {"error": …} or
{"manifest": …, "notes": …} for each case, after the messages of the linter.
"""

import ctypes
import json
import os
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# What the rendered kinds are called in paths; Helm asks for it before it sends anything.
RESOURCES = {
    "v1": {
        "Namespace": ("namespaces", False),
        "Secret": ("secrets", True),
        "ConfigMap": ("configmaps", True),
        "ServiceAccount": ("serviceaccounts", True),
        "Pod": ("pods", True),
    },
    "apps/v1": {"DaemonSet": ("daemonsets", True)},
    "rbac.authorization.k8s.io/v1": {
        "ClusterRole": ("clusterroles", False),
        "ClusterRoleBinding": ("clusterrolebindings", False),
    },
    "scheduling.k8s.io/v1": {"PriorityClass": ("priorityclasses", False)},
    "networking.k8s.io/v1": {"NetworkPolicy": ("networkpolicies", True)},
    "monitoring.coreos.com/v1": {
        "PodMonitor": ("podmonitors", True),
        "PrometheusRule": ("prometheusrules", True),
    },
    "security.openshift.io/v1": {
        "SecurityContextConstraints": ("securitycontextconstraints", False),
    },
}

# Nothing ever becomes ready here.
OPTIONS = json.dumps({"wait": False, "wait_for_jobs": False, "timeout_seconds": 20}).encode()


class ApiServer(BaseHTTPRequestHandler):
    """Discovery, and an echo of everything that is written."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        path = self.path.split("?")[0].strip("/")
        if path == "version":
            self.answer(200, {"major": "1", "minor": "33", "gitVersion": "v1.33.0"})
        elif path == "api":
            self.answer(200, {"kind": "APIVersions", "versions": ["v1"]})
        elif path == "apis":
            groups = [name for name in RESOURCES if "/" in name]
            versions = [{"groupVersion": name, "version": "v1"} for name in groups]
            rows = [
                {"name": v["groupVersion"].split("/")[0], "versions": [v], "preferredVersion": v}
                for v in versions
            ]
            self.answer(200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": rows})
        elif path.removeprefix("api/").removeprefix("apis/") in RESOURCES:
            name = path.removeprefix("api/").removeprefix("apis/")
            rows = [
                {"name": plural, "singularName": "", "namespaced": namespaced, "kind": kind,
                 "verbs": ["create", "get", "list", "patch", "update", "delete"]}
                for kind, (plural, namespaced) in RESOURCES[name].items()
            ]
            answer = {"kind": "APIResourceList", "groupVersion": name, "resources": rows}
            self.answer(200, answer)
        elif path.endswith("/secrets"):
            self.answer(200, {"kind": "SecretList", "apiVersion": "v1", "items": []})
        else:
            status = {"kind": "Status", "apiVersion": "v1", "status": "Failure",
                      "reason": "NotFound", "code": 404, "message": f"{path} not found"}
            self.answer(404, status)

    def do_write(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "json" in self.headers.get("Content-Type", "") or body.startswith(b"{"):
            self.answer(200, json.loads(body))
        else:
            # The secret in which Helm keeps the release comes as protocol buffers.
            self.answer(200, {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "release"}})

    do_POST = do_PUT = do_PATCH = do_write


def library(path):
    lib = ctypes.CDLL(path)
    lib.helm_sdkpy_last_error.restype = ctypes.c_char_p
    return lib


def call(lib, function, *arguments):
    """The JSON answer of a function, or Helm's error."""
    out = ctypes.c_char_p()
    status = getattr(lib, "helm_sdkpy_" + function)(*arguments, ctypes.byref(out))
    if status != 0:
        return None, (lib.helm_sdkpy_last_error() or b"no reason given").decode()
    return json.loads(out.value), None


def main():
    path, chart = sys.argv[1:]
    lib = library(path)
    server = ThreadingHTTPServer(("127.0.0.1", 0), ApiServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        # Helm keeps caches at home.
        os.environ["HOME"] = folder
        kubeconfig = os.path.join(folder, "kubeconfig")
        with open(kubeconfig, "w", encoding="utf-8") as file:
            json.dump({
                "apiVersion": "v1", "kind": "Config", "current-context": "c",
                "clusters": [{"name": "c", "cluster": {
                    "server": f"http://127.0.0.1:{server.server_port}"}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "users": [{"name": "u", "user": {}}],
            }, file)
        answers = []
        for case in [None, *json.load(sys.stdin)]:
            handle = ctypes.c_ulonglong()
            namespace = case["namespace"] if case else "default"
            status = lib.helm_sdkpy_config_create(
                namespace.encode(), kubeconfig.encode(), b"", b"{}", ctypes.byref(handle))
            if status != 0:
                sys.exit(lib.helm_sdkpy_last_error().decode())
            if case is None:
                answer, error = call(lib, "lint", handle, chart.encode())
                answers.append({"error": error} if error else answer)
                continue
            answer, error = call(
                lib, "install", handle, case["release"].encode(), chart.encode(),
                json.dumps(case["values"]).encode(), b"", OPTIONS)
            answers.append({"error": error} if error else answer)
    json.dump(answers, sys.stdout)


main()
