/* A PCI function with a 256-byte config space, no BARs, no interrupts that ever fire, and migration.
 *
 * Of the config space only what a driver may write is kept; the rest stays as made, so that a probe for BARs
 * or a ROM finds none. One write costs time: the first to the command
 * register after data went in while RESUMING, which QEMU makes when it loads the device's config state and which
 * on hardware maps BARs and enables interrupts. QEMU holds its BQL all that time, here as there.
 */
#include "shim.h"
#include "uapi.h"

#include <errno.h>
#include <string.h>

#define REGION_SHIFT 40 /* a region's index is in the high bits of its offset, as vfio-pci does it */
#define CONFIG_OFFSET ((uint64_t)VFIO_PCI_CONFIG_REGION << REGION_SHIFT)
#define PCI_COMMAND 4

/* Command register, cache line size, latency timer, interrupt line. */
static bool writable(uint64_t at) { return at == 4 || at == 5 || at == 12 || at == 13 || at == 60; }

static void config_load_cost(struct device *device)
{
    pthread_mutex_lock(&device->lock);
    bool loads = device->state == RESUMING && !device->session.configured;
    device->session.configured |= loads;
    pthread_mutex_unlock(&device->lock);
    if (loads) {
        sleep_until(now_ns() + device->model.config_load_ns);
        log_event("vfio_pci_write_config", device, ",\"addr\":%d,\"seconds\":%.9f", PCI_COMMAND,
                  (double)device->model.config_load_ns / 1e9);
    }
}

ssize_t device_config(struct device *device, void *buffer, size_t size, uint64_t offset, bool write)
{
    uint64_t at = offset - CONFIG_OFFSET;
    if (at >= PCI_CONFIG_SIZE || size > PCI_CONFIG_SIZE - at)
        return -EINVAL;
    if (write && at == PCI_COMMAND)
        config_load_cost(device);
    pthread_mutex_lock(&device->lock);
    if (!write)
        memcpy(buffer, device->config + at, size);
    for (size_t i = 0; write && i < size; i++)
        if (writable(at + i))
            device->config[at + i] = ((unsigned char *)buffer)[i];
    pthread_mutex_unlock(&device->lock);
    return (ssize_t)size;
}

static int get_region(struct vfio_region_info *info)
{
    if (info->argsz < sizeof *info || info->index >= VFIO_PCI_REGIONS)
        return -EINVAL;
    bool config = info->index == VFIO_PCI_CONFIG_REGION;
    info->argsz = sizeof *info;
    info->flags = config ? VFIO_REGION_READ | VFIO_REGION_WRITE : 0;
    info->cap_offset = 0;
    info->size = config ? PCI_CONFIG_SIZE : 0;
    info->offset = (uint64_t)info->index << REGION_SHIFT;
    return 0;
}

/* What the device's agent wrote by DMA: the first pages of each range asked for. */
static void report_dirty(const struct device *device, const struct vfio_dma_report *report)
{
    uint64_t *bitmap = (uint64_t *)(uintptr_t)report->bitmap;
    uint64_t pages = report->page_size ? report->length / report->page_size : 0;
    for (uint64_t page = 0; page < pages && page < device->model.dma_dirty_pages; page++)
        bitmap[page / 64] |= 1ull << page % 64;
}

static int mig_device_state(struct device *device, uint32_t flags, struct vfio_mig_state *argument)
{
    int fd = -1;
    pthread_mutex_lock(&device->lock);
    if (flags & VFIO_FEATURE_SET)
        fd = device_set_state(device, argument->device_state);
    else
        argument->device_state = device->state;
    pthread_mutex_unlock(&device->lock);
    argument->data_fd = fd < 0 ? -1 : fd;
    return fd < -1 ? fd + 1 : 0;
}

/* Which of GET and SET a feature knows; 0: no such feature. */
static uint32_t feature_operations(uint32_t index)
{
    switch (index) {
    case VFIO_FEATURE_MIGRATION:
    case VFIO_FEATURE_DMA_LOGGING_REPORT:
    case VFIO_FEATURE_MIG_DATA_SIZE:
        return VFIO_FEATURE_GET;
    case VFIO_FEATURE_DMA_LOGGING_START:
    case VFIO_FEATURE_DMA_LOGGING_STOP:
        return VFIO_FEATURE_SET;
    case VFIO_FEATURE_MIG_DEVICE_STATE:
        return VFIO_FEATURE_GET | VFIO_FEATURE_SET;
    default:
        return 0;
    }
}

static int feature(struct device *device, struct vfio_feature *argument)
{
    const struct model *model = &device->model;
    uint32_t index = argument->flags & VFIO_FEATURE_MASK;
    uint32_t asked = argument->flags & (VFIO_FEATURE_GET | VFIO_FEATURE_SET);
    uint32_t known = feature_operations(index);
    uint64_t value;
    if (!known)
        return -ENOTTY;
    if (asked & ~known)
        return -EINVAL;
    if (argument->flags & VFIO_FEATURE_PROBE)
        return 0;
    switch (index) {
    case VFIO_FEATURE_MIGRATION:
        value = VFIO_MIGRATION_STOP_COPY | (model->p2p ? VFIO_MIGRATION_P2P : 0) |
                (model->precopy ? VFIO_MIGRATION_PRE_COPY : 0);
        memcpy(argument->data, &value, sizeof value);
        return 0;
    case VFIO_FEATURE_MIG_DATA_SIZE:
        pthread_mutex_lock(&device->lock);
        value = session_stop_copy_length(device);
        pthread_mutex_unlock(&device->lock);
        memcpy(argument->data, &value, sizeof value);
        return 0;
    case VFIO_FEATURE_MIG_DEVICE_STATE:
        return mig_device_state(device, argument->flags, (void *)argument->data);
    case VFIO_FEATURE_DMA_LOGGING_REPORT:
        report_dirty(device, (void *)argument->data);
        return 0;
    default: /* DMA logging on or off: the report does not depend on it */
        return 0;
    }
}

static int reset(struct device *device)
{
    sleep_until(now_ns() + device->model.reset_ns);
    pthread_mutex_lock(&device->lock);
    session_end(device);
    device->state = RUNNING;
    log_event("vfio_migration_set_device_state", device, ",\"state\":\"RUNNING\",\"reset\":true");
    pthread_mutex_unlock(&device->lock);
    return 0;
}

int device_ioctl(struct device *device, unsigned long request, void *argument)
{
    struct vfio_device_info *info = argument;
    struct vfio_irq_info *irq = argument;
    switch (request) {
    case VFIO_DEVICE_GET_INFO:
        info->flags = VFIO_DEVICE_HAS_RESET | VFIO_DEVICE_IS_PCI;
        info->num_regions = VFIO_PCI_REGIONS;
        info->num_irqs = VFIO_PCI_IRQS;
        return 0;
    case VFIO_DEVICE_GET_REGION_INFO:
        return get_region(argument);
    case VFIO_DEVICE_GET_IRQ_INFO:
        irq->flags = VFIO_IRQ_EVENTFD; /* the error and the unplug request: armed, never raised */
        irq->count = irq->index == VFIO_PCI_ERR_IRQ || irq->index == VFIO_PCI_REQ_IRQ;
        return irq->index < VFIO_PCI_IRQS ? 0 : -EINVAL;
    case VFIO_DEVICE_SET_IRQS:
        return 0;
    case VFIO_DEVICE_RESET:
        return reset(device);
    case VFIO_DEVICE_FEATURE:
        return feature(device, argument);
    default:
        return -ENOTTY;
    }
}
