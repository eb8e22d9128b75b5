"""A headless Chromium, driven over the WebDriver protocol that chromedriver speaks: no package is needed."""

import json
import re
import subprocess
import tempfile
from urllib.request import ProxyHandler, Request, build_opener

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync", "--window-size=1400,1000"]

DIRECT = build_opener(ProxyHandler({}))  # to this machine, whatever proxy there is


class Browser:
    """A browser with a profile of its own that remembers its console and its requests; use it in a `with` block."""

    def __enter__(self):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
        port = next(
            match[1] for line in self.driver.stdout if (match := re.search(r"successfully on port (\d+)", line))
        )
        self.base = f"http://127.0.0.1:{port}/session"
        options = {"args": [*FLAGS, f"--user-data-dir={self.profile.name}"]}
        logs = {"browser": "ALL", "performance": "ALL"}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": logs}
        self.base += "/" + self.call("", capabilities={"alwaysMatch": wanted})["sessionId"]
        return self

    def __exit__(self, *_):
        DIRECT.open(Request(self.base, method="DELETE"), timeout=60).close()
        self.driver.terminate()
        self.driver.wait()
        self.driver.stdout.close()
        self.profile.cleanup()

    def call(self, path: str, **body) -> object:
        request = Request(self.base + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with DIRECT.open(request, timeout=120) as answer:
            return json.load(answer)["value"]

    def open(self, url: str) -> None:
        self.call("/url", url=url)

    def run(self, script: str, *arguments) -> object:
        """The value that a script returns; a promise is waited for."""
        return self.call("/execute/sync", script=script, args=list(arguments))

    def console(self) -> list[str]:
        """What the page said on its console since the last call."""
        return [f"{entry['level']} {entry['message']}" for entry in self.call("/se/log", type="browser")]

    def requests(self) -> list[str]:
        """The addresses that were asked for since the last call."""
        events = [json.loads(entry["message"])["message"] for entry in self.call("/se/log", type="performance")]
        return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
