/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Calls on objects: made, resized, copied, cut, mapped, compared, given back. */
#ifndef KMEM_ORACLE_CALLS_H
#define KMEM_ORACLE_CALLS_H

#include "hands.h"

static u64 product(u64 count, u64 size)
{
    u64 all;
    return __builtin_mul_overflow(count, size, &all) ? ~0ull : all;
}

static struct page *page_of(struct driver *d, u64 start)
{
    return start ? d->target.virt_to_page((const void *)start) : NULL;
}

static const void *address_of(struct driver *d, struct page *page)
{
    return page ? d->target.page_address(page) : NULL;
}

static u64 block(const struct driver *d, u64 order) { return order <= 32 ? PAGE_SIZE << order : d->largest + 1; }

#ifndef KVREALLOC_OF_NOTHING_KEEPS
#define KVREALLOC_OF_NOTHING_KEEPS false /* whether what is resized to nothing is given back, and lives on */
#endif

/* Make one of the calls that give a resized object. */
static void *resized(struct driver *d, enum call call, const void *old, const u64 *a)
{
    const struct target *t = &d->target;
    switch (call) {
    case CALL_krealloc: return t->krealloc(old, a[1], (gfp_t)a[2]);
    case CALL_krealloc_array: return t->krealloc_array((void *)old, a[1], a[2], (gfp_t)a[3]);
    case CALL_kvrealloc: return t->kvrealloc(old, a[1], (gfp_t)a[2]);
    default: return t->vrealloc(old, a[1], (gfp_t)a[2]);
    }
}

static void resize(struct driver *d, enum call call, u64 out, const u64 *a)
{
    bool array = call == CALL_krealloc_array, kmalloc = array || call == CALL_krealloc;
    u64 id = a[0], size = array ? product(a[1], a[2]) : a[1];
    bool zero = a[array ? 3 : 2] & d->gfp_zero;
    struct record *r = d->record;
    const struct held *found = object_at(d, id);
    if (!found || (call == CALL_kvrealloc && !size && KVREALLOC_OF_NOTHING_KEEPS))
        return skip(d);
    d->resized = found->start <= ZERO_SIZE ? 0 : found->size;
    if (found->start <= ZERO_SIZE) /* what was nothing becomes a new object */
        return take(d, out, resized(d, call, (void *)found->start, a), size, zero, kmalloc);
    if (spoilt(d, id, found))
        return;
    struct held *held = held_at(d, id);
    u64 old = held->size, high = held->high;
    bool zeroed = held->zeroed && zero;
    doing(d, CALLING);
    u64 start = r->result = (u64)resized(d, call, (void *)held->start, a);
    doing(d, TOUCHING);
    if (start == 0) {
        if (size)
            r->changed = changed(d, held->start, old, id);
        else if (!kmalloc) /* of an area, NULL says that it is freed */
            forget(held);
        return;
    }
    forget(held);
    if (start == ZERO_SIZE || size > d->largest || !reachable(start, size))
        return hold(d, out, start, 0, 0, false, NULL);
    r->changed = changed(d, start, old < size ? old : size, id);
    if (zeroed && size > old) {
        r->nonzero = nonzero(start, high, size);
        if (r->nonzero < 0)
            r->nonzero = nonzero(start, old, high < size ? high : size);
    }
    if (kmalloc && d->target.ksize)
        r->usable = at_most(d->target.ksize((void *)start));
    fill(d, start, size, out);
    hold(d, out, start, size, high > size ? high : size, zeroed, NULL);
}

static void dup_memory(struct driver *d, u64 out, const u64 *a)
{
    u64 size = a[1];
    const struct held *held = object_at(d, a[0]);
    if (!held || (size > 0 && held->start > ZERO_SIZE && held->size == 0))
        return skip(d);
    if (spoilt(d, a[0], held))
        return;
    doing(d, CALLING);
    const void *result = d->target.kmemdup((void *)held->start, size, (gfp_t)a[2]);
    if (touchable(d, (u64)result, size)) {
        doing(d, TOUCHING);
        d->record->changed = changed(d, (u64)result, size < held->size ? size : held->size, a[0]);
        doing(d, CALLING);
    }
    take(d, out, result, size, false, true);
}

static const void *dup_call(struct driver *d, enum call call, u64 source, const u64 *a)
{
    if (call == CALL_kstrdup)
        return d->target.kstrdup((const void *)source, (gfp_t)a[1]);
    return d->target.kstrndup((const void *)source, a[1], (gfp_t)a[2]);
}

