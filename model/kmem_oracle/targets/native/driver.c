/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* The driver of libraries, in their own process; run.h has what it does. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "run.h"

#define PIECE (1ul << 20)
#define MOST_THREADS 64
#define OUT_OF_MEMORY 77 /* exit status, as in worker.py */

static void *mapped(size_t size)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *memory = (void *)syscall(SYS_mmap, NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0); /* never made to fail */
    if (memory == MAP_FAILED)
        _exit(OUT_OF_MEMORY);
    return memory;
}

/* Zeroed memory for ever; what is small is cut from a larger piece. Threads make caches, too. */
static void *more(size_t size)
{
    static unsigned char *piece, *end;
    size = (size + 63) & ~(size_t)63;
    if (size >= PIECE / 4)
        return mapped(size);
    take_lock();
    if (size > (size_t)(end - piece)) {
        piece = mapped(PIECE);
        end = piece + PIECE;
    }
    piece += size;
    unsigned char *made = piece - size;
    give_lock();
    return made;
}

/* Run a chunk of calls, those of the part at byte `base`. */
void kmem_oracle_run(struct driver *d, u64 base, u64 count)
{
    become(d);
    if (d->counts)
        d->counts(true);
    run(d, (struct part *)(d->memory + base), count);
    if (d->counts)
        d->counts(false);
}

static struct lane {
    struct driver driver;
    u64 count;
    pthread_t thread;
} *lanes[MOST_THREADS];
static pthread_barrier_t gate;

static void *run_lane(void *of)
{
    struct lane *lane = of;
    struct driver *d = &lane->driver;
    become(d);
    pthread_barrier_wait(&gate);
    run(d, (struct part *)((unsigned char *)d->header - offsetof(struct part, header)), lane->count);
    return NULL;
}

/* Run chunks side by side, each in a thread of its own: those of the parts from byte `base` on.
 * Returns 0, or the number of an error.
 */
int kmem_oracle_run_threads(struct driver *d, u64 base, const u64 *counts, u64 threads)
{
    struct part *parts = (struct part *)(d->memory + base);
    pthread_barrier_init(&gate, NULL, (unsigned)threads);
    for (u64 i = 0; i < threads; i++)
        make_room(d, &parts[i], counts[i]);
    for (u64 i = 0; i < threads; i++) {
        if (!lanes[i])
            lanes[i] = more(sizeof *lanes[i]);
        lanes[i]->driver = *d;
        lanes[i]->driver.threads = true;
        lanes[i]->driver.header = &parts[i].header;
        lanes[i]->count = counts[i];
        parts[i].header = (struct header){0};
    }
    for (u64 i = 0; i < threads; i++) {
        int error = pthread_create(&lanes[i]->thread, NULL, run_lane, lanes[i]);
        if (error)
            return error; /* those that wait at the gate wait on; the parent ends the process */
    }
    for (u64 i = 0; i < threads; i++)
        pthread_join(lanes[i]->thread, NULL);
    pthread_barrier_destroy(&gate);
    return 0;
}

static struct driver *slept_driver;

static void asleep(void)
{
    struct driver *d = this_driver() ? this_driver() : slept_driver;
    d->ran |= d->quiet << 1;
}

static struct driver *forked_driver;
static u64 shared_size;

/* A copy of this process that the target has forked writes to memory of its own, not to the parent's. */
static void forked(void)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    if ((void *)syscall(SYS_mmap, forked_driver->memory, shared_size, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED)
        _exit(OUT_OF_MEMORY);
}

/* Keep forks of this process apart; `size` bytes are shared with the parent. */
void kmem_oracle_part_forks(struct driver *d, u64 size)
{
    forked_driver = d;
    shared_size = size;
    pthread_atfork(NULL, NULL, forked);
}

/* Return a new driver over memory shared with the parent. */
struct driver *kmem_oracle_driver(unsigned char *memory, const unsigned char *pattern, u64 longest, u64 largest,
                                  unsigned gfp_zero)
{
    struct driver *d = more(sizeof *d);
    d->pattern = pattern;
    d->longest = longest;
    d->largest = largest;
    d->gfp_zero = gfp_zero;
    d->memory = memory;
    d->header = (struct header *)memory;
    d->more = more;
    d->held = more(LEAVES * sizeof *d->held);
    d->homes = more(LEAVES * sizeof *d->homes);
    return d;
}

/* Tell the driver one of the target's functions; false if it knows no call of that name. */
bool kmem_oracle_bind(struct driver *d, const char *name, void (*function)(void))
{
    for (unsigned call = 0; call < CALL_COUNT; call++)
        if (strcmp(names[call], name) == 0) {
            ((void (**)(void))&d->target)[call] = function;
            return true;
        }
    return false;
}

/* Let the driver say when the target's requests to the system count. */
void kmem_oracle_count_by(struct driver *d, void (*counts)(bool)) { d->counts = counts; }

/* Return the bytes of a part. */
u64 kmem_oracle_part(void) { return sizeof(struct part); }

/* Return the name of the call with a code, NULL where there is none. */
const char *kmem_oracle_name(unsigned call) { return call < CALL_COUNT ? names[call] : NULL; }

/* Let a target that tells when it sleeps tell the driver. */
void kmem_oracle_watch(struct driver *d, void (*hook)(void (*)(void)))
{
    slept_driver = d;
    d->quiet = WATCHED;
    hook(asleep);
}
