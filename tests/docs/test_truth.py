"""Further facts on the pages that could grow old."""

from __future__ import annotations

import ast
import re

import pytest
import yaml

from tests.docs.pages import CHECKOUT, Page, first_codes, page, pages, rows

DAG = (CHECKOUT / "dags" / "bulk_disbursement.py").read_text("utf-8")


def test_the_picture_has_the_tasks_of_the_dag_in_their_order() -> None:
    """README's flow is the DAG's own last lines; ``[a, b]`` is drawn as ``a & b``."""
    parallel = re.compile(r"\[(\w+), (\w+)\]")
    chains = [
        parallel.sub(r"\1 & \2", line).strip().split(" >> ") for line in DAG.splitlines() if " >> " in line
    ]
    wired = [*chains[0], *(task for chain in chains[1:] for task in chain[1:])]
    picture = page("README.md").fences("mermaid")[0]
    drawn = next(line for line in picture.splitlines() if "intake --> " in line)
    assert drawn.strip().split(" --> ") == wired


def test_parameters_of_the_dag_are_listed() -> None:
    """With their defaults."""
    found = re.findall(r'(?m)^        "(\w+)": Param\(\s*(None|False|"\w+"|\d+)', DAG)
    words = {"None": "empty", "False": "no"}
    wanted = {name: words.get(default, default.strip('"')) for name, default in found}
    section = page("docs/run-a-batch.md").section("The parameters of the DAG")
    listed = {cells[0].strip("`"): cells[1].strip("`") for cells in rows(section) if cells[0][0] == "`"}
    assert listed == wanted


@pytest.mark.parametrize(
    ("name", "section"), [("docs/deploy.md", "The DAGs"), ("docs/when-something-is-red.md", "A red task")]
)
def test_every_dag_is_listed(name: str, section: str) -> None:
    """One that is not among those to switch on stays paused; one that can be red has an explanation."""
    listed = " ".join(cells[0] for cells in rows(page(name).section(section)))
    files = {path.stem for path in (CHECKOUT / "dags").glob("*.py")}
    assert set(re.findall(r"`(\w+)`", listed)) == files


def test_tables_stand_in_the_class_that_their_comment_says() -> None:
    """Evidence, derived or operational: the page, the comments and the list of tables agree."""
    sql = "\n".join(path.read_text("utf-8") for path in sorted(CHECKOUT.glob("sql/migrations/*.sql")))
    kept = re.sub(r"(?ms)^-- migrate:down.*?(?=^-- migrate:up|\Z)", "", sql)
    commented = dict(re.findall(r"COMMENT ON TABLE sat\.(\w+) IS '(\w+):", kept))
    assert commented.keys() == set(re.findall(r"CREATE (?:UNLOGGED )?TABLE sat\.(\w+)", kept))
    documented = {
        table: cells[0]
        for cells in rows(page("docs/architecture.md").section("Three classes of tables"))
        for table in re.findall(r"`(\w+)`", cells[1])
    }
    assert documented == commented


def test_kinds_of_tests_are_described() -> None:
    """Every folder of tests stands in the table of CONTRIBUTING.md."""
    folders = {f"tests/{path.name}/" for path in (CHECKOUT / "tests").iterdir() if list(path.glob("**/*.py"))}
    assert first_codes(page("CONTRIBUTING.md").section("Tests by depth")) == folders


def test_rooms_are_described() -> None:
    """Every package of sat_hook stands in the table of the house."""
    section = page("docs/architecture.md").section("The house")
    described = " ".join(cells[0] for cells in rows(section))
    packages = {path.parent.name for path in CHECKOUT.glob("sat_hook/*/__init__.py")} - {"cli"}
    assert {name for name in packages if not re.search(rf"\b{name}\b", described)} == set()


def test_errors_of_a_package_are_in_its_errors_module() -> None:
    """A public error that is defined elsewhere is not found where CONTRIBUTING.md says it is."""
    elsewhere = {
        f"{path.relative_to(CHECKOUT)}: {node.name}"
        for path in (CHECKOUT / "sat_hook").rglob("*.py")
        if path.name != "errors.py"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef)
        and not node.name.startswith("_")
        and any(ast.unparse(base).endswith(("Error", "Exception")) for base in node.bases)
    }
    assert elsewhere == {
        "sat_hook/audit/pack_verifier.py: CannotVerify",  # the verifier is one file that runs alone
        "sat_hook/receiver/responses.py: Refused",  # an answer to a callback, not an error
    }


def test_services_are_described() -> None:
    """The table of the composition has every service."""
    composition = yaml.safe_load((CHECKOUT / "docker-compose.yaml").read_text("utf-8"))
    section = page("docs/deploy.md").section("With Docker Compose")
    named = {name for cells in rows(section) for name in re.findall(r"`([a-z0-9-]+)`", cells[0])}
    assert composition["services"].keys() == named


def test_roles_are_described() -> None:
    """Each role of the database has its row, and sql/privileges.sql knows it."""
    privileges = (CHECKOUT / "sql" / "privileges.sql").read_text("utf-8")
    roles = set(re.findall(r"\bsat_(?:writer|reader|receiver)\b", privileges)) | {"sat_owner"}
    assert first_codes(page("docs/deploy.md").section("Roles")) == roles


def test_decisions_are_listed_and_dated() -> None:
    """Every record has its number, date and status, and stands in the index."""
    records = sorted(path for path in CHECKOUT.glob("docs/adr/0*.md"))
    assert page("docs/adr/README.md").links() == [path.name for path in records]
    numbers = [int(path.name[:4]) for path in records]
    assert len(set(numbers)) == len(numbers)
    for number, path in zip(numbers, records, strict=True):
        text = path.read_text("utf-8")
        assert text.startswith(f"# {number}. ")
        assert re.search(r"(?m)^\w+ 20\d\d\. (Accepted|Replaced by .+)\.$", text)


@pytest.mark.parametrize("which", pages(), ids=lambda one: one.name)
def test_pages_speak_of_the_project_alone(which: Page) -> None:
    """No path of a developer's machine."""
    assert not re.search(r"(?<![\w.])/(work|root|home|tmp)/", which.text)
