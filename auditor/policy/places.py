"""YAML with places: plain data, and the line and column that each part came from."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml

Path: TypeAlias = tuple[str | int, ...]

_MOST_REPEATED = 100_000
"""Parts that aliases may add to those that are written: ten of ten of ten … end nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something stands in a file, both counted from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.line}:{self.column}"


class YamlError(ValueError):
    """Raised when the text is not the YAML we take."""

    def __init__(self, message: str, place: Place) -> None:
        super().__init__(message)
        self.place = place


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Plain data and the places of its parts."""

    data: Any
    nodes: dict[Path, yaml.Node]
    keys: dict[Path, yaml.Node]

    def key_at(self, path: Path) -> Place:
        """Return where the key at the end of `path` stands."""
        return _place(self.keys[path].start_mark) if path in self.keys else self.at(path)

    def at(self, path: Path) -> Place:
        """Return where `path` stands, or the nearest part around it that does."""
        while path and path not in self.nodes:
            path = path[:-1]
        return _place(self.nodes[path].start_mark)

    def inside(self, path: Path, *, line: int, column: int) -> Place:
        """Return where line and column of the text at `path` stand in the file."""
        start, node = self.at(path), self.nodes.get(path)
        style = node.style if isinstance(node, yaml.ScalarNode) else None
        if style == "|":
            return Place(line=start.line + line, column=column)
        if style == ">" or line > 1:
            return start
        return Place(line=start.line, column=start.column + column - 1 + (style is not None))


def parse(text: str) -> Placed:
    """Return the document with its places; raise YamlError.

    Duplicate keys are errors: the last one would win in silence. So are aliases that make of a
    small file an endless one.
    """
    try:
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as error:
        raise YamlError(*_forbidden(error, text)) from None
    try:
        node = loader.get_single_node()
        nodes: dict[Path, yaml.Node] = {}
        keys: dict[Path, yaml.Node] = {}
        if node is None:
            raise YamlError("the file is empty", Place(line=1, column=1))
        _walk(node, (), nodes, keys, most=2 * len(text) + _MOST_REPEATED)
        return Placed(data=loader.construct_document(node), nodes=nodes, keys=keys)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = " ".join(filter(None, (error.context, error.problem)))
        place = Place(line=1, column=1) if mark is None else _place(mark)
        raise YamlError(message, place) from None
    except yaml.YAMLError as error:
        raise YamlError(str(error).splitlines()[0], Place(line=1, column=1)) from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, YamlError):
            raise
        raise YamlError(f"not a value: {error}", _culprit(text)) from None
    finally:
        loader.dispose()


def _culprit(text: str) -> Place:
    """Return where the first value stands that is none, as a 13th month."""
    loader = yaml.SafeLoader(text)
    try:
        nodes: list[yaml.Node | None] = [loader.get_single_node()]
        seen: set[int] = set()  # an alias may lead back to what it stands in
        while nodes:
            node = nodes.pop(0)
            if id(node) in seen:
                continue
            seen.add(id(node))
            if isinstance(node, yaml.ScalarNode):
                try:
                    loader.construct_object(node)
                except ValueError:
                    return _place(node.start_mark)
            elif isinstance(node, yaml.MappingNode):
                nodes += [part for pair in node.value for part in pair]
            elif isinstance(node, yaml.SequenceNode):
                nodes += node.value
    except (yaml.YAMLError, RecursionError):
        pass
    finally:
        loader.dispose()
    return Place(line=1, column=1)


def _forbidden(error: yaml.reader.ReaderError, text: str) -> tuple[str, Place]:
    """Say which character YAML forbids, and where it stands."""
    before = text[: error.position]
    place = Place(line=before.count("\n") + 1, column=error.position - before.rfind("\n"))
    return f"the character U+{ord(text[error.position]):04X} can't be in YAML", place


def _walk(
    node: yaml.Node,
    path: Path,
    nodes: dict[Path, yaml.Node],
    keys: dict[Path, yaml.Node],
    *,
    most: int,
) -> None:
    nodes[path] = node
    if len(nodes) > most:
        raise YamlError("its aliases repeat too much", _place(node.start_mark))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else str(key.tag)
            if (*path, name) in nodes:
                raise YamlError(f"{name!r} is given twice", _place(key.start_mark))
            keys[*path, name] = key
            _walk(value, (*path, name), nodes, keys, most=most)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _walk(value, (*path, index), nodes, keys, most=most)


def _place(mark: yaml.Mark) -> Place:
    return Place(line=mark.line + 1, column=mark.column + 1)
