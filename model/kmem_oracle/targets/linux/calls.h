/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's calls as functions with one prototype each, whatever they are in this version: function, inline
 * or macro. A call that a version has not is NULL.
 */
#ifndef KMEM_ORACLE_LINUX_CALLS_H
#define KMEM_ORACLE_LINUX_CALLS_H

#define SINCE(major, minor) (LINUX_VERSION_CODE >= KERNEL_VERSION(major, minor, 0))

/* A size that the compiler knows takes another way to its class than one that it does not. */
#define CONSTANT_SIZES(X)                                                                                    \
    X(1) X(7) X(8) X(9) X(15) X(16) X(17) X(31) X(32) X(33) X(63) X(64) X(65) X(95) X(96) X(97) X(127) X(128) \
    X(129) X(191) X(192) X(193) X(255) X(256) X(257) X(511) X(512) X(513) X(1023) X(1024) X(1025) X(2047)    \
    X(2048) X(2049) X(4095) X(4096) X(4097) X(8191) X(8192) X(8193) X(16384) X(16385) X(65536) X(65537)      \
    X(131073) X(1048576) X(4194304) X(4194305)

static void *linux_kmalloc(size_t size, gfp_t gfp)
{
    switch (size) {
#define X(constant) case constant: return kmalloc(constant, gfp);
        CONSTANT_SIZES(X)
#undef X
    default: return kmalloc(size, gfp);
    }
}
static void *linux_kzalloc(size_t size, gfp_t gfp) { return kzalloc(size, gfp); }
static void *linux_kmalloc_array(size_t count, size_t size, gfp_t gfp) { return kmalloc_array(count, size, gfp); }
static void *linux_kcalloc(size_t count, size_t size, gfp_t gfp) { return kcalloc(count, size, gfp); }
static void *linux_krealloc(const void *old, size_t size, gfp_t gfp) { return krealloc(old, size, gfp); }
static void *linux_krealloc_array(void *old, size_t count, size_t size, gfp_t gfp)
{
    return krealloc_array(old, count, size, gfp);
}
static void *linux_kmemdup(const void *source, size_t size, gfp_t gfp) { return kmemdup(source, size, gfp); }
static void *linux_kstrdup(const void *source, gfp_t gfp) { return kstrdup(source, gfp); }
static void *linux_kstrndup(const void *source, size_t size, gfp_t gfp) { return kstrndup(source, size, gfp); }
static void linux_kfree(const void *object) { kfree(object); }
static void linux_kfree_sensitive(const void *object) { kfree_sensitive(object); }
static void linux_kfree_bulk(size_t count, void **objects) { kfree_bulk(count, objects); }
static size_t linux_ksize(const void *object) { return ksize(object); }
static size_t linux_kmalloc_size_roundup(size_t size) { return kmalloc_size_roundup(size); }

static void *linux_kvmalloc(size_t size, gfp_t gfp) { return kvmalloc(size, gfp); }
static void *linux_kvzalloc(size_t size, gfp_t gfp) { return kvzalloc(size, gfp); }
static void *linux_kvmalloc_array(size_t count, size_t size, gfp_t gfp) { return kvmalloc_array(count, size, gfp); }
static void *linux_kvcalloc(size_t count, size_t size, gfp_t gfp) { return kvcalloc(count, size, gfp); }

#define KVREALLOC_OF_NOTHING_KEEPS (!SINCE(6, 12))
static u64 size_that_is_resized(void);

static void *linux_kvrealloc(const void *old, size_t size, gfp_t gfp)
{
#if SINCE(6, 12)
    return kvrealloc(old, size, gfp);
#else
    return kvrealloc(old, size_that_is_resized(), size, gfp);
#endif
}
static void linux_kvfree(const void *object) { kvfree(object); }

