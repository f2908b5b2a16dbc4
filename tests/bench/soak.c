/* SPDX-License-Identifier: Apache-2.0 */
/* A soak test as it is written by hand: uniform random calls on a library with the kernel's symbols; looks for
 * overlap, alignment, contents that change, and bytes that should be zero. The contender of bench_side_by_side.py.
 *
 *     soak LIB SEED SECONDS
 *
 * Prints the calls made, then what was wrong; status 1 where something was, 0 where not. A crash or a call
 * that hangs ends it by a signal.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LIVE 512
#define PAGE 4096ul
#define ZERO 0x100u
#define ZERO_SIZE ((char *)16)
#define CACHES 6

enum kind { KMALLOC, PAGES, AREA, KV, CACHE, EXACT };

static struct object {
    char *start;
    size_t size;      /* asked for */
    size_t usable;
    uint64_t id;
    enum kind kind;
    unsigned detail; /* order, or number of the cache */
} live[LIVE];
static unsigned count;
static uint64_t calls, born, state;
static void *caches[CACHES];
static const unsigned cache_size[CACHES] = {24, 40, 100, 192, 700, 2000};
static const unsigned cache_align[CACHES] = {0, 64, 0, 16, 128, 8};

#define F(result, name, ...) static result (*name)(__VA_ARGS__)
F(void *, kmalloc, size_t, unsigned);
F(void *, kzalloc, size_t, unsigned);
F(void *, kmalloc_array, size_t, size_t, unsigned);
F(void *, kcalloc, size_t, size_t, unsigned);
F(void *, krealloc, void *, size_t, unsigned);
F(void, kfree, void *);
F(size_t, ksize, void *);
F(unsigned long, __get_free_pages, unsigned, unsigned);
F(unsigned long, get_zeroed_page, unsigned);
F(void, free_pages, unsigned long, unsigned);
F(void *, alloc_pages_exact, size_t, unsigned);
F(void, free_pages_exact, void *, size_t);
F(void *, vmalloc, size_t);
F(void *, vzalloc, size_t);
F(void, vfree, void *);
F(void *, kvmalloc, size_t, unsigned);
F(void *, kvzalloc, size_t, unsigned);
F(void, kvfree, void *);
F(void *, kmem_cache_create, const char *, unsigned, unsigned, unsigned, void (*)(void *));
F(void *, kmem_cache_alloc, void *, unsigned);
F(void *, kmem_cache_zalloc, void *, unsigned);
F(void, kmem_cache_free, void *, void *);
F(void, kmem_oracle_reset, void);

static uint64_t draw(uint64_t below)
{
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state % below;
}

static _Noreturn void wrong(const char *what, const char *call, size_t size)
{
    printf("%llu %s: %s(%zu)\n", (unsigned long long)calls, what, call, size);
    exit(1);
}

static char byte_of(const struct object *o) { return (char)(o->id % 255 + 1); }

static void fill(struct object *o, size_t size) { memset(o->start, byte_of(o), size); }

static void compare(const struct object *o, size_t size, const char *call)
{
    if (size && (*o->start != byte_of(o) || memcmp(o->start, o->start + 1, size - 1)))
        wrong("contents changed", call, o->size);
}

/* Check what a call gave, and keep it. */
static void take(void *given, size_t size, enum kind kind, unsigned detail, size_t align, bool zero, const char *call)
{
    char *start = given;
    if (!start || start == ZERO_SIZE)
        return;
    size_t usable = kind == KMALLOC && ksize ? ksize(start) : size;
    if (usable < size)
        wrong("usable size too small", call, size);
    if ((uintptr_t)start % align)
        wrong("not aligned", call, size);
    for (unsigned i = 0; i < count; i++)
        if (start < live[i].start + live[i].usable && live[i].start < start + usable)
            wrong("overlap", call, size);
    for (size_t at = 0; zero && at < size; at++)
        if (start[at])
            wrong("not zero", call, size);
    live[count] = (struct object){start, size, usable, ++born, kind, detail};
    fill(&live[count++], usable);
}

static void release(unsigned at)
{
    struct object o = live[at];
    compare(&o, o.usable, "free");
    live[at] = live[--count];
    switch (o.kind) {
    case KMALLOC: return kfree(o.start);
    case PAGES: return free_pages((unsigned long)o.start, o.detail);
    case EXACT: return free_pages_exact(o.start, o.size);
    case AREA: return vfree(o.start);
    case KV: return kvfree(o.start);
    case CACHE: return kmem_cache_free(caches[o.detail], o.start);
    }
}

static void resize(unsigned at, size_t size, unsigned gfp)
{
    struct object o = live[at];
    compare(&o, o.usable, "krealloc");
    char *now = krealloc(o.start, size, gfp);
    if (!now)
        return;
    live[at] = live[--count];
    o.start = now;
    compare(&o, size < o.usable ? size : o.usable, "krealloc");
    take(now, size, KMALLOC, 0, 8, false, "krealloc");
}

