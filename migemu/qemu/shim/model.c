/* model.ini: what a device is like. One `key = value` a line; numbers are decimal bytes, bytes/s, ns or errno.
 *
 * A file with an unknown key or a bad value gives no device: a misspelt fault that is silently not injected
 * would make a test pass that should not.
 */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool shim_path(char *out, const char *format, ...)
{
    const char *root = getenv("MIGEMU_VFIO_DIR");
    int size = root ? snprintf(out, PATH_SIZE, "%s/", root) : -1;
    if (size < 0 || size >= PATH_SIZE)
        return false;
    va_list arguments;
    va_start(arguments, format);
    int more = vsnprintf(out + size, (size_t)(PATH_SIZE - size), format, arguments);
    va_end(arguments);
    return more >= 0 && more < PATH_SIZE - size;
}

#define FIELD(name) {#name, offsetof(struct model, name), 0}
#define TEXT(name, limit) {#name, offsetof(struct model, name), limit}

static const struct field {
    const char *key;
    size_t offset, text; /* text: the size of a string field, 0 for a number */
} fields[] = {
    TEXT(section, NAME_SIZE), TEXT(state_file, PATH_SIZE), TEXT(keep_file, PATH_SIZE),
    FIELD(precopy), FIELD(p2p), FIELD(state_size), FIELD(initial_size), FIELD(precopy_size),
    FIELD(read_rate), FIELD(write_rate), FIELD(precopy_dirty_rate), FIELD(config_load_ns), FIELD(reset_ns),
    FIELD(fail_to_error), FIELD(read_size), FIELD(read_partial), FIELD(write_partial), FIELD(read_error_at),
    FIELD(write_error_at), FIELD(read_stall_at), FIELD(write_stall_at), FIELD(stall_ns), FIELD(seed),
    FIELD(vendor_id), FIELD(device_id), FIELD(dma_dirty_pages),
};

/* Digits only, below 2^64. Not strtoull: newer libcs bind it to a symbol that older ones lack, and the libc
 * QEMU runs with need not be the one the shim was compiled with. */
static bool number(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    bool good = *text != 0;
    for (; *text; text++) {
        unsigned digit = (unsigned)(*text - '0');
        good = good && digit < 10 && value <= (UINT64_MAX - digit) / 10;
        value = value * 10 + digit;
    }
    *out = value;
    return good;
}

static uint64_t *per_state(struct model *model, const char *key)
{
    for (int state = 0; state < STATES; state++) {
        if (!strncmp(key, "enter_ns.", 9) && !strcmp(key + 9, state_names[state]))
            return &model->enter_ns[state];
        if (!strncmp(key, "fail.", 5) && !strcmp(key + 5, state_names[state]))
            return &model->fail[state];
    }
    return NULL;
}

static bool assign(struct model *model, const char *key, const char *value)
{
    uint64_t *slot = per_state(model, key);
    if (slot)
        return number(value, slot);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        char *at = (char *)model + fields[i].offset;
        if (strcmp(key, fields[i].key))
            continue;
        if (!fields[i].text)
            return number(value, (uint64_t *)(void *)at);
        if (strlen(value) >= fields[i].text)
            return false;
        strcpy(at, value);
        return true;
    }
    return false;
}

/* Names go into log lines unquoted. */
static bool plain(const char *name)
{
    size_t size = strlen(name);
    return size && size < NAME_SIZE && name[0] != '.' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:._/-") == size;
}

static char *trim(char *text)
{
    text += strspn(text, " \t");
    size_t size = strlen(text);
    while (size && strchr(" \t\r", text[size - 1]))
        text[--size] = 0;
    return text;
}

static bool parse(struct model *model, char *text, const char *path)
{
    char *rest;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *equals = strchr(line, '=');
        line = trim(line);
        if (!*line || *line == '#')
            continue;
        if (equals)
            *equals = 0;
        if (!equals || !assign(model, trim(line), trim(equals + 1))) {
            complain("%s: bad line for `%s`", path, line);
            return false;
        }
    }
    return true;
}

bool model_read(struct model *model, const char *device_name)
{
    char path[PATH_SIZE], text[16384];
    *model = (struct model){.p2p = 1, .vendor_id = 0x1b36, .device_id = 0x6d67, .read_error_at = NEVER,
                            .write_error_at = NEVER, .read_stall_at = NEVER, .write_stall_at = NEVER};
    if (!plain(device_name) || strchr(device_name, '/') || !shim_path(path, "devices/%s/model.ini", device_name))
        return false;
    int fd = real_open(path, O_RDONLY | O_CLOEXEC, 0);
    ssize_t size = fd < 0 ? -1 : real_pread(fd, text, sizeof text - 1, 0);
    if (fd >= 0)
        real_close(fd);
    if (size < 0) {
        complain("cannot read %s: %s", path, strerror(errno));
        return false;
    }
    text[size] = 0;
    snprintf(model->section, sizeof model->section, "%s", device_name);
    if (!parse(model, text, path))
        return false;
    if (!plain(model->section))
        complain("%s: section may hold letters, digits and :._/- only", path);
    return plain(model->section);
}
