"""Profiles: those shipped, a copy of one, and every kind of file that cannot be used."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

from kmem_spec.calls import Call
from kmem_spec.clauses import CLAUSES, CONTRACT
from kmem_spec.expect import expect
from kmem_spec.judge import CHAPTERS
from kmem_spec.kmem_cache import HWCACHE_ALIGN, alignment
from kmem_spec.profile import PROMISES, Profile, ProfileError, load, parse, shipped


def text_of(name: str) -> str:
    return (resources.files("kmem_spec") / "profiles" / f"{name}.toml").read_text(encoding="utf-8")


def test_these_profiles_are_shipped() -> None:
    assert shipped() == ["contract", "linux-2.6", "linux-6.1", "linux-6.12"]


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_profile_makes_the_contracts_promise_and_its_own(name: str) -> None:
    profile = load(name)
    assert profile.name == name
    assert {CONTRACT, name} <= profile.promises


def test_the_contract_is_what_a_profile_without_lines_promises() -> None:
    assert load("contract") == Profile() == parse("", "contract")


def test_every_promise_that_can_be_made_is_made_by_a_shipped_profile() -> None:
    assert frozenset[str]().union(*(load(name).promises for name in shipped())) == PROMISES


def test_a_profile_puts_in_force_the_clauses_whose_promises_it_makes() -> None:
    assert CHAPTERS
    contract = {each.id for each in load("contract").clauses()}
    assert contract == {each.id for each in CLAUSES.values() if CONTRACT in each.promises}
    more = {name: {each.id for each in load(name).clauses()} - contract for name in shipped()}
    assert more == {
        "contract": set(),
        "linux-2.6": set(),
        "linux-6.1": {"SLAB-CLASS", "CACHE-MAX"},
        "linux-6.12": {"SLAB-CLASS", "SLAB-ALIGN-DIVISOR", "CACHE-MAX"},
    }


def test_linux_2_6_has_smaller_objects_and_the_same_masks() -> None:
    profile = load("linux-2.6")
    assert profile == Profile(
        name="linux-2.6",
        promises=frozenset({"contract", "linux-2.6"}),
        kmalloc_max=128 << 10,
        merge_order=3,
    )
    assert [clause for clause in profile.clauses() if clause.kind == "outcome"] == [
        clause for clause in load("contract").clauses() if clause.kind == "outcome"
    ]


def test_the_space_of_vmalloc_and_the_line_of_the_cache_decide_what_is_owed() -> None:
    profile = parse("vmalloc_max = 8192\ncache_line = 128", "mine")
    assert expect(Call("vmalloc", (8193,)), profile).limit == 8192
    assert expect(Call("kvmalloc", (8193, 0)), profile).limit > 8192
    for line, due in ((64, 64), (128, 128), (32, 64)):
        assert alignment(65, 64, HWCACHE_ALIGN, line, 8) == due
    assert alignment(65, 0, HWCACHE_ALIGN, profile.cache_line, profile.minimum_align) == 128
    assert alignment(65, 0, 0, profile.cache_line, profile.minimum_align) == 8


@pytest.mark.parametrize("name", shipped())
def test_a_copied_file_says_the_same_under_its_own_name(name: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text_of(name), encoding="utf-8")
    copied = load(str(file))
    assert copied.name == "mine"
    assert copied.clauses() == load(name).clauses()


def test_a_file_may_change_every_line(tmp_path: Path) -> None:
    file = tmp_path / "small.toml"
    file.write_text(
        'name = "ours"\npromises = ["contract", "size-classes"]\ngfp = "6.12"\nminimum_align = 16\n'
        "kmalloc_max = 131072\nmax_order = 5\nsmallest_class = 16\nmerge_order = 2\n"
        "dma_end = 0x1000000\ndma32_end = 0x100000000\n"
        "vmalloc_max = 1048576\ncache_line = 32\n",
        encoding="utf-8",
    )
    assert load(str(file)) == Profile(
        name="ours",
        promises=frozenset({"contract", "size-classes"}),
        gfp="6.12",
        minimum_align=16,
        kmalloc_max=131072,
        max_order=5,
        smallest_class=16,
        merge_order=2,
        dma_end=1 << 24,
        dma32_end=1 << 32,
        vmalloc_max=1 << 20,
        cache_line=32,
    )


BAD = {
    "not = = toml": "not TOML",
    "promises = [": "not TOML",
    'gfp = "6.1"\ngfp = "6.12"': "not TOML",
    "alignment = 8": "unknown line 'alignment'; known are cache_line, dma32_end, ",
    "cache_line = 0": "cache_line is no power of two",
    "cache_line = 48": "cache_line is no power of two",
    'cache_line = "64"': "cache_line is a number, 0 or more",
    "vmalloc_max = 0": "vmalloc_max is not from 1 to 2^64 - 1",
    f"vmalloc_max = {1 << 64}": "vmalloc_max is not from 1 to 2^64 - 1",
    "vmalloc_max = -1": "vmalloc_max is a number, 0 or more",
    'promises = "contract"': "promises is a list of strings",
    "promises = [1]": "promises is a list of strings",
    'promises = ["contract", "linux-6.2"]': "unknown promise linux-6.2; known are contract, ",
    'promises = ["linux-6.1"]': "promises lack 'contract'",
    "promises = []": "promises lack 'contract'",
    "name = 1": "name is a string",
    "gfp = 6.1": "gfp is a string",
    'gfp = "5.0"': "gfp is '5.0'; known are '6.1' and '6.12'",
    'minimum_align = "8"': "minimum_align is a number, 0 or more",
    "minimum_align = true": "minimum_align is a number, 0 or more",
    "minimum_align = -8": "minimum_align is a number, 0 or more",
    "minimum_align = 8.0": "minimum_align is a number, 0 or more",
    "minimum_align = 0": "minimum_align is no power of two",
    "minimum_align = 24": "minimum_align is no power of two",
    "smallest_class = 0": "smallest_class is no power of two",
    "kmalloc_max = 0": "kmalloc_max is not from 1 to 2^64 - 1",
    f"kmalloc_max = {1 << 64}": "kmalloc_max is not from 1 to 2^64 - 1",
    "max_order = 52": "max_order is not below 52",
    "[table]\nmax_order = 1": "unknown line 'table'",
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_file_is_declined_in_one_line(text: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ProfileError) as caught:
        load(str(file))
    message = str(caught.value)
    assert message.startswith("profile mine: " + BAD[text])
    assert "\n" not in message


def test_what_is_no_readable_file_is_declined_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    for path in ("absent.toml", "folder.toml", "latin.toml"):
        with pytest.raises(ProfileError, match="cannot be read") as caught:
            load(str(tmp_path / path))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["linux-6.2", "", "Contract", "contract.json"])
def test_an_unknown_name_is_answered_with_those_that_are_known(name: str) -> None:
    with pytest.raises(ProfileError) as caught:
        load(name)
    assert str(caught.value) == (
        f"unknown profile {name!r}: give one of contract, linux-2.6, linux-6.1, linux-6.12, or a .toml file"
    )
