/* SPDX-License-Identifier: Apache-2.0 */
/* Leaves with status 0 in the middle of a run. */
#include "simple.h"

void *kmalloc(size_t size, unsigned gfp) { return simple_kmalloc(size, gfp); }

void kfree(const void *p)
{
    simple_kfree(p);
    exit(0);
}
