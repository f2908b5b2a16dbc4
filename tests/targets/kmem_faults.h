/* SPDX-License-Identifier: Apache-2.0 */
/* What the library can be built to do wrong (-DFAULT=) and what it may do otherwise (-DVARIANT=).
 *
 * tests/targets/build.py reads the names and the comments from this file: one to a line.
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
};

#ifndef FAULT
#define FAULT FAULT_NONE
#endif

#define VARIANT_NONE 0
#define VARIANT_FIFO 1            /* the slot that was freed first is used first */
#define VARIANT_ADDRESS_ORDER 2   /* the slot of the lowest address in the slab is used first */
#define VARIANT_QUARANTINE 3      /* the last 64 freed objects rest before they are used again */
#define VARIANT_FINE_CLASSES 4    /* a size class every 16 bytes up to 1 KiB */
#define VARIANT_PAGE_EACH 5       /* no slabs: every object has pages of its own */
#define VARIANT_POISON 6          /* new memory is full of 0x5a unless zero was asked for */
#define VARIANT_ALWAYS_ZERO 7     /* new memory is zero */
#define VARIANT_TOP_DOWN 8        /* the highest block is taken first */
#define VARIANT_FAILS 9           /* one allocating call in 50 returns NULL, unless __GFP_NOFAIL */
#define VARIANT_KREALLOC_MOVES 10 /* krealloc moves whenever there is memory for it */
#define VARIANT_SMALL_ARENA 11    /* 4 MiB in all */
#define VARIANT_NO_KSIZE 12       /* no symbol ksize */
#define VARIANT_KEEP_SLABS 13     /* slabs are never given back, so across sizes memory may run out */

#ifndef VARIANT
#define VARIANT VARIANT_NONE
#endif

#endif
