# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Every option of every command refuses what it cannot mean, in one line; the parsers themselves say what there is."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flow_rl.cli import main, options
from flow_rl.utils.check import InputError

PARTS = {"benchmark": ([], ["report"], ["status"], ["scaling"]), "data": ([], ["replay"])}
"""Words that choose a parser of a command that has several."""

BAD = {
    int: ["", " ", "many", "1.5", "nan", "-1", "1e9", "9" * 30, "0x10", "1 2"],
    float: ["", " ", "much", "nan", "inf", "-inf", "1e999", "1,5", "0x10"],
    Path: ["", " ", "a\0b", "a" * 5000],
    None: ["", "a\0b", "a" * 5000],
}
"""Values that no option of a type takes."""


class Built(Exception):
    """Carries a parser out of its command before anything is parsed."""


def parsers() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """All parsers of our commands with their names; those of the stock commands are Isaac Lab's."""

    def stop(self, *_: object, **__: object) -> None:
        raise Built(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["flow-rl"])
        for cls in (argparse.ArgumentParser, options.Parser):
            for name in ("parse_args", "parse_known_args", "parse"):
                patch.setattr(cls, name, stop, raising=False)
        for command in [name for name in main.COMMANDS if name not in main.STOCK]:
            for words in PARTS.get(command, ([],)):
                with pytest.raises(Built) as built:
                    importlib.import_module(f"flow_rl.cli.{command}").main(words)
                yield from _with_subparsers(" ".join([command, *words]), built.value.args[0])
        patch.setattr(sys, "argv", ["flow-rl train"])
        from flow_rl.cli import train_foreign

        patch.setattr(train_foreign.preemption, "as_overrides", lambda words: words)
        with pytest.raises(Built) as built:
            train_foreign.main([])
        yield "train of others' environments", built.value.args[0]


def _with_subparsers(name: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, sub in action.choices.items():
                yield from _with_subparsers(f"{name} {word}", sub)


FOUND = dict(parsers())


def cases(parser: argparse.ArgumentParser) -> Iterator[tuple[list[str], str]]:
    """Malformed words for each option, and what the refusal has to name."""
    for action in parser._actions:
        if not action.option_strings or isinstance(action, argparse._HelpAction):
            continue
        option = action.option_strings[0]
        if action.nargs == 0:
            yield [f"{option}=yes"], option
            continue
        bad = ["nonsense", *BAD[None]] if action.choices else BAD.get(action.type, ["", " ", "nonsense", "nan", "a\0b"])
        for value in bad:
            yield [f"{option}={value}"], option
        if action.nargs is None:
            yield [option], option


@pytest.mark.parametrize("name", FOUND)
def test_options_refuse_what_they_cannot_mean(name, capsys):
    parser, faults = FOUND[name], []
    for words, option in cases(parser):
        try:
            argparse.ArgumentParser.parse_known_args(parser, words)
            faults.append(f"{words[0][:40]!r} was taken")
            continue
        except SystemExit as exit_:
            code = exit_.code
        last = capsys.readouterr().err.splitlines()[-1]
        if code != 2 or option not in last or "error: " not in last or len(last) > 300:
            faults.append(f"{words[0][:40]!r}: exit code {code} and {last[:200]!r}")
    assert not faults, "\n".join(faults)


def test_all_commands_have_such_parsers():
    assert {name.split()[0] for name in FOUND} == set(main.COMMANDS) - {"play", "leapp"}
    assert all(isinstance(parser, options.ArgumentParser) for parser in FOUND.values())
    assert sum(1 for parser in FOUND.values() for _ in cases(parser)) > 600


def test_places_that_cannot_be_written_to_are_refused_before_any_work(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    options.refuse_overwrite("--output", None, False)
    options.refuse_overwrite("--output", tmp_path / "new" / "folder" / "policy.pt", False)
    options.refuse_overwrite("--output", tmp_path / "file", True)
    for path in (tmp_path / "file" / "policy.pt", tmp_path / ("a" * 300), Path("/proc/version/policy.pt")):
        with pytest.raises(InputError, match=r"^--output .*Valid: a"):
            options.refuse_overwrite("--output", path, True)
    for name in ("file", "dangling"):
        with pytest.raises(FileExistsError, match="--output .*exists already"):
            options.refuse_overwrite("--output", tmp_path / name, False)


def test_debug_shows_where_a_refusal_comes_from(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["flow-rl"])
    monkeypatch.setenv(options.DEBUG, "")
    for words, shown in ((["data", "info", "nowhere.hdf5"], 0), (["--debug", "data", "info", "nowhere.hdf5"], 1)):
        with pytest.raises(SystemExit):
            main.main(words)
        err = capsys.readouterr().err
        assert err.count("Traceback") == shown and err.splitlines()[-1].startswith("[flow_rl] error: ")
