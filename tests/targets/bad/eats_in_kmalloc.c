/* SPDX-License-Identifier: Apache-2.0 */
/* Takes all memory in the fifth kmalloc. */
#include "eat.h"
#include "simple.h"

void *kmalloc(size_t size, unsigned gfp)
{
    static int calls;
    if (++calls == 5)
        eat();
    return simple_kmalloc(size, gfp);
}

void kfree(const void *p) { simple_kfree(p); }
