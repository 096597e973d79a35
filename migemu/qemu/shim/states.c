/* The migration states: which step leads from one towards another, and what entering one does.
 *
 * first_step[a][b] is the first arc of the way from a to b as the VFIO uAPI defines it for a device with P2P
 * and PRE_COPY; a device without one of them skips the states it lacks. A combined transition is walked arc
 * by arc, each logged and delayed on its own, as a driver does it. ERROR is left only by a reset.
 */
#include "shim.h"

#include <errno.h>

const char *const state_names[STATES] = {"ERROR",    "STOP",        "RUNNING",  "STOP_COPY",
                                         "RESUMING", "RUNNING_P2P", "PRE_COPY", "PRE_COPY_P2P"};

#define NO ERROR_
static const unsigned char first_step[STATES][STATES] = {
    /* to:          ERROR STOP         RUNNING      STOP_COPY     RESUMING     RUNNING_P2P   PRE_COPY      PRE_COPY_P2P */
    [ERROR_] =       {NO, NO,          NO,          NO,           NO,          NO,           NO,           NO},
    [STOP] =         {NO, STOP,        RUNNING_P2P, STOP_COPY,    RESUMING,    RUNNING_P2P,  RUNNING_P2P,  RUNNING_P2P},
    [RUNNING] =      {NO, RUNNING_P2P, RUNNING,     RUNNING_P2P,  RUNNING_P2P, RUNNING_P2P,  PRE_COPY,     RUNNING_P2P},
    [STOP_COPY] =    {NO, STOP,        STOP,        STOP_COPY,    STOP,        STOP,         NO,           NO},
    [RESUMING] =     {NO, STOP,        STOP,        STOP,         RESUMING,    STOP,         STOP,         STOP},
    [RUNNING_P2P] =  {NO, STOP,        RUNNING,     STOP,         STOP,        RUNNING_P2P,  RUNNING,      PRE_COPY_P2P},
    [PRE_COPY] =     {NO, RUNNING,     RUNNING,     PRE_COPY_P2P, RUNNING,     RUNNING,      PRE_COPY,     PRE_COPY_P2P},
    [PRE_COPY_P2P] = {NO, RUNNING_P2P, RUNNING_P2P, STOP_COPY,    RUNNING_P2P, RUNNING_P2P,  PRE_COPY,     PRE_COPY_P2P},
};

static bool supported(enum state state, bool p2p, bool precopy)
{
    bool needs_p2p = state == RUNNING_P2P || state == PRE_COPY_P2P;
    bool needs_precopy = state == PRE_COPY || state == PRE_COPY_P2P;
    return (p2p || !needs_p2p) && (precopy || !needs_precopy);
}

/* The next state on the way, or -EINVAL where there is no way. */
int state_next(enum state from, enum state to, bool p2p, bool precopy)
{
    if (from >= STATES || to >= STATES || !supported(from, p2p, precopy) || !supported(to, p2p, precopy))
        return -EINVAL;
    enum state next = first_step[from][to];
    while (next != NO && !supported(next, p2p, precopy))
        next = first_step[next][to];
    return next == NO ? -EINVAL : (int)next;
}

static bool has_data(enum state state)
{
    return state == STOP_COPY || state == RESUMING || state == PRE_COPY || state == PRE_COPY_P2P;
}

/* Enter the neighbouring state `next`: its delay, its injected refusal, the data session it begins or ends.
 * Returns the new data fd, -1 for none, or -errno - 1 (below -1) for a failure. */
static int enter(struct device *device, enum state next)
{
    const struct model *model = &device->model;
    sleep_until(now_ns() + model->enter_ns[next]);
    if (model->fail[next]) {
        if (model->fail_to_error) {
            session_end(device);
            device->state = ERROR_;
        }
        log_event("error", device, ",\"message\":\"injected failure entering %s\"", state_names[next]);
        return -(int)model->fail[next] - 1;
    }
    int fd = -1;
    bool kept = has_data(device->state) && device->session.saving && has_data(next) && next != RESUMING;
    if (has_data(device->state) && !kept)
        session_end(device);
    if (has_data(next) && !kept) {
        fd = session_begin(device, next != RESUMING);
        if (fd < 0)
            return fd - 1;
    }
    if (next == STOP_COPY)
        session_stop_copy(device);
    device->state = next;
    log_event("vfio_migration_set_device_state", device, ",\"state\":\"%s\"", state_names[next]);
    return fd;
}

/* Walk to `to`; the device's lock is held. Returns the data fd made on the way, -1 for none, -errno - 1. */
int device_set_state(struct device *device, enum state to)
{
    int fd = -1;
    while (device->state != to) {
        int next = state_next(device->state, to, device->model.p2p, device->model.precopy);
        int made = next < 0 ? next - 1 : enter(device, (enum state)next);
        if (made < -1)
            return made;
        fd = made >= 0 ? made : fd;
    }
    return fd;
}
