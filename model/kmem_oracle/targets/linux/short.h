/* SPDX-License-Identifier: GPL-2.0-only */
/* Requests for which a kernel that is short of memory would wait without end, or kill.
 *
 * There is no process to kill here, so that it would panic. Requests that may fail instead are made as they are:
 * those that may not wait, those with __GFP_NORETRY or __GFP_RETRY_MAYFAIL, those for large blocks. Of the others,
 * those with a mask get __GFP_NORETRY for once, those without are refused unasked, and those that may not be
 * refused are not made.
 */
#ifndef KMEM_ORACLE_SHORT_H
#define KMEM_ORACLE_SHORT_H

#include <linux/mmzone.h>

/* What a call asks for: bytes in all, the largest block of them, the mask. */
struct wish {
    u64 bytes, block;
    gfp_t gfp;
};

static struct wish wish_of_size(u64 bytes, gfp_t gfp)
{
    return (struct wish){bytes, bytes > KMALLOC_MAX_CACHE_SIZE ? bytes : min_t(u64, bytes, 8192), gfp};
}

static struct wish wish_of_area(u64 bytes, gfp_t gfp) { return (struct wish){bytes + bytes / 128, PAGE_SIZE, gfp}; }

static struct wish wish_of_home(struct driver *d, u64 id, u64 count, gfp_t gfp)
{
    struct home *home = home_at(d, id);
    u64 size = home ? home->size : 0;
    return (struct wish){size * count, size, gfp};
}

static struct wish wish_of(struct driver *d, enum call call, const u64 *a)
{
    switch (call) {
    case CALL_kmalloc:
    case CALL_kzalloc:
    case CALL_alloc_pages_exact: return wish_of_size(a[0], (__force gfp_t)a[1]);
    case CALL_kmalloc_array:
    case CALL_kcalloc: return wish_of_size(product(a[0], a[1]), (__force gfp_t)a[2]);
    case CALL_krealloc:
    case CALL_kmemdup: return wish_of_size(a[1], (__force gfp_t)a[2]);
    case CALL_krealloc_array: return wish_of_size(product(a[1], a[2]), (__force gfp_t)a[3]);
    case CALL_kstrdup: return wish_of_size(4 << 20, (__force gfp_t)a[1]);
    case CALL_kstrndup: return wish_of_size(a[1], (__force gfp_t)a[2]);
    case CALL_kvmalloc:
    case CALL_kvzalloc:
    case CALL___vmalloc: return wish_of_area(a[0], (__force gfp_t)a[1]);
    case CALL_kvmalloc_array:
    case CALL_kvcalloc: return wish_of_area(product(a[0], a[1]), (__force gfp_t)a[2]);
    case CALL_kvrealloc:
    case CALL_vrealloc: return wish_of_area(a[1], (__force gfp_t)a[2]);
    case CALL_vmalloc:
    case CALL_vzalloc:
    case CALL_vmalloc_user:
    case CALL_vmalloc_32: return wish_of_area(a[0], GFP_KERNEL);
    case CALL_vmalloc_array:
    case CALL_vcalloc: return wish_of_area(product(a[0], a[1]), GFP_KERNEL);
    case CALL_vmap: return wish_of_area(a[1] * 16, GFP_KERNEL);
    case CALL___get_free_pages:
    case CALL_alloc_pages: return (struct wish){block(d, a[1]), block(d, a[1]), (__force gfp_t)a[0]};
    case CALL_get_zeroed_page: return wish_of_size(PAGE_SIZE, (__force gfp_t)a[0]);
    case CALL_alloc_pages_bulk: return wish_of_area(a[1] * PAGE_SIZE, (__force gfp_t)a[0]);
    case CALL_kmem_cache_alloc:
    case CALL_kmem_cache_zalloc:
    case CALL_mempool_alloc: return wish_of_home(d, a[0], 1, (__force gfp_t)a[1]);
    case CALL_kmem_cache_alloc_bulk: return wish_of_home(d, a[0], a[2], (__force gfp_t)a[1]);
    case CALL_kmem_cache_create: return wish_of_size(32768, GFP_KERNEL);
    case CALL_mempool_create: return (struct wish){a[0] * a[3], a[3], GFP_KERNEL};
    case CALL_mempool_create_slab_pool: return wish_of_home(d, a[1], a[0], GFP_KERNEL);
    case CALL_mempool_resize: return wish_of_home(d, a[0], a[1], GFP_KERNEL);
    default: return (struct wish){0, 0, 0};
    }
}

static bool is_endless(struct driver *d, enum call call, const u64 *a)
{
    struct wish wish = wish_of(d, call, a);
    u64 reserve = 1024 + 256, pages = wish.bytes / PAGE_SIZE + 16, there = 0;
    unsigned least = get_order(wish.block ?: 1);
    bool endless = wish.gfp & __GFP_NOFAIL;
    pg_data_t *node = NODE_DATA(0);
    if (!(wish.gfp & __GFP_DIRECT_RECLAIM) || (wish.gfp & (__GFP_NORETRY | __GFP_RETRY_MAYFAIL)))
        return false;
    if (least > PAGE_ALLOC_COSTLY_ORDER && !endless)
        return false;
    if (pages > totalram_pages() && !endless)
        return false;
    for (struct zone *zone = node->node_zones; zone < node->node_zones + MAX_NR_ZONES; zone++) {
        reserve += high_wmark_pages(zone); /* may rise by 1024 pages in one call */
        for (unsigned order = least; order <= TOP_ORDER; order++)
            there += (u64)READ_ONCE(zone->free_area[order].nr_free) << order;
    }
    return there < pages + reserve;
}

/* Return which argument of a call is its mask, -1 for none. */
static int place_of_mask(enum call call)
{
    switch (call) {
    case CALL___get_free_pages:
    case CALL_get_zeroed_page:
    case CALL_alloc_pages:
    case CALL_alloc_pages_bulk: return 0;
    case CALL_kmalloc:
    case CALL_kzalloc:
    case CALL_kvmalloc:
    case CALL_kvzalloc:
    case CALL___vmalloc:
    case CALL_alloc_pages_exact:
    case CALL_kstrdup:
    case CALL_kmem_cache_alloc:
    case CALL_kmem_cache_zalloc:
    case CALL_kmem_cache_alloc_bulk: return 1;
    case CALL_kmalloc_array:
    case CALL_kcalloc:
    case CALL_kvmalloc_array:
    case CALL_kvcalloc:
    case CALL_krealloc:
    case CALL_kvrealloc:
    case CALL_vrealloc:
    case CALL_kmemdup:
    case CALL_kstrndup: return 2;
    case CALL_krealloc_array: return 3;
    default: return -1;
    }
}

/* Say whether a call is not to be made as it is now; its record says then what came of it. */
static bool held_back(struct driver *d, enum call call, u64 *a)
{
    int mask = place_of_mask(call);
    if (!is_endless(d, call, a))
        return false;
#ifndef MODULE /* which cannot call it; who waits for memory has pages brought back that a processor keeps */
    drain_all_pages(NULL);
    if (!is_endless(d, call, a))
        return false;
#endif
    if (mask >= 0 && !(a[mask] & (__force u64)__GFP_NOFAIL)) {
        a[mask] |= (__force u64)(__GFP_NORETRY | __GFP_NOWARN);
        return false;
    }
    if (mask >= 0 || call == CALL_mempool_alloc || call == CALL_mempool_resize)
        skip(d);
    return true;
}

#endif
