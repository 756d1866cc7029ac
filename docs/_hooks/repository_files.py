"""The site also has reports, examples and the project's own pages, which stand outside of docs/.

Links are written as the repository needs them. Here they become those of the site; a link to a file that the site does
not have, such as source code, becomes its text. What is in neither is left for mkdocs to complain about.
"""

import json
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
SHOWN = ("CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "SECURITY.md")
REPORTED = {".csv", ".log", ".md", ".png", ".txt"}
LINK = r"(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<address>[^()\s]+)\)"
LINKS_AND_CODE = re.compile(rf"^```.*?^```|{LINK}|`[^`\n]+`", flags=re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what stands outside of docs/."""
    for path in sorted(path for path in (ROOT / "reports").rglob("*") if path.suffix in REPORTED):
        files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    for name in SHOWN:
        if (ROOT / name).is_file():
            files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    for path in sorted((ROOT / "examples").glob("*.ipynb")):
        page = path.relative_to(ROOT).with_suffix(".md").as_posix()
        files.append(File.generated(config, page, content=notebook_page(path)))
    return files


def notebook_page(path: Path) -> str:
    """A notebook as Markdown: its texts and its code, which has no output in the repository."""
    cells = json.loads(path.read_text())["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    parts = [
        text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```"
        for cell, text in zip(cells, texts, strict=True)
    ]
    return "\n\n".join([*parts, f"*This page is the notebook `examples/{path.name}`.*"])


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """Rewrite links outside of code."""
    here = page.file.src_uri
    if here.startswith("reports/"):
        page.meta.setdefault("search", {"exclude": True})  # long tables of names that every page has
        page.meta.setdefault("hide", ["navigation", "toc"])  # their tables need the width
    return LINKS_AND_CODE.sub(lambda found: site_link(found, here, files) if found["address"] else found[0], markdown)


def site_link(link: re.Match[str], here: str, files: Files) -> str:
    """A link of the page `here` as the site needs it."""
    text = f"{link['image']}[{link['text']}]"
    path, mark, anchor = link["address"].partition("#")
    if not path or "://" in path or path.startswith("mailto:"):
        return link[0]
    target = posixpath.normpath(posixpath.join(posixpath.dirname(repository_path(here)), path))
    target = target.replace(".ipynb", ".md")
    shown = target.removeprefix("docs/")
    if files.get_file_from_path(shown) is not None:
        return f"{text}({posixpath.relpath(shown, posixpath.dirname(here))}{mark}{anchor})"
    return link["text"] if (ROOT / target).exists() else link[0]


def repository_path(page: str) -> str:
    """Where a page of the site stands in the repository."""
    return page if page in SHOWN or page.startswith(("reports/", "examples/")) else f"docs/{page}"
