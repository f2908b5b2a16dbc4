"""From records to events: ids become addresses."""

from __future__ import annotations

from tests.toys import BASE

from kmem_oracle.campaign.play import runnable
from kmem_oracle.language.script import ID_ZERO_SIZE, MOST_ITEMS, Op
from kmem_oracle.targets.reader import Reader
from kmem_oracle.targets.records import ASLEEP, DONE, ONE_NOTE, SKIPPED, SPOILT, WATCHED, Seen
from kmem_spec.calls import Answer, Call, Note
from kmem_spec.gfp import GFP_KERNEL
from kmem_spec.units import PAGE_SIZE, SIZE_MAX, ZERO_SIZE_PTR

K = GFP_KERNEL
NOTHING: Seen = (0, -1, -1, -1, DONE)
SKIP: Seen = (0, -1, -1, -1, SKIPPED)
PAGE_2 = BASE + PAGE_SIZE
CACHE = 0x900000


def test_ids_become_addresses() -> None:
    reader = Reader()
    events = [
        reader.event(Op("kmalloc", 1, (8, K)), (BASE, 64, -1, -1, DONE, 0)),
        reader.event(Op("krealloc", 2, (1, 9, K)), (PAGE_2, 64, -1, -1, DONE, 0)),
        reader.event(Op("kfree", 0, (2,)), (*NOTHING, 0)),
        reader.event(Op("kfree", 0, (ID_ZERO_SIZE,)), (*NOTHING, 0)),
    ]
    assert events == [
        (Call("kmalloc", (8, K)), Answer(BASE, 64)),
        (Call("krealloc", (BASE, 9, K)), Answer(PAGE_2, 64)),
        (Call("kfree", (PAGE_2,)), Answer(0)),
        (Call("kfree", (ZERO_SIZE_PTR,)), Answer(0)),
    ]


def test_a_skipped_call_is_no_event_and_a_spoilt_object_a_look_at_it() -> None:
    reader = Reader()
    reader.event(Op("kmalloc", 1, (8, K)), (BASE, -1, -1, -1, DONE, 0))
    assert reader.event(Op("kfree", 0, (7,)), (*SKIP, 0)) is None
    assert reader.event(Op("kfree", 0, (1,)), (1, -1, -1, 5, SPOILT, 0)) == (
        Call("check", (BASE,)),
        Answer(0, changed=5),
    )
    assert reader.lost(Op("free_pages", 0, (1, 2)), "hung").call == Call("free_pages", (BASE, 2))
    assert reader.lost(Op("kmalloc", 3, (8, K)), "hung").call == Call("kmalloc", (8, K))


def test_caches_pools_and_sources_become_addresses_wherever_they_stand() -> None:
    reader = Reader()
    for identifier, address in ((1, CACHE), (2, BASE)):
        reader.event(Op("kmem_cache_create", identifier, (1, 8, 0, 0, 0)), (address, -1, -1, -1, DONE, 0))
    cases = {
        Op("kmem_cache_alloc", 3, (1, K)): (CACHE, K),
        Op("kmem_cache_free", 0, (1, 2)): (CACHE, BASE),
        Op("mempool_free", 0, (2, 1)): (BASE, CACHE),
        Op("mempool_create_slab_pool", 4, (9, 1)): (9, CACHE),
        Op("kmemdup", 5, (2, 8, K)): (BASE, 8, K),
        Op("vmalloc_to_page", 0, (2, 1)): (BASE, 1),
        Op("mempool_fail", 0, (1, 1)): (CACHE, 1),
        Op("mempool_create", 6, (1, 1, 1, 8)): (1, 1, 1, 8),
    }
    for op, args in cases.items():
        event = reader.event(op, (PAGE_2, -1, -1, -1, DONE, 0))
        assert event is not None
        assert event[0] == reader.lost(op, "hung").call == Call(op.api, args)


