/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Runs the calls of a script and writes down what it saw. It judges nothing.
 *
 * It does what driver.py does, for calls that come packed: words of 64 bits, the code of the call with the
 * number of its arguments above, the id of what it makes, the arguments.
 */
#ifndef KMEM_ORACLE_RUN_H
#define KMEM_ORACLE_RUN_H

#include "calls_cache.h"

#ifdef __KERNEL__
#include "../short.h"
#else
/* Say whether a call cannot be made now: never, in a process. */
static inline bool held_back(struct driver *d, enum call call, u64 *a) { return (void)d, (void)call, (void)a, false; }
#endif

static const char *const names[] = {
#define X(result, name, parameters) #name,
    CALLS(X)
#undef X
};

static void run_one(struct driver *d, enum call call, u64 out, const u64 *a)
{
    const struct target *t = &d->target;
    struct record *r = d->record;
    bool second = a[1] & d->gfp_zero, third = a[2] & d->gfp_zero;
    switch (call) {
    case CALL_kmalloc: return take(d, out, t->kmalloc(a[0], (gfp_t)a[1]), a[0], second, true);
    case CALL_kzalloc: return take(d, out, t->kzalloc(a[0], (gfp_t)a[1]), a[0], true, true);
    case CALL_kmalloc_array:
        return take(d, out, t->kmalloc_array(a[0], a[1], (gfp_t)a[2]), product(a[0], a[1]), third, true);
    case CALL_kcalloc: return take(d, out, t->kcalloc(a[0], a[1], (gfp_t)a[2]), product(a[0], a[1]), true, true);
    case CALL_kvmalloc: return take_large(d, out, t->kvmalloc(a[0], (gfp_t)a[1]), a[0], second, MOST_KV);
    case CALL_kvzalloc: return take_large(d, out, t->kvzalloc(a[0], (gfp_t)a[1]), a[0], true, MOST_KV);
    case CALL_kvmalloc_array:
        return take_large(d, out, t->kvmalloc_array(a[0], a[1], (gfp_t)a[2]), product(a[0], a[1]), third, MOST_KV);
    case CALL_kvcalloc: return take_large(d, out, t->kvcalloc(a[0], a[1], (gfp_t)a[2]), product(a[0], a[1]), true, MOST_KV);
    case CALL_alloc_pages_exact: return take(d, out, t->alloc_pages_exact(a[0], (gfp_t)a[1]), a[0], second, false);
    case CALL_vmalloc: return take_large(d, out, t->vmalloc(a[0]), a[0], false, MOST_AREA);
    case CALL_vzalloc: return take_large(d, out, t->vzalloc(a[0]), a[0], true, MOST_AREA);
    case CALL_vmalloc_user: return take_large(d, out, t->vmalloc_user(a[0]), a[0], true, MOST_AREA);
    case CALL_vmalloc_32: return take_large(d, out, t->vmalloc_32(a[0]), a[0], false, MOST_AREA);
    case CALL_vmalloc_array: return take_large(d, out, t->vmalloc_array(a[0], a[1]), product(a[0], a[1]), false, MOST_AREA);
    case CALL_vcalloc: return take_large(d, out, t->vcalloc(a[0], a[1]), product(a[0], a[1]), true, MOST_AREA);
    case CALL___vmalloc: return take_large(d, out, t->__vmalloc(a[0], (gfp_t)a[1]), a[0], second, MOST_AREA);
    case CALL___get_free_pages:
        return take(d, out, (void *)t->__get_free_pages((gfp_t)a[0], (unsigned)a[1]), block(d, a[1]),
                    a[0] & d->gfp_zero, false);
    case CALL_get_zeroed_page: return take(d, out, (void *)t->get_zeroed_page((gfp_t)a[0]), PAGE_SIZE, true, false);
    case CALL_alloc_pages:
        return take(d, out, address_of(d, t->alloc_pages((gfp_t)a[0], (unsigned)a[1])), block(d, a[1]),
                    a[0] & d->gfp_zero, false);
    case CALL_krealloc:
    case CALL_krealloc_array:
    case CALL_kvrealloc:
    case CALL_vrealloc: return resize(d, call, out, a);
    case CALL_kmemdup: return dup_memory(d, out, a);
    case CALL_kstrdup:
    case CALL_kstrndup: return dup_string(d, call, out, a);
    case CALL_kfree:
    case CALL_kfree_sensitive:
    case CALL_kvfree:
    case CALL_vfree:
    case CALL_vunmap:
    case CALL_free_pages:
    case CALL___free_pages:
    case CALL_free_pages_exact: return release(d, call, a);
    case CALL_kfree_bulk:
        if (gather(d, a[0], a[1]))
            t->kfree_bulk(a[0], d->items);
        return;
    case CALL_kmem_cache_free_bulk: {
        struct home *home = home_at(d, a[0]);
        if (!home)
            skip(d);
        else if (gather(d, a[1], a[2]))
            t->kmem_cache_free_bulk(cache_of(home), a[1], d->items);
        return;
    }
    case CALL_kmem_cache_create:
    case CALL_kmem_cache_create_26: return create(d, call, out, a);
    case CALL_kmem_cache_alloc:
    case CALL_kmem_cache_zalloc:
    case CALL_mempool_alloc: return take_of(d, call, out, a);
    case CALL_kmem_cache_free: return free_to(d, call, a[1], a[0]);
    case CALL_mempool_free: return free_to(d, call, a[0], a[1]);
    case CALL_kmem_cache_alloc_bulk:
    case CALL_alloc_pages_bulk: return bulk(d, call, a);
    case CALL_item: return item(d, out, a[0]);
    case CALL_kmem_cache_shrink:
    case CALL_kmem_cache_size:
    case CALL_mempool_resize: return of_home(d, call, a);
    case CALL_kmem_cache_destroy:
    case CALL_mempool_destroy: return destroy(d, call, a[0]);
    case CALL_mempool_create: return create_pool(d, out, a);
    case CALL_mempool_create_slab_pool: return create_slab_pool(d, out, a);
    case CALL_mempool_fail: return fail_pool(d, a);
    case CALL_split_page: return split(d, out, a);
    case CALL_vmap: return map(d, out, a);
    case CALL_check: return look(d, a[0]);
    case CALL_kmalloc_size_roundup: r->result = t->kmalloc_size_roundup(a[0]); return;
    case CALL_get_order: r->result = (u64)(s64)t->get_order(a[0]); return;
    case CALL_fail_nth: return t->fail_nth((unsigned)a[0]);
    case CALL_preempt_disable: return t->preempt_disable();
    case CALL_preempt_enable: return t->preempt_enable();
    case CALL_ksize:
    case CALL_vmalloc_to_page:
    case CALL_is_vmalloc_addr: {
        const struct held *held = object_at(d, a[0]);
        if (!held)
            skip(d);
        else if (call == CALL_ksize)
            r->result = t->ksize((void *)held->start);
        else if (call == CALL_is_vmalloc_addr)
            r->result = t->is_vmalloc_addr((void *)(held->start + a[1]));
        else
            r->result = (u64)address_of(d, t->vmalloc_to_page((void *)(held->start + a[1])));
        return;
    }
    default: return skip(d);
    }
}

