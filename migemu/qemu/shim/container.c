/* The container, its groups, and the devices found in them.
 *
 * A type 1 container that accepts every mapping: nothing here ever does DMA, so there is nothing to map. All
 * groups are viable, each of any number; a device is found by its name alone.
 */
#include "shim.h"
#include "uapi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct device *device_find(const char *name)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct device *known[256];
    struct device *found = NULL;
    int slot = 0;
    pthread_mutex_lock(&lock);
    while (slot < 256 && known[slot] && strcmp(known[slot]->name, name))
        slot++;
    if (slot < 256 && !known[slot]) {
        struct device *made = calloc(1, sizeof *made);
        if (made && model_read(&made->model, name)) {
            strcpy(made->name, name); /* model_read refuses names longer than this */
            pthread_mutex_init(&made->lock, NULL);
            made->state = RUNNING;
            made->random = made->model.seed | 1;
            memcpy(made->config, &made->model.vendor_id, 2);
            memcpy(made->config + 2, &made->model.device_id, 2);
            made->config[11] = 0x12; /* class: processing accelerator, which no firmware wants to boot from */
            known[slot] = made;
        } else {
            free(made);
        }
    }
    found = slot < 256 ? known[slot] : NULL;
    pthread_mutex_unlock(&lock);
    return found;
}

int container_ioctl(unsigned long request, void *argument)
{
    struct vfio_iommu_info *info = argument;
    switch (request) {
    case VFIO_GET_API_VERSION:
    case VFIO_SET_IOMMU:
    case VFIO_IOMMU_MAP_DMA:
    case VFIO_IOMMU_UNMAP_DMA: /* its size field already says what was asked: all of it is unmapped */
        return 0;
    case VFIO_CHECK_EXTENSION:
        return (uintptr_t)argument == VFIO_TYPE1_IOMMU || (uintptr_t)argument == VFIO_TYPE1v2_IOMMU;
    case VFIO_IOMMU_GET_INFO:
        if (info->argsz < sizeof *info)
            return -EINVAL;
        info->argsz = sizeof *info; /* no capability chain */
        info->flags = VFIO_IOMMU_INFO_PGSIZES;
        info->iova_pgsizes = ~0xfffull;
        return 0;
    default:
        return -ENOTTY;
    }
}

int group_ioctl(unsigned long request, void *argument)
{
    struct vfio_status *status = argument;
    struct device *device;
    switch (request) {
    case VFIO_GROUP_GET_STATUS:
        status->flags = VFIO_GROUP_VIABLE;
        return 0;
    case VFIO_GROUP_SET_CONTAINER:
    case VFIO_GROUP_UNSET_CONTAINER:
        return 0;
    case VFIO_GROUP_GET_DEVICE_FD:
        device = device_find(argument);
        return device ? fd_make(DEVICE, device) : -ENODEV;
    default:
        return -ENOTTY;
    }
}
