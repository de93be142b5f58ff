"""Every text of the console is there in both languages, and nothing on a page runs or styles by itself."""

from __future__ import annotations

import inspect
import re
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.extract import extract
from jinja2 import TemplateSyntaxError
from jinja2.ext import babel_extract

from sat_hook.application.attention import NeedKind
from sat_hook.application.batch_standing import BatchStanding
from sat_hook.domain import guards as domain_guards
from sat_hook.domain import pricing as domain_pricing
from sat_hook.domain.order import OrderState
from sat_hook.domain.order_events import HoldReason, RejectionReason
from sat_hook.pipeline import order_file, order_rows, row_findings
from sat_hook.pipeline.cell_marks import MARKS
from sat_hook.web.console import draft_words, words
from sat_hook.web.console.batches import reason_words
from sat_hook.web.console.language import Language, Wording, catalogs_of

CONSOLE = Path(str(files("sat_hook.web.console")))
REPORTS = Path(str(files("sat_hook.reconciliation")))
AUDIT = Path(str(files("sat_hook.audit")))
CATALOGUE = Path(str(files("sat_hook.catalogue")))
TEMPLATES = sorted(CONSOLE.glob("templates/*.jinja"))
COVER = AUDIT / "templates" / "cover.html.jinja"
PRICE = CATALOGUE / "templates" / "price.html.jinja"
PRICE_FILES = Path(str(files("sat_hook.application"))) / "price_files.py"
ORDER_FILES = Path(str(files("sat_hook.application"))) / "order_exports.py"
# The modules of reports; in others `text` and `count` are no translations.
REPORT_MODULES = (
    "report_*.py",
    "workbook.py",
    "bank_statement.py",
    "*_sheet.py",
    "*_sheets.py",
    "breaks_file.py",
)
PYTHON = sorted(
    {
        *CONSOLE.glob("*.py"),
        *(path for pattern in REPORT_MODULES for path in REPORTS.glob(pattern)),
        AUDIT / "cover.py",
        CATALOGUE / "chart.py",
        CATALOGUE / "change_words.py",
        CATALOGUE / "weekly_page.py",
        PRICE_FILES,
        ORDER_FILES,
    }
)
# Without this Babel passes over a template that it cannot read, and every text in it.
OPTIONS = {"trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}
FIELDS = re.compile(r"%\(\w+\)s|%%")
WORDS_ANY_LANGUAGE_HAS = frozenset({"ID", "EN", "CSV", "XLSX", "SAT", "JSON", "WIB", "Rp"})


def used_texts(*paths: Path) -> dict[str, str]:
    """Every text in these files, with the file that uses it. Plural forms count by the first."""
    used = {}
    for path in paths:
        method = "python" if path.suffix == ".py" else babel_extract
        keywords = {"_": None, "text": None, "ngettext": (1, 2), "count": (1, 2)}
        source = BytesIO(path.read_bytes())
        for _, text, _, _ in extract(method, source, keywords, options=OPTIONS):
            used[text[0] if isinstance(text, tuple) else text] = path.name
    return {text: path for text, path in used.items() if text}


def translated_texts() -> dict[str, list[tuple[str, tuple[str, ...]]]]:
    """Every Indonesian text, by the English one: the files that have it, with its forms there."""
    texts: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for name, catalog in catalogs_of(Language.INDONESIAN).items():
        for message in catalog:
            if message.id:
                english = message.id[0] if isinstance(message.id, tuple | list) else message.id
                forms = message.string if isinstance(message.string, tuple | list) else (message.string,)
                texts.setdefault(english, []).append((name, tuple(map(str, forms))))
    return texts


def test_every_text_is_there_in_indonesian() -> None:
    """None is missing, none is empty, and none that no page uses is kept."""
    used, translated = (
        used_texts(*TEMPLATES, COVER, PRICE, *PYTHON),
        translated_texts(),
    )
    assert {text: path for text, path in used.items() if text not in translated} == {}
    assert [text for text, forms in translated.items() if not all(all(one[1]) for one in forms)] == []
    assert sorted(set(translated) - set(used)) == []


def test_a_template_that_cannot_be_read_is_not_passed_over(tmp_path: Path) -> None:
    """Its texts would be missing without notice."""
    broken = tmp_path / "broken.html.jinja"
    broken.write_text('{{ _("A text") }}{% if %}')
    with pytest.raises(TemplateSyntaxError):
        used_texts(broken)


def test_a_text_is_translated_once() -> None:
    """One file has it, so that it reads the same on every page."""
    twice = {text: [name for name, _ in found] for text, found in translated_texts().items()}
    assert {text: names for text, names in twice.items() if len(names) > 1} == {}


def test_a_translation_has_the_fields_of_its_text() -> None:
    """A name in ``%(name)s`` is never translated or lost."""
    for text, found in translated_texts().items():
        for _, forms in found:
            for form in forms:
                assert set(FIELDS.findall(form)) == set(FIELDS.findall(text)), text


@pytest.mark.parametrize("path", [*TEMPLATES, COVER], ids=lambda path: path.name)
def test_a_template_holds_no_text_of_its_own(path: Path) -> None:
    """What a person reads goes through the translations."""
    source = re.sub(
        r"<!DOCTYPE html>|\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", " ", path.read_text("utf-8"), flags=re.DOTALL
    )
    told = re.findall(r"""(?:title|aria-label|placeholder|alt|data-name)=["']([^"']*)["']""", source)
    shown = re.sub(r"<(?:[^>\"']|\"[^\"]*\"|'[^']*')*>", " ", source, flags=re.DOTALL)
    words = re.findall(r"[A-Za-z]{2,}", re.sub(r"&\w+;", " ", " ".join((shown, *told))))
    assert [word for word in words if word not in WORDS_ANY_LANGUAGE_HAS] == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_runs_and_styles_nothing(path: Path) -> None:
    """The content security policy would stop it: scripts and styles are files."""
    source = path.read_text("utf-8")
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:|\bhx-on", source) == []


def test_figures_are_written_as_the_language_does() -> None:
    """Rupiah, counts, days and times."""
    indonesian, english = Wording(Language.INDONESIAN), Wording(Language.ENGLISH)
    assert indonesian.rupiah(1_250_000) == "Rp\u00a01.250.000"
    assert english.rupiah(-1_250_000) == "−Rp\u00a01,250,000"
    now = datetime(2026, 11, 30, tzinfo=UTC)
    for moment in (now, now + timedelta(minutes=1)):  # clocks differ a little
        assert (indonesian.ago(moment, now), english.ago(moment, now)) == (
            "1 detik yang lalu",
            "1 second ago",
        )
    one, many = "%(num)s row needs you", "%(num)s rows need you"
    assert [english.count(one, many, number) for number in (1, 2)] == ["1 row needs you", "2 rows need you"]
    assert [indonesian.count(one, many, number) for number in (1, 2)] == [
        "1 baris perlu Anda",
        "2 baris perlu Anda",
    ]
    assert english.count("%(num)s row", "%(num)s rows", 1200) == "1,200 rows"


@pytest.mark.parametrize(
    ("amount", "indonesian", "english"),
    [
        (0, "Rp 0", "Rp 0"),
        (-2_500, "−Rp 2.500", "−Rp 2,500"),
        (999_999, "Rp 999.999", "Rp 999,999"),
        (1_000_000, "Rp 1 jt", "Rp 1 mn"),
        (1_250_000, "Rp 1,25 jt", "Rp 1.25 mn"),
        (-12_340_000, "−Rp 12,3 jt", "−Rp 12.3 mn"),
        (999_600_000, "Rp 1.000 jt", "Rp 1,000 mn"),
        (4_990_000_000, "Rp 4,99 M", "Rp 4.99 bn"),
        (2_000_000_000_000, "Rp 2 T", "Rp 2 tn"),
    ],
)
def test_amounts_are_short(amount: int, indonesian: str, english: str) -> None:
    """Exact below a million; above it three digits, and the unit as people there write it."""
    for language, shown in ((Language.INDONESIAN, indonesian), (Language.ENGLISH, english)):
        assert Wording(language).short_rupiah(amount).replace("\u00a0", " ") == shown


def codes_of_rows() -> set[str]:
    """Every code that a check may give a row, as the rules name them."""
    modules = (order_file, order_rows, row_findings, domain_pricing, domain_guards)
    source = "\n".join(map(inspect.getsource, modules))
    codes = set(re.findall(r'RowProblem\(\s*"(\w+)"', source))
    codes |= {one for pair in re.findall(r'"(\w+)" if \w+ else "(missing_\w+)"', source) for one in pair}
    codes |= {RejectionReason[name].value for name in re.findall(r"RejectionReason\.([A-Z_]+)", source)}
    codes |= {HoldReason[name].value for name in re.findall(r"HoldReason\.([A-Z_]+)", source)}
    assert len(codes) > 20
    return codes | {mark.code for mark in MARKS.values()} | {"order_id_reused", "already_submitted"}


def test_every_state_has_words() -> None:
    """A new state or reason cannot leave a page without a word for it."""
    for known, kinds in (
        (words.BATCHES, BatchStanding),
        (words.ORDERS, OrderState),
        (words.NEEDS, NeedKind),
        (words.HOLDS, HoldReason),
        (draft_words.FINDINGS, codes_of_rows()),
    ):
        assert set(kinds) - set(known) == set()


@pytest.mark.parametrize("language", list(Language))
def test_reasons_of_many_rows_are_sentences(language: Language) -> None:
    """No code, and no place for a value of a single row."""
    for code in (*RejectionReason, *HoldReason, *codes_of_rows()):
        said = reason_words(code, Wording(language))
        assert "%(" not in said, code
        assert said != code.replace("_", " "), code
