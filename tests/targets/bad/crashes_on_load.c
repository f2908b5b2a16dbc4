/* SPDX-License-Identifier: Apache-2.0 */
/* Crashes in a constructor, before anything can be called. */
#include "simple.h"

__attribute__((constructor)) static void crash(void) { *(volatile int *)8 = 0; }

void *kmalloc(size_t size, unsigned gfp) { return simple_kmalloc(size, gfp); }

void kfree(const void *p) { simple_kfree(p); }
