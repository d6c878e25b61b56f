# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""What a suite runs, shares, keeps and refuses; commands are played by a stand-in that writes what they would."""

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from flow_rl.benchmark import bases, failures, resume
from flow_rl.benchmark.bases import Base
from flow_rl.benchmark.command import CommandFailed, Stopped, Usage, heed_interrupts, read_curve
from flow_rl.benchmark.harness import Harness, Run
from flow_rl.benchmark.lease import claimed
from flow_rl.benchmark.records import write_json
from flow_rl.benchmark.suite import LearnerEntry, Suite, TaskEntry
from flow_rl.cli import benchmark
from flow_rl.utils.check import InputError

from .conftest import point

TASK = "FlowRL-Lift-Franka"


def make_suite(**changes):
    learners = {"score_flow": LearnerEntry("score_flow"), "rldt": LearnerEntry("rldt", overrides=["presets=paper"])}
    settings = {"name": "toy", "seeds": [0, 1], "env_steps": 100_000, "learners": learners} | changes
    return Suite(tasks={TASK: TaskEntry(overrides=["env.episode_length_s=8"])}, **settings)


class Player(Harness):
    """A harness whose commands write what the real ones would; ``broken`` names what fails."""

    def __init__(self, suite, folder, broken=(), only=()):
        super().__init__(suite, folder / "made", folder / "records", "cpu", say=lambda text: None, only=only)
        self.commands, self.broken = [], set(broken)

    def steps_per_iteration(self, run):
        return 30_000

    def _command(self, title, words, log, cwd, over=lambda: False):
        self.commands.append((title, words))
        if title in self.broken:
            raise CommandFailed(f"{title} failed")
        if "train" not in words:
            output = cwd / words[words.index("--output") + 1]
            output.write_text(json.dumps({"success": 0.2, "ci95": [0.1, 0.3], "episodes": 256}))
        else:
            lines = [json.dumps(point(1000 * index, 20 + 10 * index)) for index in range(3)]
            (cwd / "logs").mkdir(exist_ok=True)
            (cwd / "logs" / "evaluations.jsonl").write_text("\n".join(lines) + '\n{"iteration": 3, "env')
        return Usage(2**20)

    @property
    def titles(self):
        return [title for title, _ in self.commands]


def test_a_part_of_a_suite_is_run_alone(tmp_path):
    """What else is missing stays so; a pattern that fits nothing is refused with what there is."""
    player = Player(make_suite(), tmp_path, only=["*Lift* rldt *", "* score_flow seed 1"])
    assert [(run.learner, run.seed) for run in player.runs] == [("rldt", 0), ("score_flow", 1), ("rldt", 1)]
    assert player.run() == [] and len(Player(make_suite(), tmp_path).missing()) == 1
    with pytest.raises(InputError, match=r"--only = \['\*Can\*'\] is not valid.* rldt seed 0"):
        Player(make_suite(), tmp_path, only=["*Can*"])


def test_the_table_shows_a_part_of_a_suite(tmp_path, capsys):
    """A seed that is left out has an empty cell."""
    benchmark.main(["lift", "--list", "--only", "*rldt seed 0", "--records", str(tmp_path), "--device", "cpu"])
    out = capsys.readouterr().out
    (row,) = (line for line in out.splitlines() if "rldt" in line)
    assert row.count("missing") == 1 and "0 of 1 runs have a record" in out


def test_a_task_has_a_budget_of_its_own(tmp_path):
    suite = make_suite()
    suite.tasks[TASK].env_steps = 300_000
    player = Player(suite, tmp_path)
    player.run()
    trained = [words for _, words in player.commands if "train" in words]
    assert all(words[words.index("--max_iterations") + 1] == "10" for words in trained)


def test_a_task_has_seeds_of_its_own(tmp_path):
    suite = make_suite(seeds=[0])
    suite.tasks[TASK].seeds = [0, 5]
    player = Player(suite, tmp_path)
    assert [(run.learner, run.seed) for run in player.runs] == [
        (name, seed) for seed in (0, 5) for name in ("score_flow", "rldt")
    ]
    suite.tasks[TASK].seeds = []
    with pytest.raises(InputError, match=f"tasks.{TASK}.seeds = .. is not valid. Valid: at least one"):
        suite.check()


