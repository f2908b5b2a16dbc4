/* SPDX-License-Identifier: Apache-2.0 */
/* A small allocator under the kernel's own names: what kmem-oracle is tried on.
 *
 * Correct as it stands; kmem_faults.h lists what it can be built to do wrong, or otherwise.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */

#include <pthread.h>

#include "kmem_objects.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void lock(void)
{
    pthread_mutex_lock(&mutex);
    if (!ready)
        reset();
}

static void unlock(void) { pthread_mutex_unlock(&mutex); }

void kmem_oracle_reset(void)
{
    pthread_mutex_lock(&mutex);
    reset();
    unlock();
}

void *kmalloc(size_t size, gfp_t gfp)
{
    lock();
    void *p = object_take(size, FAULT == FAULT_ZERO_IGNORED ? gfp & ~GFP_ZERO : gfp);
    unlock();
    return p;
}

void *kzalloc(size_t size, gfp_t gfp)
{
    lock();
    void *p = object_take(size, FAULT == FAULT_KZALLOC_TAIL ? gfp & ~GFP_ZERO : gfp | GFP_ZERO);
    if (FAULT == FAULT_KZALLOC_TAIL && !is_nothing(p))
        memset(p, 0, size > 8 ? size - 8 : 0);
    unlock();
    return p;
}

void *kmalloc_array(size_t n, size_t size, gfp_t gfp)
{
    lock();
    void *p = array_take(n, size, gfp);
    unlock();
    return p;
}

void *kcalloc(size_t n, size_t size, gfp_t gfp)
{
    lock();
    void *p = array_take(n, size, FAULT == FAULT_KCALLOC_STALE ? gfp : gfp | GFP_ZERO);
    unlock();
    return p;
}

void *krealloc(const void *old, size_t n, gfp_t gfp)
{
    void *p = (void *)(uintptr_t)old;
    lock();
    if (n == 0) {
        if (!is_nothing(p) && FAULT != FAULT_KREALLOC_ZERO_LEAKS)
            object_free(p);
        p = FAULT == FAULT_KREALLOC_ZERO_NULL ? NULL : ZERO_SIZE_PTR;
    } else {
        p = is_nothing(p) ? object_take(n, gfp) : object_resize(p, n, gfp);
    }
    unlock();
    return p;
}

void kfree(const void *p)
{
    lock();
    if ((FAULT == FAULT_KFREE_NULL_CRASH && !p) || (FAULT == FAULT_KFREE_ZERO_SIZE_CRASH && p == ZERO_SIZE_PTR))
        *(volatile int *)8 = 0;
    if (!is_nothing(p))
        object_free((void *)(uintptr_t)p);
    unlock();
}

#if VARIANT != VARIANT_NO_KSIZE
size_t ksize(const void *p)
{
    lock();
    size_t size = is_nothing(p) ? 0 : usable(p);
    if (FAULT == FAULT_KSIZE_NULL && !p)
        size = 8;
    if (FAULT == FAULT_KSIZE_LARGE_SHORT && size > MAX_CLASS)
        size /= 2;
    if (FAULT == FAULT_KSIZE_NEXT_CLASS && size > 0 && size < MAX_CLASS)
        size = cache_for(size + 1)->size;
    unlock();
    return size;
}
#endif

unsigned long __get_free_pages(gfp_t gfp, unsigned int order)
{
    lock();
    void *p = pages_take(gfp, order);
    unlock();
    return (unsigned long)p;
}

unsigned long get_zeroed_page(gfp_t gfp)
{
    lock();
    void *p = pages_take(FAULT == FAULT_ZEROED_PAGE_DIRTY ? gfp : gfp | GFP_ZERO, 0);
    unlock();
    return (unsigned long)p;
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
