# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Watching a policy in the browser, and recording it without a screen: what is written shows the whole episode."""

import contextlib
import ctypes.util
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from flow_rl.models import FlowPolicy
from flow_rl.utils.checkpoint import describe, save_checkpoint
from tests.commands import run_python
from tests.films import count_pixels, read_film

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "outputs" / "tests"
"""Where screenshots are kept."""
TICKS, HOLD = 8, 16
"""Control ticks of the episode, two chunks, and pictures of its end."""
SCENE = ["--device", "cpu", "physics=ovphysx", f"env.episode_length_s={TICKS / 10}"]

pytestmark = [pytest.mark.sim, pytest.mark.slow]


def command(script: str, *words: str) -> list[str]:
    return [str(ROOT / "scripts" / f"{script}.py"), "--task", "FlowRL-Lift-Franka", *words, *SCENE]


@pytest.fixture(scope="module")
def policy(tmp_path_factory) -> list[str]:
    """Options that name an untrained policy, whose chunks go everywhere."""
    path = tmp_path_factory.mktemp("watch") / "untrained.pt"
    shape = {"obs_groups": {"policy": 19}, "action_dim": 7, "horizon": 4, "num_flow_steps": 4, "hidden_dims": [32, 32]}
    actor = FlowPolicy.from_settings(shape)
    facts = describe(actor.settings, stage="pretrain", learner=None, task="FlowRL-Lift-Franka")
    states = {"actor_state_dict": actor.state_dict(), "critic_state_dict": {}, "optimizer_state_dict": {}}
    save_checkpoint(path, {**states, "iter": 0, "infos": None, "flow_rl": facts})
    return ["--checkpoint", str(path)]


@pytest.fixture(scope="module")
def recording(policy, tmp_path_factory) -> Path:
    """Folder of an episode's recordings."""
    if ctypes.util.find_library("EGL") is None:
        pytest.skip("no EGL: films need Mesa's libEGL")
    folder = tmp_path_factory.mktemp("recording")
    run = run_python(*command("record", *policy, "--output", str(folder)), cwd=folder.parent)
    assert run.returncode == 0, run.stderr[-2000:]
    assert "success in 0 of 1 episodes" in run.stdout
    assert {path.name for path in folder.iterdir()} == {"episode.mp4", "episode.html", "episode.rrd"}
    return folder


def find_chromium() -> str:
    """Where the browser is; without one the test is skipped."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium: install it to let this test look at the page")
    return chromium


@contextlib.contextmanager
def browser_page(url: str):
    """A page in headless Chromium, drawn in software."""
    chromium = find_chromium()
    from playwright.sync_api import sync_playwright

    options = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=chromium, args=options) as browser:
        page = browser.new_page(viewport={"width": 960, "height": 540})
        page.goto(url)
        yield page


def look(page, name: str) -> np.ndarray:
    """Picture of the page as soon as the scene has appeared on it, kept as a file; shape (height, width, 3), RGB."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path, end = SCREENSHOTS / f"{name}.png", time.monotonic() + 120
    while True:
        page.screenshot(path=str(path), timeout=120_000)
        picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        scene = picture[:, 260:640]  # between the panels
        if np.unique(scene.reshape(-1, 3), axis=0).shape[0] > 500:
            return picture
        assert time.monotonic() < end, f"nothing is to be seen: {path}"
        time.sleep(1.0)


def test_the_film_shows_chunks_and_the_outcome(recording):
    film = read_film(recording / "episode.mp4")
    assert len(film) == 1 + TICKS + HOLD
    assert max(count_pixels(film[0], kind) for kind in ("chosen", "sampled")) < 20, "nothing has been decided yet"
    assert count_pixels(film[1], "chosen") > 50 and count_pixels(film[1], "sampled") > 200
    assert count_pixels(film[-1], "failure") > count_pixels(film[TICKS], "failure") + 5000, "the cube is red too"
    assert not np.array_equal(film[1], film[TICKS])


def test_the_page_plays_from_disk(recording):
    with browser_page((recording / "episode.html").as_uri()) as page:
        look(page, "page")
        seconds = page.locator("input").first
        begin = seconds.input_value()
        page.wait_for_function("([old]) => document.querySelector('input').value !== old", arg=[begin], timeout=60_000)
        assert 0.0 <= float(seconds.input_value()) <= (1 + TICKS + HOLD) / 10


def test_the_rerun_recording_holds_every_tick(recording):
    from rerun.chunk import RrdReader

    times, changes = set(), Counter()
    for chunk in RrdReader(recording / "episode.rrd").stream():
        batch = chunk.to_record_batch()
        if "time" in batch.schema.names:
            times |= {str(value) for value in batch.column("time").to_pylist()}
            changes[chunk.entity_path.split("/")[1]] += batch.num_rows
    assert len(times) >= 1 + TICKS + HOLD
    assert changes["model"] > 20 * TICKS and changes["Visuals"] > 4 * TICKS, "bodies and chunks"


def test_the_viewer_opens_and_moves(policy):
    find_chromium()  # before a viewer starts, which a signal during its start may not end
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, *command("watch", *policy, "--port", str(port))]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as viewer:
        try:
            assert any(f"listening at http://127.0.0.1:{port}" in line for line in viewer.stdout), (
                "the address is printed"
            )
            with browser_page(f"http://127.0.0.1:{port}") as page:
                before, end = look(page, "viewer"), time.monotonic() + 60
                while np.mean(np.abs(look(page, "viewer").astype(float) - before)) < 0.1:
                    assert time.monotonic() < end, "nothing moves"
        finally:
            viewer.send_signal(signal.SIGINT)
            try:
                viewer.wait(60)
            finally:
                viewer.kill()  # or leaving the block would wait for it without end
