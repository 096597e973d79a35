/* Make-believe VFIO devices for an unmodified QEMU: what the shim's files share.
 *
 * preload.c stands before libc and asks fds.c which of the process's fds are ours; container.c, device.c and
 * datafd.c answer for them; model.c reads what each device shall be like; states.c walks the migration
 * states; content.c makes and digests bytes; log.c writes one JSON line per thing that happened.
 *
 * Everything comes from $MIGEMU_VFIO_DIR:
 *   devices/NAME/model.ini     what the device is like (model.c)
 *   devices/NAME/iommu_group   a link that ends in the group's number (QEMU reads it, not the shim)
 *   events.jsonl               the log, appended to
 */
#ifndef MIGEMU_SHIM_H
#define MIGEMU_SHIM_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum state { ERROR_, STOP, RUNNING, STOP_COPY, RESUMING, RUNNING_P2P, PRE_COPY, PRE_COPY_P2P, STATES };

#define NEVER UINT64_MAX /* an offset that is never reached */
#define NAME_SIZE 256
#define PATH_SIZE 4096
#define PCI_CONFIG_SIZE 256

struct model {
    char section[NAME_SIZE]; /* the name in events, QEMU's section id */
    char state_file[PATH_SIZE]; /* stop-copy content; empty: generated from the seed */
    char keep_file[PATH_SIZE]; /* where loaded bytes go; empty: only digested */
    uint64_t precopy, p2p; /* feature flags */
    uint64_t state_size, initial_size, precopy_size; /* bytes */
    uint64_t read_rate, write_rate, precopy_dirty_rate; /* bytes/s, 0 = no limit (dirty: none) */
    uint64_t config_load_ns, reset_ns, enter_ns[STATES]; /* ns */
    uint64_t fail[STATES], fail_to_error; /* errno of a refused transition, and whether it ends in ERROR */
    uint64_t read_size; /* the most that one read gives; 0: what is asked for */
    uint64_t read_partial, write_partial; /* whether transfers are cut to a prefix */
    uint64_t read_error_at, write_error_at, read_stall_at, write_stall_at; /* offsets in the data stream */
    uint64_t stall_ns, seed, vendor_id, device_id, dma_dirty_pages;
};

struct digest {
    uint64_t lane[4], total;
    unsigned char rest[32];
};

/* One opening of a data fd: from the transition that made it to its close. */
struct session {
    bool saving, live, stalled, configured;
    uint64_t offset; /* bytes through the fd so far */
    uint64_t initial, dirty; /* pre-copy bytes that wait to be read */
    uint64_t stop_copy; /* stop-copy bytes that wait to be read */
    uint64_t precopy; /* bytes read before STOP_COPY, leftovers included */
    uint64_t buffers; /* reads since STOP_COPY */
    uint64_t dirtied_at, free_at; /* ns: dirty bytes counted up to; the device is busy until */
    uint64_t late; /* ns: how much later than `free_at` the last caller was woken */
    int file; /* the content read or the bytes kept; -1: none */
    struct digest digest;
};

struct device {
    char name[NAME_SIZE];
    struct model model;
    pthread_mutex_t lock; /* state, session; never held while a transfer is paced */
    enum state state;
    struct session session;
    unsigned char config[PCI_CONFIG_SIZE];
    uint64_t random; /* for prefixes */
};

/* fds.c */
enum kind { NOT_OURS, CONTAINER, GROUP, DEVICE, DATA };
enum kind fd_kind(int fd, struct device **device);
int fd_make(enum kind kind, struct device *device);
void fd_forget(int fd);

/* model.c */
bool model_read(struct model *model, const char *device_name);
bool shim_path(char *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* states.c */
extern const char *const state_names[STATES];
int state_next(enum state from, enum state to, bool p2p, bool precopy);
int device_set_state(struct device *device, enum state to);

/* container.c, device.c, datafd.c: an ioctl's result, or -errno */
struct device *device_find(const char *name);
int container_ioctl(unsigned long request, void *argument);
int group_ioctl(unsigned long request, void *argument);
int device_ioctl(struct device *device, unsigned long request, void *argument);
ssize_t device_config(struct device *device, void *buffer, size_t size, uint64_t offset, bool write);

int session_begin(struct device *device, bool saving);
void session_stop_copy(struct device *device);
void session_end(struct device *device);
uint64_t session_stop_copy_length(struct device *device);
int data_ioctl(struct device *device, unsigned long request, void *argument);
ssize_t data_read(struct device *device, void *buffer, size_t size);
ssize_t data_write(struct device *device, const void *buffer, size_t size);

/* content.c */
void content_fill(unsigned char *out, size_t size, uint64_t offset, uint64_t seed);
void digest_begin(struct digest *digest);
void digest_add(struct digest *digest, const unsigned char *bytes, size_t size);
uint64_t digest_end(const struct digest *digest);

/* log.c */
uint64_t now_ns(void);
void sleep_until(uint64_t when);
void log_event(const char *event, const struct device *device, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* libc's own, from behind the wrappers (preload.c) */
int real_open(const char *path, int flags, int mode);
int real_close(int fd);
ssize_t real_write(int fd, const void *buffer, size_t size);
ssize_t real_pread(int fd, void *buffer, size_t size, off_t offset);

#endif
