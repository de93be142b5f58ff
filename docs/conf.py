"""The documentation site: README and the pages of docs/ as they are, and the public interface's reference.

``make docs`` builds it into build/site. Its source is the checkout, so that links lead to the same pages
there as in the files.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from importlib.metadata import metadata
from pathlib import Path

# The reference imports Airflow, which otherwise makes ~/airflow and says so.
_airflow_home = tempfile.TemporaryDirectory(prefix="sat-docs-")
os.environ |= {"AIRFLOW_HOME": _airflow_home.name, "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}

_package = metadata("sat-bulk-orders")

project = "SAT bulk orders"
version = release = _package["Version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "sphinxcontrib.mermaid"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md"]
exclude_patterns = [".venv", ".stack", "build"]

html_theme = "furo"
html_title = project
html_show_copyright = False
html_show_sourcelink = False
html_static_path = ["site/style.css"]
html_css_files = ["style.css"]
html_extra_path = ["site/index.html"]

# Diagrams become pictures while the site is built, so that a reader's browser loads nothing from elsewhere.
mermaid_output_format = "svg"
mermaid_cmd = shlex.quote(str(Path(sys.executable).with_name("mermaidx")))
mermaid_params = ["--background", "white"]

myst_fence_as_directive = ["mermaid"]
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"
