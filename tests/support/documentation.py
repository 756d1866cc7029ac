"""The pages of the documentation and what stands in them."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', flags=re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block; with a `title` it is a file that the reader is to write."""

    language: str
    title: str
    text: str

    @property
    def runs(self) -> bool:
        """Whether it stands there to be executed; `sh` needs what only the reader has."""
        return not self.title and self.language in ("bash", "python")

    @property
    def commands(self) -> list[str]:
        """The lines of a shell's block, continued ones joined."""
        return [line for line in self.text.replace("\\\n", " ").splitlines() if line.strip()]


def blocks(page: Path) -> list[Block]:
    """The blocks of a page in order."""
    return [Block(*found) for found in FENCE.findall(page.read_text())]


def page_text(name: str) -> str:
    """A page of docs/, as it is."""
    return (DOCS / name).read_text()
