/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The kernel's calls over a malloc library, as malloc.py puts them there, for threads: no call keeps anything. */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define PAGE 4096ul
#define ZERO 0x100u
#define ZERO_SIZE ((void *)16)

static int (*memalign_of)(void **, size_t, size_t);
static void *(*calloc_of)(size_t, size_t), *(*realloc_of)(void *, size_t);
static void (*free_of)(void *);
static size_t (*usable_of)(void *);

/* Put the calls over these functions. */
void kmem_oracle_over(void *memalign, void *calloc, void *realloc, void *free, void *usable)
{
    *(void **)&memalign_of = memalign;
    *(void **)&calloc_of = calloc;
    *(void **)&realloc_of = realloc;
    *(void **)&free_of = free;
    *(void **)&usable_of = usable;
}

/* Return the alignment that kmalloc owes a request. */
static size_t natural(size_t size) { return size > 8 && !(size & (size - 1)) ? size : 8; }

static void *aligned(size_t alignment, size_t size)
{
    void *got;
    return memalign_of(&got, alignment, size) ? NULL : got;
}

/* Zero an object from one byte to its usable end. */
static void *cleared(char *at, size_t from)
{
    if (at)
        memset(at + from, 0, usable_of(at) - from);
    return at;
}

void *kmalloc(size_t size, unsigned gfp)
{
    if (!size)
        return ZERO_SIZE;
    void *got = size <= PAGE << 10 ? aligned(natural(size), size) : NULL;
    return gfp & ZERO ? cleared(got, 0) : got;
}

void *kmalloc_array(size_t count, size_t size, unsigned gfp)
{
    size_t total;
    return __builtin_mul_overflow(count, size, &total) ? NULL : kmalloc(total, gfp);
}

void *kcalloc(size_t count, size_t size, unsigned gfp)
{
    size_t total;
    bool fits = !__builtin_mul_overflow(count, size, &total);
    if (!count || !size)
        return ZERO_SIZE;
    if (fits && (total > PAGE << 10 || natural(total) > 8))
        return kmalloc(total, gfp | ZERO);
    void *got = calloc_of(count, size);
    return fits ? cleared(got, total) : got;
}

void *kzalloc(size_t size, unsigned gfp) { return kcalloc(1, size, gfp); }

void kfree(const void *object)
{
    if (object > ZERO_SIZE)
        free_of((void *)object);
}

size_t ksize(const void *object) { return object > ZERO_SIZE ? usable_of((void *)object) : 0; }

void *krealloc(const void *old, size_t size, unsigned gfp)
{
    if (old <= ZERO_SIZE)
        return kmalloc(size, gfp);
    if (!size)
        return free_of((void *)old), ZERO_SIZE;
    if (size > PAGE << 10)
        return NULL;
    size_t usable = usable_of((void *)old), kept = usable < size ? usable : size;
    if (natural(size) == 8) {
        void *got = realloc_of((void *)old, size);
        return gfp & ZERO ? cleared(got, kept) : got;
    }
    void *got = kmalloc(size, gfp);
    if (got) {
        memcpy(got, old, kept);
        free_of((void *)old);
    }
    return got;
}

unsigned long __get_free_pages(unsigned gfp, unsigned order)
{
    void *got = order <= 10 ? aligned(PAGE << order, PAGE << order) : NULL;
    if (got && gfp & ZERO)
        memset(got, 0, PAGE << order);
    return (unsigned long)got;
}

unsigned long get_zeroed_page(unsigned gfp) { return __get_free_pages(gfp | ZERO, 0); }

void free_pages(unsigned long start, unsigned order)
{
    (void)order;
    if (start)
        free_of((void *)start);
}
