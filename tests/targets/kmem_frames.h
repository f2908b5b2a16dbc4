/* SPDX-License-Identifier: Apache-2.0 */
/* Where every page of every family comes from: the buddy allocator, or lists of small blocks before it. */
#ifndef KMEM_FRAMES_H
#define KMEM_FRAMES_H

#include "kmem_pages.h"

#define PCP_ORDERS 4u /* orders 0 to 3 have lists */
#define PCP_BATCH 8u
#define PCP_HIGH 24u  /* blocks on a list before a batch goes back */

/* The free blocks of one order that a CPU keeps for itself. */
struct pcp {
    struct page list;
    unsigned count;
};

static struct pcp pcps[CPUS * PCP_ORDERS]; /* by CPU, then by order */
static unsigned nofail_tries;

static struct pcp *pcp_of(unsigned order) { return &pcps[this_cpu() * PCP_ORDERS + order]; }

static void pcps_init(void)
{
    for (unsigned i = 0; i < CPUS * PCP_ORDERS; i++) {
        list_init(&pcps[i].list);
        pcps[i].count = 0;
    }
}

static void pcp_add(struct pcp *pcp, struct page *block)
{
    block->state = HELD;
    list_add(&pcp->list, block);
    pcp->count++;
}

/* Give back the oldest blocks of a list but for some; say whether there were any. */
static bool pcp_drain(struct pcp *pcp, unsigned order, unsigned left)
{
    bool any = pcp->count > left;
    while (pcp->count > left) {
        struct page *block = pcp->list.prev;
        list_drop(block);
        pcp->count--;
        if (FAULT != FAULT_PCP_DRAIN_LEAKS || left == 0 || pcp->count > left)
            block_give(block, order);
    }
    return any;
}

static bool pcps_drain(void)
{
    bool any = false;
    for (unsigned i = 0; HAS_PCP && i < CPUS * PCP_ORDERS; i++)
        any |= pcp_drain(&pcps[i], i % PCP_ORDERS, 0);
    return any;
}

/* Take a block from this CPU's list; an empty one gets a batch, or one block where the reserve is meant. */
static struct page *pcp_take(unsigned order, size_t left)
{
    struct pcp *pcp = pcp_of(order);
    struct page *block = NULL;
    for (unsigned due = left > 0 ? PCP_BATCH : 1; pcp->count == 0 && due > 0; due--) {
        unsigned got = 0;
        while (got < due && (block = block_take(order, left))) {
            pcp_add(pcp, block);
            got++;
        }
        if (FAULT == FAULT_PCP_REFILL_TWICE && got > 0 && got < due)
            block_give(pcp->list.prev, order);
        if (got == 0)
            return NULL;
    }
    block = pcp->list.next;
    if (FAULT == FAULT_RACE_PCP)
        window();
    list_drop(block);
    pcp->count--;
    block->state = BLOCK;
    block->order = order;
    return block;
}

static struct page *frames_find(unsigned order, size_t left)
{
    return HAS_PCP && order < PCP_ORDERS ? pcp_take(order, left) : block_take(order, left);
}

/* Give a block back. */
static void frames_give(struct page *block, unsigned order)
{
    if (!HAS_PCP || order >= PCP_ORDERS) {
        block_give(block, order);
        return;
    }
    struct pcp *pcp = pcp_of(order);
    if (FAULT == FAULT_PCP_ORDER_MIXED && order > 0 && pcp->count == PCP_HIGH)
        pcp = pcp_of(--order);
    pcp_add(pcp, block);
    if (pcp->count > PCP_HIGH)
        pcp_drain(pcp, order, PCP_HIGH - PCP_BATCH);
}

/* Make single pages of a block, and give back those behind the first `kept`. */
static void block_cut(struct page *block, unsigned order, size_t kept)
{
    for (size_t i = 0; i < 1ul << order; i++) {
        block[i].state = BLOCK;
        block[i].order = 0;
    }
    for (size_t i = kept; i < 1ul << order; i++)
        frames_give(block + i, 0);
}

/* Return how many pages a request leaves free, whatever happens. */
static size_t left_by(gfp_t gfp, unsigned order)
{
    if (FAULT == FAULT_ATOMIC_SHALLOW && gfp & GFP_HIGH && !may_sleep(gfp))
        return 6 * RESERVE;
    if (FAULT == FAULT_ATOMIC_SHALLOW_ORDER_4 && gfp & GFP_HIGH && order >= 4)
        return 6 * RESERVE;
    if (FAULT == FAULT_USER_SHALLOW && gfp & GFP_HARDWALL)
        return 6 * RESERVE;
    bool deep = gfp & GFP_HIGH || (gfp & GFP_MEMALLOC && !(gfp & GFP_NOMEMALLOC));
    return deep ? 0 : RESERVE;
}

/* Take a block under a mask, or NULL. */
static struct page *frames_take(gfp_t gfp, unsigned order)
{
    if (order > MAX_ORDER || fails_as_asked(gfp))
        return NULL;
    if (FAULT == FAULT_NOFAIL_ONE_TRY && gfp & GFP_NOFAIL && ++nofail_tries % 2)
        return frames_find(order, 0);
    struct page *block;
    do
        block = frames_find(order, left_by(gfp, order));
    while (!block && (pcps_drain() || reclaim(gfp)));
    if (!block && gfp & GFP_NOFAIL && may_sleep(gfp))
        block = frames_find(order, 0);
    return block;
}

#endif
