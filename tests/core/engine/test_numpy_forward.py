"""The mathematics that NumPy does not bring, against Python's own."""

from __future__ import annotations

from math import erf, erfc, sqrt

import numpy as np
import torch

from adapter_platform.core.engine.numpy_forward import BLOCK, TAIL_END, gelu, normal_tail


def test_the_approximation_of_erf_is_exact_to_far_better_than_float32() -> None:
    x = np.linspace(0, TAIL_END, 20_001)
    ours = 1 - 2 * normal_tail(x)
    assert np.abs(ours - [erf(v / sqrt(2)) for v in x]).max() <= 1e-15


def test_in_float32_what_is_left_is_rounding() -> None:
    x = np.linspace(0, TAIL_END, 20_001, dtype=np.float32)
    tail = normal_tail(x)
    assert tail.dtype == np.float32
    assert np.abs(tail - [erfc(v / sqrt(2)) / 2 for v in x.tolist()]).max() <= 1.2e-7


def test_gelu_is_no_further_from_the_truth_than_torchs_and_keeps_to_its_limits() -> None:
    x = np.linspace(-12, 12, BLOCK + 1001, dtype=np.float32).reshape(1, -1)  # more than one block
    exact = np.array([v * erfc(-v / sqrt(2)) / 2 for v in x[0].tolist()])
    torchs = torch.nn.functional.gelu(torch.from_numpy(x)).numpy()[0]
    ours = x.copy()
    gelu(ours)
    assert np.std(ours[0] - exact) <= np.std(torchs - exact)
    assert np.abs(ours[0] - exact).max() <= np.abs(torchs - exact).max()
    extremes = np.array([[-65536, -100, 0, 100, 65536]], np.float32)
    gelu(extremes)
    np.testing.assert_allclose(extremes, [[0, 0, 0, 100, 65536]], rtol=0, atol=1e-11)
