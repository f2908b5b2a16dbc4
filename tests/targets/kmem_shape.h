/* SPDX-License-Identifier: Apache-2.0 */
/* Caches: the table of them, and how the slots of each lie. */
#ifndef KMEM_SHAPE_H
#define KMEM_SHAPE_H

#include <string.h>

#include "kmem_frames.h"

#define MAX_CLASS 8192ul
#define MAX_CACHES 512
#define CACHE_LINE 64ul
#define SLAB_HWCACHE_ALIGN 0x2000u
#define SLAB_TYPESAFE_BY_RCU 0x80000u
#define SLAB_NEVER_MERGE (0x100u | 0x400u | 0x800u | 0x10000u | 0x200000u | 0x800000u | SLAB_TYPESAFE_BY_RCU)
#define SLAB_HARMLESS (0x4000u | 0x8000u | 0x20000u | 0x40000u | 0x4000000u | 0x10000000u)
#define SLAB_PERMITTED (SLAB_NEVER_MERGE | SLAB_HARMLESS | SLAB_HWCACHE_ALIGN)
#define CTOR_CONSTRUCTOR 1ul /* the flag that constructors of 2.6 are given */

struct kmem_cache {
    size_t size;      /* as asked for */
    size_t slot;      /* bytes from one object to the next */
    size_t link;      /* offset of a free slot's link to the next */
    size_t offset;    /* of the first slot in the slab */
    size_t colour;    /* how much later the next slab's first slot begins */
    unsigned order, slots;
    unsigned refs;    /* how often it was created and not destroyed; 0 for a free place in the table */
    unsigned slabs, empty;
    unsigned frees;
    void (*ctor)(void *);
    void (*ctor_26)(void *, struct kmem_cache *, unsigned long);
    void (*dtor_26)(void *, struct kmem_cache *, unsigned long);
    struct page room; /* head of the list of slabs with a free slot */
};

static struct kmem_cache caches[MAX_CACHES]; /* those of kmalloc come first, by size */
static unsigned class_count, cache_count;

static size_t round_up(size_t size, size_t to) { return (size + to - 1) / to * to; }

static bool has_ctor(const struct kmem_cache *cache) { return cache->ctor || cache->ctor_26; }

/* Lay out slots for objects of a size; `apart` says that the link must lie outside the object. */
static bool cache_shape(struct kmem_cache *cache, size_t size, size_t align, bool apart)
{
    size_t body = round_up(size, 8);
    cache->size = size;
    cache->link = apart ? body : 0;
    bool squeezed = FAULT == FAULT_LINK_SQUEEZED && align >= 64 && body % align == 0;
    cache->slot = round_up(apart && !squeezed ? body + 8 : body, align);
    size_t slack = FAULT == FAULT_CACHE_ORDER_SHORT && cache->slot > PAGE_SIZE << 3 ? 64 : 0;
    while (cache->order < MAX_ORDER) {
        size_t bytes = (PAGE_SIZE << cache->order) + slack;
        bool is_roomy = cache->order == 3 || VARIANT == VARIANT_PAGE_EACH || bytes / cache->slot >= 8;
        if (bytes >= cache->slot && (is_roomy || cache->order > 3))
            break;
        cache->order++;
    }
    size_t bytes = (PAGE_SIZE << cache->order) + slack - cache->offset;
    cache->slots = VARIANT == VARIANT_PAGE_EACH ? bytes >= cache->slot : (unsigned)(bytes / cache->slot);
    if (FAULT == FAULT_CTOR_LINK_INSIDE)
        cache->link = 0;
    list_init(&cache->room);
    return cache->slots > 0;
}

/* Return the alignment that a cache's objects are due. */
static size_t cache_alignment(size_t size, size_t align, unsigned long flags)
{
    size_t line = 8;
    if (flags & SLAB_HWCACHE_ALIGN && FAULT != FAULT_HWCACHE_IGNORED)
        for (line = CACHE_LINE; line > 8 && size <= line / (FAULT == FAULT_HWCACHE_HALF ? 1 : 2);)
            line /= 2;
    if (FAULT == FAULT_CACHE_ALIGN_64 && align > 64)
        align = 64;
    while (line < align)
        line *= 2;
    return line;
}

static void class_add(size_t size)
{
    struct kmem_cache *cache = &caches[class_count++];
    *cache = (struct kmem_cache){.refs = 1};
    if (FAULT == FAULT_HEADER_BEFORE_OBJECT)
        cache->offset = 8;
    if (FAULT == FAULT_PAGE_HALF_ALIGNED && size == PAGE_SIZE)
        cache->offset = 2048;
    cache_shape(cache, size, 8, false);
}

/* Make the caches of kmalloc, and no others. */
static void caches_init(void)
{
    class_count = 0;
    memset(caches, 0, cache_count * sizeof *caches);
    if (VARIANT == VARIANT_FINE_CLASSES) {
        for (size_t size = 16; size <= 1024; size += 16)
            class_add(size);
        for (size_t size = 2048; size <= MAX_CLASS; size *= 2)
            class_add(size);
    } else if (VARIANT != VARIANT_PAGE_EACH) {
        for (size_t size = 8; size <= MAX_CLASS; size *= 2) {
            class_add(size);
            if (size == 64 || size == 128)
                class_add(size + size / 2);
        }
    }
    cache_count = class_count;
}

/* Return the cache of the smallest slot that holds size, or NULL where only pages do. */
static struct kmem_cache *cache_for(size_t size)
{
    if (FAULT == FAULT_CLASS_193 && size == 193)
        size = 192;
    for (unsigned i = 0; i < class_count; i++)
        if (caches[i].slot >= size)
            return &caches[i];
    return NULL;
}

#endif
