/* SPDX-License-Identifier: Apache-2.0 */
/* A library of which each call errs in a way of its own: for clauses that no fault of kmem.c breaks. */
#include <stdbool.h>
#include <stddef.h>

static _Alignas(4096) char arena[1 << 16];
static void (*construct)(void *);
static int asked;

void *kmalloc(size_t size, unsigned gfp) { (void)size; (void)gfp; return arena + 4; }
void *kzalloc(size_t size, unsigned gfp) { (void)size; (void)gfp; return (void *)-12L; }
void kfree(const void *p) { (void)p; }
size_t ksize(const void *p) { (void)p; return 100; }
void *kvmalloc(size_t size, unsigned gfp) { (void)size; (void)gfp; return arena + 4; }
void *vmalloc(unsigned long size) { (void)size; return arena + 100; }
void *vrealloc(const void *p, size_t size, unsigned gfp) { (void)size; (void)gfp; return (void *)p; }
void *alloc_pages_exact(size_t size, unsigned gfp) { (void)size; (void)gfp; return arena + 16; }
void *page_address(void *page) { return page; }
unsigned long alloc_pages_bulk(unsigned gfp, unsigned long count, void **pages)
{
    (void)gfp;
    pages[0] = arena;
    return count + 1;
}
unsigned long __get_free_pages(unsigned gfp, unsigned order)
{
    (void)gfp;
    (void)order;
    return asked++ ? (unsigned long)arena : 0;
}
void *kmem_cache_create(const char *name, unsigned size, unsigned align, unsigned flags, void (*ctor)(void *))
{
    (void)name; (void)size; (void)align; (void)flags;
    construct = ctor;
    return arena;
}
int posix_memalign(void **got, size_t alignment, size_t size)
{
    (void)alignment;
    (void)size;
    *got = arena + 8;
    return 0;
}
unsigned kmem_cache_size(void *cache) { (void)cache; return 1; }
void *kmem_cache_alloc(void *cache, unsigned gfp)
{
    (void)cache; (void)gfp;
    construct(arena + 1024);
    return arena + 64 * asked++;
}