/* An object has no NUL among its bytes; its last byte is one for as long as the call takes. */
static void dup_string(struct driver *d, enum call call, u64 out, const u64 *a)
{
    const struct held *held = object_at(d, a[0]);
    if (!held || (held->start > ZERO_SIZE && held->size == 0))
        return skip(d);
    if (held->start <= ZERO_SIZE)
        return take(d, out, dup_call(d, call, held->start, a), 0, false, true);
    if (spoilt(d, a[0], held))
        return;
    u64 last = held->start + held->size - 1, length = held->size - 1;
    if (call == CALL_kstrndup && a[1] < length)
        length = a[1];
    unsigned char was = byte_at(last);
    set_byte(last, 0);
    doing(d, CALLING);
    u64 result = (u64)dup_call(d, call, held->start, a);
    doing(d, TOUCHING);
    set_byte(last, was);
    if (touchable(d, result, length + 1)) {
        d->record->changed = changed(d, result, length, a[0]);
        if (d->record->changed < 0 && byte_at(result + length) != 0)
            d->record->changed = (s64)length;
    }
    doing(d, CALLING);
    take(d, out, (void *)result, length + 1, false, true);
}

/* Make one of the calls that free an object of no cache. */
static void freed(struct driver *d, enum call call, u64 start, const u64 *a)
{
    const struct target *t = &d->target;
    switch (call) {
    case CALL_kfree: return t->kfree((void *)start);
    case CALL_kfree_sensitive: return t->kfree_sensitive((void *)start);
    case CALL_kvfree: return t->kvfree((void *)start);
    case CALL_vfree: return t->vfree((void *)start);
    case CALL_vunmap: return t->vunmap((void *)start);
    case CALL_free_pages: return t->free_pages(start, (unsigned)a[1]);
    case CALL___free_pages: return t->__free_pages(page_of(d, start), (unsigned)a[1]);
    default: return t->free_pages_exact((void *)start, a[1]);
    }
}

static void release(struct driver *d, enum call call, const u64 *a)
{
    if ((s64)a[0] <= 0)
        return freed(d, call, a[0] == 0 ? 0 : ZERO_SIZE, a);
    struct held *held = awaited(d, a[0]);
    if (!held)
        return skip(d);
    if (spoilt(d, a[0], held))
        return;
    u64 start = held->start;
    let_go(d, held);
    doing(d, CALLING);
    freed(d, call, start, a);
}

/* Take objects with consecutive ids, to be freed together; what changed is found before any is freed. */
static bool gather(struct driver *d, u64 count, u64 first)
{
    if (vector(d, first, count) < 0) {
        skip(d);
        return false;
    }
    for (u64 i = 0; i < count; i++)
        if (spoilt(d, first + i, held_at(d, first + i)))
            return false;
    for (u64 i = 0; i < count; i++)
        let_go(d, held_at(d, first + i));
    doing(d, CALLING);
    return true;
}

static void split(struct driver *d, u64 out, const u64 *a)
{
    const struct held *held = object_at(d, a[0]);
    if (!held)
        return skip(d);
    if (spoilt(d, a[0], held))
        return;
    u64 start = held->start, pieces = held->size / PAGE_SIZE, most = 1ul << (a[1] < TOP_ORDER ? a[1] : TOP_ORDER);
    if ((s64)a[0] > 0)
        let_go(d, held_at(d, a[0]));
    doing(d, CALLING);
    d->target.split_page(page_of(d, start), (unsigned)a[1]);
    doing(d, TOUCHING);
    for (u64 piece = 0; piece < (pieces < most ? pieces : most); piece++, start += PAGE_SIZE) {
        fill(d, start, PAGE_SIZE, out + piece);
        hold(d, out + piece, start, PAGE_SIZE, PAGE_SIZE, false, NULL);
    }
}

/* Return the offset of the first byte of an area that is not its page's, read and written through either. */
static s64 alias_differs(struct driver *d, u64 area, u64 first, u64 count)
{
    for (u64 i = 0; i < count; i++) {
        const struct held *held = held_at(d, first + i);
        u64 at = i * PAGE_SIZE;
        if (held->size == 0)
            continue;
        s64 offset = changed(d, area + at, held->size < PAGE_SIZE ? held->size : PAGE_SIZE, first + i);
        if (offset >= 0)
            return (s64)at + offset;
        unsigned char was = byte_at(held->start), other = was ^ 0xff;
        set_byte(area + at, other);
        unsigned char seen = byte_at(held->start);
        set_byte(area + at, was);
        set_byte(held->start, was);
        if (seen != other)
            return (s64)at;
    }
    return -1;
}

static void map(struct driver *d, u64 out, const u64 *a)
{
    u64 first = a[0], count = a[1];
    if (vector(d, first, count) < 0)
        return skip(d);
    for (u64 i = 0; i < count; i++) {
        if (spoilt(d, first + i, held_at(d, first + i)))
            return;
        d->items[i] = page_of(d, (u64)d->items[i]);
    }
    doing(d, CALLING);
    u64 area = (u64)d->target.vmap((struct page **)d->items, (unsigned)count, a[2], a[3]);
    if (area == 0)
        return;
    d->record->result = area;
    hold(d, out, area, 0, 0, false, NULL);
    if (touchable(d, area, count * PAGE_SIZE)) {
        doing(d, TOUCHING);
        d->record->changed = alias_differs(d, area, first, count);
    }
}

static void look(struct driver *d, u64 id)
{
    const struct held *held = held_at(d, id);
    if (!held)
        return skip(d);
    doing(d, TOUCHING);
    d->record->changed = changed(d, held->start, held->size, id);
}

#endif
