# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Policies over the wire: our server, our client, openpi's own client, and what either says when something is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import serve

from flow_rl.cli import serve as serve_command
from flow_rl.models import FlowPolicy
from flow_rl.policies import BaseSettings, FrozenPolicy, Interface, open_policy
from flow_rl.policies.protocol import msgpack, pack, unpack
from flow_rl.policies.server import PolicyServer
from flow_rl.policies.sources import open_own
from flow_rl.utils.checkpoint import load_checkpoint
from flow_rl.utils.listening import TOKEN
from tests.deploy.conftest import ENCODER
from tests.policies.conftest import MORE, A, H, make_checkpoint, straight

INTERFACE = Interface({"policy": [2]}, H, A)


@contextlib.contextmanager
def served(policy: FrozenPolicy, **options) -> Iterator[str]:
    """Address at which a policy is served meanwhile."""
    loop, ports = asyncio.new_event_loop(), []
    ready = threading.Event()
    server = PolicyServer(policy, **options)

    def listening(port: int) -> None:
        ports.append(port)
        ready.set()

    task = loop.create_task(server.run("127.0.0.1", 0, listening))

    def run() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(30)
        yield f"ws://127.0.0.1:{ports[0]}"
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(30)
        server._worker.shutdown(wait=False)
        loop.close()


