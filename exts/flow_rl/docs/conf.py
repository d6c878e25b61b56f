# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Sphinx's settings for these pages, which read as well on a code host as in the built site.

Links between pages and files are plain Markdown with relative paths. What differs in the site is done here: files at
the top of the repository become pages, and links to our modules lead to the reference.
"""

import os
import re
import tomllib
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

DOCS = Path(__file__).parent
ROOT = DOCS.parents[2]

project = "flow_rl"
author = "The flow_rl Developers"
copyright = "2026, The flow_rl Developers"
version = release = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

html_theme = "furo"
html_title = f"flow_rl {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False

# The simulator, and what only its configurations import: nothing of either is needed to read docstrings.
autodoc_mock_imports = ["isaaclab", "isaaclab_newton", "isaaclab_physx", "isaaclab_rl", "isaaclab_tasks", "pxr"]
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "show-inheritance": True}

PAGES = {
    "changelog": "CHANGELOG.md",
    "contributing": "CONTRIBUTING.md",
    "results": "benchmarks/RESULTS.md",
    "security": "SECURITY.md",
}
"""Pages whose text is a file elsewhere in the repository."""

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)")
"""An image or a link to a file."""


def read(app, docname: str, source: list[str]) -> None:
    """Take over the text of a page that is a file elsewhere, and let links lead where they do in the site."""
    path = ROOT / PAGES[docname] if docname in PAGES else Path(app.env.doc2path(docname))
    source[0] = LINK.sub(lambda link: relinked(link, path, DOCS / docname), path.read_text())


def relinked(link: re.Match[str], path: Path, page: Path) -> str:
    """A link of a file, as it stands in a page of the site."""
    picture, text, target, anchor = link[1], link[2], link[3], link[4] or ""
    file = (path.parent / target).resolve()
    package = ROOT / "exts/flow_rl"
    if file.suffix == ".py" and file.is_relative_to(package / "flow_rl") and not picture:
        return f"{{py:mod}}`{text} <{'.'.join(file.relative_to(package).with_suffix('').parts)}>`"
    pages = {ROOT / name: DOCS / f"{docname}.md" for docname, name in PAGES.items()}
    return f"{picture}[{text}]({os.path.relpath(pages.get(file, file), page.parent)}{anchor})"


def readable(app, what, name, obj, options, lines: list[str]) -> None:
    """Docstrings as reStructuredText: bars are no substitutions, single backticks are code."""

    def line(text: str) -> str:
        parts = re.split(r"(:\w+:`[^`]*`|``.*?``|`[^`]+`)", text)
        parts[::2] = [part.replace("|", r"\|").replace("*", r"\*") for part in parts[::2]]
        parts[1::2] = [part if part[0] == ":" or part[:2] == "``" else f"`{part}`" for part in parts[1::2]]
        return "".join(parts)

    lines[:] = [line(text) for text in lines]


def inline_mathml(writer, node: nodes.math) -> None:
    """An equation within a line, which browsers draw by themselves: no script is fetched."""
    writer.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def block_mathml(writer, node: nodes.math_block) -> None:
    """An equation between lines."""
    writer.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>\n')
    raise nodes.SkipNode


def setup(app) -> None:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (inline_mathml, None), (block_mathml, None))
    app.connect("source-read", read)
    app.connect("autodoc-process-docstring", readable, priority=400)  # before Google's sections become fields
