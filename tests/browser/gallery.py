"""``python -m tests.browser.gallery [--user NAME] [PATH …]``: pictures of pages of the console.

Opens an office, takes the pages below ``/sat/console`` that are named (the first page without any) in every
language, theme and width, and prints the pictures and what is wrong with each page. In a path ``{complete}``
is the id of that batch of the office's past: see :func:`tests.browser.past.fill`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.browser.chromium import browser, chromium_path
from tests.browser.office import USERS, open_office
from tests.browser.reading import UnreadableError, name_of, read_everywhere

FOLDER = Path("build/gallery")


def main() -> int:
    """Exit code 1 when a page is not readable everywhere."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", default=["/"], metavar="PATH")
    parser.add_argument("--user", default="adam", choices=[user.name for user in USERS])
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    chromium = chromium_path()
    if chromium is None:
        parser.error("found no Chromium; SAT_TEST_CHROMIUM can name one")
    failed = 0
    with open_office() as office, browser(chromium) as page:
        office.log_in(page, options.user)
        for path in options.paths:
            name = name_of(f"/console/{path.replace('{', '').replace('}', '')}".replace("//", "/"))
            try:
                read_everywhere(
                    page,
                    office.address(path.format_map(office.batches)),
                    folder=options.folder,
                    name=name,
                )
            except UnreadableError as error:
                failed = 1
                print(error)
            for picture in sorted(options.folder.glob(f"{name}-[ie][dn]-*.png")):
                print(picture)
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
