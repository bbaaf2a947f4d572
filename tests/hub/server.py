"""A small hub on the loopback address: the parts of its protocol that sharing and fetching a net need."""

import base64
import json
import threading
from contextlib import contextmanager
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

TOKEN = "hf_of_the_test"


class Hub(ThreadingHTTPServer):
    """Keeps repositories as ``{name: {revision: {path: content}}}``."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos, self.large, self.asked, self.private = {}, {}, [], set()
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    @property
    def words(self):
        return urlsplit(self.path).path.strip("/").split("/")

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def answer(self, status, content=b"", **headers):
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json", "Content-Length": len(content)} | headers).items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def missing(self, code):
        self.answer(404, {"error": code}, X_Error_Code=code)

    def do_POST(self):
        body, hub = self.body(), self.server
        hub.asked.append((self.command, self.path))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer(401, {"error": "Invalid username or password."})
        match self.words:
            case ["api", "repos", "create"]:
                given = json.loads(body)
                name = "/".join(filter(None, [given.get("organization") or "someone", given["name"]]))
                if name in hub.repos:
                    return self.answer(409, {"url": f"{hub.url}/{name}"})
                hub.repos[name] = {"main": {}}
                hub.private |= {name} if given.get("private") or given.get("visibility") == "private" else set()
                return self.answer(200, {"url": f"{hub.url}/{name}"})
            case ["api", "validate-yaml"]:
                assert json.loads(body)["content"].startswith("---\n")
                return self.answer(200, {"errors": [], "warnings": []})
            case ["api", "models", user, name, "branch", branch]:
                repo = hub.repos[f"{user}/{name}"]
                repo.setdefault(branch, dict(repo["main"]))
                return self.answer(200, {})
            case ["api", "models", _, _, "preupload", _]:
                files = [
                    {"path": f["path"], "uploadMode": "lfs" if f["path"].endswith(".safetensors") else "regular"}
                    | {"shouldIgnore": False, "oid": None}
                    for f in json.loads(body)["files"]
                ]
                return self.answer(200, {"files": files})
            case [_, name, "info", "lfs", "objects", "batch"] if name.endswith(".git"):
                actions = [
                    {"oid": o["oid"], "size": o["size"], "actions": {"upload": {"href": f"{hub.url}/large/{o['oid']}"}}}
                    for o in json.loads(body)["objects"]
                ]
                return self.answer(200, {"transfer": "basic", "objects": actions})
            case ["api", "models", user, name, "commit", revision]:
                files = hub.repos[f"{user}/{name}"][revision]
                for line in map(json.loads, body.splitlines()):
                    if line["key"] == "file":
                        files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                    elif line["key"] == "lfsFile":
                        files[line["value"]["path"]] = hub.large[line["value"]["oid"]]
                commit = self.commit(files)
                return self.answer(
                    200, {"commitUrl": f"{hub.url}/{user}/{name}/commit/{commit}", "commitOid": commit, "success": True}
                )
        return self.answer(404, {"error": self.path})

    def do_PUT(self):
        content = self.body()
        assert sha256(content).hexdigest() == self.words[1]
        self.server.large[self.words[1]] = content
        self.answer(200)

    def do_GET(self):
        hub = self.server
        hub.asked.append((self.command, self.path))
        match self.words:
            case ["api", "models", user, name, *rest]:
                files = self.files(f"{user}/{name}", rest[1] if rest else "main")
                if files is None:
                    return None
                if rest[:1] == ["tree"]:
                    return self.answer(200, [self.entry(path, content) for path, content in files.items()])
                siblings = [{"rfilename": path} for path in files]
                about = {"id": f"{user}/{name}", "sha": self.commit(files), "siblings": siblings}
                return self.answer(200, about | {"tags": [], "private": False, "downloads": 0, "likes": 0})
            case [user, name, "resolve", revision, path]:
                files = self.files(f"{user}/{name}", revision)
                if files is None:
                    return None
                if path not in files:
                    return self.missing("EntryNotFound")
                facts = {"X_Repo_Commit": self.commit(files), "ETag": f'"{sha1(files[path]).hexdigest()}"'}
                return self.answer(200, files[path], **facts)
        return self.answer(404, {"error": self.path})

    do_HEAD = do_GET

    def files(self, repo, revision):
        """Of a branch or commit; answers by itself where there is none."""
        if repo not in self.server.repos:
            return self.missing("RepoNotFound")
        branches = self.server.repos[repo]
        found = branches.get(revision)
        if found is None:
            found = next((files for files in branches.values() if self.commit(files) == revision), None)
        return self.missing("RevisionNotFound") if found is None else found

    @staticmethod
    def commit(files):
        return sha1(repr(sorted(files.items())).encode()).hexdigest()

    @staticmethod
    def entry(path, content):
        return {"type": "file", "path": path, "size": len(content), "oid": sha1(content).hexdigest()}


@contextmanager
def running():
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
