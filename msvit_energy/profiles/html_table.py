"""A small table in HTML, as notebooks show an object."""

from collections.abc import Iterable, Sequence
from html import escape


def html_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]], notes: Iterable[str] = ()) -> str:
    """The table with its title above and notes below, all text escaped; notes that warn are bold."""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    lines = [f"<b>{escape(note)}</b>" if note.startswith("warning: ") else escape(note) for note in notes]
    below = f"<p>{'<br>'.join(lines)}</p>" if lines else ""
    return f"<p>{escape(title)}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{below}"
