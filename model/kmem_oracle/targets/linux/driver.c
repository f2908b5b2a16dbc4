// SPDX-License-Identifier: GPL-2.0-only
/* The driver inside a kernel: it serves the oracle outside, through memory that both see.
 *
 * That memory begins as a worker's does (a header, then parts); at a place that the oracle says, it has a mailbox,
 * then the pattern that objects are filled with, then what the driver keeps: nothing of its own comes from the
 * allocators that are judged.
 */
#include <linux/cache.h>
#include <linux/completion.h>
#include <linux/gfp.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/mempool.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/version.h>
#include <linux/vmalloc.h>
#include <linux/vmstat.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

#ifdef CONFIG_UML_TIME_TRAVEL_SUPPORT
#include <shared/timetravel.h>
#endif

#include "system.h"

#include "calls.h"
#include "native/run.h"

static u64 size_that_is_resized(void) { return this_driver()->resized; }

static struct driver *the_driver;
static unsigned char *arena, *arena_end;

/* Zeroed memory for ever, of the part that is ours of what is shared. */
static void *more(size_t size)
{
    unsigned char *made;
    size = (size + 63) & ~(size_t)63;
    take_lock();
    made = arena;
    if (size > (size_t)(arena_end - arena))
        panic("kmem-oracle: the driver has no memory left for its own lists; give --kernel-memory more\n");
    arena += size;
    give_lock();
    memset(made, 0, size);
    return made;
}

/* Tell the oracle, in lines of text, which calls there are, in the order of their codes, and the constants. */
static void introduce(struct mailbox *box)
{
    char *to = box->text, *end = box->text + sizeof box->text;
#define X(result, name, parameters) to += scnprintf(to, end - to, "call %s %d\n", #name, the_driver->target.name != NULL);
    CALLS(X)
#undef X
#define CONSTANT(name, value) to += scnprintf(to, end - to, "constant %s %llu\n", name, (u64)(value));
    CONSTANT("version", LINUX_VERSION_CODE >> 8)
    CONSTANT("page_size", PAGE_SIZE)
    CONSTANT("kmalloc_max", KMALLOC_MAX_SIZE)
    CONSTANT("kmalloc_max_cache", KMALLOC_MAX_CACHE_SIZE)
    CONSTANT("smallest_class", KMALLOC_MIN_SIZE)
    CONSTANT("minimum_align", ARCH_KMALLOC_MINALIGN)
    CONSTANT("slab_align", ARCH_SLAB_MINALIGN)
    CONSTANT("cache_line", cache_line_size())
    CONSTANT("costly_order", PAGE_ALLOC_COSTLY_ORDER)
#if SINCE(6, 8)
    CONSTANT("max_order", MAX_PAGE_ORDER)
#elif SINCE(6, 4)
    CONSTANT("max_order", MAX_ORDER)
#else
    CONSTANT("max_order", MAX_ORDER - 1)
#endif
    CONSTANT("zero_size_ptr", (unsigned long)ZERO_SIZE_PTR)
    CONSTANT("page_offset", PAGE_OFFSET)
    CONSTANT("memory", totalram_pages() * PAGE_SIZE)
    CONSTANT("processors", num_online_cpus())
    CONSTANT("slob", IS_ENABLED(CONFIG_SLOB))
    CONSTANT("slab", IS_ENABLED(CONFIG_SLAB))
    CONSTANT("slub", IS_ENABLED(CONFIG_SLUB))
#ifdef CONFIG_ZONE_DMA
    CONSTANT("dma_bytes", IS_ENABLED(CONFIG_X86) && !IS_ENABLED(CONFIG_UML) ? 16 << 20 : 0)
#endif
#define MASK(name) to += scnprintf(to, end - to, "mask %s %llu\n", #name, (u64)(__force u32)(name));
    MASK(__GFP_DMA) MASK(__GFP_HIGHMEM) MASK(__GFP_DMA32) MASK(__GFP_MOVABLE) MASK(__GFP_RECLAIMABLE)
    MASK(__GFP_HIGH) MASK(__GFP_IO) MASK(__GFP_FS) MASK(__GFP_ZERO) MASK(__GFP_DIRECT_RECLAIM)
    MASK(__GFP_KSWAPD_RECLAIM) MASK(__GFP_WRITE) MASK(__GFP_NOWARN) MASK(__GFP_RETRY_MAYFAIL)
    MASK(__GFP_NOFAIL) MASK(__GFP_NORETRY) MASK(__GFP_MEMALLOC) MASK(__GFP_COMP) MASK(__GFP_NOMEMALLOC)
    MASK(__GFP_HARDWALL) MASK(__GFP_THISNODE) MASK(__GFP_ACCOUNT)
    MASK(GFP_KERNEL) MASK(GFP_USER) MASK(GFP_ATOMIC) MASK(GFP_NOWAIT) MASK(GFP_NOIO) MASK(GFP_NOFS)
#undef MASK
    box->length = to - box->text;
}

