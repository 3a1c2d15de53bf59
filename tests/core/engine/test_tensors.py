"""Safetensors files read without torch hold what torch reads from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from adapter_platform.core.engine.tensors import map_tensors


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_each_floating_type_is_read_exactly(tmp_path: Path, dtype: torch.dtype) -> None:
    path = tmp_path / "model.safetensors"
    tensors = {"a": torch.randn(3, 5), "b.c": torch.randn(7), "none": torch.zeros(0, 4)}
    positions = torch.arange(4)
    save_file({k: v.to(dtype) for k, v in tensors.items()} | {"ids": positions}, path, {"x": "y"})
    found = map_tensors(path)
    assert set(found) == {"a", "b.c", "none"}
    for name, tensor in load_file(path).items():
        if name != "ids":
            assert np.array_equal(found[name].astype(np.float64), tensor.double().numpy())


def test_writing_to_what_was_read_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.ones(3)}, path)
    before = path.read_bytes()
    map_tensors(path)["a"][:] = 2
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 64, b"\x02" + 7 * b"\0" + b"[]"])
def test_what_is_no_safetensors_file_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError):  # noqa: PT011 - the callers' sentence says which file
        map_tensors(path)
