"""Inputs that no program writes, and what became of each: a value, a refusal, or a traceback."""

import io
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from auditor.cli import main
from auditor.errors import AuditError

TIMES = float(os.environ.get("IAMAUDIT_FUZZ_TIMES", "1"))
"""How many times as much as in the usual run is tried; `make fuzz` says so."""
RESULT = os.environ.get("IAMAUDIT_FUZZ_RESULT")
LONGEST = 20.0
"""Seconds for one input, on a machine that does other things, too."""
tried: Counter[str] = Counter()
broke: Counter[str] = Counter()


def inputs(number: int) -> settings:
    """The same ones in every usual run; new ones each time in a longer one."""
    return settings(
        max_examples=max(1, round(number * TIMES)),
        deadline=None,
        derandomize=TIMES == 1,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@contextmanager
def trial(what: str, *, refuses: tuple[type[Exception], ...] = (AuditError,)) -> Iterator[None]:
    """Read one input of a kind: it may be taken or refused with one clear line, in time."""
    tried[what] += 1
    began = time.monotonic()
    try:
        yield
    except refuses as error:
        broke[what] += isinstance(error, AuditError) and not (str(error).strip() and error.hint)
    except BaseException:
        broke[what] += 1
        raise
    assert not broke[what]
    assert time.monotonic() - began < LONGEST


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


def iamaudit(what: str, *arguments: str) -> Said:
    """Run a command in this process: what it says is one line or more, and never a traceback."""
    tried[what] += 1
    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["iamaudit", *arguments]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        broke[what] += 1
        raise
    finally:
        sys.argv = before
    said = Said(code, out.getvalue(), err.getvalue())
    if "internal error" in said.err or "Traceback" in said.err:
        broke[what] += 1
        raise AssertionError(said.err)
    return said


def write_result() -> None:
    """Keep the numbers, for the documents."""
    if RESULT:
        by_kind = {
            name: {"inputs": number, "tracebacks": broke[name]}
            for name, number in sorted(tried.items())
        }
        total = {"inputs": tried.total(), "tracebacks": broke.total()}
        Path(RESULT).write_text(json.dumps({**total, "by_kind": by_kind}, indent=2) + "\n")


# --- inputs ---------------------------------------------------------------------------------

_TOKENS = [
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\r\n", b"\n", b"\t", b" ", b'"',
    b"'", b"\\", b"<", b">", b"&", b"<!DOCTYPE a>", b"&x;", b"&#0;", b"<![CDATA[", b"]]>", b"<!--",
    b"{", b"}", b"[", b"]", b",", b":", b"- ", b"*a", b"&a ", b"<<: ", b"!!set ", b"!!binary ",
    b"%",
    b"9" * 40, b"-1", b"1e999", b"NaN", b"null", b"true", b"0x", b"1:30", b"2026-02-30",
    b"9999-12-31T23:59:59Z", b"0001-01-01", b"2026-01-01", b"\xe2\x80\xae", b"{{", b"}}", b"{%",
    b"key.age", b"params.", b"[].all(x, x)", b"../..", b"/dev/zero", b"a" * 300, b"",
]  # fmt: skip


@st.composite
def mangled(draw: st.DrawFn, documents: Sequence[bytes]) -> bytes:
    """A good document with parts lost, doubled, exchanged, or put in from elsewhere."""
    text = bytearray(draw(st.sampled_from(documents)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 1, 2, 8, 40, 10**6])))
        match draw(st.sampled_from(["lose", "double", "put", "flip", "move"])):
            case "lose":
                del text[start:end]
            case "double":
                text[start:start] = text[start:end][:4096] * draw(st.sampled_from([1, 2, 50]))
            case "put":
                text[start:end] = draw(st.sampled_from(_TOKENS) | st.binary(max_size=8))
            case "flip":
                if start < len(text):
                    text[start] = draw(st.integers(0, 255))
            case _:
                piece = bytes(text[start:end])
                del text[start:end]
                at = draw(st.integers(0, len(text)))
                text[at:at] = piece
    return bytes(text)


_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(
        ["", "0", "2026-01-01", "2026-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "Active"]
    )
)
_NAMES = st.text(max_size=8)
PLAIN: st.SearchStrategy[object] = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
"""Any data that JSON, YAML or TOML could hold."""


@st.composite
def reshaped(draw: st.DrawFn, document: object) -> object:
    """The data with one member of it replaced, left out or doubled."""
    places = list(_places(document, ()))
    path = draw(st.sampled_from(places))
    return _with(document, path, draw(PLAIN), drop=draw(st.integers(0, 3)) == 0)


def _places(data: object, path: tuple[object, ...]) -> Iterator[tuple[object, ...]]:
    yield path
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _places(value, (*path, key))
    elif isinstance(data, list):
        for at, value in enumerate(data):
            yield from _places(value, (*path, at))


def _with(data: object, path: tuple[object, ...], value: object, *, drop: bool) -> object:
    if not path:
        return value
    assert isinstance(data, dict | list)
    copy: Any = data.copy()
    place = path[0]
    if drop and len(path) == 1:
        del copy[place]
    else:
        copy[place] = _with(copy[place], path[1:], value, drop=drop)
    return copy