/* Run the calls of a part, and write their records there. */
static void run(struct driver *d, struct part *part, u64 count)
{
    volatile struct header *header = d->header;
    const u64 *words = part->words;
    header->index = 0;
    header->doing = CALLING;
    header->base = (u64)((unsigned char *)part - d->memory);
    d->record = part->records;
    d->notes = &part->notes;
    d->notes->count = 0;
    for (u64 index = 0; index < count; index++, d->record++) {
        u64 a[MOST_WORDS - 2] = {0}, given = words[0] >> 32;
        doing(d, CALLING);
        header->index = index;
        barrier_for_the_parent();
        between_calls(index);
        d->ran = d->quiet;
        *d->record = (struct record){0, -1, -1, -1, DONE, 0};
        memcpy(a, words + 2, given * sizeof *a);
        d->times = &part->times[index];
        *d->times = (struct times){d->threads ? now() : 0, 0};
        u64 slept = sleeps();
        if (held_back(d, (enum call)(u32)words[0], a))
            d->batch.made = false; /* nor is there an object of a call that was not made */
        else
            run_one(d, (enum call)(u32)words[0], words[1], a);
        if (sleeps() != slept)
            d->ran |= d->quiet << 1;
        if (d->threads && !d->times->end)
            d->times->end = now();
        d->record->ran = d->ran;
        words += 2 + given;
    }
    barrier_for_the_parent();
    header->index = count;
}

/* Make room for the ids that calls make, so that no thread needs to. */
static void make_room(struct driver *d, const struct part *part, u64 count)
{
    const u64 *words = part->words;
    for (u64 index = 0; index < count; index++, words += 2 + (words[0] >> 32)) {
        place_of(d, words[1]);
        home_place(d, words[1]);
    }
}

#endif
