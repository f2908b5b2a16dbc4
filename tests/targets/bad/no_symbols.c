/* SPDX-License-Identifier: Apache-2.0 */
/* Exports nothing that the kernel has. */
int unrelated(void);

int unrelated(void) { return 42; }
