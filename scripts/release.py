# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Build a release and check it, up to the upload: version, changelog, wheel and source distribution."""

import argparse
import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UV = ROOT / ".tool" / "bin" / "uv"
PACKAGES = ("exts/flow_rl", "tasks", "assets")
"""Folders of what a wheel contains."""


def problems(version: str, root: Path = ROOT) -> list[str]:
    """What keeps a version from being released."""
    found = []
    for name, path in (("pyproject.toml", ("project", "version")), ("extension.toml", ("package", "version"))):
        stated = tomllib.loads((root / name).read_text())[path[0]][path[1]]
        if stated != version:
            found.append(f"{name} says version {stated}, not {version}")
    heading = re.search(r"^## (\S+) \((.+)\)$", (root / "CHANGELOG.md").read_text(), re.MULTILINE)
    if heading is None or heading[1] != version:
        found.append(f"CHANGELOG.md does not begin with a section '## {version} (date)'")
    elif not re.fullmatch(r"\d{4}-\d\d-\d\d", heading[2]):
        found.append(f"CHANGELOG.md calls {version} {heading[2]!r}; write the date, as 2026-01-31")
    return found


def main() -> None:
    """Run the checks one after the other; the first failure ends them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version", help="such as 0.1.0")
    parser.add_argument("--output", type=Path, default=Path("dist"), help="folder for both distributions")
    args = parser.parse_args()
    if found := problems(args.version):
        raise SystemExit("\n".join(f"[flow_rl] error: {problem}." for problem in found))
    if args.output.exists() and any(args.output.iterdir()):
        raise SystemExit(f"[flow_rl] error: --output {args.output} is not empty, and nothing in it was touched.")
    subprocess.run([UV, "build", "--out-dir", args.output, ROOT], check=True)
    files = sorted(args.output.glob("flow_rl-*"))
    subprocess.run([UV, "tool", "run", "twine", "check", "--strict", *files], check=True)
    wheels = [file for file in files if file.suffix == ".whl"]
    names = ",".join(sorted(path.name for folder in PACKAGES for path in (ROOT / folder).glob("flow_rl*/")))
    subprocess.run([UV, "tool", "run", "check-wheel-contents", "--toplevel", names, *wheels], check=True)
    print(f"[flow_rl] {', '.join(file.name for file in files)} can be uploaded: twine upload {args.output}/*")


if __name__ == "__main__":
    main()
