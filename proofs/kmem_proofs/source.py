"""Values as Python source: what a counterexample is printed as, so that it can be run again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass


class Source:
    """Write values as source, and remember what must be imported for it."""

    def __init__(self) -> None:
        self.imports: set[str] = set()

    def of(self, value: object) -> str:
        """Return an expression that makes an equal value."""
        if isinstance(value, dict):
            inside = "{" + ", ".join(f"{self.of(key)}: {self.of(value[key])}" for key in sorted(value)) + "}"
            return inside if type(value) is dict else f"{self._name(type(value))}({inside})"
        if is_dataclass(value) and not isinstance(value, type):
            parts = [f"{field.name}={self.of(getattr(value, field.name))}" for field in fields(value)]
            return f"{self._name(type(value))}({', '.join(parts)})"
        if callable(value):
            return self._name(value)
        return repr(value)

    def function(self, code: Callable[..., object], owner: object) -> str:
        """Return the name by which `code` is called, as a method of `state` if it has an owner."""
        if owner is not None:
            return f"state.{code.__name__}"
        return self._name(code)

    def _name(self, named: Callable[..., object]) -> str:
        """Return the name of a class or function, and note its import."""
        name: str = getattr(named, "__qualname__", repr(named))
        self.imports.add(f"from {named.__module__} import {name.split('.')[0]}")
        return name
