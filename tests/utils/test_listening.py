# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Servers listen on this machine alone unless told otherwise, and beyond it answer those who know the token."""

import argparse
import contextlib
import socket
import types
import urllib.error
import urllib.request

import pytest

from flow_rl.cli import launch, stock
from flow_rl.utils import listening
from flow_rl.utils.check import InputError


def get(address: str, **headers: str) -> tuple[int, str | None]:
    """Status of a page, and the cookie that comes with it."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=10) as response:
            return response.status, response.headers["Set-Cookie"]
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Set-Cookie"]


def test_only_addresses_beyond_this_machine_need_a_token(monkeypatch):
    monkeypatch.delenv(listening.TOKEN, raising=False)
    assert listening.token_for("127.0.0.1", 0) is None and listening.token_for("localhost", 0) is None
    first, second = listening.token_for("0.0.0.0", 0), listening.token_for("0.0.0.0", 0)
    assert first and len(first) >= 20 and first != second
    monkeypatch.setenv(listening.TOKEN, "my own")
    assert listening.token_for("0.0.0.0", 0) == "my own" and listening.token_for("127.0.0.1", 0) is None


@pytest.mark.parametrize("host", ["", "203.0.113.7", "no such host", "a" * 300, "\0", "::gg"])
def test_addresses_that_are_not_this_machines_are_refused(host):
    with pytest.raises(InputError, match=r"--host = .* is not valid\. Valid: an address of this machine"):
        listening.token_for(host, 0)


@pytest.mark.parametrize("port", [-1, 65536, 10**12])
def test_ports_that_are_none_are_refused(port):
    with pytest.raises(InputError, match=f"--port = {port} is not valid"):
        listening.token_for("127.0.0.1", port)


def test_a_port_that_is_taken_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(InputError, match=f"--port = {port} .*--port {port + 1}"):
            listening.token_for("127.0.0.1", port)


def test_the_address_that_is_printed_can_be_opened_elsewhere():
    assert listening.url("ws", "127.0.0.1", 8000, None) == "ws://127.0.0.1:8000"
    assert listening.url("http", "::1", 80, None) == "http://[::1]:80"
    assert listening.url("http", "0.0.0.0", 80, "a b") == f"http://{socket.gethostname()}:80/?token=a%20b"


@contextlib.contextmanager
def viewer(token: str | None):
    """Address of a viewer in the browser that asks for a token, and its sockets' host."""
    pytest.importorskip("viser", reason="the viewer in the browser needs viser")
    import viser

    from flow_rl_tasks.core.browser import asking

    with asking(token):
        server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    try:
        yield f"127.0.0.1:{server.get_port()}"
    finally:
        server.stop()


def test_the_viewer_in_the_browser_asks_for_the_token():
    with viewer("a word") as address:
        for path in ("/", "/?token=another", "/index.html", "/?token="):
            assert get(f"http://{address}{path}") == (401, None)
        status, cookie = get(f"http://{address}/?token=a%20word")
        assert status == 200 and "HttpOnly" in cookie
        known = cookie.partition(";")[0]
        assert get(f"http://{address}/", Cookie=f"other=1; {known}")[0] == 200
        assert get(f"http://{address}/", Cookie="flow_rl_token=b")[0] == 401
        assert get(f"http://{address}/", Cookie="flow_rl_token=\xe9")[0] == 401, "letters beyond ASCII"
        assert get(f"http://{address}/", Authorization="Bearer a word")[0] == 200

        import viser
        from websockets.exceptions import InvalidStatus
        from websockets.sync.client import connect

        how = {"subprotocols": [f"viser-v{viser.__version__}"], "max_size": None}
        with pytest.raises(InvalidStatus, match="401"):
            connect(f"ws://{address}/", **how)
        with connect(f"ws://{address}/", additional_headers={"Cookie": known}, **how) as connection:
            assert connection.recv(timeout=10)


def test_without_a_token_the_viewer_asks_for_none():
    with viewer(None) as address:
        assert get(f"http://{address}/") == (200, None)


def simulation(*viewers: object) -> types.SimpleNamespace:
    return types.SimpleNamespace(sim=types.SimpleNamespace(visualizer_cfgs=list(viewers)))


@pytest.mark.parametrize("words", ["viser", "newton_gl,viser", ["newton_gl", "viser"]])
def test_isaac_labs_viewer_listens_on_this_machine_alone(words):
    pytest.importorskip("viser", reason="the viewer in the browser needs viser")
    from isaaclab_visualizers.viser import ViserVisualizerCfg

    other = types.SimpleNamespace(visualizer_type="newton_gl")
    env_cfg = simulation(other, ViserVisualizerCfg())
    launch.keep_local(env_cfg, words, listening.LOCAL)
    kept, viewer = env_cfg.sim.visualizer_cfgs
    assert kept is other and (viewer.visualizer_type, viewer.bind_address, viewer.token) == ("viser", "127.0.0.1", None)
    launch.keep_local(env_cfg, words, "0.0.0.0")
    assert env_cfg.sim.visualizer_cfgs[-1].bind_address == "0.0.0.0" and env_cfg.sim.visualizer_cfgs[-1].token


def test_viewers_that_cannot_be_bound_are_warned_of(capsys):
    env_cfg = simulation()
    launch.keep_local(env_cfg, "newton_gl", listening.LOCAL)
    assert capsys.readouterr().out == ""
    launch.keep_local(env_cfg, "rerun", listening.LOCAL)
    assert "Rerun's viewer listens at all addresses" in capsys.readouterr().out and not env_cfg.sim.visualizer_cfgs


def test_isaac_labs_commands_take_the_address(monkeypatch):
    import isaaclab_rl.entrypoints.common as common

    for name in ("add_common_train_args", "add_common_play_args"):
        monkeypatch.setattr(common, name, getattr(common, name))
    monkeypatch.setattr("sys.argv", ["flow-rl"])
    stock.document_host(common)
    assert stock.take_host(["play", "--viz", "viser"]) == (["play", "--viz", "viser"], "127.0.0.1")
    assert stock.take_host(["play", "--host", "0.0.0.0", "--task", "T"]) == (["play", "--task", "T"], "0.0.0.0")
    parser = argparse.ArgumentParser()
    common.add_common_play_args(parser, agent_default=None, agent_help="")
    assert "--host" in parser.format_help()