@contextlib.contextmanager
def stranger(answer: Callable[[dict], dict | str | None], greeting: dict | str = {}) -> Iterator[str]:  # noqa: B006
    """Address of a server that is none of ours, and answers each observation so; None for never."""

    connections = []

    def talk(connection) -> None:
        connections.append(connection)
        connection.send(greeting if isinstance(greeting, str) else pack(greeting))
        with contextlib.suppress(ConnectionClosed):
            for message in connection:
                reply = answer(unpack(message))
                if reply is not None:
                    connection.send(reply if isinstance(reply, str) else pack(reply))

    with serve(talk, "127.0.0.1", 0, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            for connection in connections:  # whose threads would outlive the tests
                connection.close()
            thread.join(30)


@pytest.fixture(scope="module")
def flow(tmp_path_factory) -> FrozenPolicy:
    folder = tmp_path_factory.mktemp("served")
    make_checkpoint(folder / "flow.pt")
    return open_own(folder / "flow.pt")


@pytest.fixture(scope="module")
def sighted(tmp_path_factory) -> FrozenPolicy:
    """A policy with a camera of pictures that are wider than high."""
    folder = tmp_path_factory.mktemp("sighted")
    make_checkpoint(folder / "flow.pt", image_shapes={"front": [3, 8, 16]}, encoder=ENCODER)
    return open_own(folder / "flow.pt")


def connected(address: str, interface: Interface = INTERFACE, **settings) -> FrozenPolicy:
    return open_policy(BaseSettings(address, **settings), interface)


"""
Messages.
"""


def test_messages_come_back():
    message = {"a": np.arange(6, dtype=np.uint8).reshape(2, 3), "b": {"c": [np.float32(1.5), "text", None, 3]}}
    found = unpack(pack(message))
    np.testing.assert_array_equal(found["a"], message["a"])
    assert found["a"].dtype == np.uint8 and found["a"].flags.writeable
    assert found["b"]["c"] == [1.5, "text", None, 3] and found["b"]["c"][0].dtype == np.float32


def test_messages_hold_numbers_only():
    with pytest.raises(TypeError, match="no ndarray"):
        pack({"a": np.array([object()])})
    evil = {b"__ndarray__": True, b"data": b"12345678", b"dtype": "|O", b"shape": [1]}
    for data in (msgpack.encode({"a": evil}), b"\xc1", msgpack.encode([1])):
        with pytest.raises(ValueError, match="the message"):
            unpack(data)


"""
Our client and our server.
"""


def test_a_served_policy_is_the_policy(flow):
    """One observation, many at once and more than go into a message; with noise and without."""
    with served(flow) as address:
        policy = connected(address)
        assert policy.groups == {"policy": [2]} and policy.noise_shape == (H * A,)
        assert (policy.horizon, policy.action_dim) == (H, A)
        for num in (1, 5, 300):
            obs, noise = {"policy": torch.randn(num, 2)}, torch.randn(num, H * A)
            torch.testing.assert_close(policy(obs, noise), flow(obs, noise))
        one, two = policy(obs), policy(obs)
        assert one.shape == (300, H, A) and not torch.equal(one, two)
    with served(flow, noise="zero") as address:
        policy = connected(address.replace("ws://", "openpi:"))
        torch.testing.assert_close(policy(obs), flow(obs, torch.zeros(300, H * A)))


def test_packages_are_served_too(sources):
    policy = open_own(Path(sources["package"]))
    with served(policy) as address:
        obs, noise = {"policy": torch.randn(3, 2)}, torch.randn(3, H * A)
        torch.testing.assert_close(connected(address)(obs, noise), policy(obs, noise))


@pytest.mark.parametrize("turned", [False, True], ids=["channels first", "channels last"])
def test_pictures(sighted, turned):
    interface = Interface({"policy": [2], "front": [3, 8, 16]}, H, A)
    obs = {"policy": torch.randn(4, 2), "front": torch.randint(0, 256, (4, 3, 8, 16), dtype=torch.uint8)}
    noise = torch.randn(4, H * A)
    expected = sighted(obs, noise)
    with served(sighted) as address:
        if not turned:
            torch.testing.assert_close(connected(address, interface)(obs, noise), expected)
        else:
            pictures = obs["front"].movedim(1, -1).numpy()
            message = {"policy": obs["policy"].numpy(), "front": pictures, "noise": noise.numpy()}
            np.testing.assert_allclose(ask(address, message)["actions"], expected, atol=1e-6)
            one = {key: value[0] for key, value in message.items()}
            np.testing.assert_allclose(ask(address, one)["actions"], expected[0], atol=1e-6)


def ask(address: str, *messages: dict) -> dict | str:
    """The last reply of a server to messages of a client of no kind."""
    with connect(address, compression=None) as connection:
        connection.recv(timeout=30)
        for message in messages:
            connection.send(message if isinstance(message, str | bytes) else pack(message))
            reply = connection.recv(timeout=30)
        if isinstance(reply, str):
            with pytest.raises(ConnectionClosed):
                connection.recv(timeout=30)
            return reply
        return unpack(reply)


@pytest.mark.parametrize("learner", list(MORE))
def test_learners_learn_upon_a_server(flow, make_runner, tmp_path, learner):
    """As upon the file itself, whose noise they may steer; and a checkpoint plays where the server is."""
    with served(flow) as address:
        runner = make_runner(learner, address)
        runner.learn(2)
        runner.save(str(tmp_path / "model.pt"))
        policy = FlowPolicy.from_checkpoint(load_checkpoint(tmp_path / "model.pt"))
        obs, noise = {"policy": torch.randn(3, 2)}, torch.randn(3, H * A)
        with torch.no_grad():
            found = policy.sample(policy.get_latent(obs), noise)
            expected = runner.alg.actor.sample(runner.alg.actor.get_latent(obs), noise)
        torch.testing.assert_close(found, expected)
        with pytest.raises(ValueError, match="cannot be exported: it lives on a server"):
            policy.as_jit()
    with pytest.raises(ValueError, match=r"no policy server answers there.*flow-rl serve"):
        FlowPolicy.from_checkpoint(load_checkpoint(tmp_path / "model.pt"))


"""
What our server says.
"""


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ({}, "the client sends nothing; the policy takes policy, and noise if you like. Missing: policy."),
        ({"state": np.zeros(2)}, r"sends state; the policy takes policy.*Missing: policy. Unknown: state\."),
        ({"policy": np.zeros(2), "prompt": "go"}, "Missing: nothing. Unknown: prompt"),
        (
            {"policy": np.zeros(3)},
            r"shapes differ: the client sends policy \(3,\); the policy takes \(2\), or \(B, 2\)",
        ),
        ({"policy": np.zeros((2, 2)), "noise": np.zeros((3, 4))}, r"the client sends noise \(3, 4\)"),
        ({"policy": np.zeros((257, 2))}, "257 observations at once. Valid: 1 to 256"),
        ({"policy": np.zeros((0, 2))}, "0 observations at once"),
        ({"policy": np.array([np.nan, 0])}, "policy is not finite"),
        ({"policy": "left"}, "policy is of type str. Valid: numbers"),
        ("hello", "the client sends a text"),
        (b"\xc1", "the message cannot be read"),
    ],
)
def test_wrong_messages_are_answered_in_words(flow, message, complaint):
    """The connection ends, and the next client is served."""
    with served(flow) as address:
        reply = ask(address, message)
        assert isinstance(reply, str)
        assert re.search(complaint, reply), reply
        assert ask(address, {"policy": np.zeros(2)})["actions"].shape == (H, A)