def test_bases_are_shared_and_nothing_is_repeated(tmp_path):
    player = Player(make_suite(), tmp_path)
    assert player.run() == []
    assert player.titles[:3] == [f"{TASK} collect", f"{TASK} pretrain", f"{TASK} evaluate"]
    assert player.titles[3:] == [f"{TASK} {name} seed {seed}" for seed in (0, 1) for name in ("score_flow", "rldt")]
    again = Player(make_suite(), tmp_path)
    assert again.run() == [] and again.commands == []
    more = make_suite(seeds=[0, 1, 2])
    third = Player(more, tmp_path)
    third.run()
    assert third.titles == [f"{TASK} {name} seed 2" for name in ("score_flow", "rldt")]


def test_learners_of_another_kind_of_policy_have_their_own(tmp_path):
    """From the same demonstrations; learners of one kind share it, and a second run repeats nothing."""
    learners = {name: LearnerEntry(name) for name in ("score_flow", "dppo", "bc_gaussian", "residual")}
    learners["residual"].overrides.append("agent.algorithm.demonstrations={demonstrations}")
    learners["dppo_frozen"] = LearnerEntry("dppo", overrides=["agent.actor.sampler.frozen_steps=1"])
    suite = make_suite(seeds=[0], learners=learners)
    player = Player(suite, tmp_path)
    assert player.run([{}, {}]) == []
    denoising = "agent.actor.sampler.kind=denoising"
    regressing = "agent.actor.prediction=x agent.actor.num_flow_steps=1 agent.actor.initial_noise=zero"
    policies = [TASK, f"{TASK} {denoising}", f"{TASK} {regressing}"]
    wanted = [f"{TASK} collect", *(f"{policy} {part}" for policy in policies for part in ("pretrain", "evaluate"))]
    assert sorted(player.titles[: len(wanted)]) == sorted(wanted)
    commands = dict(player.commands)
    demos = {words[words.index("--demos") + 1] for title, words in player.commands if title.endswith("pretrain")}
    assert len(demos) == 1
    assert commands[f"{TASK} residual seed 0"][-1] == f"agent.algorithm.demonstrations={demos.pop()}"
    begun = {}
    for name in learners:
        words = commands[f"{TASK} {name} seed 0"]
        begun[name] = words[words.index("--checkpoint") + 1]
        record = json.loads(player.record_path(Run(TASK, name, 0)).read_text())
        assert set(record["commands"]) == {"collect", "pretrain", "evaluate", "train"}
    assert begun["score_flow"] == begun["residual"] and begun["dppo"] == begun["dppo_frozen"]
    assert len(set(begun.values())) == 3
    again = Player(suite, tmp_path)
    assert again.run() == [] and again.commands == []


def test_records_of_another_policy_are_told_apart(tmp_path):
    """As where records were made on another machine; nothing is said while all began alike."""
    first, said = Player(make_suite(seeds=[0]), tmp_path), []
    first.run()
    again = Player(make_suite(), tmp_path)
    again.say = said.append
    again.run()
    assert not any("began with another policy" in text for text in said)
    path = first.record_path(Run(TASK, "rldt", 0))
    record = json.loads(path.read_text())
    record["base"]["digest"] = "0" * 64
    path.write_text(json.dumps(record))
    third = Player(make_suite(seeds=[0, 1, 2]), tmp_path)
    third.say = said.append
    third.run()
    assert [text for text in said if "began with another policy" in text and path.name in text and "1 records" in text]


def test_who_begins_with_nothing_has_no_policy(tmp_path):
    """Its start is what its first evaluation says."""
    learners = {"alone": LearnerEntry("bc_gaussian", overrides=["agent.algorithm.from_scratch=true"])}
    player = Player(make_suite(seeds=[0], learners=learners), tmp_path)
    assert player.run() == [] and player.titles == [f"{TASK} alone seed 0"]
    assert "--checkpoint" not in player.commands[0][1]
    record = json.loads(player.record_path(Run(TASK, "alone", 0)).read_text())
    assert record["base"]["digest"] is None and record["base"]["success"] == record["curve"][0]["success"]
    assert set(record["commands"]) == {"train"}


def test_commands_carry_the_suites_settings(tmp_path):
    player = Player(make_suite(overrides=["physics=ovphysx"]), tmp_path)
    player.run()
    words = dict(player.commands)[f"{TASK} rldt seed 1"]
    text = " ".join(words)
    assert "--agent rldt_cfg_entry_point --seed 1" in text and "--num_envs 64 --max_iterations 4" in text
    assert "agent.eval_interval=3 agent.eval_episodes=256 agent.eval_seed=10000 agent.save_interval=3" in text
    assert words[-3:] == ["physics=ovphysx", "env.episode_length_s=8", "presets=paper"]
    base = dict(player.commands)[f"{TASK} evaluate"]
    assert base[base.index("--seed") + 1] == "10000" and "physics=ovphysx" in base


