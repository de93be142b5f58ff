"""The project's pages, and what is in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"(?ms)^```(?P<language>\w*)\n(?P<body>.*?)^```")
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"(?m)^#+ (.+)$")


@dataclass(frozen=True, slots=True)
class Page:
    """One Markdown file."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        """Its path in the checkout."""
        return str(self.path.relative_to(CHECKOUT))

    @property
    def prose(self) -> str:
        """The text without fenced blocks."""
        return _FENCE.sub("", self.text)

    def fences(self, language: str) -> list[str]:
        """The fenced blocks of one language."""
        return [found["body"] for found in _FENCE.finditer(self.text) if found["language"] == language]

    def spans(self) -> list[str]:
        """What stands between backticks in the prose."""
        return [span.replace("\\|", "|") for span in _SPAN.findall(self.prose)]

    def links(self) -> list[str]:
        """The targets of links."""
        return _LINK.findall(self.prose)

    def anchors(self) -> set[str]:
        """What a link may name after `#`, by GitHub's rule."""
        plain = (re.sub(r"[^\w\s-]", "", heading.lower()) for heading in _HEADING.findall(self.prose))
        return {heading.strip().replace(" ", "-") for heading in plain}

    def section(self, heading: str) -> str:
        """What stands under a heading, up to the next one of any depth.

        :raises ValueError: there is no such heading.
        """
        found = re.search(rf"(?ms)^#+ {re.escape(heading)}$(.*?)(?=^#+ |\Z)", self.text)
        if found is None:
            raise ValueError(f"{self.name} has no heading {heading!r}")
        return found[1]


def pages() -> list[Page]:
    """README, CONTRIBUTING, CHANGELOG and everything in docs/."""
    paths = [*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md")]
    return [Page(path, path.read_text("utf-8")) for path in sorted(paths)]


def page(name: str) -> Page:
    """One page by its path in the checkout."""
    path = CHECKOUT / name
    return Page(path, path.read_text("utf-8"))


def rows(table: str) -> Iterator[list[str]]:
    """The cells of each row of a Markdown table, without header and rule."""
    lines = table.splitlines()
    for number, line in enumerate(lines):
        follows_rule = number and not re.fullmatch(r"\|[|\s:-]+", "".join(lines[number + 1 : number + 2]))
        if line.startswith("|") and follows_rule and not re.fullmatch(r"\|[|\s:-]+", line):
            yield [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def first_codes(section: str) -> set[str]:
    """What stands between backticks alone in the first cell of each row."""
    cells = (cells[0] for cells in rows(section))
    return {cell.strip("`") for cell in cells if re.fullmatch(r"`[^`]+`", cell)}
