"""The report page: one HTML file that opens offline and asks nobody for anything. Takes records only, no torch.

Its content-security policy allows the scripts and styles in it by their hashes and forbids everything else, requests
included. Names from models are untrusted: Jinja2 escapes them in HTML, and the page's own scripts set them as text.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from msvit_energy.errors import EnergyError
from msvit_energy.pricing.technology import Technology
from msvit_energy.profiles.profile import Profile
from msvit_energy.reporting.page_data import heading, origins, page_content, warnings

STYLES = ("page.css", "parts.css", "charts.css", "tables.css", "narrow.css")
SCRIPTS = (
    "numbers.js",
    "elements.js",
    "svg.js",
    "bars.js",
    "heatmap.js",
    "curves.js",
    "totals.js",
    "protocols.js",
    "profile_charts.js",
    "comparison.js",
    "layers.js",
    "address.js",
    "page.js",
)


def page(profiles: Mapping[str, Profile], protocol: str, technology: Technology) -> str:
    """The report of some profiles, by label, starting with a protocol and prices.

    EnergyError if the first profile cannot be priced by that protocol.
    """
    content = page_content(profiles, protocol, technology)
    first = content["profiles"][0]
    if why := first["unavailable"].get(content["start"]["protocol"]):
        raise EnergyError(f"{first['label']}: {why}")
    scripts = [text(name) for name in SCRIPTS]
    style = "\n".join(text(name) for name in STYLES)
    return _template().render(
        title=heading(profiles),
        warnings=warnings(profiles),
        several=len(profiles) > 1,
        origins=origins(profiles),
        scripts=scripts,
        style=style,
        content=as_script(content),
        policy=policy(scripts, [style]),
    )


def policy(scripts: Sequence[str], styles: Sequence[str]) -> str:
    """A content-security policy that allows these inline scripts and styles, their pictures, and nothing else."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(map(_source, scripts))}",
            f"style-src {' '.join(map(_source, styles))}",
            "img-src data: blob:",
            "connect-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _source(code: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}'"


def as_script(content: Any) -> str:
    """JSON that may stand in a script element whatever it holds: no tag or comment can begin or end in it."""
    written = json.dumps(content, separators=(",", ":"), allow_nan=False)  # ASCII, so no U+2028 either
    return written.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def text(name: str) -> str:
    """A file of the page."""
    return (resources.files("msvit_energy.reporting") / "templates" / name).read_text(encoding="utf-8")


def _template() -> Any:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["verbatim"] = Markup
    return environment.from_string(text("page.html.j2"))
