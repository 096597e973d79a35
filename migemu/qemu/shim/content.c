/* Device content and its digest.
 *
 * Generated content: the little-endian 64-bit word at stream offset o (o a multiple of 8) is o xor seed, so
 * any piece can be made and checked without the rest. The digest is XXH64 with seed 0, by its published
 * specification: about the speed of memory, and Python's xxhash package computes the same.
 */
#include "shim.h"

#include <string.h>

void content_fill(unsigned char *out, size_t size, uint64_t offset, uint64_t seed)
{
    uint64_t word = offset & ~7ull;
    size_t skip = offset & 7;
    if (skip) {
        uint64_t value = word ^ seed;
        size_t head = size < 8 - skip ? size : 8 - skip;
        memcpy(out, (unsigned char *)&value + skip, head);
        out += head, size -= head, word += 8;
    }
    size_t words = size / 8;
    for (size_t i = 0; i < words; i++) {
        uint64_t value = (word + i * 8) ^ seed;
        memcpy(out + i * 8, &value, 8);
    }
    uint64_t last = (word + words * 8) ^ seed;
    memcpy(out + words * 8, &last, size % 8);
}

#define PRIME1 0x9E3779B185EBCA87ull
#define PRIME2 0xC2B2AE3D27D4EB4Full
#define PRIME3 0x165667B19E3779F9ull
#define PRIME4 0x85EBCA77C2B2AE63ull
#define PRIME5 0x27D4EB2F165667C5ull

static uint64_t rotate(uint64_t value, int bits) { return value << bits | value >> (64 - bits); }

static uint64_t mix(uint64_t lane, uint64_t word) { return rotate(lane + word * PRIME2, 31) * PRIME1; }

static void stripe(uint64_t lane[4], const unsigned char *bytes)
{
    uint64_t words[4];
    memcpy(words, bytes, sizeof words);
    for (int i = 0; i < 4; i++)
        lane[i] = mix(lane[i], words[i]);
}

void digest_begin(struct digest *digest)
{
    memset(digest, 0, sizeof *digest);
    digest->lane[0] = PRIME1 + PRIME2;
    digest->lane[1] = PRIME2;
    digest->lane[3] = 0 - PRIME1;
}

void digest_add(struct digest *digest, const unsigned char *bytes, size_t size)
{
    size_t held = digest->total % 32;
    digest->total += size;
    if (held) {
        size_t take = size < 32 - held ? size : 32 - held;
        memcpy(digest->rest + held, bytes, take);
        bytes += take, size -= take;
        if (held + take < 32)
            return;
        stripe(digest->lane, digest->rest);
    }
    for (; size >= 32; bytes += 32, size -= 32)
        stripe(digest->lane, bytes);
    memcpy(digest->rest, bytes, size);
}

static uint64_t digest_tail(uint64_t hash, const unsigned char *bytes, size_t size)
{
    for (; size >= 8; bytes += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        hash = rotate(hash ^ mix(0, word), 27) * PRIME1 + PRIME4;
    }
    if (size >= 4) {
        uint32_t word;
        memcpy(&word, bytes, 4);
        hash = rotate(hash ^ word * PRIME1, 23) * PRIME2 + PRIME3;
        bytes += 4, size -= 4;
    }
    for (; size; bytes++, size--)
        hash = rotate(hash ^ *bytes * PRIME5, 11) * PRIME1;
    return hash;
}

uint64_t digest_end(const struct digest *digest)
{
    const uint64_t *lane = digest->lane;
    uint64_t hash = PRIME5; /* seed 0 + PRIME5 for inputs below one stripe */
    if (digest->total >= 32) {
        hash = rotate(lane[0], 1) + rotate(lane[1], 7) + rotate(lane[2], 12) + rotate(lane[3], 18);
        for (int i = 0; i < 4; i++)
            hash = (hash ^ mix(0, lane[i])) * PRIME1 + PRIME4;
    }
    hash = digest_tail(hash + digest->total, digest->rest, digest->total % 32);
    hash = (hash ^ hash >> 33) * PRIME2;
    hash = (hash ^ hash >> 29) * PRIME3;
    return hash ^ hash >> 32;
}