def test_pictures_must_be_bytes(sighted):
    with served(sighted) as address:
        message = {"policy": np.zeros(2), "front": np.zeros((3, 8, 16), np.float32)}
        assert "front is of type float32. Valid: pictures of bytes" in ask(address, message)
        message = {"policy": np.zeros(2), "front": np.zeros((3, 16, 16), np.uint8)}
        assert "sends front (3, 16, 16); the policy takes (3, 8, 16)" in ask(address, message)


def test_replies_tell_their_time(flow):
    with served(flow) as address:
        obs = {"policy": np.zeros(2)}
        first, second = ask(address, obs)["server_timing"], ask(address, obs, obs)["server_timing"]
        assert first["infer_ms"] > 0 and "prev_total_ms" not in first
        assert second["prev_total_ms"] > second["infer_ms"] * 0.01


class Slow(FrozenPolicy):
    """A policy that takes its time, or fails."""

    name, groups, horizon, action_dim = "slow", {"policy": [2]}, H, A

    def __init__(self, seconds: float | None):
        self.seconds = seconds

    def __call__(self, obs, noise=None):
        if self.seconds is None:
            raise RuntimeError("out of order")
        time.sleep(self.seconds)
        return straight(obs)


def test_an_answer_that_takes_too_long(capsys):
    with served(Slow(1.0), deadline=0.2) as address:
        assert ask(address, {"policy": np.zeros(2)}) == "no answer within 0.2 s, the server's --deadline."


def test_a_policy_that_fails(capsys):
    with served(Slow(None)) as address:
        assert "the policy failed (RuntimeError: out of order)" in ask(address, {"policy": np.zeros(2)})
    assert "Traceback" in capsys.readouterr().err


def test_noise_is_ignored_by_a_policy_that_knows_none():
    with served(Slow(0.0)) as address:
        message = {"policy": np.ones(2), "noise": np.ones((H, A))}
        np.testing.assert_allclose(ask(address, message)["actions"], np.full((H, A), -0.5))


def test_health_is_answered(flow):
    with served(flow) as address, urllib.request.urlopen(address.replace("ws", "http") + "/healthz") as reply:
        assert reply.read() == b"OK\n"


"""
What our client says of servers.
"""


def reply_straight(message: dict) -> dict:
    """As a server of openpi would: double precision, and a field of its own."""
    return {"actions": np.tile(-0.5 * message["policy"], (H, 1)).astype(np.float64), "policy_timing": {"infer_ms": 1.0}}


def test_servers_that_say_nothing_are_asked_one_by_one(make_runner):
    """Their chunks' length is what they give for observations of zeros."""
    seen = []

    def answer(message):
        seen.append(message)
        return reply_straight(message)

    with stranger(answer) as address:
        policy = connected(address, prompt="go home")
        obs = {"policy": torch.randn(3, 2)}
        torch.testing.assert_close(policy(obs), straight(obs))
        assert len(seen) == 4 and all(each["policy"].shape == (2,) and each["prompt"] == "go home" for each in seen)
        assert policy.noise_shape is None
        with pytest.raises(ValueError, match=f"policy server {address}, whose noise is no input"):
            make_runner("dsrl", address)
        make_runner("residual", address).learn(1)


