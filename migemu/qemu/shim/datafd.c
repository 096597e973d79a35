/* The migration data fd: what comes out of it, what goes into it, how fast, and where it breaks.
 *
 * A save session's bytes are one stream: pre-copy bytes as often as the device dirties some, then the
 * stop-copy bytes. Offsets in the model (errors, stalls) count this stream. Calls are paced by the time the
 * device needs: a call returns no sooner than the device could have moved its bytes.
 */
#include "shim.h"
#include "uapi.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define SECOND 1e9
#define MOST_LATE 50000000ull /* ns of a late wake-up that the next call makes good, as in migemu/vfio/pace.py */

int session_begin(struct device *device, bool saving)
{
    const struct model *model = &device->model;
    const char *path = saving ? model->state_file : model->keep_file;
    struct session *session = &device->session;
    uint64_t now = now_ns();
    memset(session, 0, sizeof *session);
    *session = (struct session){.saving = saving, .file = -1, .dirtied_at = now, .free_at = now};
    digest_begin(&session->digest);
    if (saving && model->precopy) {
        session->initial = model->initial_size;
        session->dirty = model->precopy_size;
    }
    if (*path) {
        session->file = real_open(path, (saving ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC) | O_CLOEXEC, 0644);
        if (session->file < 0) {
            complain("%s: cannot open %s: %s", device->name, path, strerror(errno));
            return -EIO;
        }
    }
    session->live = true;
    return fd_make(DATA, device);
}

/* The device stopped: its whole state waits to be read, after what pre-copy left over. */
void session_stop_copy(struct device *device)
{
    device->session.stop_copy = device->model.state_size;
    device->session.precopy = device->session.offset + device->session.initial + device->session.dirty;
}

void session_end(struct device *device)
{
    struct session *session = &device->session;
    if (!session->live)
        return;
    session->live = false;
    if (session->file >= 0)
        real_close(session->file);
    log_event("vfio_migration_data", device,
              ",\"direction\":\"%s\",\"bytes\":%llu,\"precopy_bytes\":%llu,\"xxh64\":\"%016llx\"",
              session->saving ? "save" : "load", (unsigned long long)session->offset,
              (unsigned long long)session->precopy, (unsigned long long)digest_end(&session->digest));
}

/* Pages dirtied since the last look; a quiesced or stopped device dirties none. */
static void dirty_more(struct device *device)
{
    struct session *session = &device->session;
    const struct model *model = &device->model;
    uint64_t now = now_ns();
    if (device->state == PRE_COPY) {
        double more = (double)(now - session->dirtied_at) * (double)model->precopy_dirty_rate / SECOND;
        uint64_t all = session->dirty + (uint64_t)more;
        session->dirty = all < model->precopy_size ? all : model->precopy_size;
    }
    session->dirtied_at = now;
}

uint64_t session_stop_copy_length(struct device *device)
{
    const struct session *session = &device->session;
    if (!session->live || !session->saving)
        return device->model.state_size;
    dirty_more(device);
    return session->initial + session->dirty +
           (device->state == STOP_COPY ? session->stop_copy : device->model.state_size);
}

int data_ioctl(struct device *device, unsigned long request, void *argument)
{
    struct vfio_precopy_info *info = argument;
    int result = -ENOTTY;
    pthread_mutex_lock(&device->lock);
    if (request == VFIO_MIG_GET_PRECOPY_INFO) {
        bool precopy = device->state == PRE_COPY || device->state == PRE_COPY_P2P;
        result = precopy && device->session.live && info->argsz >= sizeof *info ? 0 : -EINVAL;
        if (!result) {
            dirty_more(device);
            info->flags = 0;
            info->initial_bytes = device->session.initial;
            info->dirty_bytes = device->session.dirty;
        }
    }
    pthread_mutex_unlock(&device->lock);
    return result;
}

static uint64_t smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }

static size_t prefix(struct device *device, size_t size)
{
    uint64_t *random = &device->random; /* xorshift: the same prefixes for the same seed */
    *random ^= *random << 13, *random ^= *random >> 7, *random ^= *random << 17;
    return 1 + *random % size;
}

/* Stall, fail, or how many of `size` bytes may move before the next such place; the lock is held on entry
 * and exit but not during a stall. */
static ssize_t may_move(struct device *device, size_t size, uint64_t stall_at, uint64_t error_at)
{
    struct session *session = &device->session;
    if (session->offset >= stall_at && !session->stalled) {
        session->stalled = true;
        log_event("error", device, ",\"message\":\"injected stall\",\"offset\":%llu",
                  (unsigned long long)session->offset);
        pthread_mutex_unlock(&device->lock);
        sleep_until(now_ns() + device->model.stall_ns);
        pthread_mutex_lock(&device->lock);
    }
    if (!session->live)
        return -ENODEV;
    if (session->offset >= error_at) {
        log_event("error", device, ",\"message\":\"injected error\",\"offset\":%llu",
                  (unsigned long long)session->offset);
        return -EIO;
    }
    if (!session->stalled)
        size = smaller(size, stall_at - session->offset);
    return (ssize_t)smaller(size, error_at - session->offset);
}

