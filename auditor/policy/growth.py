"""How much larger than its facts a condition's values may become.

CEL bounds how often it loops, not what it makes: `x.map(a, a + a).map(a, a + a)…` doubles with each
loop, and thirty of them fill any memory.
"""

import re

from auditor.policy.parts import without_literals

_LOOP = re.compile(r"\.\s*(?:all|exists|exists_one|filter|map)\s*\(\s*([A-Za-z_]\w*)\s*,")
_JOINS = frozenset("+[{")
"""What makes something larger of what it is given."""


def growth(text: str) -> int:
    """Return by what factor the loops of a condition may multiply what they go through.

    It is too large rather than too small: each loop whose body joins anything counts as often as
    its variable stands there.
    """
    code = without_literals(text)
    factor = 1
    for loop in _LOOP.finditer(code):
        body = _inside(code, loop.end())
        if not _JOINS.isdisjoint(body):
            factor *= max(1, len(re.findall(rf"(?<![\w.]){loop[1]}(?!\w)", body)))
    return factor


def _inside(code: str, start: int) -> str:
    """Return what follows up to the parenthesis that closes."""
    open_ = 1
    for at in range(start, len(code)):
        open_ += {"(": 1, ")": -1}.get(code[at], 0)
        if open_ == 0:
            return code[start:at]
    return code[start:]