def test_keys_and_pictures_are_what_the_server_knows():
    """Pictures have their channels last where a server does not announce them, as openpi's clients send them."""
    seen = []

    def answer(message):
        seen.append(message)
        return {"actions": np.zeros((5, A), np.float32)}

    keys = {"policy": "observation/state", "front": "observation/image"}
    with stranger(answer) as address:
        policy = connected(address, Interface({"policy": [2], "front": [3, 8, 16]}, H, A), keys=keys)
    assert policy.horizon == 5
    assert {key: (value.shape, str(value.dtype)) for key, value in seen[0].items()} == {
        "observation/state": ((2,), "float32"),
        "observation/image": ((8, 16, 3), "uint8"),
    }
    with stranger(answer) as address, pytest.raises(ValueError, match=r"base.keys = \['wrist'\].*Valid: groups of"):
        connected(address, keys={"wrist": "observation/wrist"})


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (lambda message: "keys differ: ...", "refuses: keys differ"),
        (lambda message: {"action": np.zeros((H, A))}, "answers without actions that are finite"),
        (lambda message: {"actions": np.full((H, A), np.nan)}, "answers without actions that are finite"),
        (lambda message: {"actions": np.zeros((H, 7))}, r"gives \(1, 2, 7\) for 1 observations"),
        (lambda message: {"actions": np.zeros((1, A))}, r"whose chunks are \(1, 2\)"),
    ],
)
def test_servers_that_answer_wrongly(answer, complaint):
    with stranger(answer) as address, pytest.raises(ValueError, match=complaint):
        connected(address)


def test_servers_of_other_observations(flow, sighted):
    match = r"which sees .*'front'.*one that sees some of \{'policy': \[2\]\}"
    with served(sighted) as address, pytest.raises(ValueError, match=match):
        connected(address)
    match = r"which sees \{'policy': \[2\]\}.*\{'policy': \[5\]\}"
    with served(flow) as address, pytest.raises(ValueError, match=match):
        connected(address, Interface({"policy": [5]}, H, A))


def test_greetings_that_cannot_be_understood():
    greeting = {"observations": ["state"]}
    with stranger(reply_straight, greeting) as address, pytest.raises(ValueError, match="cannot be understood"):
        connected(address)
    with stranger(reply_straight, "go away") as address, pytest.raises(ValueError, match="refuses: go away"):
        connected(address)


def test_servers_that_do_not_answer_in_time():
    calls = []

    def answer(message):
        calls.append(message)
        return reply_straight(message) if len(calls) == 1 else None

    with stranger(answer) as address:
        policy = connected(address, deadline=0.3)
        start = time.perf_counter()
        with pytest.raises(ValueError, match=r"did not answer within 0.3 s.*agent.actor.base.deadline"):
            policy({"policy": torch.zeros(1, 2)})
        assert time.perf_counter() - start < 10


def test_servers_that_are_not_there(flow):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"ws://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ValueError, match=f"base.source = '{address}': no policy server answers there"):
            connected(address)
    with served(flow) as address:
        policy = connected(address)
    with pytest.raises(ValueError, match=r"is gone .*start it again"):
        policy({"policy": torch.zeros(1, 2)})


"""
The command, and openpi's client.
"""


def openpi_python() -> str:
    """Python of an environment with openpi-client, which wants an older numpy than ours and lives apart."""
    beside = Path(__file__).resolve().parents[2] / ".venv-openpi" / "bin" / "python"
    python = os.environ.get("FLOW_RL_OPENPI_PYTHON", str(beside))
    if shutil.which(python) is None:
        pytest.skip(
            "no Python with openpi-client: make an environment with `pip install openpi-client typing_extensions`, and "
            "name its Python in FLOW_RL_OPENPI_PYTHON"
        )
    return python


CLIENT = """
import json, sys
import numpy as np
from openpi_client import image_tools
from openpi_client.action_chunk_broker import ActionChunkBroker
from openpi_client.websocket_client_policy import WebsocketClientPolicy

policy = WebsocketClientPolicy("127.0.0.1", int(sys.argv[1]))
picture = np.arange(8 * 16 * 3, dtype=np.uint8).reshape(8, 16, 3)
obs = {"policy": np.array([0.3, -0.2]), "front": image_tools.convert_to_uint8(picture), "noise": np.ones(4)}
reply = policy.infer(obs)
one = ActionChunkBroker(policy, 2).infer(obs)["actions"]
try:
    policy.infer({"state": np.zeros(2)})
except RuntimeError as error:
    complaint = str(error)
told = {"metadata": policy.get_server_metadata(), "actions": reply["actions"].tolist(), "one": one.tolist()}
print(json.dumps(told | {"timing": reply["server_timing"], "complaint": complaint}))
"""


