/* SPDX-License-Identifier: Apache-2.0 */
/* Four threads on one library for a second: is each object its owner's alone, from birth to free?
 *
 *     cc -std=c11 -O1 -pthread -o stress stress.c -ldl && ./stress LIB.so [SECONDS]
 *
 * Exit 0 if so, 1 if an object changed under its owner, or by a signal. It shows that the faults between
 * threads can be found; it is no part of the tests.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define THREADS 4
#define HELD 48
#define GFP_KERNEL 0xcc0u

enum kind { NOTHING, OBJECT, PAGES, AREA, SLOT, ELEMENT };

struct held {
    enum kind kind;
    unsigned char *p;
    size_t size;
    void *cache;
    unsigned char stamp;
};

static void *(*kmalloc)(size_t, unsigned), *(*krealloc)(void *, size_t, unsigned);
static void (*kfree)(void *);
static void (*kfree_sensitive)(void *), (*free_pages)(unsigned long, unsigned), (*vfree)(void *);
static unsigned long (*get_free_pages)(unsigned, unsigned);
static void *(*vmalloc)(unsigned long);
static void *(*create)(const char *, unsigned, unsigned, unsigned, void (*)(void *));
static void *(*cache_alloc)(void *, unsigned);
static void (*cache_free)(void *, void *), (*destroy)(void *);
static unsigned (*cache_size)(void *);
static void *(*pool_create)(int, void *(*)(unsigned, void *), void (*)(void *, void *), void *);
static void *(*pool_alloc)(void *, unsigned);
static void (*pool_free)(void *, void *);
static void *shared_pool;
static atomic_bool over;
static atomic_ulong calls;

static void *element_alloc(unsigned gfp, void *data)
{
    (void)gfp;
    (void)data;
    return NULL; /* the reserve alone serves */
}

static void element_free(void *element, void *data)
{
    (void)data;
    kfree(element);
}

static atomic_int filling;

static void *element_first(unsigned gfp, void *data)
{
    return atomic_load(&filling) ? kmalloc((size_t)data, gfp) : element_alloc(gfp, data);
}

static void changed(const struct held *held, size_t at)
{
    static const char *const names[] = {"nothing", "object", "pages", "area", "slot", "element"};
    printf("%s of %zu bytes: byte %zu is %#x, its owner wrote %#x\n", names[held->kind], held->size, at,
           held->p[at], held->stamp);
    fflush(stdout);
    _exit(1);
}

static void look(const struct held *held, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (held->p[i] != held->stamp)
            changed(held, i);
}

static void give(struct held *held, unsigned *seed)
{
    look(held, held->size);
    if (held->kind == OBJECT && rand_r(seed) % 2)
        kfree_sensitive(held->p);
    else if (held->kind == OBJECT)
        kfree(held->p);
    else if (held->kind == PAGES)
        free_pages((unsigned long)held->p, held->size > 4096);
    else if (held->kind == AREA)
        vfree(held->p);
    else if (held->kind == ELEMENT)
        pool_free(held->p, shared_pool);
    else if (held->kind == SLOT) {
        cache_free(held->cache, held->p);
        destroy(held->cache);
    }
    held->kind = NOTHING;
}

static void take(struct held *held, unsigned *seed)
{
    static const size_t sizes[] = {8, 24, 64, 96, 200, 1000, 3000, 9000};
    held->kind = 1 + rand_r(seed) % 5;
    held->size = sizes[rand_r(seed) % 8];
    if (held->kind == OBJECT) {
        held->p = kmalloc(held->size, GFP_KERNEL);
    } else if (held->kind == PAGES) {
        held->size = 4096u << rand_r(seed) % 2;
        held->p = (unsigned char *)get_free_pages(GFP_KERNEL, held->size > 4096);
    } else if (held->kind == AREA) {
        held->size = 4096u * (1 + rand_r(seed) % 3);
        held->p = vmalloc(held->size);
    } else if (held->kind == ELEMENT) {
        held->size = 64;
        held->p = pool_alloc(shared_pool, 0xa20u);
    } else {
        held->cache = create("stress", (unsigned)held->size, 0, 0, NULL);
        held->p = held->cache ? cache_alloc(held->cache, GFP_KERNEL) : NULL;
        if (held->p && cache_size(held->cache) < held->size) {
            printf("a cache for %zu bytes has objects of %u\n", held->size, cache_size(held->cache));
            fflush(stdout);
            _exit(1);
        }
        if (held->cache && !held->p)
            destroy(held->cache);
    }
    if (!held->p) {
        held->kind = NOTHING;
        return;
    }
    held->stamp = (unsigned char)rand_r(seed);
    memset(held->p, held->stamp, held->size);
}

static void *work(void *number)
{
    unsigned seed = (unsigned)(uintptr_t)number + 1;
    struct held helds[HELD] = {0};
    while (!atomic_load(&over)) {
        struct held *held = &helds[rand_r(&seed) % HELD];
        atomic_fetch_add(&calls, 1);
        if (held->kind == OBJECT && rand_r(&seed) % 2) {
            size_t size = held->size % 2000 + 1 + (size_t)rand_r(&seed) % 2000;
            unsigned char *moved = krealloc(held->p, size, GFP_KERNEL);
            if (!moved)
                continue;
            held->p = moved;
            look(held, size < held->size ? size : held->size);
            held->size = size;
            memset(held->p, held->stamp, size);
        } else if (held->kind == NOTHING) {
            take(held, &seed);
        } else {
            give(held, &seed);
        }
    }
    for (int i = 0; i < HELD; i++)
        if (helds[i].kind != NOTHING)
            give(&helds[i], &seed);
    return NULL;
}

static void *found(void *library, const char *name)
{
    void *symbol = dlsym(library, name);
    if (!symbol)
        exit(2);
    return symbol;
}

int main(int argc, char **argv)
{
    void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
    if (!library)
        return 2;
    *(void **)&kmalloc = found(library, "kmalloc"), *(void **)&krealloc = found(library, "krealloc");
    *(void **)&kfree = found(library, "kfree");
    *(void **)&kfree_sensitive = found(library, "kfree_sensitive");
    *(void **)&get_free_pages = found(library, "__get_free_pages");
    *(void **)&free_pages = found(library, "free_pages");
    *(void **)&vmalloc = found(library, "vmalloc"), *(void **)&vfree = found(library, "vfree");
    *(void **)&create = found(library, "kmem_cache_create");
    *(void **)&destroy = found(library, "kmem_cache_destroy");
    *(void **)&cache_alloc = found(library, "kmem_cache_alloc");
    *(void **)&cache_free = found(library, "kmem_cache_free");
    *(void **)&cache_size = found(library, "kmem_cache_size");
    *(void **)&pool_create = found(library, "mempool_create");
    *(void **)&pool_alloc = found(library, "mempool_alloc");
    *(void **)&pool_free = found(library, "mempool_free");
    atomic_store(&filling, 1);
    shared_pool = pool_create(24, element_first, element_free, (void *)64);
    atomic_store(&filling, 0);
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, work, (void *)i);
    struct timespec time = {.tv_sec = argc > 2 ? atoi(argv[2]) : 1};
    nanosleep(&time, NULL);
    atomic_store(&over, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("fine after %lu calls\n", (unsigned long)calls);
    return 0;
}
