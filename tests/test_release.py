# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""A release whose files contradict each other is refused before anything is built."""

import pytest

from scripts.release import ROOT, problems


@pytest.fixture
def root(tmp_path):
    """A project whose files agree on 1.2.3."""
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    (tmp_path / "extension.toml").write_text('[package]\nversion = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.3 (2026-01-31)\n\n## 1.2.2 (2026-01-01)\n")
    return tmp_path


def test_files_that_agree_are_released(root):
    assert problems("1.2.3", root) == []


def test_other_versions_are_refused(root):
    assert [problem.split()[0] for problem in problems("1.2.4", root)] == [
        "pyproject.toml",
        "extension.toml",
        "CHANGELOG.md",
    ]


def test_a_changelog_without_a_date_is_refused(root):
    (root / "CHANGELOG.md").write_text("## 1.2.3 (unreleased)\n")
    assert problems("1.2.3", root) == ["CHANGELOG.md calls 1.2.3 'unreleased'; write the date, as 2026-01-31"]


def test_the_files_of_this_project_can_be_read():
    assert len(problems("0.0.0", ROOT)) == 3