/* Begin to serve: `shared` is `size` bytes that the oracle sees, too, with the mailbox in it. */
struct mailbox *kmem_oracle_begin(unsigned char *shared, u64 size)
{
    struct mailbox *box = (struct mailbox *)(shared + MAILBOX_AT);
    struct driver *d;
    arena = (unsigned char *)box + box->arena;
    arena_end = shared + size;
    the_driver = d = more(sizeof *d);
    d->pattern = (unsigned char *)box + box->pattern;
    d->longest = box->longest;
    d->largest = box->largest;
    d->gfp_zero = (__force u32)__GFP_ZERO;
    d->memory = shared;
    d->header = (struct header *)shared;
    d->more = more;
    d->held = more(LEAVES * sizeof *d->held);
    d->homes = more(LEAVES * sizeof *d->homes);
    d->quiet = WATCHED;
#define HAS(name) d->target.name = linux_##name;
    HAS(kmalloc) HAS(kzalloc) HAS(kmalloc_array) HAS(kcalloc) HAS(krealloc) HAS(krealloc_array) HAS(kmemdup)
    HAS(kstrdup) HAS(kstrndup) HAS(kfree) HAS(kfree_sensitive) HAS(kfree_bulk) HAS(ksize)
    HAS(kmalloc_size_roundup) HAS(kvmalloc) HAS(kvzalloc) HAS(kvmalloc_array) HAS(kvcalloc) HAS(kvfree)
    HAS(kmem_cache_create) HAS(kmem_cache_alloc) HAS(kmem_cache_zalloc) HAS(kmem_cache_free)
    HAS(kmem_cache_alloc_bulk) HAS(kmem_cache_free_bulk) HAS(kmem_cache_shrink) HAS(kmem_cache_size)
    HAS(kmem_cache_destroy) HAS(__get_free_pages) HAS(get_zeroed_page) HAS(free_pages) HAS(alloc_pages)
    HAS(__free_pages) HAS(alloc_pages_bulk) HAS(split_page) HAS(alloc_pages_exact) HAS(free_pages_exact)
    HAS(get_order) HAS(page_address) HAS(virt_to_page) HAS(vmalloc) HAS(vzalloc) HAS(vmalloc_user)
    HAS(vmalloc_32) HAS(vmalloc_array) HAS(vcalloc) HAS(__vmalloc) HAS(vfree) HAS(vmap) HAS(vunmap)
    HAS(vmalloc_to_page) HAS(is_vmalloc_addr) HAS(mempool_create) HAS(mempool_create_slab_pool)
    HAS(mempool_alloc) HAS(mempool_free) HAS(mempool_resize) HAS(mempool_destroy)
    HAS(preempt_disable) HAS(preempt_enable) HAS(kvrealloc)
#ifdef HAS_VREALLOC
    HAS(vrealloc)
#endif
#ifdef CONFIG_FAULT_INJECTION
    HAS(fail_nth)
#endif
#undef HAS
    become(d, 0);
    introduce(box);
    return box;
}

static struct lane {
    struct driver driver;
    u64 count;
    unsigned place;
} *lanes[MOST_THREADS];
static DECLARE_COMPLETION(gate);
static DECLARE_COMPLETION(over);

static int run_lane(void *of)
{
    struct lane *lane = of;
    struct driver *d = &lane->driver;
    become(d, lane->place);
    wait_for_completion(&gate);
    run(d, (struct part *)((unsigned char *)d->header - offsetof(struct part, header)), lane->count);
    drivers[lane->place].task = NULL;
    complete(&over);
    return 0;
}

/* Run parts side by side, each in a task of its own. */
static int run_threads(struct driver *d, const struct request *request)
{
    struct part *parts = (struct part *)(d->memory + request->base);
    unsigned i, threads = request->threads;
    if (threads > MOST_THREADS)
        return -EINVAL;
    reinit_completion(&gate);
    reinit_completion(&over);
    for (i = 0; i < threads; i++)
        make_room(d, &parts[i], request->counts[i]);
    for (i = 0; i < threads; i++) {
        struct task_struct *task;
        if (!lanes[i])
            lanes[i] = more(sizeof *lanes[i]);
        lanes[i]->driver = *d;
        lanes[i]->driver.threads = true;
        lanes[i]->driver.header = &parts[i].header;
        lanes[i]->count = request->counts[i];
        lanes[i]->place = i + 1;
        parts[i].header = (struct header){0};
        task = kthread_run(run_lane, lanes[i], "kmem_oracle/%u", i);
        if (IS_ERR(task))
            return PTR_ERR(task);
    }
    complete_all(&gate);
    for (i = 0; i < threads; i++)
        wait_for_completion(&over);
    return 0;
}

/* Do what the mailbox asks for. */
void kmem_oracle_serve(struct mailbox *box)
{
    const struct request *request = &box->request;
    if (request->threads)
        box->error = run_threads(the_driver, request);
    else
        run(the_driver, (struct part *)(the_driver->memory + request->base), request->counts[0]);
}
