"""What is wrong with a file: each mistake with its path in it, all of them together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class ProvisioningError(Exception):
    """The file was refused and nothing was changed. ``mistakes`` are lines of ``path: message``."""

    def __init__(self, mistakes: Iterable[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


class Mistakes:
    """A list that grows while the file is read and applied."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    def add(self, path: str, message: str) -> None:
        """Note a mistake, unless there is one at that path or below it, of which this is a consequence."""
        if not self.within(path):
            self._found[path] = message

    def within(self, path: str) -> bool:
        """Whether there is a mistake at the path or below it: what stands there cannot be applied."""
        return any(known == path or known.startswith((f"{path}.", f"{path}[")) for known in self._found)

    def __bool__(self) -> bool:
        return bool(self._found)

    def __iter__(self) -> Iterator[str]:
        return (f"{path}: {message}" for path, message in self._found.items())


def at(path: str, step: str | int) -> str:
    """The path one step further: ``locations[0]`` and ``zones`` make ``locations[0].zones``."""
    if isinstance(step, int):
        return f"{path}[{step}]"
    return f"{path}.{step}" if path else step