def test_the_objects_of_an_array_stand_behind_the_arguments() -> None:
    reader = Reader()
    reader.event(Op("kmem_cache_create", 1, (1, 8, 0, 0, 0)), (CACHE, -1, -1, -1, DONE, 0))
    bulk = reader.event(Op("kmem_cache_alloc_bulk", 2, (1, K, 2, 0)), (2, -1, -1, -1, DONE, 0))
    assert bulk == (Call("kmem_cache_alloc_bulk", (CACHE, K, 2, 0)), Answer(2))
    for place, start in enumerate((BASE, PAGE_2)):
        item = reader.event(Op("item", 2 + place, (place,)), (start, 8, -1, -1, DONE, 0))
        assert item == (Call("item", (place,)), Answer(start, 8))
    events = [
        reader.event(op, (*NOTHING, 0))
        for op in (
            Op("kmem_cache_free_bulk", 0, (1, 2, 2)),
            Op("kfree_bulk", 0, (2, 2)),
            Op("vmap", 9, (2, 2, 4, 0)),
        )
    ]
    assert [event[0].args for event in events if event] == [
        (CACHE, 2, 0, BASE, PAGE_2),
        (2, 0, BASE, PAGE_2),
        (0, 2, 4, 0, BASE, PAGE_2),
    ]
    assert len(reader.lost(Op("kfree_bulk", 0, (1 << 40, 2)), "hung").call.args) == MOST_ITEMS + 2


def test_the_pieces_of_a_block_have_their_addresses() -> None:
    reader = Reader()
    reader.event(Op("alloc_pages", 1, (K, 1)), (BASE, -1, -1, -1, DONE, 0))
    assert reader.event(Op("split_page", 2, (1, 1)), (*NOTHING, 0)) == (
        Call("split_page", (BASE, 1)),
        Answer(0),
    )
    assert reader.lost(Op("free_pages", 0, (3, 0)), "hung").call == Call("free_pages", (PAGE_2, 0))


def test_an_object_may_take_over_the_id_of_what_it_was_made_of() -> None:
    reader = Reader()
    reader.event(Op("kmalloc", 1, (8, K)), (BASE, -1, -1, -1, DONE, 0))
    for op in (Op("kmemdup", 1, (1, 8, K)), Op("krealloc", 1, (1, 8, K))):
        event = reader.event(op, (PAGE_2, -1, -1, -1, DONE, ONE_NOTE))
        assert event is not None
        assert event[0].args[0] in {BASE, PAGE_2}
    assert reader.lost(Op("kfree", 0, (1,)), "hung").call.args == (PAGE_2,)


def test_the_last_word_of_a_record_says_what_ran() -> None:
    reader = Reader()
    reader.begin([(1, 7, BASE), (2, 8, PAGE_2)])
    reader.event(Op("kmem_cache_create", 7, (1, 8, 0, 0, 1)), (CACHE, -1, -1, -1, DONE, 0))
    slept = [
        reader.event(Op("kmalloc", 1, (8, K)), (result, -1, -1, -1, DONE, ran))
        for result in (BASE, 0)
        for ran in (0, WATCHED, WATCHED | ASLEEP)
    ]
    assert [event[1].slept for event in slept if event] == [-1, 0, 1, -1, 0, 1]
    assert all(event[1].notes == () for event in slept if event)
    noted = [
        reader.event(Op("kmalloc", 1, (8, K)), (BASE, -1, -1, -1, DONE, ONE_NOTE | WATCHED | ASLEEP))
        for _ in range(2)
    ]
    assert noted == [
        (Call("kmalloc", (8, K)), Answer(BASE, slept=1, notes=(Note(1, CACHE, BASE),))),
        (Call("kmalloc", (8, K)), Answer(BASE, slept=1, notes=(Note(2, 0, PAGE_2),))),
    ]


def test_only_calls_that_give_an_int_can_be_negative() -> None:
    reader = Reader()
    for api, args, seen in (
        ("get_order", (0,), -1),
        ("kmem_cache_shrink", (1,), -1),
        ("mempool_resize", (1, 2), -1),
        ("kmalloc_size_roundup", (SIZE_MAX,), SIZE_MAX),
    ):
        event = reader.event(Op(api, 0, args), (SIZE_MAX, -1, -1, -1, DONE, 0))
        assert event is not None
        assert event[1].result == seen


def test_an_object_of_a_bulk_call_has_a_call_of_its_own() -> None:
    ops = [Op("kmalloc", 1, (8, K)), Op("alloc_pages_bulk", 2, (K, 2, 0)), Op("kfree", 0, (1,))]
    assert list(runnable(ops, {"kmalloc", "alloc_pages_bulk"})) == [
        ops[0],
        ops[1],
        Op("item", 2, (0,)),
        Op("item", 3, (1,)),
    ]
