# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""The recipes of containers can be read, and what they run to prepare a system runs in a clean one."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "scripts" / "docker"
SETUP = "flow_rl.sh setup"
KNOWN = {"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "FROM", "RUN", "USER", "VOLUME", "WORKDIR"}
BASE = re.search(r"^ARG BASE=(\S+)$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)[1]


def instructions() -> list[tuple[str, str]]:
    """Instructions of the Dockerfile and their arguments, continued lines joined."""
    lines = [line for line in (DOCKER / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def sections() -> dict[str, list[str]]:
    """Lines of the sections of Apptainer's recipe, the header's under an empty name."""
    found: dict[str, list[str]] = {"": []}
    for line in (DOCKER / "flow_rl.def").read_text().splitlines():
        if line.startswith("%"):
            found[line[1:]] = []
        elif line.strip() and not line.startswith("#"):
            found[list(found)[-1]].append(line.strip())
    return found


def copied() -> set[str]:
    """What goes from this repository into the image."""
    lines = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in lines, "nothing goes in unless it is named"
    return {line[1:] for line in lines if line.startswith("!")}


def test_the_dockerfile_can_be_read():
    found = instructions()
    assert {name for name, _ in found} <= KNOWN
    assert [name for name, _ in found][:2] == ["ARG", "FROM"], "the base is an argument"
    scripts = [text for name, text in found if name == "RUN"]
    for script in scripts:
        assert subprocess.run(["sh", "-n", "-c", script]).returncode == 0, script
    assert scripts[-1] == f"./{SETUP}", "by the versions that a checkout is set up with"


def test_nothing_runs_as_root_but_what_must():
    """The user is another one before a file of ours is there, and owns what it writes."""
    found = instructions()
    names = [name for name, _ in found]
    assert names.index("USER") < names.index("COPY")
    assert dict(found)["USER"] == "${UID}" and ("ARG", "UID=1000") in found
    assert dict(found)["VOLUME"] in dict(found)["ENV"], "kernels of Warp outlive the container"


def test_apptainer_has_the_same_files_and_packages():
    found = sections()
    assert found[""] == ["Bootstrap: docker", f"From: {BASE}"]
    pairs = [line.split() for line in found["files"]]
    assert {source for source, _ in pairs} == copied()
    assert all(target == f"/flow_rl/{source}" and (ROOT / source).exists() for source, target in pairs)
    post = "\n".join(found["post"])
    assert subprocess.run(["sh", "-n", "-c", post]).returncode == 0
    assert packages(post) == packages(next(text for name, text in instructions() if name == "RUN"))
    assert post.endswith(SETUP)


def packages(script: str) -> list[str]:
    """What the first call of apt-get install in a script asks for."""
    words = shlex.split(re.search(r"apt-get install ([^&;\n]*)", script)[1])
    return [word for word in words if not word.startswith("-")]


@pytest.mark.parametrize("name", ["Dockerfile", "flow_rl.def"])
def test_recipes_say_what_was_not_tried(name):
    assert "# Not tried: " in (DOCKER / name).read_text()


def test_manifests_can_be_read():
    """A Job of Kubernetes, whose containers start again with the same words, and a cluster of Ray."""
    folder = ROOT / "scripts" / "cluster"
    assert all(len((folder / name).read_text().splitlines()) <= 40 for name in ("kubernetes.yaml", "ray.yaml"))
    job = yaml.safe_load((folder / "kubernetes.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    pod = job["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "OnFailure" and pod["securityContext"]["runAsNonRoot"]
    (container,) = pod["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    asked = container["args"][container["args"].index("--nproc_per_node") + 1]
    assert int(asked) == container["resources"]["limits"]["nvidia.com/gpu"]
    assert {"--resume", "auto", "--run_timestamp"} <= set(container["args"])
    ray = yaml.safe_load((folder / "ray.yaml").read_text())
    assert ray["provider"]["type"] == "local" and len(ray["provider"]["worker_ips"]) == ray["max_workers"]
    for each in ("head", "worker"):
        assert "ray start" in ray[f"{each}_start_ray_commands"][-1]


@pytest.mark.slow
def test_the_system_is_prepared_in_a_clean_root(tmp_path):
    """All that the Dockerfile runs but the set-up, which a checkout's own test runs; Python comes from this machine."""
    if shutil.which("debootstrap") is None or os.geteuid() != 0:
        pytest.skip("needs root and debootstrap")
    root = tmp_path / "root"
    made = subprocess.run(["debootstrap", "--variant=minbase", "stable", root], capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"debootstrap finds no mirror: {made.stdout[-300:]}")
    shutil.copytree(sys.base_prefix, root / "usr" / "local", symlinks=True, dirs_exist_ok=True)
    variables = {
        "UID": "1000",
        "PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "DEBIAN_FRONTEND": "noninteractive",
    }
    for script in [text for name, text in instructions() if name == "RUN" and SETUP not in text]:
        ran = subprocess.run(["chroot", root, "sh", "-c", script], env=variables, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr[-2000:]
    program = "touch /flow_rl/x /cache/warp/x /runs/x; id -u; git --version; g++ --version"
    ran = subprocess.run(
        ["chroot", "--userspec=1000", root, "sh", "-ec", program], env=variables, capture_output=True, text=True
    )
    assert ran.returncode == 0 and ran.stdout.startswith("1000\n"), ran.stderr
