# Copyright (c) 2026, The flow_rl Developers.
# SPDX-License-Identifier: BSD-3-Clause

"""Exported policies as a folder: the network, the contract that says what goes in and out, and proof of both.

Only numpy and onnxruntime are needed to read one; OpenCV too where frames of cameras are to be preprocessed. The
contract, `policy.yaml`, is written in the part of YAML that is JSON, so that the standard library reads it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flow_rl.utils.check import require, require_choice, require_package
from flow_rl.utils.files import TEXT, reading, require_file, require_plain_archive

if TYPE_CHECKING:
    from .preprocessing import Calibration, Preprocessing

FORMAT = 1
"""Version of the contract; it changes when older readers would misunderstand it."""

CONTRACT, NETWORK, TORCHSCRIPT, VECTORS, MANUAL = (
    "policy.yaml",
    "policy.onnx",
    "policy.pt",
    "test_vectors.npz",
    "README.md",
)

LAST_ACTIONS, LATENCY = "last_actions", "latency"
"""Observations of policies that were trained under latency: actions under way, and how late they are."""

JOINING = ("former", "weights")
"""Inputs of the network, each of H * A numbers, that bind a chunk to the former one; they need not be given."""

TOLERANCE = 1e-5
"""Greatest difference of an action from its test vector."""

_SEAL = re.compile(rb',\n  "checksum": "([0-9a-f]{64})"\n}\n\Z')
_AGAIN = "export the policy again with flow-rl export, or copy the whole folder again."


def write_contract(folder: Path, contract: dict[str, Any]) -> None:
    """Write a contract, to which the checksums of the folder's other files and its own are added."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != CONTRACT)
    files = {path.relative_to(folder).as_posix(): _digest(path.read_bytes()) for path in paths}
    contract = contract | {"format": FORMAT, "files": files}
    text = json.dumps(_rounded(contract), indent=2, allow_nan=False)
    text = re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda found: "[" + re.sub(r"\s*\n\s*", " ", found[1]) + "]", text)
    body = text.encode().removesuffix(b"\n}")
    (folder / CONTRACT).write_bytes(body + f',\n  "checksum": "{_digest(body)}"\n}}\n'.encode())


def read_contract(folder: Path) -> dict[str, Any]:
    """Read a contract after checking that neither it nor any file that it lists has changed.

    Raises:
        FileNotFoundError: The folder or one of its files is missing.
        ValueError: A file has changed, or a newer version of flow_rl has written the package.
    """
    if not (folder / CONTRACT).is_file():
        raise FileNotFoundError(
            f"package {str(folder)!r} has no {CONTRACT}. Valid: a folder that flow-rl export wrote."
        )
    require_file(folder / CONTRACT, TEXT)
    data = (folder / CONTRACT).read_bytes()
    seal = _SEAL.search(data)
    intact = seal is not None and _digest(data[: seal.start()]) == seal[1].decode()
    require(intact, str(folder / CONTRACT), "changed or truncated", "the file as it was exported", _AGAIN)
    with reading(folder / CONTRACT, "a contract that flow-rl export wrote", _AGAIN):
        contract = json.loads(data)
        require(
            contract["format"] <= FORMAT,
            f"{folder / CONTRACT}: format",
            contract["format"],
            f"up to {FORMAT}, which this version of flow_rl reads",
            f"install flow_rl {contract['flow_rl']} or newer, which wrote it.",
        )
        for name, digest in contract["files"].items():
            within = not Path(name).is_absolute() and ".." not in Path(name).parts
            require(within, f"{folder / CONTRACT}: files", name, "paths within the folder", _AGAIN)
            if not (folder / name).is_file():
                raise FileNotFoundError(f"package {str(folder)!r} lacks {name}. Remedy: {_AGAIN}")
            with (folder / name).open("rb") as file:
                same = hashlib.file_digest(file, "sha256").hexdigest() == digest
            require(same, str(folder / name), "changed", f"the file of SHA-256 {digest}", _AGAIN)
    return contract


