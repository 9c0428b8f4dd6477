"""What the documents say is what there is."""

import re
from pathlib import Path

from bff.environment import setting_names

ROOT = Path(__file__).resolve().parents[2]


def test_the_configuration_page_names_every_setting_and_no_other() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    named = set(re.findall(r"^\| `(BFF_[A-Z_]+)`", page, re.MULTILINE))
    each = {name.replace("BFF_S__", f"BFF_{source}__") for name in named for source in ("INFO", "PRICE", "STOCK")}
    assert each == setting_names()


def test_every_metric_is_explained_to_operators() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    source = (ROOT / "bff" / "metrics.py").read_text()
    assert set(re.findall(r'"(bff_[a-z_]+)"', source)) == set(re.findall(r"`(bff_[a-z_]+)`", page))


def test_links_between_documents_lead_somewhere() -> None:
    for document in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), (document.name, target)
