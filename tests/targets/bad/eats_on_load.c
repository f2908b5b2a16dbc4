/* SPDX-License-Identifier: Apache-2.0 */
/* Takes all memory in a constructor. */
#include "eat.h"
#include "simple.h"

__attribute__((constructor)) static void grow(void) { eat(); }

void *kmalloc(size_t size, unsigned gfp) { return simple_kmalloc(size, gfp); }

void kfree(const void *p) { simple_kfree(p); }