class PolicyPackage:
    """A package that is intact and whose network gives what it gave when it was exported.

    Several runners may share one.
    """

    def __init__(self, folder: str | Path, num_threads: int = 1):
        """Read and verify a package.

        Args:
            folder: What flow-rl export wrote.
            num_threads: Threads of onnxruntime.

        Raises:
            FileNotFoundError: The folder or one of its files is missing.
            ValueError: A file has changed, a newer flow_rl is needed, or the test vectors come out differently.
        """
        # here, because writing a package does without it
        onnxruntime = require_package("onnxruntime", "onnxruntime", "export")

        self.folder = Path(folder)
        self.contract = read_contract(self.folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = num_threads
        options.log_severity_level = 3  # no warning that optional inputs are no constants
        with reading(self.folder, "a folder that flow-rl export wrote", _AGAIN):
            self._session = onnxruntime.InferenceSession(
                str(self.folder / NETWORK), options, providers=["CPUExecutionProvider"]
            )
            self._check()
            self._verify()

    @property
    def observations(self) -> list[dict[str, Any]]:
        """Terms of the vector observation, in order."""
        return self.contract["observations"]

    @functools.cached_property
    def cameras(self) -> dict[str, tuple[int, int, int]]:
        """Shape (3, H, W) of each camera's pictures."""
        return {camera["name"]: (3, *camera["size"]) for camera in self.contract["cameras"]}

    @property
    def chunk_shape(self) -> tuple[int, int]:
        """Number H of actions in a chunk, and size A of an action."""
        return self.contract["control"]["chunk_length"], len(self.contract["actions"]["lower"])

    @property
    def max_latency(self) -> int | None:
        """Most control steps by which actions were late in training if the policy observes latency, else None."""
        shapes = {term["name"]: term["shape"] for term in self.observations}
        if {LAST_ACTIONS, LATENCY} <= set(shapes):
            return shapes[LAST_ACTIONS][0] // self.chunk_shape[1]
        return None

    @property
    def period(self) -> float:
        """Time between two actions [s]."""
        return self.contract["control"]["period"]

    def preprocessing(
        self,
        camera: str,
        *,
        colour_order: str = "bgr",
        crop: tuple[int, int, int, int] | None = None,
        calibration: Calibration | None = None,
    ) -> Preprocessing:
        """What makes a camera's pictures from frames; see :class:`flow_rl.deploy.preprocessing.Preprocessing`."""
        from .preprocessing import Preprocessing  # here, because it needs OpenCV

        require_choice("camera", camera, self.cameras)
        size = self.cameras[camera][1:]
        return Preprocessing(size=size, colour_order=colour_order, crop=crop, calibration=calibration)

    @property
    def can_join(self) -> bool:
        """Whether the network can bind a chunk to a former one."""
        return {value.name for value in self._session.get_overridable_initializers()} >= set(JOINING)

    def infer(
        self,
        vectors: np.ndarray,
        pictures: Sequence[np.ndarray],
        noise: np.ndarray,
        former: np.ndarray | None = None,
        weights: np.ndarray | None = None,
    ) -> np.ndarray:
        """Chunks (B, H, A) from vectors (B, O), each camera's pictures (B, 3, h, w) of bytes, and noise (B, H * A).

        With a former chunk (H, A) and weights (H,) in [0, 1], if :attr:`can_join`, the flow's states are written over
        by what they would be on the way to that chunk, by shares that are the weights (inpainting).
        """
        inputs = dict(zip(["obs", *self.cameras, "noise"], (vectors, *pictures, noise), strict=True))
        if former is not None:
            spread = np.broadcast_to(weights[:, None], former.shape)
            bound = zip(JOINING, (former, spread), strict=True)
            inputs |= {name: value.astype(np.float32).ravel() for name, value in bound}
        (chunks,) = self._session.run(None, inputs)
        return chunks.reshape(-1, *self.chunk_shape)

    def _check(self) -> None:
        """Raise an error unless the contract says what every reader asks of it."""
        horizon, size = self.chunk_shape
        actions, center = self.contract["actions"], [term["normalisation"]["center"] for term in self.observations]
        scale = [term["normalisation"]["scale"] for term in self.observations]
        numbers = [actions["lower"], actions["upper"], *center, *scale, [self.period]]
        finite = all(np.isfinite(np.asarray(each, dtype=np.float64)).all() for each in numbers)
        sizes = [int(np.prod(term["shape"])) for term in self.observations]
        fit = sizes == list(map(len, center)) == list(map(len, scale)) and len(actions["upper"]) == size
        start = self.contract["sampler"]["noise"]["start"]
        names = [(term["name"], term["group"]) for term in self.observations]
        texts = all(isinstance(word, str) for word in (*self.cameras, *sum(names, ())))
        valid = finite and fit and texts and horizon >= 1 and self.period > 0 and isinstance(start, str)
        require(valid, str(self.folder / CONTRACT), "inconsistent", "finite numbers whose counts agree", _AGAIN)
        _ = self.max_latency

    def _verify(self) -> None:
        """Raise a ValueError unless the test vectors come out."""
        require_plain_archive(self.folder / VECTORS)
        with np.load(self.folder / VECTORS, allow_pickle=False) as vectors:
            pictures = [vectors[f"camera.{name}"] for name in self.cameras]
            chunks = self.infer(vectors["obs"], pictures, vectors["noise"])
            error = float(np.abs(chunks - vectors["actions"].reshape(chunks.shape)).max())
        valid = f"differences up to {TOLERANCE}"
        require(error <= TOLERANCE, f"{self.folder / VECTORS}: difference", error, valid, "use another onnxruntime.")


def _rounded(value: Any) -> Any:
    """Plain values whose numbers have as many digits as float32 knows."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.7g}") if isinstance(value, float) else value


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
