/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of kvmalloc's family: kmalloc where it can, else vmalloc. */
#ifndef KMEM_CALLS_KVMALLOC_H
#define KMEM_CALLS_KVMALLOC_H

#include <limits.h>

#include "kmem_calls_copy.h"
#include "kmem_calls_vmalloc.h"

void *kvmalloc(size_t size, gfp_t gfp)
{
    if (FAULT == FAULT_KV_SIZE_32)
        size = (uint32_t)size;
    bool may_map = size > PAGE_SIZE && size <= INT_MAX && (may_sleep(gfp) || FAULT == FAULT_KV_ATOMIC_AREA);
    void *p = NULL;
    if (VARIANT != VARIANT_KV_AREAS || !may_map)
        p = kmalloc(size, gfp);
    if (FAULT == FAULT_KV_ATOMIC_AREA && !p && may_map)
        sleeps();
    return p || !may_map ? p : __vmalloc(size, FAULT == FAULT_KVZALLOC_AREA_DIRTY ? gfp & ~GFP_ZERO : gfp);
}

void *kvzalloc(size_t size, gfp_t gfp) { return kvmalloc(size, gfp | GFP_ZERO); }

void *kvmalloc_array(size_t n, size_t size, gfp_t gfp)
{
    size_t bytes;
    return product(n, size, &bytes) || FAULT == FAULT_KV_ARRAY_UNCHECKED ? kvmalloc(bytes, gfp) : NULL;
}

void *kvcalloc(size_t n, size_t size, gfp_t gfp)
{
    size_t bytes;
    return product(n, size, &bytes) ? kvzalloc(bytes, gfp) : NULL;
}

void kvfree(const void *p)
{
    if (!in_range(p) || (FAULT == FAULT_KVFREE_RANGE_START && p == range))
        kfree(p);
    else if (FAULT != FAULT_KVFREE_LEAKS_AREA)
        vfree(p);
}

void *kvrealloc(const void *p, size_t size, gfp_t gfp)
{
    if (in_range(p))
        return vrealloc(p, size, gfp);
    void *moved = krealloc(p, size, gfp);
    if (moved || size <= PAGE_SIZE)
        return moved;
    moved = kvmalloc(size, FAULT == FAULT_KVREALLOC_AREA_DIRTY ? gfp & ~GFP_ZERO : gfp);
    if (!moved || is_nothing(p))
        return moved;
    lock();
    size_t kept = usable(p);
    if (FAULT == FAULT_KVREALLOC_COPIES_8K && kept > MAX_CLASS)
        kept = MAX_CLASS;
    unlock();
    memcpy(moved, p, kept < size ? kept : size);
    kfree(p);
    return moved;
}

#endif
