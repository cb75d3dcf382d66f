"""The part of a Kubernetes API server that the CNI agent asks: list and watch of nodes.

    python fake_api.py ADDRESS PORT STATE

STATE is a JSON file {"version": int, "nodes": {name: [pod range or null, address]}}, replaced by
the test; each change becomes watch events. /caller answers with the client's address. Each watch is
a line on stdout.
"""

from __future__ import annotations

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

STATE = Path(sys.argv[3])
TOKEN = "Bearer test-token"


def read() -> tuple[int, dict[str, dict[str, Any]]]:
    state = json.loads(STATE.read_text())
    nodes = {
        name: {
            "metadata": {"name": name},
            "spec": {} if pods is None else {"podCIDR": pods},
            "status": {
                "addresses": [
                    {"type": "Hostname", "address": name},
                    {"type": "InternalIP", "address": address},
                ]
            },
        }
        for name, (pods, address) in state["nodes"].items()
    }
    return state["version"], nodes


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/caller":
            self.answer(self.client_address[0].encode())
        elif self.headers["Authorization"] != TOKEN:
            self.send_error(401)
        elif "watch=1" in self.path:
            self.watch()
        else:
            version, nodes = read()
            metadata = {"resourceVersion": str(version)}
            self.answer(json.dumps({"metadata": metadata, "items": list(nodes.values())}).encode())

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def watch(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        seen, known = read()
        if f"resourceVersion={seen}&" not in self.path:
            self.event("ERROR", {"kind": "Status", "metadata": {}, "code": 410})
            self.wfile.write(b"0\r\n\r\n")
            return
        print("watched", flush=True)
        while True:
            version, nodes = read()
            if version != seen:
                for name in known.keys() - nodes.keys():
                    self.event("DELETED", known[name])
                for name, node in nodes.items():
                    # Unchanged ones too: a heartbeat.
                    self.event("MODIFIED" if name in known else "ADDED", node)
                seen, known = version, nodes
            time.sleep(0.05)

    def event(self, kind: str, node: dict[str, Any]) -> None:
        line = json.dumps({"type": kind, "object": node}).encode() + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))

    def log_message(self, format: str, *args: Any) -> None:
        pass


ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
