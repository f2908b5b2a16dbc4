"""The obligations of masks, watermarks and places, and that what they assume of a mask is so."""

from __future__ import annotations

import pytest

pytest.importorskip("z3")

from kmem_proofs import gfp, layout, ledger, marks, masks, page, pairs, places, units
from kmem_proofs.case import ConcreteCase
from kmem_proofs.catalogue import manifest
from kmem_proofs.mutants import masks as mask_mutants
from kmem_proofs.mutants import places as place_mutants
from kmem_proofs.runner import discharge
from kmem_proofs.verdict import Verdict
from kmem_spec.gfp import DMA, GFP_KERNEL, GFP_USER, MEMALLOC, NOMEMALLOC
from kmem_spec.reach import pair_of

MODULES = (masks, pairs, marks, places)


def test_all_are_in_the_manifest_and_each_has_a_mutant() -> None:
    every = [each for module in MODULES for each in module.obligations()]
    assert len({each.name for each in every}) == len(every)
    assert {each.name for each in every} <= set(manifest())
    assert all(each.mutants for each in every)
    assert [each.name for each in every if each.level != "A"] == ["GFP-SLEEP/quotient/exact"]


def test_every_fault_is_used() -> None:
    elsewhere = {"rounded_up"}  # of a lemma, which has no row
    for module in (mask_mutants, place_mutants):
        used = {fault for faults in module.FAULTS.values() for _, fault in faults}
        functions = {
            name: value for name, value in vars(module).items() if value.__class__.__name__ == "function"
        }
        own = {name for name, value in functions.items() if value.__module__ == module.__name__}
        assert {name for name in own if functions[name] not in used} <= elsewhere


def test_every_row_has_its_witness_and_its_faults() -> None:
    for module in (gfp, layout, ledger, masks, marks, page, pairs, places, units):
        assert set(module.ROWS) == set(module.WITNESSES)
        names = {each.name for each in module.obligations()}
        assert set(module.ROWS) <= names
    rows = [name for module in (masks, marks, pairs) for name in module.ROWS]
    assert set(rows) == set(mask_mutants.FAULTS)


@pytest.mark.parametrize(("bits", "has"), [((DMA, MEMALLOC), (1, 0)), ((MEMALLOC, NOMEMALLOC), (1, 1))])
def test_a_mask_is_the_sum_of_its_parts(bits: tuple[int, ...], has: tuple[int, ...]) -> None:
    values = masks.no_bits(*bits) | {f"has_{bit:#x}": given for bit, given in zip(bits, has, strict=True)}
    mask, given = masks.mask_of(ConcreteCase(values), *bits)
    assert mask == sum(bit * each for bit, each in zip(bits, has, strict=True))
    assert tuple(given) == has


def test_what_is_assumed_of_quotients_holds_of_every_mask_of_a_few_bits() -> None:
    """`assume` leaves by Skip where it does not hold: none of these may."""
    seen = set()
    for below in range(4):
        for has in (0, 1):
            for above in range(8):
                values = {"below_0x4": below, "has_0x4": has, "has_0x8": 0, "below_0x100000000": above}
                mask, _ = masks.mask_of(ConcreteCase(values), 4, 8, without=8)
                seen.add(mask)
    assert seen == {mask for mask in range(128) if not mask & 8}


def test_user_is_compared_with_kernel_both_ways() -> None:
    assert pair_of(GFP_USER, GFP_KERNEL) == pair_of(GFP_KERNEL, GFP_USER) == "GFP-USER"


def test_an_obligation_of_each_module_is_proved_and_its_mutants_refuted() -> None:
    for module in MODULES:
        assert discharge(next(iter(module.obligations()))).verdict is Verdict.PROVED
