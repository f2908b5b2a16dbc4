/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What a target is to the driver: the kernel's calls, each a function or NULL, by the kernel's prototypes. */
#ifndef KMEM_ORACLE_TARGET_H
#define KMEM_ORACLE_TARGET_H

#ifndef __KERNEL__ /* which has all of these */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t u64;
typedef int64_t s64;
typedef uint32_t u32;
typedef unsigned int gfp_t;
typedef struct mempool mempool_t;
struct kmem_cache;
struct page;
#endif

typedef void ctor_t(void *);
typedef void ctor_26_t(void *, struct kmem_cache *, unsigned long);
typedef void *give_t(gfp_t, void *);
typedef void take_back_t(void *, void *);

/* In the order of the codes that stand for them in a message; the parent learns the order from names. */
#define CALLS(X)                                                                                             \
    X(void *, kmalloc, (size_t, gfp_t))                                                                      \
    X(void *, kzalloc, (size_t, gfp_t))                                                                      \
    X(void *, kmalloc_array, (size_t, size_t, gfp_t))                                                        \
    X(void *, kcalloc, (size_t, size_t, gfp_t))                                                              \
    X(void *, krealloc, (const void *, size_t, gfp_t))                                                       \
    X(void *, krealloc_array, (void *, size_t, size_t, gfp_t))                                               \
    X(void *, kmemdup, (const void *, size_t, gfp_t))                                                        \
    X(void *, kstrdup, (const void *, gfp_t))                                                                \
    X(void *, kstrndup, (const void *, size_t, gfp_t))                                                       \
    X(void, kfree, (const void *))                                                                           \
    X(void, kfree_sensitive, (const void *))                                                                 \
    X(void, kfree_bulk, (size_t, void **))                                                                   \
    X(size_t, ksize, (const void *))                                                                         \
    X(size_t, kmalloc_size_roundup, (size_t))                                                                \
    X(void *, kvmalloc, (size_t, gfp_t))                                                                     \
    X(void *, kvzalloc, (size_t, gfp_t))                                                                     \
    X(void *, kvmalloc_array, (size_t, size_t, gfp_t))                                                       \
    X(void *, kvcalloc, (size_t, size_t, gfp_t))                                                             \
    X(void *, kvrealloc, (const void *, size_t, gfp_t))                                                      \
    X(void, kvfree, (const void *))                                                                          \
    X(struct kmem_cache *, kmem_cache_create, (const char *, unsigned, unsigned, unsigned, ctor_t *))        \
    X(struct kmem_cache *, kmem_cache_create_26,                                                             \
      (const char *, size_t, size_t, unsigned long, ctor_26_t *, ctor_26_t *))                               \
    X(void *, kmem_cache_alloc, (struct kmem_cache *, gfp_t))                                                \
    X(void *, kmem_cache_zalloc, (struct kmem_cache *, gfp_t))                                               \
    X(void, kmem_cache_free, (struct kmem_cache *, void *))                                                  \
    X(int, kmem_cache_alloc_bulk, (struct kmem_cache *, gfp_t, size_t, void **))                             \
    X(void, kmem_cache_free_bulk, (struct kmem_cache *, size_t, void **))                                    \
    X(int, kmem_cache_shrink, (struct kmem_cache *))                                                         \
    X(unsigned, kmem_cache_size, (struct kmem_cache *))                                                      \
    X(void, kmem_cache_destroy, (struct kmem_cache *))                                                       \
    X(unsigned long, __get_free_pages, (gfp_t, unsigned))                                                    \
    X(unsigned long, get_zeroed_page, (gfp_t))                                                               \
    X(void, free_pages, (unsigned long, unsigned))                                                           \
    X(struct page *, alloc_pages, (gfp_t, unsigned))                                                         \
    X(void, __free_pages, (struct page *, unsigned))                                                         \
    X(unsigned long, alloc_pages_bulk, (gfp_t, unsigned long, struct page **))                               \
    X(void, split_page, (struct page *, unsigned))                                                           \
    X(void *, alloc_pages_exact, (size_t, gfp_t))                                                            \
    X(void, free_pages_exact, (void *, size_t))                                                              \
    X(int, get_order, (unsigned long))                                                                       \
    X(void *, vmalloc, (unsigned long))                                                                      \
    X(void *, vzalloc, (unsigned long))                                                                      \
    X(void *, vmalloc_user, (unsigned long))                                                                 \
    X(void *, vmalloc_32, (unsigned long))                                                                   \
    X(void *, vmalloc_array, (size_t, size_t))                                                               \
    X(void *, vcalloc, (size_t, size_t))                                                                     \
    X(void *, __vmalloc, (unsigned long, gfp_t))                                                             \
    X(void *, vrealloc, (const void *, size_t, gfp_t))                                                       \
    X(void, vfree, (const void *))                                                                           \
    X(void *, vmap, (struct page **, unsigned, unsigned long, unsigned long))                                \
    X(void, vunmap, (const void *))                                                                          \
    X(struct page *, vmalloc_to_page, (const void *))                                                        \
    X(bool, is_vmalloc_addr, (const void *))                                                                 \
    X(mempool_t *, mempool_create, (int, give_t *, take_back_t *, void *))                                   \
    X(mempool_t *, mempool_create_slab_pool, (int, struct kmem_cache *))                                     \
    X(void *, mempool_alloc, (mempool_t *, gfp_t))                                                           \
    X(void, mempool_free, (void *, mempool_t *))                                                             \
    X(int, mempool_resize, (mempool_t *, int))                                                               \
    X(void, mempool_destroy, (mempool_t *))                                                                  \
    X(void, fail_nth, (unsigned))                                                                            \
    X(void, preempt_disable, (void))                                                                         \
    X(void, preempt_enable, (void))                                                                          \
    X(void *, page_address, (struct page *))                                                                 \
    X(struct page *, virt_to_page, (const void *))                                                           \
    X(void, check, (void))                                                                                   \
    X(void, item, (void))                                                                                    \
    X(void, mempool_fail, (void))

struct target {
#define X(result, name, parameters) result(*name) parameters;
    CALLS(X)
#undef X
};

enum call {
#define X(result, name, parameters) CALL_##name,
    CALLS(X)
#undef X
        CALL_COUNT
};

#endif
