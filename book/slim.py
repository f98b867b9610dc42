"""Execute the chapters in the order of the book and store them slim.

Slim keeps what nbval compares (text and streams) and drops what the book draws again anyway:
pictures, the explorers' pages and widget state. Of an explorer it keeps the first picture, for
readers on GitHub, who have no slider. A chapter that raises is left as it was.

    python book/slim.py                      every notebook of _toc.yml
    python book/slim.py chapters/front.ipynb some of them
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import nbformat
import yaml
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
DROPPED = {
    *("image/png", "image/jpeg", "image/svg+xml", "text/html"),
    *("application/vnd.jupyter.widget-view+json", "application/vnd.jupyter.widget-state+json"),
}


def pages(toc: Path = ROOT / "_toc.yml") -> list[str]:
    """Return the files of a table of contents, without suffix, in reading order."""
    found = []

    def walk(node: object) -> None:
        if isinstance(node, dict):
            found.extend(node[key] for key in ("root", "file") if key in node)
            for key in ("parts", "chapters", "sections"):
                walk(node.get(key))
        elif isinstance(node, list):
            for entry in node:
                walk(entry)

    walk(yaml.safe_load(toc.read_text(encoding="utf-8")))
    return found


def chapters() -> list[Path]:
    """Return the notebooks of the book in reading order."""
    candidates = [ROOT / f"{page}.ipynb" for page in pages()]
    return [path for path in candidates if path.exists()]


def is_explorer(output: NotebookNode) -> bool:
    """Tell whether an output is that of `explore`, by the text that it stores."""
    return output.get("data", {}).get("text/plain", "").startswith("Explorer of ")


def slim(notebook: NotebookNode) -> NotebookNode:
    """Drop pictures, pages of explorers, widget state and traces of one kernel, in place."""
    notebook.metadata = NotebookNode(
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
        language_info={"name": "python"},
    )
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if "data" in output:
                kept = {"image/png"} if is_explorer(output) else set()
                output.data = {
                    kind: data for kind, data in output.data.items() if kind not in DROPPED - kept
                }
                output.metadata = {}
    return notebook


def main(paths: list[Path]) -> None:
    for path in paths:
        begin = time.perf_counter()
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        NotebookClient(
            notebook,
            timeout=300,
            record_timing=False,
            store_widget_state=False,
            coalesce_streams=True,
            resources={"metadata": {"path": str(path.parent)}},
        ).execute()
        nbformat.write(slim(notebook), path)
        print(f"{path.name}  {time.perf_counter() - begin:.1f} s")


if __name__ == "__main__":
    main([Path(name).resolve() for name in sys.argv[1:]] or chapters())
