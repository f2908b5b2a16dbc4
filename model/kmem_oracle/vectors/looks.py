"""Where to look further for each clause: scripts for what a fault of its kind needs to show."""

from __future__ import annotations

from typing import Final

from kmem_oracle.vectors.memory_looks import MEMORY
from kmem_oracle.vectors.object_looks import OBJECT
from kmem_oracle.vectors.page_looks import PAGE
from kmem_oracle.vectors.patterns import Maker

MORE: Final[dict[str, Maker]] = MEMORY | OBJECT | PAGE
