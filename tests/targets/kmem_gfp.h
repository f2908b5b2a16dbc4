/* SPDX-License-Identifier: Apache-2.0 */
/* Masks, and what a test sets: a hook that hears of every sleep, a failure that is due. */
#ifndef KMEM_GFP_H
#define KMEM_GFP_H

#include <stdbool.h>
#include <stddef.h>

#include "kmem_faults.h"

#define GFP_DMA 0x1u
#define GFP_HIGH 0x20u
#define GFP_IO 0x40u
#define GFP_ZERO 0x100u
#define GFP_DIRECT_RECLAIM 0x400u
#define GFP_NOWARN 0x2000u
#define GFP_NOFAIL 0x8000u
#define GFP_NORETRY 0x10000u
#define GFP_MEMALLOC 0x20000u
#define GFP_NOMEMALLOC 0x80000u
#define GFP_HARDWALL 0x100000u
#define GFP_KERNEL 0xcc0u
#define GFP_NOIO 0xc00u

typedef unsigned int gfp_t;

static void (*sleep_hook)(void);
static unsigned fail_in; /* the allocation that fails, counted from the next; 0 for none */
static unsigned attempts;

static bool may_sleep(gfp_t gfp) { return gfp & GFP_DIRECT_RECLAIM; }

static void sleeps(void)
{
    if (sleep_hook)
        sleep_hook();
}

/* Say whether this allocation of a page or an object is the one that was to fail. */
static bool fails_as_asked(gfp_t gfp)
{
    return fail_in > 0 && !(gfp & GFP_NOFAIL) && --fail_in == 0;
}

/* Say whether this call fails by habit. */
static bool fails_now(gfp_t gfp)
{
    return VARIANT == VARIANT_FAILS && !(gfp & GFP_NOFAIL) && ++attempts % 50 == 0;
}

#endif
