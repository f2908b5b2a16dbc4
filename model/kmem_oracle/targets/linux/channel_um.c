// SPDX-License-Identifier: GPL-2.0-only
/* In a user-mode kernel: what is shared is a file that it maps, and two pipes are the bells.
 *
 * It serves at the end of the kernel's own start, before there is any other process, and never returns.
 */
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/init_syscalls.h>
#include <linux/reboot.h>
#include <linux/types.h>
#include <mem_user.h>
#include <os.h>

#include "mailbox.h"

static int bells[2] = {-1, -1};

static int __init read_bells(char *text)
{
    return sscanf(text, "%d,%d", &bells[0], &bells[1]) == 2;
}
__setup("kmem_oracle=", read_bells);

/* Without these, requests that may sleep are never made to fail, nor those for one page. */
static void __init set(const char *path, const char *value)
{
    struct file *file = filp_open(path, O_WRONLY, 0);
    loff_t at = 0;
    if (IS_ERR(file))
        return;
    kernel_write(file, value, strlen(value), &at);
    filp_close(file, NULL);
}

static bool __init rung(void)
{
    char byte;
    int got;
    do
        got = os_read_file(bells[0], &byte, 1);
    while (got == -EINTR);
    return got == 1;
}

static int __init serve_all(void)
{
    unsigned long size;
    unsigned char *shared;
    struct mailbox *box;
    if (bells[0] < 0)
        return 0;
    shared = (unsigned char *)find_iomem("kmem-oracle", &size);
    if (!shared)
        panic("kmem-oracle: no memory is shared\n");
    if (!init_mkdir("/debug", 0700) && !init_mount("none", "/debug", "debugfs", 0, NULL)) {
        set("/debug/failslab/ignore-gfp-wait", "N");
        set("/debug/fail_page_alloc/ignore-gfp-wait", "N");
        set("/debug/fail_page_alloc/min-order", "0");
        set("/debug/failslab/verbose", "0");
        set("/debug/fail_page_alloc/verbose", "0");
    }
    box = kmem_oracle_begin(shared, size);
    do {
        char byte = 0;
        while (os_write_file(bells[1], &byte, 1) == -EINTR)
            ;
        if (!rung())
            machine_halt();
        kmem_oracle_serve(box);
    } while (true);
}
late_initcall_sync(serve_all);
