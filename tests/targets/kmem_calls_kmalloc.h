/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of kmalloc's family. */
#ifndef KMEM_CALLS_KMALLOC_H
#define KMEM_CALLS_KMALLOC_H

#include "kmem_lock.h"

void *kmalloc(size_t size, gfp_t gfp)
{
    lock();
    void *p = object_take(size, FAULT == FAULT_ZERO_IGNORED ? gfp & ~GFP_ZERO : gfp);
    unlock();
    return p;
}

void *kzalloc(size_t size, gfp_t gfp)
{
    lock();
    void *p = object_take(size, FAULT == FAULT_KZALLOC_TAIL ? gfp & ~GFP_ZERO : gfp | GFP_ZERO);
    if (FAULT == FAULT_KZALLOC_TAIL && !is_nothing(p))
        memset(p, 0, size > 8 ? size - 8 : 0);
    unlock();
    return p;
}

void *kmalloc_array(size_t n, size_t size, gfp_t gfp)
{
    lock();
    void *p = array_take(n, size, gfp);
    unlock();
    return p;
}

void *kcalloc(size_t n, size_t size, gfp_t gfp)
{
    lock();
    void *p = array_take(n, size, FAULT == FAULT_KCALLOC_STALE ? gfp : gfp | GFP_ZERO);
    unlock();
    return p;
}

void *krealloc(const void *old, size_t n, gfp_t gfp)
{
    void *p = (void *)(uintptr_t)old;
    lock();
    if (n == 0) {
        if (!is_nothing(p) && FAULT != FAULT_KREALLOC_ZERO_LEAKS)
            object_free(p);
        p = FAULT == FAULT_KREALLOC_ZERO_NULL ? NULL : ZERO_SIZE_PTR;
    } else {
        bool fresh = FAULT == FAULT_KREALLOC_FROM_16 ? !p : is_nothing(p);
        p = fresh ? object_take(n, gfp) : object_resize(p, n, gfp);
    }
    unlock();
    return p;
}

void kfree(const void *p)
{
    lock();
    bool crashes_at_zero_size = FAULT == FAULT_KFREE_ZERO_SIZE_CRASH;
    if ((FAULT == FAULT_KFREE_NULL_CRASH && !p) || (crashes_at_zero_size && p == ZERO_SIZE_PTR))
        *(volatile int *)8 = 0;
    if (!is_nothing(p))
        object_free((void *)(uintptr_t)p);
    unlock();
}

void *krealloc_array(void *p, size_t n, size_t size, gfp_t gfp)
{
    size_t bytes;
    if (product(n, size, &bytes) || (FAULT == FAULT_KREALLOC_ARRAY_WRAPS && !is_nothing(p)))
        return krealloc(p, bytes, gfp);
    if (FAULT == FAULT_KREALLOC_ARRAY_FREES)
        kfree(p);
    return NULL;
}

/* Put a free slot where those of another class are; say whether there was room. */
static bool slot_astray(void *slot)
{
    struct magazine *magazine = magazine_of(cache_for(128));
    bool fits = page_of(slot)->state == SLAB && usable(slot) == 96 && magazine->count < MAGAZINE;
    if (fits)
        magazine->slots[magazine->count++] = slot;
    return fits;
}

void kfree_sensitive(const void *p)
{
    lock();
    size_t size = is_nothing(p) ? 0 : usable(p);
    if (FAULT == FAULT_SENSITIVE_POWER)
        while (size & (size - 1))
            size += size & -size;
    if (FAULT == FAULT_RACE_WIPE && size > 8) {
        kfree(p);
        window();
        memset((char *)(uintptr_t)p + 8, 0, size - 8); /* a link is before that */
        p = NULL;
    }
    if (!is_nothing(p))
        memset((void *)(uintptr_t)p, 0, size + (FAULT == FAULT_SENSITIVE_BEYOND ? 8 : 0));
    if (FAULT == FAULT_MAG_SENSITIVE_CLASS && !is_nothing(p) && slot_astray((void *)(uintptr_t)p))
        p = NULL;
    unlock();
    kfree(p);
}

/* Say whether an object was put into the slab of the one before, as those at both sides are of one cache. */
static bool joined(size_t i, size_t n, void **p)
{
    if (FAULT != FAULT_KFREE_BULK_ONE_CACHE || i == 0 || i + 1 >= n)
        return false;
    struct page *before = page_of(p[i - 1]), *page = page_of(p[i]), *after = page_of(p[i + 1]);
    if (before->state != SLAB || page->state != SLAB || after->state != SLAB)
        return false;
    if (before->slab->cache != after->slab->cache || before->slab->cache == page->slab->cache)
        return false;
    slot_link(before->slab, p[i]);
    return true;
}

void kfree_bulk(size_t n, void **p)
{
    for (size_t i = 0; i < n && !(FAULT == FAULT_KFREE_BULK_FORGETS && i >= 2 && i + 1 == n); i++)
        if (!joined(i, n, p))
            kfree(p[i]);
}

#if VARIANT != VARIANT_NO_KSIZE
size_t ksize(const void *p)
{
    lock();
    size_t size = is_nothing(p) ? 0 : usable(p);
    if (FAULT == FAULT_KSIZE_NULL && !p)
        size = 8;
    if (FAULT == FAULT_KSIZE_LARGE_SHORT && size > MAX_CLASS)
        size /= 2;
    if (FAULT == FAULT_KSIZE_NEXT_CLASS && size > 0 && size < MAX_CLASS)
        size = cache_for(size + 1)->size;
    unlock();
    return size;
}
#endif

size_t kmalloc_size_roundup(size_t size)
{
    lock();
    const struct kmem_cache *cache = cache_for(size);
    if (FAULT == FAULT_ROUNDUP_193 && size == 193)
        size = 192;
    else if (size > 0 && size <= MAX_SIZE)
        size = cache ? cache->slot : PAGE_SIZE << order_for(size);
    unlock();
    return size;
}

#endif
