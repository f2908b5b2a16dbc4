/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of the page allocator. */
#ifndef KMEM_CALLS_PAGE_H
#define KMEM_CALLS_PAGE_H

#include "kmem_lock.h"

static void *pages_take(gfp_t gfp, unsigned order)
{
    if (order == MAX_ORDER + 1 && FAULT == FAULT_ORDER_ABOVE_MAX)
        order = MAX_ORDER;
    if (order > MAX_ORDER || fails_now(gfp))
        return NULL;
    struct page *block = frames_take(gfp, order == 3 && FAULT == FAULT_ORDER_3_MISALIGNED ? 4 : order);
    if (!block)
        return NULL;
    char *p = address_of(block);
    if (order == 3 && FAULT == FAULT_ORDER_3_MISALIGNED)
        p += PAGE_SIZE;
    fill(p, FAULT == FAULT_PAGES_ZERO_FIRST ? PAGE_SIZE : PAGE_SIZE << order, gfp);
    return p;
}

static void pages_give(void *p, unsigned order)
{
    if (FAULT == FAULT_ORDER_ABOVE_MAX && order == MAX_ORDER + 1)
        order = MAX_ORDER;
    if (FAULT == FAULT_FREE_PAGES_HALF && order > 0)
        order--;
    if (FAULT == FAULT_SPLIT_HEAD_WHOLE && page_of(p)->order > order)
        order = page_of(p)->order;
    if (FAULT == FAULT_ORDER_3_MISALIGNED && order == 3)
        frames_give(page_of(p) - 1, 4);
    else if (FAULT != FAULT_SPLIT_LOSES || page_of(p)->state == BLOCK)
        frames_give(page_of(p), order);
}

unsigned long __get_free_pages(gfp_t gfp, unsigned int order)
{
    lock();
    void *p = pages_take(gfp, order);
    unlock();
    return (unsigned long)p;
}

unsigned long get_zeroed_page(gfp_t gfp)
{
    return __get_free_pages(FAULT == FAULT_ZEROED_PAGE_DIRTY ? gfp : gfp | GFP_ZERO, 0);
}

void free_pages(unsigned long address, unsigned int order)
{
    lock();
    if (!address && FAULT == FAULT_FREE_PAGES_ZERO)
        address = (unsigned long)arena;
    if (address)
        pages_give((void *)address, order);
    unlock();
}

void *page_address(struct page *page) { return page ? address_of(page) : NULL; }

struct page *virt_to_page(const void *p) { return page_of(p); }

struct page *alloc_pages(gfp_t gfp, unsigned order)
{
    void *p = (void *)__get_free_pages(gfp, order);
    return p ? page_of(p) : NULL;
}

void __free_pages(struct page *page, unsigned order)
{
    if (page)
        free_pages((unsigned long)address_of(page), order);
}

/* Fill the places of the array that hold NULL; return how many places from the first on hold a page. */
unsigned long alloc_pages_bulk(gfp_t gfp, unsigned long n, struct page **array)
{
    unsigned long i = 0;
    while (i < n && (array[i] || (array[i] = alloc_pages(gfp, 0))))
        i++;
    if (FAULT == FAULT_PAGES_BULK_TWICE && i >= 6)
        array[i - 1] = array[i - 2];
    return FAULT == FAULT_PAGES_BULK_OVERCOUNT && i > 0 && i < n ? i + 1 : i;
}

void split_page(struct page *page, unsigned order)
{
    lock();
    block_cut(page, order, 1ul << order);
    for (size_t i = (1ul << order) / 2; FAULT == FAULT_SPLIT_LOSES && order > 0 && i < 1ul << order; i++)
        page[i].state = INNER;
    if (FAULT == FAULT_SPLIT_HEAD_WHOLE)
        page->order = order;
    unlock();
}

/* Return the pages that an exact request gets. */
static size_t exact_pages(size_t size)
{
    size_t count = size / PAGE_SIZE + (size % PAGE_SIZE != 0);
    return FAULT == FAULT_EXACT_SHORT && count >= 3 ? count - 1 : count;
}

void *alloc_pages_exact(size_t size, gfp_t gfp)
{
    if (size == 0 || size > MAX_BLOCK)
        return NULL;
    lock();
    unsigned order = order_for(size);
    bool lost = FAULT == FAULT_EXACT_TAIL_LEAKS && order >= 4 && size % PAGE_SIZE;
    void *p = pages_take(gfp, order);
    if (p)
        block_cut(page_of(p), order, exact_pages(size) + lost);
    unlock();
    return p;
}

void free_pages_exact(void *p, size_t size)
{
    lock();
    size_t count = FAULT == FAULT_EXACT_FREE_TAIL ? size / PAGE_SIZE : exact_pages(size);
    if (FAULT == FAULT_EXACT_FREE_ROUNDED)
        count = 1ul << order_for(size);
    for (size_t i = 0; p && i < count; i++)
        frames_give(page_of(p) + i, 0);
    unlock();
}

int get_order(unsigned long size)
{
    int order = 0;
    for (unsigned long rest = (size - (FAULT != FAULT_GET_ORDER_EXACT)) / PAGE_SIZE; rest; rest /= 2)
        order++;
    return order;
}

#endif
