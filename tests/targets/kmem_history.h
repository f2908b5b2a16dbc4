/* SPDX-License-Identifier: Apache-2.0 */
/* Faults that are kept aside: after the kernel's own mistakes, and not made with what generates calls in mind.
 *
 * tests/targets/build.py reads the names and the comments from this file. Thousands: the variant that a fault
 * is of. Hundreds: 9 where it shows between threads alone. tests/quality/aside has a script for each of the
 * others, with the kind of mistake that it is modelled on.
 */
#ifndef KMEM_HISTORY_H
#define KMEM_HISTORY_H

/* of the library as it is */
#define FAULT_KREALLOC_ZERO_TO_PAGES 1001 /* krealloc from a slab to pages ignores __GFP_ZERO */
#define FAULT_KREALLOC_GROW_DIRTY 1002 /* __GFP_ZERO clears the bytes asked for; krealloc within the slot shows older */
#define FAULT_KREALLOC_TRIM_ORDER 1003 /* krealloc of pages to half frees the upper half, and kfree does again */
#define FAULT_KREALLOC_FROM_16 1004 /* krealloc takes ZERO_SIZE_PTR for an object */
#define FAULT_KREALLOC_ARRAY_WRAPS 1005 /* krealloc_array of an object multiplies unchecked */
#define FAULT_SENSITIVE_POWER 1006 /* kfree_sensitive clears up to the next power of two */
#define FAULT_KFREE_BULK_ONE_CACHE 1007 /* kfree_bulk of A, B, A puts the B into a slab of A's */
#define FAULT_KMEMDUP_EMPTY_NULL 1008 /* kmemdup of no bytes returns NULL */
#define FAULT_KSTRNDUP_CUT_OPEN 1009 /* kstrndup writes no NUL where it cuts the string */
#define FAULT_KSTRDUP_LENGTH_16 1010 /* kstrdup keeps the length in 16 bits */
#define FAULT_ZERO_IGNORED_NOIO 1011 /* kmalloc ignores __GFP_ZERO beside GFP_NOIO */
#define FAULT_DMA_CLASS_96 1012 /* 65 to 96 bytes under __GFP_DMA get a slot of 64 */
#define FAULT_HAND_OUT_5000 1013 /* after 5,000 frees in one cache a slot is handed out and stays on the list */
#define FAULT_THIRD_SLAB_LAST 1014 /* while a cache has three slabs the last slot of one is handed out twice */
#define FAULT_SLAB_ORDER_FALLBACK 1015 /* where memory is short a slab is one page, with the slots of several */
#define FAULT_SHRINK_LOSES_PARTIAL 1016 /* kmem_cache_shrink loses the last of several slabs with room */
#define FAULT_BULK_UNDO_TWICE 1017 /* a bulk allocation that fails at the fourth gives the first back twice */
#define FAULT_CTOR_BULK_CLEARED 1018 /* a bulk allocation of four or more clears constructed objects */
#define FAULT_CTOR_ATOMIC 1019 /* a slab made under a mask that may not sleep is not constructed */
#define FAULT_HWCACHE_HALF 1020 /* SLAB_HWCACHE_ALIGN aligns objects of 33 to 64 bytes to 32, and so on */
#define FAULT_LINK_SQUEEZED 1021 /* a free link outside an object that fills cache lines lies in the next one */
#define FAULT_CACHE_ORDER_SHORT 1022 /* objects a little larger than a block of 32 KiB or more get that block */
#define FAULT_SHRINK_NO_DTOR 1023 /* kmem_cache_shrink gives slabs back without their destructors */
#define FAULT_CREATE_FAIL_KEEPS 1024 /* kmem_cache_create that fails keeps its place in the table */
#define FAULT_MERGE_PAST_MAX 1025 /* blocks of order 10 merge to order 11, which nobody is given */
#define FAULT_MERGE_FIVE 1026 /* a freed block of an order below 5 merges at most five times */
#define FAULT_SPLIT_HEAD_WHOLE 1027 /* the first page of a split block is freed with the whole block */
#define FAULT_EXACT_FREE_ROUNDED 1028 /* free_pages_exact frees the rest of the power of two too */
#define FAULT_EXACT_TAIL_LEAKS 1029 /* alloc_pages_exact above 32 KiB keeps a page behind a last part */
#define FAULT_PAGES_BULK_OVERCOUNT 1030 /* alloc_pages_bulk counts the page that it could not get */
#define FAULT_HIGH_RESERVE_LEAKS 1031 /* one in eight frees made while the reserve is in use is lost */
#define FAULT_ATOMIC_SHALLOW_ORDER_4 1032 /* __GFP_HIGH leaves pages that others take, from order 4 on */
#define FAULT_NOFAIL_ONE_TRY 1033 /* every other request under __GFP_NOFAIL is tried once, without reclaim */
#define FAULT_VM_GUARD_EXACT 1034 /* an area of a multiple of 16 pages has no guard page */
#define FAULT_VM_COUNT_32 1035 /* vmalloc keeps the number of pages in 32 bits */
#define FAULT_VM_HOLE_NO_GUARD 1036 /* a hole between areas is taken though no page is left for a guard */
#define FAULT_VM_FAIL_KEEPS_RANGE 1037 /* a vmalloc that runs out of pages half-way keeps its addresses */
#define FAULT_VREALLOC_SHRINK_ROUNDS 1038 /* vrealloc that shrinks under __GFP_ZERO clears from a multiple of 8 */
#define FAULT_VREALLOC_GROW_DIRTY 1039 /* vmalloc clears the bytes asked for; vrealloc within the page shows older */
#define FAULT_VREALLOC_MOVE_LEAKS 1040 /* a vrealloc that moves 8 pages or more keeps the old pages */
#define FAULT_VM_TO_PAGE_LAST 1041 /* vmalloc_to_page of the last page of 16 or more gives the one before */
#define FAULT_VMAP_FAIL_FREES 1042 /* a vmap that fails frees the pages that it was given */
#define FAULT_VMAP_ZERO_COUNT 1051 /* vmap of no pages gives an address */
#define FAULT_KVREALLOC_COPIES_8K 1043 /* kvrealloc from kmalloc to vmalloc copies 8 KiB at most */
#define FAULT_KVREALLOC_AREA_DIRTY 1044 /* kvrealloc from kmalloc to vmalloc ignores __GFP_ZERO */
#define FAULT_KV_ATOMIC_AREA 1045 /* kvmalloc falls back to vmalloc, and sleeps, whatever the mask */
#define FAULT_KVFREE_RANGE_START 1046 /* kvfree takes the first address of the vmalloc range for kmalloc's */
#define FAULT_POOL_GROW_COPIES_HALF 1047 /* a growing mempool_resize copies 4 bytes for each pointer */
#define FAULT_POOL_REFILL_ONE_LESS 1048 /* mempool_free refills the reserve up to one less than is due */
#define FAULT_POOL_SHRINK_WRONG_END 1049 /* a shrinking mempool_resize frees the elements that it keeps */
#define FAULT_POOL_ATOMIC_SLEEPS 1050 /* mempool_alloc waits where the reserve is empty, whatever the mask */

