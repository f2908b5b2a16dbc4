/* SPDX-License-Identifier: Apache-2.0 */
/* What the library can be built to do wrong (-DFAULT=) and what it may do otherwise (-DVARIANT=).
 *
 * tests/targets/build.py reads the names and the comments from this file: one to a line. Behind a bar
 * stand the clauses by which a fault may be found.
 */
#ifndef KMEM_FAULTS_H
#define KMEM_FAULTS_H

enum fault {
    FAULT_NONE,
    /* contents promised as zero */
    FAULT_KZALLOC_TAIL,           /* kzalloc clears all but the last 8 bytes asked for */
    FAULT_KCALLOC_STALE,          /* kcalloc does not clear memory that was used before */
    FAULT_ZERO_IGNORED,           /* kmalloc ignores __GFP_ZERO */
    FAULT_ZERO_IGNORED_LARGE,     /* __GFP_ZERO is ignored above 8 KiB */
    FAULT_ZERO_IGNORED_ATOMIC,    /* __GFP_ZERO is ignored where the mask may not sleep */
    FAULT_ZEROED_PAGE_DIRTY,      /* get_zeroed_page does not clear */
    FAULT_PAGES_ZERO_FIRST,       /* __get_free_pages clears the first page of the block alone */
    FAULT_KREALLOC_ZERO_TAIL,     /* krealloc that moves under __GFP_ZERO leaves the new part as it was */
    /* arithmetic and limits */
    FAULT_ARRAY_PRODUCT_32,       /* kmalloc_array multiplies in 32 bits */
    FAULT_ARRAY_CHECK_WEAK,       /* overflow is looked for by n * size < n */
    FAULT_KMALLOC_ABOVE_MAX,      /* kmalloc above 4 MiB gives a block of 4 MiB */
    FAULT_ORDER_ABOVE_MAX,        /* order 11 gives a block of order 10 */
    /* special values */
    FAULT_KMALLOC_ZERO_NULL,      /* kmalloc(0) returns NULL */
    FAULT_KREALLOC_ZERO_NULL,     /* krealloc(p, 0) frees and returns NULL */
    FAULT_KFREE_NULL_CRASH,       /* kfree(NULL) crashes */
    FAULT_KFREE_ZERO_SIZE_CRASH,  /* kfree(ZERO_SIZE_PTR) crashes */
    FAULT_KSIZE_NULL,             /* ksize(NULL) is 8 */
    FAULT_FREE_PAGES_ZERO,        /* free_pages(0, k) frees the first block of the arena */
    /* krealloc */
    FAULT_KREALLOC_COPY_SHORT,    /* a growing krealloc copies 8 bytes too few */
    FAULT_KREALLOC_SHRINK_LOSES,  /* a shrinking krealloc moves, and copies whole words only */
    FAULT_KREALLOC_FAIL_FREES,    /* a failing krealloc frees the old object */
    FAULT_KREALLOC_TOO_FAR,       /* krealloc stays in place up to twice the slot */
    FAULT_KREALLOC_MOVE_LEAKS,    /* krealloc does not free the object that it moved from */
    FAULT_KREALLOC_ZERO_LEAKS,    /* krealloc(p, 0) does not free */
    /* size and alignment */
    FAULT_KSIZE_NEXT_CLASS,       /* ksize gives the next class */
    FAULT_KSIZE_LARGE_SHORT,      /* ksize above 8 KiB gives half the block */
    FAULT_CLASS_193,              /* 193 bytes get a slot of 192 */
    FAULT_HEADER_BEFORE_OBJECT,   /* a slab begins with a header of 8 bytes, so objects are off by 8 */
    FAULT_PAGE_HALF_ALIGNED,      /* objects of 4 KiB are aligned to 2 KiB */
    FAULT_ORDER_3_MISALIGNED,     /* blocks of order 3 begin one page too late */
    /* two owners of one byte */
    FAULT_MERGE_ANY_ORDER,        /* a block merges with a free buddy of any order */
    FAULT_SLAB_FREED_EARLY,       /* a slab goes back while one object lives */
    FAULT_COUNTER_8_BITS,         /* the count of live objects of a slab wraps at 256 */
    FAULT_DOUBLE_HAND_OUT,        /* after every 300 frees a slot is handed out and stays on the list */
    FAULT_NEIGHBOUR_LINK,         /* kfree writes the free link into the next object too */
    FAULT_POISON_BEYOND,          /* kfree poisons 8 bytes beyond the object */
    /* memory that does not come back */
    FAULT_FREE_PAGES_HALF,        /* free_pages gives back half the block */
    FAULT_LARGE_LEAKS_PAGE,       /* kfree above 8 KiB keeps one page */
    FAULT_MERGE_NEVER,            /* blocks are never merged */
    FAULT_FULL_SLAB_LOST,         /* a slab that was full is never used again, nor given back */
    FAULT_EXHAUSTED_FOR_EVER,     /* once memory ran out, no slab is ever made again */
    /* calls that do not return */
    FAULT_HANG_RARE,              /* kfree of an object of 96 bytes on a full slab hangs */
    FAULT_CRASH_AT_1025,          /* kmalloc(1025) crashes */
    FAULT_CRASH_AT_777,           /* kmalloc(777) crashes */
    /* constructors and destructors */
    FAULT_CTOR_SECOND_SLAB,       /* a cache's second slab is not constructed | CACHE-CTOR */
    FAULT_CTOR_LAST_SLOT,         /* the last slot of a slab is not constructed | CACHE-CTOR */
    FAULT_CTOR_AGAIN,             /* a constructor runs again on reuse | CACHE-CTOR-ONCE CACHE-DTOR */
    FAULT_CTOR_OTHER_CACHE,       /* the constructor of another cache runs | CACHE-CTOR CACHE-CTOR-OWN */
    FAULT_CTOR_LINK_INSIDE,       /* the free link is written into a constructed object | CACHE-CTOR */
    FAULT_DTOR_AT_FREE,           /* the destructor runs at kmem_cache_free | CACHE-DTOR CACHE-CTOR */
    FAULT_DTOR_NOT_AT_DESTROY,    /* destroy runs no destructors | CACHE-DTOR */
    FAULT_DTOR_TWICE,             /* the destructor runs twice on the first slot of a slab | CACHE-DTOR */
    /* caches */
    FAULT_HWCACHE_IGNORED,        /* SLAB_HWCACHE_ALIGN aligns to 8 | CACHE-ALIGN */
    FAULT_CACHE_ALIGN_64,         /* objects are aligned to 64 at most | CACHE-ALIGN */
    FAULT_CACHE_SIZE_DOWN,        /* objects are rounded down to 8 | MEM-APART MEM-KEEP MEM-USABLE CACHE-CTOR */
    FAULT_CACHE_SIZE_LESS,        /* kmem_cache_size above 256 tells 8 too few | CACHE-SIZE MEM-USABLE */
    FAULT_CACHE_ZALLOC_SHORT,     /* kmem_cache_zalloc clears whole words less one | MEM-ZERO GFP-ZERO */
    FAULT_BULK_PART,              /* a bulk allocation that fails returns what it has | CACHE-BULK */
    FAULT_BULK_FAIL_LEAKS,        /* a bulk allocation that fails keeps what it has | MEM-LIVENESS */
    FAULT_BULK_TWICE,             /* a bulk of 12 or more gives its first object twice | MEM-APART CACHE-CTOR GFP-ZERO MEM-ZERO */
    FAULT_BULK_FREE_FORGETS,      /* a bulk free of 8 or more keeps the last | MEM-LIVENESS CACHE-DTOR */
    FAULT_SHRINK_LIVE,            /* shrink frees a slab of one live object | MEM-APART MEM-KEEP CACHE-DTOR */
    FAULT_DESTROY_LEAKS,          /* destroy keeps the pages of one slab of several | MEM-LIVENESS */
    FAULT_FREE_WRONG_SLAB,        /* a free goes to another slab | MEM-APART MEM-LIVENESS CACHE-DTOR */
    /* vmalloc */
    FAULT_VM_NO_GUARD,            /* no guard page behind an area | VM-GUARD */
    FAULT_VM_SHORT,               /* an area of 8 pages and some bytes lacks a page | MEM-RETURNS */
    FAULT_VM_SHARED_FRAME,        /* the 16th page of an area is the 15th too | VM-FRAME-OWN MEM-KEEP */
    FAULT_VM_ZERO_LAST,           /* vzalloc does not clear the last page of several | MEM-ZERO GFP-ZERO */
    FAULT_VM_USER_DIRTY,          /* vmalloc_user does not clear | MEM-ZERO GFP-ZERO */
    FAULT_VM_WRAPS,               /* vmalloc of nearly 2^64 bytes gives one page | VM-MAX MEM-RETURNS */
    FAULT_VM_ZERO_SIZE,           /* vmalloc(0) gives a page | VM-ZERO-SIZE */
    FAULT_VM_ARRAY_UNCHECKED,     /* vmalloc_array and vcalloc multiply unchecked | VM-ARRAY */
    FAULT_VM_32_HALF,             /* vmalloc_32 takes its size as 16 bits | MEM-RETURNS VM-MAX */
    FAULT_VFREE_LEAKS_FRAME,      /* vfree keeps all pages behind the eighth | MEM-LIVENESS */
    FAULT_VFREE_LEAKS_RANGE,      /* vfree does not give the addresses back | MEM-LIVENESS */
    FAULT_VREALLOC_LOSES,         /* a vrealloc that moves copies whole pages only | VM-REALLOC-KEEP */
    FAULT_VREALLOC_DIRTY,         /* a vrealloc that moves clears nothing | VM-REALLOC-ZERO */
    FAULT_VREALLOC_FAIL_FREES,    /* a vrealloc that fails frees the area | VM-REALLOC-FAIL MEM-RETURNS */
    FAULT_VM_TO_PAGE_NEXT,        /* vmalloc_to_page rounds to the nearest page | VM-FRAME-OWN */
    FAULT_VM_ADDR_LAST,           /* is_vmalloc_addr is false at the last byte of an area | VM-ADDR */
    FAULT_VMAP_REVERSED,          /* vmap of 3 pages or more reverses them | VM-CONTENTS VM-FRAME-OWN */
    FAULT_VUNMAP_FREES,           /* vunmap frees the pages | MEM-APART MEM-KEEP VM-FRAME-OWN */
    FAULT_VM_FAIL_KEEPS,          /* a vmalloc that fails half-way keeps its pages | MEM-LIVENESS */
    /* kvmalloc and copies */
    FAULT_KV_ARRAY_UNCHECKED,     /* kvmalloc_array multiplies unchecked | KV-ARRAY */
    FAULT_KV_SIZE_32,             /* kvmalloc takes its size as 32 bits | KV-MAX SLAB-ZERO-SIZE */
    FAULT_KVFREE_LEAKS_AREA,      /* kvfree does not free what vmalloc gave | MEM-LIVENESS */
    FAULT_KVZALLOC_AREA_DIRTY,    /* kvzalloc does not clear what vmalloc gives | MEM-ZERO GFP-ZERO */
    FAULT_KMEMDUP_SHORT,          /* kmemdup copies one byte too few | SLAB-COPY */
    FAULT_KSTRDUP_NO_NUL,         /* kstrdup copies no NUL | SLAB-COPY */
    FAULT_KSTRNDUP_LONG,          /* kstrndup copies one byte more than it may | SLAB-COPY */
    FAULT_KREALLOC_ARRAY_FREES,   /* krealloc_array frees on overflow | SLAB-REALLOC-FAIL MEM-APART */
    FAULT_ROUNDUP_193,            /* kmalloc_size_roundup(193) is 192 | SLAB-ROUNDUP */
    FAULT_SENSITIVE_BEYOND,       /* kfree_sensitive clears 8 bytes beyond the object | MEM-KEEP CACHE-CTOR */
    FAULT_KFREE_BULK_FORGETS,     /* kfree_bulk of three or more keeps the last | MEM-LIVENESS */
    /* pages */
    FAULT_SPLIT_LOSES,            /* the upper half of a split block never comes back | MEM-LIVENESS */
    FAULT_EXACT_FREE_TAIL,        /* free_pages_exact keeps a last page that is only begun | MEM-LIVENESS */
    FAULT_EXACT_SHORT,            /* alloc_pages_exact of 3 or more gives one too few | MEM-APART MEM-KEEP */
    FAULT_PAGES_BULK_TWICE,       /* alloc_pages_bulk of 6 or more gives the last page twice | MEM-APART */
    FAULT_GET_ORDER_EXACT,        /* get_order of a power of two is one too large | PAGE-ORDER-OF */
    /* pools */
    FAULT_POOL_NOT_REFILLED,      /* mempool_free does not refill the reserve | POOL-RESERVE POOL-WAITS */
    FAULT_POOL_NULL_EARLY,        /* mempool_alloc without sleep leaves the last element | POOL-RESERVE */
    FAULT_POOL_SHRINK_LEAKS,      /* mempool_resize drops elements without freeing them | MEM-LIVENESS */
    FAULT_POOL_DESTROY_LEAKS,     /* mempool_destroy of two elements or more frees none | MEM-LIVENESS */
    /* masks */
    FAULT_ATOMIC_SLEEPS,          /* GFP_ATOMIC sleeps where memory is short | GFP-SLEEP */
    FAULT_ATOMIC_SHALLOW,         /* GFP_ATOMIC leaves pages that GFP_NOWAIT takes | GFP-ATOMIC-REACH */
    FAULT_USER_SHALLOW,           /* GFP_USER leaves pages that GFP_KERNEL takes | GFP-USER */
};

