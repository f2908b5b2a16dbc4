/* SPDX-License-Identifier: Apache-2.0 */
/* Objects: slots of a size class or blocks of pages, taken and freed under the callers' lock. */
#ifndef KMEM_OBJECTS_H
#define KMEM_OBJECTS_H

#include "kmem_magazine.h"

#define ZERO_SIZE_PTR ((void *)16)
#define MAX_SIZE MAX_BLOCK
#define QUARANTINE 64

static void *resting[QUARANTINE];
static size_t rested;

static bool is_nothing(const void *p) { return (uintptr_t)p <= 16; }

/* Free an object at last. */
static void object_give(void *p)
{
    struct page *page = page_of(p);
    if (page->state == SLAB) {
        slot_put(p);
    } else if (page->state == LARGE && FAULT == FAULT_LARGE_LEAKS_PAGE) {
        for (unsigned order = page->order; order-- > 0; page += 1u << order)
            frames_give(page, order);
    } else if (page->state == LARGE) {
        frames_give(page, page->order);
    }
}

/* Let an object rest, and free the one that rested longest. */
static void object_rest(void *p)
{
    void **place = &resting[rested++ % QUARANTINE];
    if (*place)
        object_give(*place);
    *place = p;
}

/* Free all that rests; say whether there was any. */
static bool wake_all(void)
{
    bool any = false;
    for (unsigned i = 0; i < QUARANTINE; i++) {
        void *p = resting[i];
        resting[i] = NULL;
        if (p)
            object_give(p);
        any |= p != NULL;
    }
    return magazines_flush() || any;
}

static void object_free(void *p)
{
    if (VARIANT == VARIANT_QUARANTINE)
        object_rest(p);
    else
        object_give(p);
}

static size_t usable(const void *p)
{
    const struct page *page = page_of(p);
    if (page->state != SLAB)
        return PAGE_SIZE << page->order;
    const struct kmem_cache *cache = page->slab->cache;
    return cache->link ? cache->link : cache->slot;
}

static void fill(void *p, size_t size, gfp_t gfp)
{
    if (gfp & GFP_ZERO || VARIANT == VARIANT_ALWAYS_ZERO)
        memset(p, 0, size);
    else if (VARIANT == VARIANT_POISON)
        memset(p, 0x5a, size);
}

static unsigned order_for(size_t size)
{
    unsigned order = 0;
    while (order < MAX_ORDER && PAGE_SIZE << order < size)
        order++;
    return order;
}

static void *large_take(size_t size, gfp_t gfp)
{
    struct page *block = frames_take(gfp, order_for(size));
    if (!block)
        return NULL;
    block->state = LARGE;
    return address_of(block);
}

static void *object_take(size_t size, gfp_t gfp)
{
    if (size == 0)
        return FAULT == FAULT_KMALLOC_ZERO_NULL ? NULL : ZERO_SIZE_PTR;
    if (size > MAX_SIZE && FAULT != FAULT_KMALLOC_ABOVE_MAX)
        return NULL;
    if (fails_now(gfp))
        return NULL;
    if ((FAULT == FAULT_CRASH_AT_1025 && size == 1025) || (FAULT == FAULT_CRASH_AT_777 && size == 777))
        *(volatile int *)8 = 0;
    if (FAULT == FAULT_ZERO_IGNORED_LARGE && size > MAX_CLASS)
        gfp &= ~GFP_ZERO;
    if (FAULT == FAULT_ZERO_IGNORED_ATOMIC && !may_sleep(gfp))
        gfp &= ~GFP_ZERO;
    if (FAULT == FAULT_ZERO_IGNORED_NOIO && (gfp & GFP_KERNEL) == GFP_NOIO)
        gfp &= ~GFP_ZERO;
    bool shrunk = FAULT == FAULT_DMA_CLASS_96 && gfp & GFP_DMA && size > 64 && size <= 96;
    struct kmem_cache *cache = cache_for(shrunk ? 64 : size);
    void *p = NULL;
    if (!cache)
        p = large_take(size, gfp);
    else if (!fails_as_asked(gfp))
        p = slot_get(cache, gfp);
    if (p)
        fill(p, FAULT == FAULT_KREALLOC_GROW_DIRTY ? size : usable(p), gfp);
    return p;
}

/* Multiply; false where the product does not fit. */
static bool product(size_t n, size_t size, size_t *bytes) { return !__builtin_mul_overflow(n, size, bytes); }

static void *array_take(size_t n, size_t size, gfp_t gfp)
{
    size_t bytes;
    bool fits = product(n, size, &bytes);
    if (FAULT == FAULT_ARRAY_PRODUCT_32) {
        fits = true;
        bytes = (uint32_t)bytes;
    }
    if (FAULT == FAULT_ARRAY_CHECK_WEAK)
        fits = bytes >= n || size == 0;
    return fits ? object_take(bytes, gfp) : NULL;
}

#endif