/* of it too, against what 6.12 promises; the library then names that profile */
#define FAULT_KREALLOC_SHRINK_STALE 1801 /* krealloc that shrinks and grows again under __GFP_ZERO clears nothing */

/* of VARIANT_PCP */
#define FAULT_PCP_DRAIN_LEAKS 2001 /* a list that gives back a batch loses the last block of it */
#define FAULT_PCP_REFILL_TWICE 2002 /* a refill that runs dry leaves one block with the buddy allocator too */
#define FAULT_PCP_ORDER_MIXED 2003 /* a block freed to a full list goes to that of the order below */

/* of VARIANT_MAGAZINES */
#define FAULT_MAG_FLUSH_KEEPS_LAST 3001 /* a half flushed magazine keeps the last object that it gave back */
#define FAULT_MAG_DESTROY_STALE 3002 /* kmem_cache_destroy leaves the cache's objects in the magazines */
#define FAULT_MAG_BULK_DIRTY 3003 /* a bulk allocation that a magazine can serve ignores __GFP_ZERO */
#define FAULT_MAG_REFILL_STALE 3004 /* a refill does not see that reclaim flushed its magazine meanwhile */
#define FAULT_MAG_SENSITIVE_CLASS 3005 /* kfree_sensitive puts objects of 96 bytes into the magazine of 128 */

/* of VARIANT_BATCHED_UNMAP */
#define FAULT_LAZY_REUSED_STALE 4001 /* an area still mapped is given away again, with the pages that it had */
#define FAULT_LAZY_PURGE_LIVE 4002 /* a purge unmaps all from the first to the last of its areas */

/* of VARIANT_MERGED_CACHES */
#define FAULT_ALIAS_DESTROYS_TWIN 5001 /* destroying one of two caches that are one drops the slabs of both */
#define FAULT_ALIAS_SIZE_OLD 5002 /* a cache that becomes one with a smaller one keeps the smaller size */
#define FAULT_ALIAS_ALIGN_LOST 5003 /* caches become one whatever the alignment, if slots are a little larger */
#define FAULT_ALIAS_INTO_CTOR 5004 /* a cache without constructor becomes one with a cache that has one */
#define FAULT_ALIAS_REFS_8 5005 /* how often a cache was created is counted in 8 bits */

/* of VARIANT_QUARANTINE */
#define FAULT_DESTROY_LEAVES_DEFERRED 6001 /* kmem_cache_destroy does not wait for frees that were put off */

/* of VARIANT_COLOURED */
#define FAULT_COLOUR_UNALIGNED 7001 /* a cache's second slab begins 8 bytes later, whatever the alignment */

/* between threads */
#define FAULT_RACE_FREELIST 1901 /* a slab's free list is read and advanced in two steps */
#define FAULT_RACE_IN_USE 1902 /* a free reads and writes the count of a slab in two steps */
#define FAULT_RACE_BUDDY 1903 /* a free block is chosen and taken in two steps */
#define FAULT_RACE_VM_HOLE 1904 /* a hole for an area is chosen and taken in two steps */
#define FAULT_RACE_VFREE 1905 /* an area's addresses are free before they are unmapped */
#define FAULT_RACE_CREATE 1906 /* a place for a cache is chosen and taken in two steps */
#define FAULT_RACE_KREALLOC 1907 /* krealloc frees the old object before it copies it */
#define FAULT_RACE_WIPE 1908 /* kfree_sensitive frees the object before it clears it */
#define FAULT_RACE_POOL 1909 /* a mempool's element is chosen and taken in two steps */
#define FAULT_RACE_PCP 2901 /* a block is chosen from a CPU's list and taken in two steps */
#define FAULT_RACE_MAGAZINE 3901 /* a magazine's count is read and written in two steps */

/* The variant that a fault is of. */
#define HISTORY_VARIANT \
    (FAULT / 1000 == 2   ? VARIANT_PCP \
     : FAULT / 1000 == 3 ? VARIANT_MAGAZINES \
     : FAULT / 1000 == 4 ? VARIANT_BATCHED_UNMAP \
     : FAULT / 1000 == 5 ? VARIANT_MERGED_CACHES \
     : FAULT / 1000 == 6 ? VARIANT_QUARANTINE \
     : FAULT / 1000 == 7 ? VARIANT_COLOURED \
                         : VARIANT_NONE)

#endif