def test_the_client_of_openpi_is_served(sighted):
    python = openpi_python()
    with served(sighted) as address:
        port = address.rpartition(":")[2]
        run = subprocess.run([python, "-c", CLIENT, port], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    picture = torch.arange(8 * 16 * 3).byte().view(8, 16, 3).movedim(-1, 0)[None]
    obs = {"policy": torch.tensor([[0.3, -0.2]]), "front": picture}
    expected = sighted(obs, torch.ones(1, H * A))[0]
    np.testing.assert_allclose(told["actions"], expected, atol=1e-6)
    np.testing.assert_allclose(told["one"], expected[0], atol=1e-6)
    assert told["metadata"]["observations"]["front"] == {"shape": [3, 8, 16], "dtype": "uint8"}
    assert told["timing"]["infer_ms"] > 0
    assert "Missing: front, policy. Unknown: state." in told["complaint"]


def test_the_command_serves_until_it_is_interrupted(tmp_path, monkeypatch, capsys):
    """On this machine alone, and says where."""
    make_checkpoint(tmp_path / "flow.pt")
    replies = []

    async def run(self, host, port, listening, run=PolicyServer.run):
        def heard(port: int) -> None:
            listening(port)
            thread = threading.Thread(target=lambda: replies.append(ask(f"ws://127.0.0.1:{port}", {"policy": [0, 0]})))
            thread.start()

        assert host == "127.0.0.1"
        task = asyncio.ensure_future(run(self, host, port, heard))
        while not replies:
            await asyncio.sleep(0.05)
        task.cancel()
        raise KeyboardInterrupt

    monkeypatch.setattr(PolicyServer, "run", run)
    serve_command.main(["--checkpoint", str(tmp_path / "flow.pt"), "--port", "0", "--device", "cpu"])
    out = capsys.readouterr().out
    assert "which takes policy (2,) and gives (2, 2)" in out and "listening at ws://127.0.0.1:" in out
    assert replies[0]["actions"].shape == (H, A)


def test_the_command_asks_for_a_token_beyond_this_machine(tmp_path, monkeypatch, capsys):
    async def run(self, host, port, listening):
        listening(9000)

    make_checkpoint(tmp_path / "flow.pt")
    monkeypatch.setenv(TOKEN, "word")
    monkeypatch.setattr(PolicyServer, "run", run)
    words = ["--checkpoint", str(tmp_path / "flow.pt"), "--port", "0", "--device", "cpu"]
    serve_command.main(words)
    assert "listening at ws://127.0.0.1:9000\n" in capsys.readouterr().out
    serve_command.main([*words, "--host", "0.0.0.0"])
    assert "9000/?token=word\n" in capsys.readouterr().out


def test_only_clients_with_the_token_are_answered(flow, monkeypatch):
    obs = {"policy": torch.tensor([[0.3, -0.2]])}
    with served(flow, token="word") as address:
        with urllib.request.urlopen(address.replace("ws", "http") + "/healthz", timeout=30) as response:
            assert response.read() == b"OK\n", "whether it lives may be known"
        monkeypatch.delenv(TOKEN, raising=False)
        with pytest.raises(ValueError, match=f"the server wants a token. Remedy: set {TOKEN}"):
            open_policy(BaseSettings(source=address), INTERFACE)
        told = open_policy(BaseSettings(source=f"{address}/?token=word"), INTERFACE)
        assert told(obs).shape == (1, H, A) and "word" not in told.name
        monkeypatch.setenv(TOKEN, "word")
        assert open_policy(BaseSettings(source=address), INTERFACE)(obs).shape == (1, H, A)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--checkpoint", "nowhere.pt"], "nowhere.pt does not exist"),
        (["--package", "tests"], "has no policy.yaml"),
        (["--checkpoint", "a", "--deadline", "0"], "--deadline = 0.0"),
        (["--checkpoint", "a", "--port", "99999"], "--port = 99999"),
    ],
)
def test_the_command_refuses_in_one_line(words, complaint, capsys):
    with pytest.raises(SystemExit) as exit_:
        serve_command.main(words)
    (line,) = capsys.readouterr().err.splitlines()
    assert exit_.value.code == 2 and complaint in line
