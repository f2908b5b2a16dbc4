/* SPDX-License-Identifier: Apache-2.0 */
/* A small allocator under the kernel's own names: what kmem-oracle is tried on.
 *
 * Correct as it stands; kmem_faults.h lists what it can be built to do wrong, or otherwise.
 */
#define _GNU_SOURCE /* memfd_create, recursive mutexes */

#include "kmem_calls_kvmalloc.h"
#include "kmem_calls_mempool.h"
#include "kmem_calls_page.h"

void kmem_oracle_reset(void)
{
    pthread_mutex_lock(&mutex);
    reset();
    unlock();
}

/* Have a function called whenever a call would sleep; NULL for none. */
void kmem_oracle_on_sleep(void (*hook)(void)) { sleep_hook = hook; }

/* Let the n-th allocation of a page or an object from now fail; 0 for none. */
void kmem_oracle_fail_nth(unsigned n)
{
    lock();
    fail_in = n;
    unlock();
}

#if FAULT / 100 == 18
const char *kmem_oracle_profile(void) { return "linux-6.12"; }
#endif