def test_records_hold_what_repeats_them(tmp_path):
    player = Player(make_suite(), tmp_path)
    player.run()
    record = json.loads(player.record_path(Run(TASK, "rldt", 1)).read_text())
    assert record["preset"] == "paper" and record["algorithm"] == "rldt" and record["seed"] == 1
    assert [each["env_steps"] for each in record["curve"]] == [0, 1000, 2000]
    assert record["final"] == record["curve"][-1] == record["best"]
    assert record["base"]["success"] == 0.2 and len(record["base"]["digest"]) == 64
    assert set(record["commands"]) == {"collect", "pretrain", "evaluate", "train"}
    assert str(tmp_path) not in json.dumps(record), "no folder of this machine"
    assert record["peak_memory_gib"] == 1.0 and record["peak_gpu_memory_gib"] is None and record["ranks"] == 1
    assert record["host"]["cores"] and record["host"]["name"] and record["host"]["gpu"] is None
    assert record["versions"]["torch"] and {"commit", "dirty", "device"} <= set(record)


def interrupt(player, run, iterations, broken=()):
    """Leave what a run leaves that is stopped after its last checkpoint: evaluations, and checkpoints by iteration."""
    folder = player.folder / TASK / run.learner / f"seed_{run.seed}"

    class Interrupted(Exception):
        pass

    def stop(title, words, log, cwd, over=lambda: False):
        logs = cwd / "logs" / "2026-01-01"
        logs.mkdir(parents=True)
        (logs / "evaluations.jsonl").write_text("".join(json.dumps(point(step, 99)) + "\n" for step in (0, 1000, 9000)))
        for iteration in iterations:
            facts = {"iteration": iteration, "stage": "finetune", "learner": run.learner, "policy": {}, "format": 1}
            torch.save({"flow_rl": facts}, logs / f"model_{iteration - 1}.pt")
        for iteration in broken:
            (logs / f"model_{iteration - 1}.pt").write_bytes(b"half")
        (logs / "model_best.pt").write_bytes(b"best")
        raise Interrupted

    player._command, command = stop, player._command
    with pytest.raises(Interrupted):
        player.make_run(run)
    player._command = command
    return folder


def test_an_interrupted_run_goes_on(tmp_path, monkeypatch):
    """From its newest whole checkpoint, for what is left; what is measured twice counts as measured last."""
    read = lambda path: torch.load(path) if path.stat().st_size > 4 else bad()  # noqa: E731
    monkeypatch.setattr("flow_rl.preemption.folder.load_checkpoint", read)
    run = Run(TASK, "rldt", 0)
    player = Player(make_suite(seeds=[0]), tmp_path)
    player.make_demonstrations(TASK)
    player.make_base(player.base(run))
    folder = interrupt(player, run, [1, 3], broken=[4])
    again = Player(make_suite(seeds=[0]), tmp_path)
    assert again.run() == []
    words = dict(again.commands)[run.title]
    assert words[words.index("--checkpoint") + 1] == str(folder / "logs" / "2026-01-01" / "model_2.pt")
    assert words[words.index("--max_iterations") + 1] == "1" and "agent.algorithm.save_replay=true" in words
    record = json.loads(again.record_path(run).read_text())
    assert record["resumed_after"] == [3] and "--max_iterations 4" in record["commands"]["train"]
    assert [each["successes"] for each in record["curve"]] == [20, 30, 40, 99]
    other = json.loads(again.record_path(Run(TASK, "score_flow", 0)).read_text())
    assert other["resumed_after"] == []
    assert [path.name for path in resume.checkpoints(folder)] == ["model_3.pt"], "those of the way there are gone"


def bad():
    raise InputError("truncated")


@pytest.mark.parametrize("change", ["settings", "policy", "nothing saved"])
def test_a_run_of_something_else_begins_anew(change, tmp_path, monkeypatch):
    monkeypatch.setattr("flow_rl.preemption.folder.load_checkpoint", torch.load)
    run, suite = Run(TASK, "rldt", 0), make_suite(seeds=[0])
    player = Player(suite, tmp_path)
    player.make_demonstrations(TASK)
    player.make_base(player.base(run))
    interrupt(player, run, [] if change == "nothing saved" else [1, 3])
    if change == "settings":
        suite = make_suite(seeds=[0], env_steps=200_000)
    if change == "policy":
        state = json.loads((player.bases.folder(player.base(run)) / "base.json").read_text())
        write_json(player.bases.folder(player.base(run)) / "base.json", state | {"digest": "0"})
    again = Player(suite, tmp_path)
    again.run()
    words = dict(again.commands)[run.title]
    assert words[words.index("--checkpoint") + 1].endswith("pretrained.pt")
    record = json.loads(again.record_path(run).read_text())
    assert record["resumed_after"] == [] and [each["successes"] for each in record["curve"]] == [20, 30, 40]


