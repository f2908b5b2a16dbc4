/* SPDX-License-Identifier: Apache-2.0 */
/* kmalloc and kfree that keep their promises, over the C library. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline void *simple_kmalloc(size_t size, unsigned gfp)
{
    size_t slot = 16;
    if (size == 0)
        return (void *)16;
    if (size > 4ul << 20)
        return NULL;
    while (slot < size)
        slot *= 2;
    void *p = aligned_alloc(slot, slot);
    if (p && gfp & 0x100)
        memset(p, 0, slot);
    return p;
}

static inline void simple_kfree(const void *p)
{
    if ((uintptr_t)p > 16)
        free((void *)(uintptr_t)p);
}
