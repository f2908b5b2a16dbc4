/* SPDX-License-Identifier: GPL-2.0-only */
/* What the oracle and the driver tell each other; the twin of mailbox.py. */
#ifndef KMEM_ORACLE_MAILBOX_H
#define KMEM_ORACLE_MAILBOX_H

#define MOST_THREADS 16
#define MAILBOX_AT (1ul << 26) /* where it is in what is shared */

struct request {
    u64 base, threads; /* byte of the first part; how many to run side by side, 0 for one after the other */
    u64 counts[MOST_THREADS];
};

struct mailbox {
    u64 bell, done; /* requests that were made; that were answered */
    s64 error;
    u64 pattern, longest; /* bytes from here to the pattern; its length, without 64 KiB more */
    u64 arena;            /* bytes from here to the driver's own memory, which goes to the end */
    u64 largest;          /* bytes of the largest object that is touched */
    struct request request;
    u64 length; /* of the text */
    char text[16384];
};

struct mailbox *kmem_oracle_begin(unsigned char *shared, u64 size);
void kmem_oracle_serve(struct mailbox *box);

#endif