/* Scripts have the numbers of 6.1; they move with version and configuration. */
static slab_flags_t linux_slab_flags(unsigned flags)
{
    static const struct {
        unsigned script;
        slab_flags_t here;
    } names[] = {
        {0x100, SLAB_CONSISTENCY_CHECKS}, {0x400, SLAB_RED_ZONE}, {0x800, SLAB_POISON},
        {0x2000, SLAB_HWCACHE_ALIGN}, {0x4000, SLAB_CACHE_DMA}, {0x8000, SLAB_CACHE_DMA32},
        {0x10000, SLAB_STORE_USER}, {0x20000, SLAB_RECLAIM_ACCOUNT}, {0x80000, SLAB_TYPESAFE_BY_RCU},
        {0x4000000, SLAB_ACCOUNT},
    };
    slab_flags_t here = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (flags & names[i].script)
            here |= names[i].here;
    return here;
}

static struct kmem_cache *linux_kmem_cache_create(const char *name, unsigned size, unsigned align, unsigned flags,
                                                  void (*ctor)(void *))
{
    return kmem_cache_create(name, size, align, linux_slab_flags(flags), ctor);
}
static void *linux_kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp) { return kmem_cache_alloc(cache, gfp); }
static void *linux_kmem_cache_zalloc(struct kmem_cache *cache, gfp_t gfp) { return kmem_cache_zalloc(cache, gfp); }
static void linux_kmem_cache_free(struct kmem_cache *cache, void *object) { kmem_cache_free(cache, object); }
static int linux_kmem_cache_alloc_bulk(struct kmem_cache *cache, gfp_t gfp, size_t count, void **objects)
{
    return kmem_cache_alloc_bulk(cache, gfp, count, objects);
}
static void linux_kmem_cache_free_bulk(struct kmem_cache *cache, size_t count, void **objects)
{
    kmem_cache_free_bulk(cache, count, objects);
}
static int linux_kmem_cache_shrink(struct kmem_cache *cache) { return kmem_cache_shrink(cache); }
static unsigned linux_kmem_cache_size(struct kmem_cache *cache) { return kmem_cache_size(cache); }
static void linux_kmem_cache_destroy(struct kmem_cache *cache) { kmem_cache_destroy(cache); }

static unsigned long linux___get_free_pages(gfp_t gfp, unsigned order) { return __get_free_pages(gfp, order); }
static unsigned long linux_get_zeroed_page(gfp_t gfp) { return get_zeroed_page(gfp); }
static void linux_free_pages(unsigned long start, unsigned order) { free_pages(start, order); }
static struct page *linux_alloc_pages(gfp_t gfp, unsigned order) { return alloc_pages(gfp, order); }
static void linux___free_pages(struct page *page, unsigned order) { __free_pages(page, order); }
static unsigned long linux_alloc_pages_bulk(gfp_t gfp, unsigned long count, struct page **pages)
{
#if SINCE(6, 14)
    return alloc_pages_bulk(gfp, count, pages);
#else
    return alloc_pages_bulk_array(gfp, count, pages);
#endif
}
static void linux_split_page(struct page *page, unsigned order) { split_page(page, order); }
static void *linux_alloc_pages_exact(size_t size, gfp_t gfp) { return alloc_pages_exact(size, gfp); }
static void linux_free_pages_exact(void *start, size_t size) { free_pages_exact(start, size); }
static int linux_get_order(unsigned long size) { return get_order(size); }
static void *linux_page_address(struct page *page) { return page_address(page); }
static struct page *linux_virt_to_page(const void *start) { return virt_to_page(start); }