/* Account for the bytes that a call which came at `begun` moved; until when the device is busy with them, 0 for no
 * time. A device that idles earns no credit, but it did not idle while its caller was woken late. */
static uint64_t busy_until(struct session *session, uint64_t begun, size_t moved, uint64_t rate)
{
    uint64_t came = begun - session->late;
    session->offset += moved;
    if (!rate)
        return 0;
    uint64_t start = session->free_at > came ? session->free_at : came;
    session->free_at = start + (uint64_t)((double)moved * SECOND / (double)rate);
    return session->free_at;
}

static void pace(struct device *device, uint64_t until)
{
    if (!until)
        return;
    sleep_until(until);
    uint64_t now = now_ns();
    pthread_mutex_lock(&device->lock);
    device->session.late = now > until ? smaller(now - until, MOST_LATE) : 0;
    pthread_mutex_unlock(&device->lock);
}

/* The part of the stream that is read next: pre-copy leftovers first. NULL when none is left. */
static uint64_t *readable(struct device *device)
{
    struct session *session = &device->session;
    dirty_more(device);
    if (session->initial)
        return &session->initial;
    if (session->dirty)
        return &session->dirty;
    return session->stop_copy ? &session->stop_copy : NULL;
}

static ssize_t fill(struct device *device, unsigned char *out, size_t size, const uint64_t *part)
{
    const struct session *session = &device->session;
    if (session->file < 0 || part != &session->stop_copy) {
        content_fill(out, size, session->offset, device->model.seed);
        return (ssize_t)size;
    }
    ssize_t got = real_pread(session->file, out, size, (off_t)(device->model.state_size - session->stop_copy));
    return got > 0 ? got : -EIO; /* the file is shorter than the model says */
}

static ssize_t read_locked(struct device *device, void *buffer, size_t size)
{
    struct session *session = &device->session;
    if (!session->live || !session->saving)
        return -ENODEV;
    ssize_t most = may_move(device, size, device->model.read_stall_at, device->model.read_error_at);
    if (most <= 0)
        return most;
    uint64_t *part = readable(device);
    if (!part)
        return device->state == STOP_COPY ? 0 : -ENOMSG;
    size = smaller((uint64_t)most, *part);
    if (device->model.read_size)
        size = smaller(size, device->model.read_size);
    size = device->model.read_partial ? prefix(device, size) : size;
    ssize_t got = fill(device, buffer, size, part);
    if (got > 0) {
        *part -= (uint64_t)got;
        digest_add(&session->digest, buffer, (size_t)got);
    }
    return got;
}

static ssize_t write_locked(struct device *device, const void *buffer, size_t size)
{
    struct session *session = &device->session;
    if (!session->live || session->saving || device->state != RESUMING)
        return -ENODEV;
    ssize_t most = may_move(device, size, device->model.write_stall_at, device->model.write_error_at);
    if (most <= 0)
        return most;
    size = device->model.write_partial ? prefix(device, (size_t)most) : (size_t)most;
    if (session->file >= 0 && real_write(session->file, buffer, size) != (ssize_t)size) {
        complain("%s: what is loaded cannot be kept: %s", device->name, strerror(errno));
        return -EIO;
    }
    digest_add(&session->digest, buffer, size);
    return (ssize_t)size;
}

/* QEMU puts what one read gave into one packet, so the reads since STOP_COPY number the packets. */
ssize_t data_read(struct device *device, void *buffer, size_t size)
{
    uint64_t begun = now_ns(), until = 0, idx = 0;
    pthread_mutex_lock(&device->lock);
    ssize_t got = read_locked(device, buffer, size);
    bool stopped = device->state == STOP_COPY;
    if (got > 0) {
        idx = stopped ? device->session.buffers++ : 0;
        until = busy_until(&device->session, begun, (size_t)got, device->model.read_rate);
    }
    pthread_mutex_unlock(&device->lock);
    pace(device, until);
    if (got > 0 && stopped)
        log_event("vfio_save_device_state_buffer", device, ",\"idx\":%llu,\"bytes\":%zd",
                  (unsigned long long)idx, got);
    else if (got > 0)
        log_event("vfio_save_iterate", device, ",\"bytes\":%zd", got);
    return got;
}

ssize_t data_write(struct device *device, const void *buffer, size_t size)
{
    uint64_t begun = now_ns(), until = 0;
    pthread_mutex_lock(&device->lock);
    ssize_t put = write_locked(device, buffer, size);
    if (put > 0)
        until = busy_until(&device->session, begun, (size_t)put, device->model.write_rate);
    pthread_mutex_unlock(&device->lock);
    pace(device, until);
    return put;
}
