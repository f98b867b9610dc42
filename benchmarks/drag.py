"""How smoothly the explorers of the built pages follow a hand: `python benchmarks/drag.py`.

In headless Chromium, with the network cut, every slider of every explorer that computes is dragged
through its range in 120 steps, one a frame. Printed are the median and the 95 % quantile of the
time between frames, and the longest task that has blocked the page. Frames wait for whatever else
runs on the machine: read the load average beside them.

    python benchmarks/drag.py [--http] [page ...]     of _build/html; all pages if none is named

Pages are opened from the disk, or with ``--http`` from a server of this machine.
"""

from __future__ import annotations

import os
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book"))

from browser import open_browser  # noqa: E402

HTML = ROOT / "_build" / "html"
DRAG = """async slider => {
  const blocks = [], times = [];
  const watch = new PerformanceObserver(list => blocks.push(...list.getEntries().map(one => one.duration)));
  watch.observe({ type: 'longtask' });
  for (let n = 0; n < 120; n++) {
    slider.value = Math.round(Number(slider.max) * n / 119);
    slider.dispatchEvent(new Event('input', { bubbles: true }));
    times.push(await new Promise(requestAnimationFrame));
  }
  await new Promise(done => setTimeout(done, 300));
  watch.disconnect();
  return [times, Math.max(0, ...blocks)];
}"""  # noqa: E501


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def measure(browser, address: str) -> list[tuple[str, float, float, float]]:
    """Name of each slider of a page, median and 95 % frame, and longest block, in ms."""
    context = browser.new_context()
    tab = context.new_page()
    tab.goto(address)
    context.set_offline(True)
    rows = []
    for explorer in tab.locator(".explorer[data-scene]").all():
        explorer.scroll_into_view_if_needed()
        explorer.locator("svg").wait_for()
        for slider in explorer.locator("input[type=range]").all():
            times, block = slider.evaluate(DRAG)
            frames = np.diff(times)
            rows.append(
                (slider.get_attribute("id"), *np.percentile(frames, (50, 95)), block),
            )
        explorer.locator(".explorer-reset").click()
    context.close()
    return rows


def main(served: bool, names: list[str]) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=HTML))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = f"http://127.0.0.1:{server.server_port}" if served else HTML.as_uri()
    pages = [HTML / name for name in names] or sorted(HTML.rglob("*.html"))
    load = os.getloadavg()[0]
    print(f"{'slider':50} {'median':>8} {'95 %':>8} {'block':>8}  ms, load {load:.1f}")
    with open_browser() as browser:
        for page in pages:
            if "data-scene=" not in page.read_text(encoding="utf-8"):
                continue
            for name, median, high, block in measure(browser, f"{home}/{page.relative_to(HTML)}"):
                print(f"{name:50} {median:8.1f} {high:8.1f} {block:8.0f}", flush=True)


if __name__ == "__main__":
    main("--http" in sys.argv, [name for name in sys.argv[1:] if name != "--http"])
