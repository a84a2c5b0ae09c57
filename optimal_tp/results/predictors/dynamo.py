"""The folder ``profiling_results`` of Dynamo's profiler: figures of one degree's servers by context and KV use.

Arrays: ai-dynamo/dynamo, profiler documentation, read 2026-11-27. ``prefill_ttft`` and ``z_itl`` are milliseconds,
``z_thpt_per_gpu`` output tokens per second and GPU. They do not state the degree: the user names it with the folder.
"""

import pathlib
import typing

import numpy as np
import numpy.typing as npt

from optimal_tp.verdict.predictors.stated import Stated, StatedRow

PREFILL = "selected_prefill_interpolation/raw_data.npz"
DECODE = "selected_decode_interpolation/raw_data.npz"
_LEVELS = np.linspace(0.05, 1.0, 20)
"""Shares of the KV memory in use at which the profile is read."""
_KEYS = {
    PREFILL: ("prefill_isl", "prefill_ttft"),
    DECODE: ("x_kv_usage", "y_context_length", "z_itl", "z_thpt_per_gpu", "max_kv_tokens"),
}
Array = npt.NDArray[np.float64]


def fits(folder: pathlib.Path) -> bool:
    """Whether the folder is Dynamo's."""
    return (folder / DECODE).is_file()


def stated(folder: pathlib.Path, degree: int, input_tokens: float, output_tokens: float) -> Stated:
    """Return the profile at the middle of a request of these lengths, one row for each level of KV memory in use.

    Figures are interpolated linearly between profiled points; beyond them there are none. Raises OSError, or ValueError
    with the rule that a file breaks.
    """
    # Every report imports this module but few read such a folder: only those wait half a second for these imports.
    import scipy.interpolate  # noqa: PLC0415
    import scipy.spatial  # noqa: PLC0415

    decode = _arrays(folder, DECODE)
    context = input_tokens + output_tokens / 2
    points = np.column_stack([decode["x_kv_usage"], decode["y_context_length"]])
    at = np.column_stack([_LEVELS, np.full_like(_LEVELS, context)])
    try:
        itl, rate = (
            scipy.interpolate.griddata(points, decode[name], at, rescale=True) for name in ("z_itl", "z_thpt_per_gpu")
        )
    except scipy.spatial.QhullError:
        raise ValueError(f"{DECODE} must have contexts and KV uses that span an area") from None
    most = float(np.max(decode["max_kv_tokens"]))
    ttft = _ttft(folder, input_tokens)
    rows = tuple(
        StatedRow(
            place=DECODE,
            degree=degree,
            in_flight=max(1.0, float(level) * most / context),
            ttft_ms=ttft,
            tpot_ms=float(each),
            output_tokens_per_second=float(speed),
            cores=1,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
        )
        for level, each, speed in zip(_LEVELS, itl, rate, strict=True)
        if np.isfinite(each) and np.isfinite(speed) and each > 0 and speed > 0
    )
    if not rows:
        low, high = np.min(decode["y_context_length"]), np.max(decode["y_context_length"])
        raise ValueError(f"{DECODE} must have contexts around {context:g} tokens; its own are {low:g} to {high:g}")
    notes = () if ttft is not None else (f"{PREFILL} has no figure for {input_tokens:g} tokens",)
    return Stated(predictor="Dynamo profiler", version=None, file=folder.name, rows=rows, notes=notes)


def _ttft(folder: pathlib.Path, input_tokens: float) -> float | None:
    if not (folder / PREFILL).is_file():
        return None
    prefill = _arrays(folder, PREFILL)
    order = np.argsort(prefill["prefill_isl"])
    found = np.interp(
        input_tokens, prefill["prefill_isl"][order], prefill["prefill_ttft"][order], left=np.nan, right=np.nan
    )
    return float(found) if np.isfinite(found) and found > 0 else None


def _arrays(folder: pathlib.Path, name: str) -> dict[str, Array]:
    """Return the arrays of a file, read without pickle: a file from elsewhere must not run code."""
    try:
        with np.load(folder / name, allow_pickle=False) as file:
            found = {key: np.atleast_1d(np.asarray(file[key], dtype=float)).ravel() for key in _KEYS[name]}
    except KeyError as error:
        raise ValueError(f"{name} must have the array {_key(error)}") from None
    sizes = {key: len(array) for key, array in found.items() if key != "max_kv_tokens"}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"{name} must have arrays of one length; it has {sizes}")
    return found


def _key(error: KeyError) -> str:
    return str(typing.cast("object", error.args[0])).partition(" ")[0]
