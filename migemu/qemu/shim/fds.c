/* Which of the process's fds are ours, and what stands behind each.
 *
 * Every make-believe fd is a real one (an empty memfd), so that its number is taken, it can be inherited,
 * polled and closed like any other, and only the calls that matter are answered here.
 */
#define _GNU_SOURCE
#include "shim.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#define FDS 65536 /* fds above this are never ours */

static _Atomic(unsigned char) kinds[FDS];
static struct device *devices[FDS]; /* written before the kind is published, read after it was seen */

enum kind fd_kind(int fd, struct device **device)
{
    if (fd < 0 || fd >= FDS)
        return NOT_OURS;
    enum kind kind = atomic_load_explicit(&kinds[fd], memory_order_acquire);
    *device = kind == NOT_OURS ? NULL : devices[fd];
    return kind;
}

int fd_make(enum kind kind, struct device *device)
{
    int fd = memfd_create("migemu-vfio", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fd >= FDS) {
        real_close(fd);
        return -EMFILE;
    }
    devices[fd] = device;
    atomic_store_explicit(&kinds[fd], kind, memory_order_release);
    return fd;
}

void fd_forget(int fd) { atomic_store_explicit(&kinds[fd], NOT_OURS, memory_order_release); }
