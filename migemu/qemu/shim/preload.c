/* The calls that QEMU makes of libc, and which of them are ours to answer.
 *
 * Loaded before libc (LD_PRELOAD or the loader's --preload). Only fds made here are answered here; all else
 * goes on to libc unchanged, at the price of one table look-up. The checked variants (__read_chk and its
 * like) are what a compiler with _FORTIFY_SOURCE makes of the plain calls.
 */
#define _GNU_SOURCE
#undef _FORTIFY_SOURCE
#include "shim.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIBC(name) \
    static __typeof__(name) *libc_##name; \
    static __typeof__(name) *get_##name(void) \
    { \
        __typeof__(name) *found = __atomic_load_n(&libc_##name, __ATOMIC_RELAXED); \
        if (!found) { \
            *(void **)&found = dlsym(RTLD_NEXT, #name); \
            __atomic_store_n(&libc_##name, found, __ATOMIC_RELAXED); \
        } \
        return found; \
    }

int ioctl(int fd, unsigned long request, ...);
LIBC(openat)
LIBC(close)
LIBC(read)
LIBC(write)
LIBC(pread)
LIBC(pwrite)
LIBC(ioctl)

int real_open(const char *path, int flags, int mode) { return get_openat()(AT_FDCWD, path, flags, mode); }
int real_close(int fd) { return get_close()(fd); }
ssize_t real_write(int fd, const void *buffer, size_t size) { return get_write()(fd, buffer, size); }
ssize_t real_pread(int fd, void *buffer, size_t size, off_t at) { return get_pread()(fd, buffer, size, at); }

/* A result or -errno, as libc hands it on. */
static ssize_t answer(ssize_t result)
{
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

/* Only what follows is seen from outside: QEMU exports thousands of names, and one of ours among them would be
 * bound to it, or to us. */
#pragma GCC visibility push(default)

/* /dev/vfio/vfio is the container, /dev/vfio/NUMBER a group; without $MIGEMU_VFIO_DIR neither is ours. */
static int open_any(int folder, const char *path, int flags, int mode)
{
    static const char dev[] = "/dev/vfio/";
    if (path && !strncmp(path, dev, sizeof dev - 1) && getenv("MIGEMU_VFIO_DIR")) {
        const char *name = path + sizeof dev - 1;
        if (!strcmp(name, "vfio"))
            return (int)answer(fd_make(CONTAINER, NULL));
        if (*name && strspn(name, "0123456789") == strlen(name))
            return (int)answer(fd_make(GROUP, NULL));
    }
    return get_openat()(folder, path, flags, mode);
}

#define MODE_ARGUMENT(flags, mode) \
    int mode = 0; \
    if ((flags) & O_CREAT || ((flags) & O_TMPFILE) == O_TMPFILE) { \
        va_list arguments; \
        va_start(arguments, flags); \
        mode = va_arg(arguments, int); \
        va_end(arguments); \
    }

int open(const char *path, int flags, ...)
{
    MODE_ARGUMENT(flags, mode)
    return open_any(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    MODE_ARGUMENT(flags, mode)
    return open_any(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

int openat(int folder, const char *path, int flags, ...)
{
    MODE_ARGUMENT(flags, mode)
    return open_any(folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...)
{
    MODE_ARGUMENT(flags, mode)
    return open_any(folder, path, flags | O_LARGEFILE, mode);
}

int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags) { return open_any(AT_FDCWD, path, flags, 0); }
int __open64_2(const char *path, int flags);
int __open64_2(const char *path, int flags) { return open_any(AT_FDCWD, path, flags | O_LARGEFILE, 0); }

int close(int fd)
{
    struct device *device;
    enum kind kind = fd_kind(fd, &device);
    if (kind != NOT_OURS)
        fd_forget(fd);
    if (kind == DATA) {
        pthread_mutex_lock(&device->lock);
        session_end(device);
        pthread_mutex_unlock(&device->lock);
    }
    return get_close()(fd);
}

int ioctl(int fd, unsigned long request, ...)
{
    struct device *device;
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    switch (fd_kind(fd, &device)) {
    case CONTAINER: return (int)answer(container_ioctl(request, argument));
    case GROUP: return (int)answer(group_ioctl(request, argument));
    case DEVICE: return (int)answer(device_ioctl(device, request, argument));
    case DATA: return (int)answer(data_ioctl(device, request, argument));
    default: return get_ioctl()(fd, request, argument);
    }
}

ssize_t read(int fd, void *buffer, size_t size)
{
    struct device *device;
    if (fd_kind(fd, &device) == DATA)
        return answer(data_read(device, buffer, size));
    return get_read()(fd, buffer, size);
}

ssize_t write(int fd, const void *buffer, size_t size)
{
    struct device *device;
    if (fd_kind(fd, &device) == DATA)
        return answer(data_write(device, buffer, size));
    return get_write()(fd, buffer, size);
}

ssize_t pread(int fd, void *buffer, size_t size, off_t offset)
{
    struct device *device;
    if (fd_kind(fd, &device) == DEVICE)
        return answer(device_config(device, buffer, size, (uint64_t)offset, false));
    return get_pread()(fd, buffer, size, offset);
}

ssize_t pwrite(int fd, const void *buffer, size_t size, off_t offset)
{
    struct device *device;
    if (fd_kind(fd, &device) == DEVICE)
        return answer(device_config(device, (void *)buffer, size, (uint64_t)offset, true));
    return get_pwrite()(fd, buffer, size, offset);
}

ssize_t pread64(int fd, void *buffer, size_t size, off64_t at) { return pread(fd, buffer, size, at); }
ssize_t pwrite64(int fd, const void *buffer, size_t size, off64_t at) { return pwrite(fd, buffer, size, at); }

static void check(size_t size, size_t room)
{
    if (size > room)
        abort(); /* what libc's checked calls do */
}

ssize_t __read_chk(int fd, void *buffer, size_t size, size_t room);
ssize_t __read_chk(int fd, void *buffer, size_t size, size_t room)
{
    check(size, room);
    return read(fd, buffer, size);
}

ssize_t __pread_chk(int fd, void *buffer, size_t size, off_t offset, size_t room);
ssize_t __pread_chk(int fd, void *buffer, size_t size, off_t offset, size_t room)
{
    check(size, room);
    return pread(fd, buffer, size, offset);
}

ssize_t __pread64_chk(int fd, void *buffer, size_t size, off64_t offset, size_t room);
ssize_t __pread64_chk(int fd, void *buffer, size_t size, off64_t offset, size_t room)
{
    check(size, room);
    return pread(fd, buffer, size, offset);
}