static void *linux_vmalloc(unsigned long size) { return vmalloc(size); }
static void *linux_vzalloc(unsigned long size) { return vzalloc(size); }
static void *linux_vmalloc_user(unsigned long size) { return vmalloc_user(size); }
static void *linux_vmalloc_32(unsigned long size) { return vmalloc_32(size); }
static void *linux_vmalloc_array(size_t count, size_t size) { return vmalloc_array(count, size); }
static void *linux_vcalloc(size_t count, size_t size) { return vcalloc(count, size); }
static void *linux___vmalloc(unsigned long size, gfp_t gfp) { return __vmalloc(size, gfp); }
#if SINCE(6, 12) && !defined(MODULE) /* modules cannot call it */
#define HAS_VREALLOC
static void *linux_vrealloc(const void *old, size_t size, gfp_t gfp) { return vrealloc(old, size, gfp); }
#endif
static void linux_vfree(const void *area) { vfree(area); }
static void *linux_vmap(struct page **pages, unsigned count, unsigned long flags, unsigned long prot)
{
    (void)flags, (void)prot; /* numbers of scripts; pages are mapped to be read and written */
    return vmap(pages, count, VM_MAP, PAGE_KERNEL);
}
static void linux_vunmap(const void *area) { vunmap(area); }
static struct page *linux_vmalloc_to_page(const void *address) { return vmalloc_to_page(address); }
static bool linux_is_vmalloc_addr(const void *address) { return is_vmalloc_addr(address); }

static mempool_t *linux_mempool_create(int least, void *(*give)(gfp_t, void *), void (*take)(void *, void *), void *of)
{
    return mempool_create(least, give, take, of);
}
static mempool_t *linux_mempool_create_slab_pool(int least, struct kmem_cache *cache)
{
    return mempool_create_slab_pool(least, cache);
}
static void *linux_mempool_alloc(mempool_t *pool, gfp_t gfp) { return mempool_alloc(pool, gfp); }
static void linux_mempool_free(void *element, mempool_t *pool) { mempool_free(element, pool); }
static int linux_mempool_resize(mempool_t *pool, int least) { return mempool_resize(pool, least); }
static void linux_mempool_destroy(mempool_t *pool) { mempool_destroy(pool); }

#ifdef CONFIG_FAULT_INJECTION
static void linux_fail_nth(unsigned n) { current->fail_nth = n; }
#endif
static void linux_preempt_disable(void)
{
    atomic = true;
    preempt_disable();
}
static void linux_preempt_enable(void)
{
    preempt_enable();
    atomic = false;
}

/* The driver's table has members of these names, which some versions have as macros. */
#undef kmalloc
#undef kzalloc
#undef kmalloc_array
#undef kcalloc
#undef krealloc
#undef krealloc_array
#undef kmemdup
#undef kstrdup
#undef kstrndup
#undef kfree
#undef kfree_sensitive
#undef kfree_bulk
#undef ksize
#undef kmalloc_size_roundup
#undef kvmalloc
#undef kvzalloc
#undef kvmalloc_array
#undef kvcalloc
#undef kvrealloc
#undef kvfree
#undef kmem_cache_create
#undef kmem_cache_alloc
#undef kmem_cache_zalloc
#undef kmem_cache_free
#undef kmem_cache_alloc_bulk
#undef kmem_cache_free_bulk
#undef kmem_cache_shrink
#undef kmem_cache_size
#undef kmem_cache_destroy
#undef __get_free_pages
#undef get_zeroed_page
#undef free_pages
#undef alloc_pages
#undef __free_pages
#undef alloc_pages_bulk
#undef split_page
#undef alloc_pages_exact
#undef free_pages_exact
#undef get_order
#undef vmalloc
#undef vzalloc
#undef vmalloc_user
#undef vmalloc_32
#undef vmalloc_array
#undef vcalloc
#undef __vmalloc
#undef vrealloc
#undef vfree
#undef vmap
#undef vunmap
#undef vmalloc_to_page
#undef is_vmalloc_addr
#undef mempool_create
#undef mempool_create_slab_pool
#undef mempool_alloc
#undef mempool_free
#undef mempool_resize
#undef mempool_destroy
#undef preempt_disable
#undef preempt_enable
#undef page_address
#undef virt_to_page

#endif