def test_an_interrupted_base_goes_on(tmp_path):
    broken = Player(make_suite(), tmp_path, broken=[f"{TASK} pretrain"])
    assert len(broken.run()) == 4
    player = Player(make_suite(), tmp_path)
    player.run()
    assert player.titles[:2] == [f"{TASK} pretrain", f"{TASK} evaluate"], "demonstrations are kept"


def test_others_go_on_when_a_run_fails(tmp_path):
    player = Player(make_suite(), tmp_path, broken=[f"{TASK} rldt seed 0"])
    assert player.run([{}, {}]) == [Run(TASK, "rldt", 0)]
    assert len(list(player.records.iterdir())) == 3
    assert player.states[Run(TASK, "rldt", 0)] == "failed"


def test_changed_settings_never_mix_with_what_was_measured(tmp_path):
    Player(make_suite(), tmp_path).run()
    with pytest.raises(ValueError, match="made with other settings than the suite's .env_steps."):
        Player(make_suite(env_steps=200_000), tmp_path).run()


def test_suites_share_what_they_ask_for_alike(tmp_path):
    """A policy is made once for all suites that say the same of it, and again, elsewhere, for one that differs."""
    first = Player(make_suite(), tmp_path)
    first.run()
    same = Player(make_suite(name="other", env_steps=50_000), tmp_path)
    same.run()
    assert same.titles == [f"{TASK} {name} seed {seed}" for seed in (0, 1) for name in ("score_flow", "rldt")]
    differing = Player(make_suite(name="third", base_seed=1), tmp_path)
    differing.run()
    assert differing.titles[:3] == [f"{TASK} collect", f"{TASK} pretrain", f"{TASK} evaluate"]
    base = Base(TASK)
    assert differing.bases.folder(base) != same.bases.folder(base) == first.bases.folder(base)


def test_two_at_once_run_nothing_twice(tmp_path):
    """Each waits for the policy that the other makes, and leaves it the run that it is at."""
    players = [Player(make_suite(), tmp_path) for _ in range(2)]
    for player in players:
        command, player._command = player._command, None
        player._command = lambda *words, command=command: (command(*words), time.sleep(0.2))[0]
    with ThreadPoolExecutor(2) as pool:
        failed = list(pool.map(lambda player: player.run([{}, {}]), players))
    assert failed == [[], []]
    titles = [title for player in players for title in player.titles]
    runs = [f"{TASK} {name} seed {seed}" for seed in (0, 1) for name in ("score_flow", "rldt")]
    assert sorted(titles) == sorted([f"{TASK} {part}" for part in ("collect", "pretrain", "evaluate")] + runs)
    assert Player(make_suite(), tmp_path).missing() == []


def test_who_waits_for_a_policy_can_be_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(bases, "WAIT", 60.0)
    player = Player(make_suite(), tmp_path)
    with claimed(player.bases.folder(Base(TASK))), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(player.make_demonstrations, TASK)
        player._stop.set()
        with pytest.raises(Stopped, match="its policy is not made yet"):
            waiting.result(30)


def test_a_policy_that_failed_elsewhere_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(bases, "WAIT", 0.1)
    player, base = Player(make_suite(), tmp_path), Base(TASK)
    folder = player.bases.folder(base)
    with claimed(folder), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(player.make_demonstrations, TASK)
        with pytest.raises(CommandFailed), failures.noted(folder, folder / "collect.log"):
            raise CommandFailed("no disk")
        with pytest.raises(CommandFailed, match="failed at its policy"):
            waiting.result(30)
    assert player.commands == []


@pytest.mark.parametrize("budget", [{"env_steps": 3_000_000}, {"env_steps": None, "seconds": 500.0}])
def test_a_run_that_was_interrupted_is_not_recorded(budget, tmp_path):
    """Training that is ended by a signal has no error, but neither is it whole; that is no failure."""
    player = Player(make_suite(seeds=[0], **budget), tmp_path)
    assert len(player.run()) == 2 and not player.records.exists()
    assert set(player.states.values()) == {"stopped"}
    assert failures.last_line(player.run_folder(player.runs[0])) is None


