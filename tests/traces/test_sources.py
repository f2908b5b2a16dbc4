"""Where lines come from: packed, piped, cut, garbled, binary, endless, hostile."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.traces.telling import AT, Told, brief, cache_alloc, cache_free, kfree, kmalloc, pages

from kmem_oracle.cli import main
from kmem_oracle.traces.reading import Options, judge_file
from kmem_spec.profile import load

LINES = [kmalloc(AT), kfree(AT), kfree(AT)]
TEXT = "".join(f"{line}\n" for line in LINES).encode()
MEMORY = 400 << 20  # bytes of address space that the command may have
COMMAND = [sys.executable, "-m", "kmem_oracle.cli", "judge"]


def judged(file: Path) -> list[tuple[str, str, int, tuple[int, ...]]]:
    return brief(judge_file(str(file), Options(load("contract"))).findings)


def zstd(text: bytes) -> bytes:
    import zstandard

    packed: bytes = zstandard.ZstdCompressor().compress(text)
    return packed


@pytest.mark.parametrize(
    "pack",
    [
        bytes,
        gzip.compress,
        lzma.compress,
        lambda text: gzip.compress(text[:100]) + gzip.compress(text[100:]),
        lambda text: lzma.compress(text[:100]) + lzma.compress(text[100:]),
        pytest.param(zstd, marks=pytest.mark.needs("zstandard")),
        lambda text: text.rstrip(b"\n"),
    ],
)
def test_packed_or_not(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    file = tmp_path / "trace"
    file.write_bytes(pack(TEXT))
    assert judged(file) == [("CALLER-DOUBLE-FREE", "violation", 3, (1, 2))]


def run(arguments: Sequence[str | Path], given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the command in bounded memory."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=given,
        capture_output=True,
        timeout=6000,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
    )


def test_a_pipe() -> None:
    done = run(["-"], TEXT)
    assert done.returncode == 1
    assert b"VIOLATION of CALLER-DOUBLE-FREE by the caller" in done.stdout


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\x00\x01\x02" * 99, "binary"),
        (b"PERFILE2" + bytes(99), "perf script"),
        (b"\x17\x08\x44tracing" + bytes(99), "trace-cmd report"),
        (b"\x7fELF" + bytes(99), "a program"),
        (b"hello\nworld\n", "no event"),
        (b"x" * 5000, "no event"),
        (gzip.compress(b"hello\n", mtime=0), "no event"),
        (b"\x1f\x8b" + b"junk" * 9, "no event"),
        (b"{}\n", "no event"),
        (b'{"call": "kmalloc"}\n', "no event"),
    ],
)
def test_what_is_no_trace_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, says: str
) -> None:
    file = tmp_path / "trace"
    file.write_bytes(content)
    report = tmp_path / "report.json"
    assert main(["judge", str(file), "--json", str(report)]) == 2
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert out == ""
    assert line.startswith(f"kmem-oracle: {file}: ")
    assert says in line
    written = json.loads(report.read_text(encoding="utf-8"))
    assert (written["verdict"], written["findings"]) == ("error", [])


def test_files_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in (tmp_path, tmp_path / "nothing", Path("/dev/null"), Path("x\x00y")):
        assert main(["judge", str(file)]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_without_zstd_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    file = tmp_path / "trace.zst"
    file.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(20))
    assert main(["judge", str(file)]) == 2
    assert "pip install zstandard" in capsys.readouterr().err


@pytest.mark.parametrize(
    "pack", [gzip.compress, lzma.compress, pytest.param(zstd, marks=pytest.mark.needs("zstandard"))]
)
def test_a_packed_file_that_is_cut_keeps_what_was_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pack: Callable[[bytes], bytes]
) -> None:
    more = "".join(
        f"{kmalloc(AT + 4096 + 64 * at, site=f'site{at * 7919 % 10007}')}\n" for at in range(30_000)
    )
    packed = pack(TEXT + more.encode())
    file = tmp_path / "trace.gz"
    file.write_bytes(packed[: len(packed) * 3 // 4])
    assert main(["judge", str(file)]) == 1
    out, err = capsys.readouterr()
    assert "VIOLATION of CALLER-DOUBLE-FREE" in out
    assert "damaged after line" in err or "damaged" in out
    file.write_bytes(pack(more.encode())[: len(packed) * 3 // 4])
    assert main(["judge", str(file)]) == 2


@pytest.mark.parametrize("keep", range(1, 160, 3))
def test_a_line_cut_anywhere_is_no_violation(told: Told, keep: int) -> None:
    for last in (kfree(AT), cache_free(AT + 4096, "dentry"), kmalloc(AT + 64), pages(1024, 10, "GFP_KERNEL")):
        lines = [kmalloc(AT), cache_alloc(AT + 4096), cache_alloc(AT + 4160), cache_free(AT + 4160, "dentry")]
        told.file.write_text("\n".join([*lines, last[:keep]]), encoding="utf-8")
        assert judge_file(str(told.file), Options(load("linux-6.1"))).of("violation") == []


def test_garbled_lines_are_counted_and_the_rest_is_judged(told: Told) -> None:
    bad = [
        kmalloc(AT).replace("ptr=", "ptr=xyz"),
        kfree(AT).replace("call_site", "call"),
        pages(8).replace("order=0", "order=-1"),
        kmalloc(AT).replace("bytes_req=64", "bytes_req=" + "9" * 5000),
        kmalloc(AT).replace("bytes_alloc=64", "bytes_alloc=1e3"),
        kmalloc(AT).replace(f"{AT:016x}", "f" * 60),
        pages(8).replace("pfn=0x8", "pfn=0x" + "8" * 30),
        "kmalloc: kmalloc: kmalloc: ",
        ": : : : :",
        "\x1b[31m\u202e kfree: \x07",
    ]
    summary = told(*LINES, *bad)
    assert brief(summary.findings) == [("CALLER-DOUBLE-FREE", "violation", 3, (1, 2))]
    assert summary.garbled >= 8
    assert any("the first of them line 4" in reason for reason in summary.unjudged)


def test_a_task_whose_name_is_an_event(told: Told) -> None:
    """A task may call itself anything of 15 bytes, such as the beginning of a line."""
    for name in ("a: kfree: ", "kfree: b", ": : :", "x: kmalloc: y-1", "] kfree: ptr=1"):
        lines = [line.replace("worker-7", f"{name}-7") for line in LINES]
        summary = told(*lines)
        assert brief(summary.findings) == [("CALLER-DOUBLE-FREE", "violation", 3, (1, 2))], name
        assert summary.garbled == 0


def test_names_are_shown_printable_and_short(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    name = "<script>\x1b[2J\u202e" + "A" * 900
    told(cache_alloc(AT), cache_free(AT, name), cache_free(AT, name), kmalloc(AT, site=name), kmalloc(AT))
    main(["judge", str(told.file)])
    out = capsys.readouterr().out
    assert "\\x1b[2J\\u202e" in out
    assert out.isascii() or all(line.isprintable() for line in out.splitlines())
    assert max(map(len, out.splitlines())) < 500


def test_bytes_that_are_no_utf_8(tmp_path: Path) -> None:
    file = tmp_path / "trace"
    file.write_bytes(TEXT.replace(b"worker", b"w\xff\xfe"))
    assert judged(file) == [("CALLER-DOUBLE-FREE", "violation", 3, (1, 2))]


def test_huge_numbers_take_no_memory_or_time() -> None:
    huge = [
        kmalloc(AT, (1 << 64) - 1, (1 << 64) - 1),
        cache_alloc(AT, 1 << 40, 1 << 40),
        pages((1 << 52) - 1, 63),
        pages(8, 20),
        kmalloc((1 << 64) - 8),
    ]
    done = run(["-"], "".join(f"{line}\n" for line in huge * 200).encode())
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr


def endless(text: bytes) -> subprocess.CompletedProcess[bytes]:
    """Run the command on text without end."""
    program = f"import sys\nwhile True: sys.stdout.buffer.write({text!r} * 4096)"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as source:
        done = subprocess.run(
            [*COMMAND, "-"],
            stdin=source.stdout,
            capture_output=True,
            timeout=6000,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
        )
        source.kill()
    return done


@pytest.mark.parametrize("text", [b"\x00", b"x", b"y\n", b"x" * 1000])
def test_endless_input_that_is_no_trace_ends(text: bytes) -> None:
    done = endless(text)
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("kmem-oracle: standard input: ")


@pytest.mark.needs("linux")
def test_dev_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", "/dev/zero"]) == 2
    assert "binary" in capsys.readouterr().err


def test_a_very_long_line_between_others(tmp_path: Path) -> None:
    file = tmp_path / "trace"
    file.write_bytes(LINES[0].encode() + b"\n" + b"x" * (5 << 20) + b"\n" + TEXT.partition(b"\n")[2])
    summary = judge_file(str(file), Options(load("contract")))
    assert brief(summary.findings) == [("CALLER-DOUBLE-FREE", "violation", 4, (1, 3))]
    assert any("too long" in reason for reason in summary.unjudged)


def test_memory_is_bounded_by_what_is_live() -> None:
    """Half a million distinct objects and call sites, each freed at once."""
    lines = (
        f"{kmalloc(AT + 64 * at, site=f'f{at}+0x1/0x2')}\n{kfree(AT + 64 * at)}\n".encode()
        for at in range(500_000)
    )
    done = run(["-"], b"".join(lines))
    assert done.returncode == 0, done.stderr


def test_an_interrupt_keeps_what_was_found(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [*COMMAND, "-", "--json", str(report)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as judge:
        assert judge.stdin is not None
        judge.stdin.write(TEXT + b"".join(f"{pages(at)}\n".encode() for at in range(20_000)))
        judge.stdin.flush()
        time.sleep(2)
        judge.send_signal(signal.SIGINT)
        out, err = judge.communicate(timeout=600)
    assert judge.returncode == 1, err
    assert b"VIOLATION of CALLER-DOUBLE-FREE" in out
    assert b"interrupted" in err
    found = json.loads(report.read_text(encoding="utf-8"))["findings"]
    assert [each["line"] for each in found] == [3]


def test_the_pipe_behind_may_close() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*COMMAND, "-"], input=TEXT, stdout=writer, stderr=subprocess.PIPE, timeout=600, check=False
    )
    os.close(writer)
    assert b"Traceback" not in done.stderr
