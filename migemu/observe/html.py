"""Self-contained HTML: one file, no scripts, nothing fetched, readable on paper."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CSS = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; color: #1d2733; background: #fff; }
body { max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .5rem; border-bottom: 1px solid #d5dbe1; padding-bottom: .2rem; }
p { margin: .4rem 0; max-width: 48rem; }
.note { color: #5a6672; }
.good { color: #10734a; font-weight: 600; }
.bad { color: #b3261e; font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0; }
th, td { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; }
th { color: #5a6672; font-weight: 600; border-bottom: 1px solid #d5dbe1; white-space: nowrap; }
td.number, th.number { text-align: right; white-space: nowrap; }
svg { width: 100%; height: auto; display: block; }
pre { background: #f4f6f8; padding: .75rem; overflow-x: auto; font-size: .85rem; }
summary { cursor: pointer; }
@media (prefers-color-scheme: dark) {
  :root { color: #d8dee6; background: #14181d; }
  h2, th { border-color: #38424d; }
  .note, th { color: #9aa7b4; }
  .good { color: #4cc38a; }
  .bad { color: #ff7b72; }
  pre { background: #1f262d; }
  svg { background: #fff; border-radius: .3rem; }
}
@media print { :root { color-scheme: light; color: #000; background: #fff; } svg { border-radius: 0; } }
@media print { body { margin: 0; max-width: none; } section { break-inside: avoid; } }
"""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""The page may not fetch anything, and a browser holds it to that."""


class Section(NamedTuple):
    """A heading, what stands below it as HTML, and a sentence of explanation as plain text."""

    title: str
    body: str
    note: str = ""


class Html(str):
    """Text that is HTML already and must not be escaped again."""

    __slots__ = ()


def html_page(title: str, sections: Iterable[Section], subtitle: str = "") -> str:
    """A whole page.

    Args:
        title: plain text.
        sections: in order.
        subtitle: plain text below the title.
    """
    head = f"<title>{escape(title)}</title><style>{CSS}</style>"
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    top = f"<h1>{escape(title)}</h1>" + (f'<p class="note">{escape(subtitle)}</p>' if subtitle else "")
    body = "\n".join(_section(section) for section in sections)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">{policy}{view}{head}</head>\n'
        f"<body><header>{top}</header>\n{body}\n</body></html>\n"
    )


def _section(section: Section) -> str:
    note = paragraph(section.note, "note") if section.note else ""
    return f"<section><h2>{escape(section.title)}</h2>\n{note}{section.body}</section>"


def paragraph(text: str, style: str = "") -> Html:
    """A paragraph of plain text."""
    return Html(f'<p class="{style}">{escape(text)}</p>' if style else f"<p>{escape(text)}</p>")


def mark(text: str, *, good: bool | None) -> Html:
    """A word in green or red, or as it is."""
    if good is None:
        return Html(escape(text))
    return Html(f'<span class="{"good" if good else "bad"}">{escape(text)}</span>')


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> Html:
    """A table; the first `words` columns hold text, the others figures.

    Args:
        heads: column titles, plain text; all empty for a table without a head.
        rows: cells, plain text unless :class:`Html`.
        words: columns that are text and stand left.
    """
    head = "".join(_cell("th", name, place >= words) for place, name in enumerate(heads))
    body = "\n".join(
        "<tr>" + "".join(_cell("td", cell, place >= words) for place, cell in enumerate(row)) + "</tr>"
        for row in rows
    )
    named = f"<thead><tr>{head}</tr></thead>\n" if any(heads) else ""
    inner = f"{named}<tbody>{body}</tbody>"
    return Html(f'<div class="scroll"><table>{inner}</table></div>')


def _cell(tag: str, text: str, number: bool) -> str:  # noqa: FBT001  two callers, both in the function above
    style = ' class="number"' if number else ""
    return f"<{tag}{style}>{text if isinstance(text, Html) else escape(text)}</{tag}>"


def details(title: str, text: str) -> Html:
    """Plain text to be unfolded."""
    return Html(f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>")
