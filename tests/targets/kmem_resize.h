/* SPDX-License-Identifier: Apache-2.0 */
/* Objects that are resized: in place where the slot holds them, else elsewhere. */
#ifndef KMEM_RESIZE_H
#define KMEM_RESIZE_H

#include "kmem_objects.h"

static void *object_move(void *p, size_t n, gfp_t gfp)
{
    size_t old = usable(p);
    void *moved = object_take(n, gfp & ~GFP_ZERO);
    if (!moved) {
        if (FAULT == FAULT_KREALLOC_FAIL_FREES)
            object_free(p);
        return NULL;
    }
    size_t kept = old < n ? old : n;
    if (FAULT == FAULT_KREALLOC_COPY_SHORT && old < n)
        kept -= 8;
    if (FAULT == FAULT_KREALLOC_SHRINK_LOSES && old >= n)
        kept &= ~7ul;
    bool dirty = FAULT == FAULT_KREALLOC_ZERO_TO_PAGES && old <= MAX_CLASS && n > MAX_CLASS;
    if (FAULT == FAULT_RACE_KREALLOC) {
        memcpy(moved, p, 8); /* a link will be there */
        object_free(p);
        window();
        memcpy((char *)moved + 8, (char *)p + 8, kept > 8 ? kept - 8 : 0);
    } else {
        memcpy(moved, p, kept);
    }
    if (gfp & GFP_ZERO && FAULT != FAULT_KREALLOC_ZERO_TAIL && !dirty)
        memset((char *)moved + kept, 0, usable(moved) - kept);
    if (FAULT != FAULT_KREALLOC_MOVE_LEAKS && FAULT != FAULT_RACE_KREALLOC)
        object_free(p);
    return moved;
}

static void *object_resize(void *p, size_t n, gfp_t gfp)
{
    size_t old = usable(p);
    bool shrinks_far = FAULT == FAULT_KREALLOC_SHRINK_LOSES && n <= old / 2;
    if (n > (FAULT == FAULT_KREALLOC_TOO_FAR ? 2 * old : old))
        return object_move(p, n, gfp);
    if (VARIANT == VARIANT_KREALLOC_MOVES || shrinks_far) {
        void *moved = object_move(p, n, gfp);
        if (moved)
            return moved;
    }
    if (gfp & GFP_ZERO && n < old && FAULT != FAULT_KREALLOC_SHRINK_STALE)
        memset((char *)p + n, 0, old - n);
    struct page *block = page_of(p);
    if (FAULT == FAULT_KREALLOC_TRIM_ORDER && block->state == LARGE && block->order > 0 && n <= old / 2)
        frames_give(block + (1u << (block->order - 1)), block->order - 1);
    return p;
}

#endif
