/* Time, and one JSON line for each thing that happens.
 *
 * A line is one write() to an O_APPEND file, so lines of several threads and processes never mix. Times are
 * CLOCK_MONOTONIC, which all processes of a machine share. Names were checked when they were read (model.c):
 * nothing here needs quoting.
 */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECOND 1000000000ull

uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

void sleep_until(uint64_t when)
{
    struct timespec until = {.tv_sec = (time_t)(when / SECOND), .tv_nsec = (long)(when % SECOND)};
    while (now_ns() < when)
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static int log_fd(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static int fd = -1;
    char path[PATH_SIZE];
    pthread_mutex_lock(&lock);
    if (fd < 0 && shim_path(path, "events.jsonl"))
        fd = real_open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    pthread_mutex_unlock(&lock);
    return fd;
}

void log_event(const char *event, const struct device *device, const char *format, ...)
{
    char line[1024];
    uint64_t now = now_ns();
    int size = snprintf(line, sizeof line, "{\"event\":\"%s\",\"t\":%llu.%09llu,\"device\":\"%s\"", event,
                        (unsigned long long)(now / SECOND), (unsigned long long)(now % SECOND),
                        device->model.section);
    va_list arguments;
    va_start(arguments, format);
    size += vsnprintf(line + size, sizeof line - (size_t)size - 4, format, arguments);
    va_end(arguments);
    if (size > (int)sizeof line - 3)
        size = (int)sizeof line - 3;
    memcpy(line + size, "}\n", 2);
    if (real_write(log_fd(), line, (size_t)size + 2) < 0)
        complain("cannot write the event log: %s", strerror(errno));
}

void complain(const char *format, ...)
{
    char line[1024] = "migemu vfio shim: ";
    size_t size = strlen(line);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + size, sizeof line - size - 1, format, arguments);
    va_end(arguments);
    size = strlen(line);
    line[size] = '\n';
    if (real_write(2, line, size + 1) < 0)
        return; /* nobody left to tell */
}