def test_processes_of_torchrun_count_as_ranks(tmp_path):
    """All of them have environments."""
    words = ["--nproc_per_node=2", "--nnodes", "3"]
    suite = make_suite(learners={"many": LearnerEntry("rldt", overrides=words), "one": LearnerEntry("rldt")})
    harness = Harness(suite, tmp_path, tmp_path, "cpu")
    many, one = harness.runs[:2]
    assert (harness.ranks(many), harness.ranks(one)) == (6, 1)
    assert harness.steps_per_iteration(many) == 6 * harness.steps_per_iteration(one)
    suite.learners["many"].overrides[0] = "--nproc_per_node=gpu"
    with pytest.raises(InputError, match=r"--nproc_per_node = \['gpu'\] is not valid"):
        harness.ranks(many)


ENDLESS = """
import json, time
try:
    for index in range(10**6):
        with open('evaluations.jsonl', 'a') as file:
            file.write(json.dumps({'iteration': index, 'seconds': 10.0 * index}) + chr(10))
        time.sleep(0.2)
except KeyboardInterrupt:
    pass
"""


@pytest.fixture
def background():
    """Ignore SIGINT, as background jobs of a shell do; what a test changes ends with it."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_budget_of_seconds_ends_a_run_as_ctrl_c_does(tmp_path, background):
    """A real process that goes on for ever ends once its evaluations say that the time is over."""
    heed_interrupts()
    harness = Harness(make_suite(env_steps=None, seconds=20.0), tmp_path, tmp_path, "cpu", say=lambda text: None)
    start = time.monotonic()
    usage = harness._command("t", ["-c", ENDLESS], tmp_path / "log", tmp_path, harness._deadline(tmp_path))
    assert usage.memory > 1000 and time.monotonic() - start < 60
    assert read_curve(tmp_path)[-1]["seconds"] >= 20.0


def test_a_command_that_fails_shows_its_last_lines(tmp_path):
    harness = Harness(make_suite(), tmp_path, tmp_path, "cpu", say=lambda text: None)
    with pytest.raises(CommandFailed, match=r"(?s)t failed with exit code 3; see .*log\nwhy"):
        harness._command("t", ["-c", "print('why'); raise SystemExit(3)"], tmp_path / "log", tmp_path)


SLEEPING = "import os, time; print(os.getpid(), os.environ['SLOT'], flush=True); time.sleep(600)"


def wait_for(file):
    end = time.monotonic() + 60
    while not (file.exists() and file.read_text().endswith("\n")):
        assert time.monotonic() < end
        time.sleep(0.1)
    return file.read_text().split()


def gone(pid):
    """Whether a process has ended; one that nobody waits for counts."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_command_ends_with_the_harness(tmp_path):
    """With variables of its slot; its log shows where it was."""
    harness = Harness(make_suite(), tmp_path, tmp_path, "cpu", say=lambda text: None)
    harness._slots.get()
    harness._slots.put({"SLOT": "3"})
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(harness._command, "t", ["-c", SLEEPING], tmp_path / "log", tmp_path)
        pid, slot = wait_for(tmp_path / "log")
        assert slot == "3" and not gone(pid)
        harness._stop.set()
        with pytest.raises(Stopped, match="t was stopped"):
            running.result(60)
    assert gone(pid)


def test_a_log_says_what_killed_its_command(tmp_path):
    harness = Harness(make_suite(), tmp_path, tmp_path, "cpu", say=lambda text: None)
    with pytest.raises(CommandFailed, match=r"(?s)t failed with exit code -9.*killed by SIGKILL"):
        harness._command("t", ["-c", "import os; os.kill(os.getpid(), 9)"], tmp_path / "log", tmp_path)
    assert (tmp_path / "log").read_text() == "killed by SIGKILL\n"


def test_a_command_ends_when_its_harness_is_killed(tmp_path):
    """By kill -9, too, so that nobody is at a folder whose lease is free."""
    code = f"""
from pathlib import Path
from flow_rl.benchmark.command import run_command
run_command("t", ["-c", {SLEEPING!r}], Path("log"), Path("."), variables={{"SLOT": "0"}})
"""
    harness = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    pid, _ = wait_for(tmp_path / "log")
    harness.kill()
    harness.wait()
    end = time.monotonic() + 30
    while not gone(pid):
        assert time.monotonic() < end
        time.sleep(0.1)
