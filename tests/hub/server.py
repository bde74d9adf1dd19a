"""A small hub on loopback: as much of the Hugging Face hub's protocol as `huggingface_hub` needs to
download models and datasets, and to upload models.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from forked import Forks

READ_ONLY = "others"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
API = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?/?$")
COMMITTED = re.compile(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/main$")
FILE = re.compile(r"/(?:(datasets)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)$")


class Hub:
    """Serves `folder`/{models,datasets}/ORG/NAME/*.

    commits: each commit with its folder; main is the last. requests: (method, path) of all so far.
    Anyone may write, but not as the owner READ_ONLY.
    """

    def __init__(self, folder: Path):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.commits, self.requests = {COMMIT: folder}, []

    def commit(self, revision: str | None) -> str:
        return next(reversed(self.commits)) if revision in (None, "main") else revision

    def folder(self, revision: str | None) -> Path | None:
        """What is served at a commit or at main; None at an unknown one."""
        return self.commits.get(self.commit(revision))

    @property
    def downloads(self) -> list[str]:
        """The files that were sent, in order."""
        return [path for method, path in self.requests if method == "GET" and "/resolve/" in path]

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()


def forks_for(hub: Hub, home: Path, **environment: str) -> Forks:
    """Commands that know this hub alone, with their cache in `home`."""
    settings = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "3", "HF_HUB_OFFLINE": "0"}
    settings |= {"HF_ENDPOINT": f"http://127.0.0.1:{hub.port}", "NO_PROXY": "127.0.0.1"}
    return Forks(HF_HOME=str(home), **settings, **environment)


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self._asked()
            if match := API.match(path):
                self._api(*match.groups())
            elif match := FILE.match(path):
                kind, name, revision, file = match.groups()
                self._file(f"{kind or 'models'}/{name}/{file}", revision)
            else:
                self._send(404)

        do_HEAD = do_GET

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"] or 0))
            path = self._asked()
            if path == "/api/repos/create":
                asked = json.loads(content)
                name = f"{asked['organization']}/{asked['name']}"
                address = {"url": f"https://huggingface.co/{name}"}
                self._json(address, 403 if READ_ONLY in name else 200)
            elif path == "/api/validate-yaml":
                self._json({"warnings": [], "errors": []})
            elif match := COMMITTED.match(path):
                self._upload(*match.groups(), content)
            else:
                self._send(404)

        def _upload(self, name: str, what: str, content: bytes) -> None:
            if what == "preupload":
                modes = {"uploadMode": "regular", "shouldIgnore": False}
                files = json.loads(content)["files"]
                self._json({"files": [{"path": file["path"], **modes} for file in files]})
                return
            for line in map(json.loads, content.splitlines()):
                if line["key"] == "file":
                    file = hub.folder("main") / "models" / name / line["value"]["path"]
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(base64.b64decode(line["value"]["content"]))
            address = f"https://huggingface.co/{name}/commit/{COMMIT}"
            self._json({"success": True, "commitOid": COMMIT, "commitUrl": address})

        def _asked(self) -> str:
            path = unquote(urlsplit(self.path).path)
            hub.requests.append((self.command, path))
            return path

        def log_message(self, *_: object) -> None:
            pass

        def _api(self, kind: str, name: str, what: str | None, revision: str | None) -> None:
            served = hub.folder(revision)
            if served is None or not (folder := served / kind / name).is_dir():
                self._send(404, headers={"X-Error-Code": "RepoNotFound"})
                return
            files = {f.relative_to(folder).as_posix(): f for f in folder.rglob("*") if f.is_file()}
            if what == "tree":
                self._json(
                    [
                        {"type": "file", "path": p, "size": f.stat().st_size, "oid": _etag(f)}
                        for p, f in sorted(files.items())
                    ]
                )
                return
            found = {"id": name, "sha": hub.commit(revision), "private": False, "tags": []}
            siblings = [{"rfilename": path} for path in sorted(files)]
            self._json(found | {"downloads": 0, "siblings": siblings})

        def _file(self, path: str, revision: str) -> None:
            if (served := hub.folder(revision)) is None:
                self._send(404, headers={"X-Error-Code": "RevisionNotFound"})
                return
            headers = {"X-Repo-Commit": hub.commit(revision)}
            if not (file := served / path).is_file():
                self._send(404, headers={"X-Error-Code": "EntryNotFound", **headers})
            else:
                self._send(200, file.read_bytes(), {"ETag": f'"{_etag(file)}"', **headers})

        def _json(self, content: Any, status: int = 200) -> None:
            self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

        def _send(self, status: int, content: bytes = b"{}", headers: dict | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

    return Handler


def _etag(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()
