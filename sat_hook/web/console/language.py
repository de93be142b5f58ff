"""The languages of the console: Indonesian and English, with their numbers, money and times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import cache
from gettext import GNUTranslations, NullTranslations
from importlib.resources import files
from io import BytesIO

from babel.dates import format_date, format_datetime, format_timedelta
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from starlette.requests import Request

from sat_hook.domain.business_day import WIB

COOKIE = "sat_language"


class Language(StrEnum):
    """A language of the console, by its code."""

    INDONESIAN = "id"
    ENGLISH = "en"


OWN_NAMES: Mapping[Language, str] = {Language.INDONESIAN: "Bahasa Indonesia", Language.ENGLISH: "English"}


def marked(text: str) -> str:
    """Mark a text for translation, under the name ``_``; it is translated when it is shown."""
    return text


@dataclass(frozen=True, slots=True)
class Wording:
    """Texts and figures in one language. Amounts in rupiah; times are shown in WIB, with the zone."""

    language: Language

    def text(self, english: str) -> str:
        """The text in this language."""
        return _translations(self.language).gettext(english)

    def count(self, one: str, many: str, number: int) -> str:
        """The text for a number of things. ``%(num)s`` in it stands for the number."""
        said = _translations(self.language).ngettext(one, many, number)
        return said % {"num": self.number(number)}

    def number(self, number: int) -> str:
        """A whole number with its thousands apart."""
        return format_decimal(number, locale=self.language.value).replace("-", "−")

    def rupiah(self, amount: int | None) -> str:
        """An amount of money; a dash for an unknown one."""
        if amount is None:
            return "–"
        sign = "−" if amount < 0 else ""
        return f"{sign}Rp\u00a0{self.number(abs(amount))}"

    def time(self, moment: datetime | None) -> str:
        """A day and time: ``30 Nov 2026 14:05 WIB``; empty for None."""
        if moment is None:
            return ""
        shown = format_datetime(
            moment.astimezone(WIB), "d MMM y HH:mm", tzinfo=WIB, locale=self.language.value
        )
        return f"{shown}\u00a0WIB"

    def clock(self, moment: datetime) -> str:
        """A time of a day that is named elsewhere: ``14:05:09 WIB``."""
        return f"{moment.astimezone(WIB):%H:%M:%S}\u00a0WIB"

    def day(self, day: date) -> str:
        """A day: ``30 Nov 2026``."""
        return format_date(day, "d MMM y", locale=self.language.value)

    def weekday(self, day: date) -> str:
        """A day of a month that is named elsewhere: ``Mon 30``."""
        return format_date(day, "EEE d", locale=self.language.value)

    def month(self, day: date) -> str:
        """The month of a day: ``November 2026``."""
        return format_date(day, "MMMM y", locale=self.language.value)

    def ago(self, moment: datetime, now: datetime) -> str:
        """How long ago a moment was: ``3 hours ago``."""
        passed = min(moment - now, moment - moment)
        return format_timedelta(passed, add_direction=True, locale=self.language.value)

    def duration(self, seconds: float) -> str:
        """A length of time in its largest unit: ``3 hours``."""
        return format_timedelta(timedelta(seconds=seconds), locale=self.language.value)


def wording_of(request: Request) -> Wording:
    """The language that the person chose, else the browser's first that the console has, else Indonesian."""
    wanted = [request.cookies.get(COOKIE, "")]
    wanted += [part.partition(";")[0] for part in request.headers.get("accept-language", "").split(",")]
    for tag in wanted:
        code = tag.strip().lower().partition("-")[0]
        if code in list(Language):
            return Wording(Language(code))
    return Wording(Language.INDONESIAN)


def catalogs_of(language: Language) -> dict[str, Catalog]:
    """The translated texts of a language, by file; each group of pages has its own file."""
    folder = files(__package__).joinpath("translations", language.value)
    found = {}
    for source in sorted(folder.iterdir(), key=lambda file: file.name):
        with source.open("rb") as file:
            found[source.name] = read_po(file, locale=language.value)
    return found


@cache
def _translations(language: Language) -> NullTranslations:
    """The texts of a language, compiled in memory; English is the language of the source."""
    if language is Language.ENGLISH:
        return NullTranslations()
    # The first file says how many forms of the plural the language has.
    together, *others = catalogs_of(language).values()
    for catalog in others:
        for message in catalog:
            if message.id:
                together[message.id] = message
    compiled = BytesIO()
    write_mo(compiled, together)
    compiled.seek(0)
    return GNUTranslations(compiled)
