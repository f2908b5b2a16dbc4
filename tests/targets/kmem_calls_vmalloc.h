/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of vmalloc's family. */
#ifndef KMEM_CALLS_VMALLOC_H
#define KMEM_CALLS_VMALLOC_H

#include "kmem_lock.h"

void *__vmalloc(unsigned long size, gfp_t gfp)
{
    lock();
    void *p = area_take(size, gfp);
    unlock();
    return p;
}

void *vmalloc(unsigned long size) { return __vmalloc(size, GFP_KERNEL); }

void *vzalloc(unsigned long size)
{
    if (FAULT != FAULT_VM_ZERO_LAST)
        return __vmalloc(size, GFP_KERNEL | GFP_ZERO);
    void *p = vmalloc(size);
    size_t whole = (size - 1) / PAGE_SIZE * PAGE_SIZE;
    if (p)
        memset(p, 0, whole ? whole : size);
    return p;
}

void *vmalloc_user(unsigned long size)
{
    return __vmalloc(size, FAULT == FAULT_VM_USER_DIRTY ? GFP_KERNEL : GFP_KERNEL | GFP_ZERO);
}

void *vmalloc_32(unsigned long size) { return vmalloc(FAULT == FAULT_VM_32_HALF ? size & 0xffff : size); }

void *vmalloc_array(size_t n, size_t size)
{
    size_t bytes;
    bool fits = product(n, size, &bytes) || FAULT == FAULT_VM_ARRAY_UNCHECKED;
    return fits ? vmalloc(bytes) : NULL;
}

void *vcalloc(size_t n, size_t size)
{
    size_t bytes;
    bool fits = product(n, size, &bytes) || FAULT == FAULT_VM_ARRAY_UNCHECKED;
    return fits ? vzalloc(bytes) : NULL;
}

void vfree(const void *p)
{
    lock();
    struct spot *area = area_at(p, ALLOCATED);
    if (area)
        area_drop(area, true);
    unlock();
}

void *vrealloc(const void *old, size_t size, gfp_t gfp)
{
    if (size == 0) {
        vfree(old);
        return NULL;
    }
    if (!old)
        return __vmalloc(size, gfp);
    lock();
    struct spot *area = area_at(old, ALLOCATED);
    char *p = NULL;
    bool fits = area && size <= area->pages * PAGE_SIZE;
    if (area && (!fits || VARIANT == VARIANT_KREALLOC_MOVES))
        p = area_take(size, FAULT == FAULT_VREALLOC_DIRTY ? gfp & ~GFP_ZERO : gfp);
    if (p) {
        size_t kept = FAULT == FAULT_VREALLOC_LOSES ? area->size / PAGE_SIZE * PAGE_SIZE : area->size;
        memcpy(p, old, kept < size ? kept : size);
        area_drop(area, FAULT != FAULT_VREALLOC_MOVE_LEAKS || area->pages < 8);
    } else if (fits) {
        p = (char *)(uintptr_t)old;
        if (gfp & GFP_ZERO && size < area->size)
            memset(p + (FAULT == FAULT_VREALLOC_SHRINK_ROUNDS ? size & ~7ul : size), 0, area->size - size);
        area->size = size;
    } else if (area && FAULT == FAULT_VREALLOC_FAIL_FREES) {
        area_drop(area, true);
    }
    unlock();
    return p;
}

/* Map pages of the caller's, which stay the caller's. */
void *vmap(struct page **given, unsigned count, unsigned long flags, unsigned long prot)
{
    (void)flags;
    (void)prot;
    lock();
    struct spot *area = NULL;
    bool legal = given && (count > 0 || FAULT == FAULT_VMAP_ZERO_COUNT) && count <= ARENA_PAGES;
    bool fails = fails_now(GFP_KERNEL) || (legal && fails_as_asked(GFP_KERNEL));
    for (unsigned i = 0; FAULT == FAULT_VMAP_FAIL_FREES && legal && fails && i < count; i++)
        frames_give(given[i], 0);
    if (legal && !fails)
        area = area_place(count, count * PAGE_SIZE, MAPPED);
    for (unsigned i = 0; area && i < count; i++)
        area[i].frame = given[FAULT == FAULT_VMAP_REVERSED && count >= 3 ? count - 1 - i : i];
    if (area && !area_map(area)) {
        area_drop(area, false);
        area = NULL;
    }
    unlock();
    return area ? spot_address(area) : NULL;
}

void vunmap(const void *p)
{
    lock();
    struct spot *area = area_at(p, MAPPED);
    if (area)
        area_drop(area, FAULT == FAULT_VUNMAP_FREES);
    unlock();
}

bool is_vmalloc_addr(const void *p)
{
    lock();
    bool is = in_range(p);
    if (FAULT == FAULT_VM_ADDR_LAST && is)
        is = !spot_of(p)->frame || spot_of((const char *)p + 1)->frame;
    unlock();
    return is;
}

/* Return the page behind an address of an area, or NULL. */
struct page *vmalloc_to_page(const void *p)
{
    lock();
    const char *at = (const char *)p + (FAULT == FAULT_VM_TO_PAGE_NEXT ? PAGE_SIZE / 2 : 0);
    struct page *page = in_range(at) ? spot_of(at)->frame : NULL;
    const struct spot *spot = page ? spot_of(at) : spots;
    if (FAULT == FAULT_VM_TO_PAGE_LAST && spot - spots >= 15 && !spot[1].frame && spot[-15].frame)
        page = spot[-1].frame;
    unlock();
    return page;
}

#endif