static size_t natural(size_t size) { return size >= 8 && !(size & (size - 1)) ? size : 8; }

static void one(void)
{
    static const unsigned masks[] = {0xcc0, 0xa20, 0x800, 0x100cc0, 0xcc0 | ZERO, 0xa20 | ZERO};
    unsigned gfp = masks[draw(6)], which = (unsigned)draw(CACHES), order = (unsigned)draw(4);
    bool zero = gfp & ZERO;
    size_t size = draw(16) ? 1 + draw(4096) : 1 + draw(100000), n = 1 + draw(8);
    calls++;
    if (count && draw(100) < 5)
    {
        unsigned at = (unsigned)draw(count);
        return compare(&live[at], live[at].usable, "look");
    }
    if (count == LIVE || (count && draw(100) < 48))
        return release((unsigned)draw(count));
    switch (draw(16)) {
    case 0: case 1: return take(kmalloc(size, gfp), size, KMALLOC, 0, natural(size), zero, "kmalloc");
    case 2: return take(kzalloc(size, gfp), size, KMALLOC, 0, natural(size), true, "kzalloc");
    case 3: return take(kmalloc_array(n, size, gfp), n * size, KMALLOC, 0, natural(n * size), zero, "kmalloc_array");
    case 4: return take(kcalloc(n, size, gfp), n * size, KMALLOC, 0, natural(n * size), true, "kcalloc");
    case 5: case 6: {
        unsigned at = count ? (unsigned)draw(count) : 0;
        if (count && live[at].kind == KMALLOC)
            resize(at, size, gfp);
        return;
    }
    case 7: case 8:
        return take((void *)__get_free_pages(gfp, order), PAGE << order, PAGES, order, PAGE << order, zero, "__get_free_pages");
    case 9: return take((void *)get_zeroed_page(gfp), PAGE, PAGES, 0, PAGE, true, "get_zeroed_page");
    case 10: return take(alloc_pages_exact(size, gfp), size, EXACT, 0, PAGE, zero, "alloc_pages_exact");
    case 11: return take(vmalloc(size), size, AREA, 0, PAGE, false, "vmalloc");
    case 12: return take(vzalloc(size), size, AREA, 0, PAGE, true, "vzalloc");
    case 13: return draw(2) ? take(kvmalloc(size, 0xcc0), size, KV, 0, 8, false, "kvmalloc")
                            : take(kvzalloc(size, 0xcc0), size, KV, 0, 8, true, "kvzalloc");
    case 14:
        return take(kmem_cache_alloc(caches[which], gfp), cache_size[which], CACHE, which,
                    cache_align[which] ? cache_align[which] : 8, zero, "kmem_cache_alloc");
    default:
        return take(kmem_cache_zalloc(caches[which], gfp), cache_size[which], CACHE, which,
                    cache_align[which] ? cache_align[which] : 8, true, "kmem_cache_zalloc");
    }
}

#define GET(library, name) *(void **)&name = dlsym(library, #name)

int main(int argc, char **argv)
{
    if (argc != 4)
        return fprintf(stderr, "soak LIB SEED SECONDS\n"), 2;
    void *library = dlopen(argv[1], RTLD_NOW);
    if (!library)
        return fprintf(stderr, "%s\n", dlerror()), 2;
    GET(library, kmalloc), GET(library, kzalloc), GET(library, kmalloc_array), GET(library, kcalloc);
    GET(library, krealloc), GET(library, kfree), GET(library, ksize), GET(library, __get_free_pages);
    GET(library, get_zeroed_page), GET(library, free_pages), GET(library, alloc_pages_exact);
    GET(library, free_pages_exact), GET(library, vmalloc), GET(library, vzalloc), GET(library, vfree);
    GET(library, kvmalloc), GET(library, kvzalloc), GET(library, kvfree), GET(library, kmem_cache_create);
    GET(library, kmem_cache_alloc), GET(library, kmem_cache_zalloc), GET(library, kmem_cache_free);
    GET(library, kmem_oracle_reset);
    kmem_oracle_reset();
    state = strtoull(argv[2], NULL, 10) * 0x9E3779B97F4A7C15 + 1;
    for (unsigned i = 0; i < CACHES; i++)
        caches[i] = kmem_cache_create("soak", cache_size[i], cache_align[i], 0, NULL);
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do {
        alarm(4); /* for a call that hangs */
        for (int i = 0; i < 1000; i++)
            one();
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - begin.tv_sec < atol(argv[3]));
    printf("%llu nothing\n", (unsigned long long)calls);
    return 0;
}