#include "kmem_history.h"

#ifndef FAULT
#define FAULT FAULT_NONE
#endif

#define VARIANT_NONE 0
#define VARIANT_FIFO 1            /* the slot that was freed first is used first */
#define VARIANT_ADDRESS_ORDER 2   /* the slot of the lowest address in the slab is used first */
#define VARIANT_QUARANTINE 3      /* the last 64 freed objects rest before they are used again */
#define VARIANT_FINE_CLASSES 4    /* a size class every 16 bytes up to 1 KiB */
#define VARIANT_PAGE_EACH 5       /* every object has pages of its own */
#define VARIANT_POISON 6          /* new memory is full of 0x5a unless zero was asked for */
#define VARIANT_ALWAYS_ZERO 7     /* new memory is zero */
#define VARIANT_TOP_DOWN 8        /* the highest block is taken first */
#define VARIANT_FAILS 9           /* one allocating call in 50 returns NULL, unless __GFP_NOFAIL */
#define VARIANT_KREALLOC_MOVES 10 /* krealloc and vrealloc move whenever there is memory for it */
#define VARIANT_SMALL_ARENA 11    /* 4 MiB in all */
#define VARIANT_NO_KSIZE 12       /* no symbol ksize */
#define VARIANT_KEEP_SLABS 13     /* slabs go back at shrink and destroy alone: other sizes may run out */
#define VARIANT_DROP_SLABS 14     /* an empty slab goes back at once */
#define VARIANT_MERGED_CACHES 15  /* caches of one slot size are one cache, those of kmalloc too */
#define VARIANT_COLOURED 16       /* each slab of a cache begins its first slot elsewhere */
#define VARIANT_LAZY_PURGE 17     /* addresses of freed areas rest until there are no others */
#define VARIANT_VM_TOP_DOWN 18    /* the highest free addresses are given to an area */
#define VARIANT_WIDE_GUARD 19     /* 8 guard pages behind an area */
#define VARIANT_KV_AREAS 20       /* kvmalloc above a page always gives an area, if the mask may sleep */
#define VARIANT_PCP 21            /* each CPU keeps lists of small free blocks before the buddy allocator */
#define VARIANT_MAGAZINES 22      /* each CPU keeps a few free objects of each cache */
#define VARIANT_BATCHED_UNMAP 23  /* freed areas stay mapped, and their addresses unused, until 64 pages are */
#define VARIANT_LAYERED 24        /* the last three at once */

#ifndef VARIANT
#define VARIANT HISTORY_VARIANT
#endif

#define HAS_PCP (VARIANT == VARIANT_PCP || VARIANT == VARIANT_LAYERED)
#define HAS_MAGAZINES (VARIANT == VARIANT_MAGAZINES || VARIANT == VARIANT_LAYERED)
#define HAS_BATCHES (VARIANT == VARIANT_BATCHED_UNMAP || VARIANT == VARIANT_LAYERED)

#endif
