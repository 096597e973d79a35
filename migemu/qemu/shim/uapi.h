/* The part of Linux's VFIO interface that QEMU speaks to a migratable PCI device: numbers and layouts.
 *
 * Facts of the interface, written down here so that no kernel headers are needed. Every struct begins with
 * its own size as the caller knows it (argsz); all fields are in host byte order.
 */
#ifndef MIGEMU_UAPI_H
#define MIGEMU_UAPI_H

#include <stdint.h>

#define VFIO_REQUEST(n) ((';' << 8) | (100 + (n)))

/* container (/dev/vfio/vfio) */
#define VFIO_GET_API_VERSION VFIO_REQUEST(0)
#define VFIO_CHECK_EXTENSION VFIO_REQUEST(1)
#define VFIO_SET_IOMMU VFIO_REQUEST(2)
#define VFIO_IOMMU_GET_INFO VFIO_REQUEST(12)
#define VFIO_IOMMU_MAP_DMA VFIO_REQUEST(13)
#define VFIO_IOMMU_UNMAP_DMA VFIO_REQUEST(14)

/* group (/dev/vfio/NUMBER) */
#define VFIO_GROUP_GET_STATUS VFIO_REQUEST(3)
#define VFIO_GROUP_SET_CONTAINER VFIO_REQUEST(4)
#define VFIO_GROUP_UNSET_CONTAINER VFIO_REQUEST(5)
#define VFIO_GROUP_GET_DEVICE_FD VFIO_REQUEST(6)

/* device */
#define VFIO_DEVICE_GET_INFO VFIO_REQUEST(7)
#define VFIO_DEVICE_GET_REGION_INFO VFIO_REQUEST(8)
#define VFIO_DEVICE_GET_IRQ_INFO VFIO_REQUEST(9)
#define VFIO_DEVICE_SET_IRQS VFIO_REQUEST(10)
#define VFIO_DEVICE_RESET VFIO_REQUEST(11)
#define VFIO_DEVICE_FEATURE VFIO_REQUEST(17)

/* migration data fd */
#define VFIO_MIG_GET_PRECOPY_INFO VFIO_REQUEST(21)

enum { VFIO_TYPE1_IOMMU = 1, VFIO_TYPE1v2_IOMMU = 3 };
enum { VFIO_GROUP_VIABLE = 1, VFIO_GROUP_CONTAINER_SET = 2 };
enum { VFIO_DEVICE_HAS_RESET = 1, VFIO_DEVICE_IS_PCI = 2 };
enum { VFIO_PCI_REGIONS = 9, VFIO_PCI_CONFIG_REGION = 7, VFIO_PCI_IRQS = 5 };
enum { VFIO_PCI_ERR_IRQ = 3, VFIO_PCI_REQ_IRQ = 4, VFIO_IRQ_EVENTFD = 1 };
enum { VFIO_REGION_READ = 1, VFIO_REGION_WRITE = 2 };
enum { VFIO_IOMMU_INFO_PGSIZES = 1 };

enum {
    VFIO_FEATURE_MIGRATION = 1,
    VFIO_FEATURE_MIG_DEVICE_STATE = 2,
    VFIO_FEATURE_DMA_LOGGING_START = 6,
    VFIO_FEATURE_DMA_LOGGING_STOP = 7,
    VFIO_FEATURE_DMA_LOGGING_REPORT = 8,
    VFIO_FEATURE_MIG_DATA_SIZE = 9,
    VFIO_FEATURE_MASK = 0xffff,
    VFIO_FEATURE_GET = 1 << 16,
    VFIO_FEATURE_SET = 1 << 17,
    VFIO_FEATURE_PROBE = 1 << 18,
};

enum { VFIO_MIGRATION_STOP_COPY = 1, VFIO_MIGRATION_P2P = 2, VFIO_MIGRATION_PRE_COPY = 4 };

struct vfio_status { uint32_t argsz, flags; };
struct vfio_device_info { uint32_t argsz, flags, num_regions, num_irqs, cap_offset, pad; };
struct vfio_region_info { uint32_t argsz, flags, index, cap_offset; uint64_t size, offset; };
struct vfio_irq_info { uint32_t argsz, flags, index, count; };
struct vfio_iommu_info { uint32_t argsz, flags; uint64_t iova_pgsizes; };
struct vfio_feature { uint32_t argsz, flags; unsigned char data[]; };
struct vfio_mig_state { uint32_t device_state; int32_t data_fd; };
struct vfio_precopy_info { uint32_t argsz, flags; uint64_t initial_bytes, dirty_bytes; };
struct vfio_dma_report { uint64_t iova, length, page_size, bitmap; };

#endif
