"""The step `page`: a table of results as a web page, because the report shows pages and pictures but no Markdown."""

import argparse
from pathlib import Path

from markdown_it import MarkdownIt

from .errors import WinnowError
from .files import atomic
from .reading import read_markdown

STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em;background:#fff;color:#222}"
    "table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .7em;border-bottom:1px solid #ddd;text-align:left}"
)


def html(markdown: str) -> str:
    """A complete page without scripts, fonts or anything else to be fetched."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    title = markdown.splitlines()[0].lstrip("# ")
    return f'<!doctype html><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>\n{body}'


def main(arguments: list[str]) -> None:
    """Turn a Markdown file into a page."""
    parser = argparse.ArgumentParser(prog="python workflow page", description=main.__doc__)
    parser.add_argument("markdown")
    parser.add_argument("--out", required=True)
    options = parser.parse_args(arguments)
    text = read_markdown(options.markdown)
    if not text.strip():
        raise WinnowError(f"{options.markdown}: is empty; delete it and run again")
    with atomic(options.out) as temporary:
        Path(temporary).write_text(html(text), encoding="utf-8")
