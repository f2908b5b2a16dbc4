"""A target as a process, in Python: kmalloc and kfree over a bytearray, whose indices are the addresses.

The few lines below `answer` are all that the format asks for; above it stands the allocator.
"""

import json
import sys

ZERO = 0x100  # __GFP_ZERO
memory, top = bytearray(1 << 24), 1 << 16
free: dict[int, list[int]] = {}
rooms: dict[int, int] = {}


def kmalloc(size: int, gfp: int) -> int:
    """Return memory of the next power of two, which ends up there again."""
    global top
    room = max(8, 1 << (size - 1).bit_length())
    if not size or room > 1 << 22:
        return 0 if size else 16
    if not free.get(room):
        start = -(-top // room) * room
        if start + room > len(memory):
            return 0
        top = start + room
        free.setdefault(room, []).append(start)
    start = free[room].pop()
    rooms[start] = room
    if gfp & ZERO:
        memory[start : start + size] = bytes(size)
    return start


def kfree(pointer: int) -> None:
    """Take memory back; NULL and ZERO_SIZE_PTR are none."""
    if pointer in rooms:
        free[rooms[pointer]].append(pointer)


def number(value: int | str) -> int:
    """Return a number as requests have it."""
    return int(value, 16) if isinstance(value, str) else value


def answer(call: str, args: list[int | str]) -> str | None:
    """Do what a request asks for."""
    if call == "kmalloc":
        return hex(kmalloc(number(args[0]), number(args[1])))
    start = number(args[0])
    if call == "kfree":
        kfree(start)
    elif call == "read":
        return memory[start : start + number(args[1])].hex()
    elif call == "write":
        length, data = number(args[1]), bytes.fromhex(str(args[2]))
        memory[start : start + length] = (data * (length // len(data) + 1))[:length]
    return None


print('{"kmem-oracle": 1, "calls": ["kmalloc", "kfree", "read", "write"]}', flush=True)
for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps({"result": answer(request["call"], request["args"])}), flush=True)
