"""The languages of pages and reports: Indonesian and English, with their numbers, money and times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
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

from sat_hook.domain.business_day import WIB
from sat_hook.domain.rupiah import NO_BREAK

PACKAGES = ("sat_hook.web.console", "sat_hook.reconciliation", "sat_hook.audit")
"""The packages with translations."""


class Language(StrEnum):
    """A language, by its code."""

    INDONESIAN = "id"
    ENGLISH = "en"


OWN_NAMES: Mapping[Language, str] = {Language.INDONESIAN: "Bahasa Indonesia", Language.ENGLISH: "English"}

_UNITS: Mapping[Language, Mapping[int, str]] = {
    Language.INDONESIAN: {10**12: "T", 10**9: "M", 10**6: "jt"},
    Language.ENGLISH: {10**12: "tn", 10**9: "bn", 10**6: "mn"},
}
_POINTS: Mapping[Language, str] = {Language.INDONESIAN: ",", Language.ENGLISH: "."}


def marked(text: str) -> str:
    """Mark a text for translation, under the name ``_``; it is translated when it is shown."""
    return text


@dataclass(frozen=True, slots=True)
class Wording:
    """Texts and figures in one language. Amounts in rupiah; times are shown in WIB, with the zone."""

    language: Language

    def text(self, english: str) -> str:
        # A catalog's entry for the empty text is its own header.
        return _translations(self.language).gettext(english) if english else ""

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

    def short_number(self, number: int) -> str:
        """Three digits and a unit: ``1,25 jt``, ``3,4 M``, in English ``1.25 mn``; exact below a million."""
        for unit, name in _UNITS[self.language].items():
            if abs(number) >= unit:
                whole = abs(number) // unit
                places = 2 if whole < 10 else 1 if whole < 100 else 0
                digits = (abs(number) * 10**places + unit // 2) // unit
                rest = f"{digits % 10**places:0{places}d}".rstrip("0") if places else ""
                text = self.number(digits // 10**places)
                sign = "−" if number < 0 else ""
                return f"{sign}{text}{_POINTS[self.language] + rest if rest else ''}{NO_BREAK}{name}"
        return self.number(number)

    def short_rupiah(self, amount: int) -> str:
        """An amount of money, likewise: ``Rp 1,25 jt``."""
        sign = "−" if amount < 0 else ""
        return f"{sign}Rp{NO_BREAK}{self.short_number(abs(amount))}"

    def percent(self, part: int, whole: int) -> str:
        """A part of a whole, to two places: ``1,25%``; a dash without a whole."""
        if not whole:
            return "–"
        share = Decimal(part) * 100 / Decimal(whole)
        return f"{format_decimal(share, '#,##0.00', locale=self.language.value)}%".replace("-", "−")

    def change(self, before: int | None, after: int | None) -> str:
        """The change of an amount: ``+2,4%``; a dash when there is none, or no percentage."""
        if not before or before < 0 or not after or before == after:
            return "–"
        share = Decimal(after - before) * 100 / Decimal(before)
        return f"{format_decimal(share, '+#,##0.0;−#,##0.0', locale=self.language.value)}%"

    def time(self, moment: datetime | None) -> str:
        """A day and time: ``30 Nov 2026 14:05 WIB``; empty for None."""
        if moment is None:
            return ""
        shown = format_datetime(
            moment.astimezone(WIB), "d MMM y HH:mm", tzinfo=WIB, locale=self.language.value
        )
        return f"{shown}\u00a0WIB"

    def exact(self, moment: datetime) -> str:
        """A day and time to the second, for the log: ``30 Nov 2026 14:05:09 WIB``."""
        return f"{self.day(moment.astimezone(WIB).date())} {self.clock(moment)}"

    def recorded(self, text: str) -> str:
        """A day and time as a report has it, in WIB: ``2026-11-30 14:05:09``; empty for none."""
        return self.exact(datetime.fromisoformat(text).replace(tzinfo=WIB)) if text else ""

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
        """How long ago a moment was: ``3 hours ago``; at least a second."""
        passed = min(moment - now, timedelta(seconds=-1))
        return format_timedelta(passed, add_direction=True, locale=self.language.value)

    def duration(self, seconds: float) -> str:
        """A length of time in its largest unit: ``3 hours``."""
        return format_timedelta(timedelta(seconds=seconds), locale=self.language.value)


def catalogs_of(language: Language) -> dict[str, Catalog]:
    """The translated texts of a language, by file; each group of pages has its own file."""
    found = {}
    for package in PACKAGES:
        folder = files(package).joinpath("translations", language.value)
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
