"""The OHIF viewer on a folder of dicomkit.

    python examples/ohif/viewer.py HOME                 # its first store, in a browser
    python examples/ohif/viewer.py HOME --phantom       # after a generated CT series was put into it

npm fetches the viewer's build (package-lock.json names one version and its checksum). This script serves the build on
127.0.0.1, and starts ``dicomkit serve HOME --allow-origin`` for it.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import dicomkit as dk

HERE = Path(__file__).parent
BUILD = Path("node_modules/@ohif/app/dist")
"""Where npm puts the viewer."""

CONFIG = """\
// The token comes behind the # of the first URL, which a browser sends to no server. It is not written here, because
// every page that the browser shows may run this file and read what is in it.
(function () {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given) {
    sessionStorage.setItem('dicomkit-token', given);
    history.replaceState(null, '', location.pathname + location.search);
  }
})();

window.config = {
  name: 'dicomkit',
  routerBasename: '/',
  showStudyList: true,
  maxNumberOfWebWorkers: 2,
  showLoadingIndicator: true,
  modes: [],
  extensions: [
    {
      id: 'dicomkit.token',
      preRegistration({ servicesManager }) {
        servicesManager.services.userAuthenticationService.setServiceImplementation({
          getAuthorizationHeader: () => ({ Authorization: 'Bearer ' + sessionStorage.getItem('dicomkit-token') }),
        });
      },
    },
  ],
  defaultDataSourceName: 'dicomkit',
  dataSources: [
    {
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'dicomkit',
      configuration: %s,
    },
  ],
};
"""


def fetch(folder: Path) -> Path:
    """Let npm put the viewer into *folder*, unless it is there; the folder with its build.

    Raises
    ------
    RuntimeError
        There is no npm.
    """
    build = folder / BUILD
    # npm writes this file last.
    if not (folder / "node_modules/.package-lock.json").exists() or not build.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise RuntimeError("npm is missing; it comes with Node.js")
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            if folder.resolve() != HERE.resolve():
                shutil.copy(HERE / name, folder)
        subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True)
    return build


def configuration(dicomweb_url: str) -> str:
    """``app-config.js`` of the viewer for the store at *dicomweb_url*."""
    source = {
        "friendlyName": "dicomkit",
        "name": "dicomkit",
        "qidoRoot": dicomweb_url,
        "wadoRoot": dicomweb_url,
        "qidoSupportsIncludeField": True,
        "supportsWildcard": True,
        "supportsFuzzyMatching": True,
        "imageRendering": "wadors",
        "thumbnailRendering": "wadors",  # decoded by the viewer, from frames
        "enableStudyLazyLoad": True,
        "bulkDataURI": {"enabled": True},
    }
    return CONFIG % json.dumps(source, indent=2).replace("\n", "\n      ")


class Files(SimpleHTTPRequestHandler):
    """The files of the build; every other path is one of the viewer's own and gets its page."""

    extensions_map = {  # noqa: RUF012 - as the class above has it
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".wasm": "application/wasm",
    }
    server: Pages

    def do_GET(self) -> None:
        """Send a file, the configuration, or the page."""
        path = urlsplit(self.path).path
        if path == "/app-config.js":
            body = configuration(self.server.dicomweb_url).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/javascript")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        if not Path(self.translate_path(path)).is_file():
            self.path = "/index.html"
        super().do_GET()

    def end_headers(self) -> None:
        """Nothing is loaded from, or sent to, any other server than these two."""
        data = self.server.dicomweb_url and "{0.scheme}://{0.netloc}".format(urlsplit(self.server.dicomweb_url))
        policy = {
            "default-src": "'self' blob: data:",
            "script-src": "'self' 'unsafe-inline' 'unsafe-eval' blob:",  # as the build is made
            "style-src": "'self' 'unsafe-inline'",
            "connect-src": f"'self' blob: data: {data}",
        }
        self.send_header("Content-Security-Policy", "; ".join(f"{name} {value}" for name, value in policy.items()))
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the paths of the viewer hold the UIDs of studies."""


class Pages(ThreadingHTTPServer):
    """A server of the viewer on a free port of 127.0.0.1; ``dicomweb_url`` is set before a page is opened."""

    daemon_threads = True
    dicomweb_url = ""

    def __init__(self, build: Path, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), partial(Files, directory=str(build)))
        self.url = f"http://127.0.0.1:{self.server_port}"


@contextmanager
def pages(build: Path, port: int = 0) -> Iterator[Pages]:
    """The viewer in *build*, served by a thread."""
    with Pages(build, port) as server:
        thread = threading.Thread(target=server.serve_forever, name="viewer", daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def show(home: Path, store_id: str | None, *, port: int, with_phantom: bool) -> int:
    """Serve *home* and the viewer until Ctrl-C."""
    build = fetch(HERE)
    token = secrets.token_urlsafe(32)
    with pages(build, port) as viewer:
        command = [sys.executable, "-m", "dicomkit", "serve", str(home), "--allow-origin", viewer.url, "--quiet"]
        # The environment of a process is not for other users to see, its arguments are.
        environment = {**os.environ, "DICOMKIT_TOKEN": token}
        # Of its own session: Ctrl-C is for this process, which then stops the server once.
        with subprocess.Popen(
            command, env=environment, text=True, stdout=subprocess.PIPE, start_new_session=True
        ) as server:
            assert server.stdout is not None
            url = server.stdout.readline().rstrip().rpartition(" ")[2]
            if not url:
                return server.wait()
            try:
                with dk.connect(url, token=token) as dataset:
                    name = _store(dataset, store_id, with_phantom=with_phantom)
                viewer.dicomweb_url = f"{url}/v1/{name}/dicomWeb"
                print(f"{name}\nis shown at {viewer.url}/#token={token}\nCtrl-C stops it.", flush=True)
                return server.wait()
            except KeyboardInterrupt:
                return 0
            finally:
                server.terminate()


def _store(dataset: dk.Dataset, store_id: str | None, *, with_phantom: bool) -> str:
    """The full name of the store to show."""
    ids = list(dataset.stores()["id"])
    if store_id is None:
        store_id = ids[0] if ids else "viewer"
    store = dataset.store(store_id) if store_id in ids else dataset.create_store(store_id)
    if with_phantom:
        from phantom import ct_series

        store.upload(list(ct_series()))
    return str(store.name)


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path, help="folder of dicomkit; made if missing")
    parser.add_argument("--store", metavar="ID", help="of the store to show; the first one by default")
    parser.add_argument("--port", type=int, default=0, help="of the viewer; any free one by default")
    parser.add_argument("--phantom", action="store_true", help="put a generated CT series into the store first")
    options = parser.parse_args()
    return show(options.home, options.store, port=options.port, with_phantom=options.phantom)


if __name__ == "__main__":
    raise SystemExit(main())
