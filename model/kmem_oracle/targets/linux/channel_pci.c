// SPDX-License-Identifier: GPL-2.0-only
/* In a virtual machine: what is shared is the memory of a virtual device, and the bells are words in it.
 *
 * It serves while the module is being loaded, by the only process that there is, and never returns.
 */
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/sched/signal.h>

#include "mailbox.h"

#define VENDOR 0x1af4 /* of the device ivshmem-plain */
#define DEVICE 0x1110
#define MEMORY 2     /* which of its resources the memory is */
#define SPINS 50000u /* turns of looking before sleeping between two looks */

static void await_bell(struct mailbox *box, u64 heard)
{
    unsigned spins = 0;
    while (smp_load_acquire(&box->bell) == heard) {
        cpu_relax();
        if (++spins > SPINS)
            usleep_range(50, 100);
        else if (!(spins & 1023))
            cond_resched();
    }
}

static int __init serve_all(void)
{
    struct pci_dev *device = pci_get_device(VENDOR, DEVICE, NULL);
    struct mailbox *box;
    unsigned char *shared;
    resource_size_t size;
    int error;
    if (!device)
        return -ENODEV;
    error = pci_enable_device(device);
    if (error)
        return error;
    size = pci_resource_len(device, MEMORY);
    shared = memremap(pci_resource_start(device, MEMORY), size, MEMREMAP_WB);
    if (!shared)
        return -ENOMEM;
    box = kmem_oracle_begin(shared, size);
    for (u64 heard = 0;; heard++) {
        smp_store_release(&box->done, heard + 1);
        await_bell(box, heard);
        kmem_oracle_serve(box);
    }
}
module_init(serve_all);
MODULE_LICENSE("GPL");
