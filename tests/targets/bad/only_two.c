/* SPDX-License-Identifier: Apache-2.0 */
/* Correct, with kmalloc and kfree alone: no ksize, no reset. */
#include "simple.h"

void *kmalloc(size_t size, unsigned gfp) { return simple_kmalloc(size, gfp); }

void kfree(const void *p) { simple_kfree(p); }
