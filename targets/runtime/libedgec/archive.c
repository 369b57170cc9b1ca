#define _GNU_SOURCE
#include "archive.h"
#include "failure.h"
#include "inflate.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER = 10, TRAILER = 8, BLOCK = 512, PATH_BYTES = 4096 };

/* As in device_limits.py: a small file does not fill the memory. */
static const uint64_t unpacked_freely = 64u << 20, packed_times = 100;

int edgec_is_packed(edgec_part f) { return f.size >= 3 && f.bytes[0] == 0x1f && f.bytes[1] == 0x8b && f.bytes[2] == 8; }

static uint32_t little_endian(const uint8_t *b) { return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24; }

/* RFC 1952, 8. */
static uint32_t checksum(const uint8_t *data, size_t size) {
  uint32_t table[256], crc = 0xffffffffu;
  for (uint32_t n = 0; n < 256; n++) {
    table[n] = n;
    for (int bit = 0; bit < 8; bit++) table[n] = table[n] & 1 ? 0xedb88320u ^ (table[n] >> 1) : table[n] >> 1;
  }
  for (size_t i = 0; i < size; i++) crc = table[(crc ^ data[i]) & 255] ^ (crc >> 8);
  return ~crc;
}

edgec_status edgec_unpack(edgec_part f, uint8_t **memory, size_t *size, edgec_error *error) {
  static const char damaged[] = "the bundle is damaged: it cannot be unpacked";
  if (f.size < HEADER + TRAILER || f.bytes[3]) return edgec_fail(error, EDGEC_NO_BUNDLE, "%s", damaged);
  const uint8_t *end = f.bytes + f.size - TRAILER;
  uint64_t unpacked = little_endian(end + 4);
  if (unpacked > unpacked_freely + packed_times * f.size)
    return edgec_fail(error, EDGEC_NO_BUNDLE, "the bundle claims to unpack to %llu bytes: refused", (unsigned long long)unpacked);
  uint8_t *into = malloc(unpacked ? unpacked : 1);
  if (!into) return edgec_fail(error, EDGEC_NO_MEMORY, "not enough memory to unpack the bundle");
  size_t used, packed = f.size - HEADER - TRAILER;
  if (edgec_inflate_deflated(f.bytes + HEADER, packed, &used, into, unpacked) || used != packed ||
      checksum(into, unpacked) != little_endian(end)) {
    free(into);
    return edgec_fail(error, EDGEC_NO_BUNDLE, "%s", damaged);
  }
  *memory = into;
  *size = unpacked;
  return EDGEC_OK;
}

/* POSIX.1-2001, pax, "ustar Interchange Format": octal digits, then spaces and zeros. -1 if it is not a number. */
static int64_t octal(const uint8_t *field, int length) {
  int64_t value = 0;
  int at = 0;
  for (; at < length && field[at] >= '0' && field[at] <= '7'; at++) value = value * 8 + (field[at] - '0');
  for (int rest = at; rest < length; rest++)
    if (field[rest] != ' ' && field[rest]) return -1;
  return value;
}

static int is_header(const uint8_t *block) {
  int64_t sum = 8 * ' ';
  for (int i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 0 : block[i];
  return !memcmp(block + 257, "ustar\0" "00", 8) && octal(block + 148, 8) == sum;
}

/* Write "prefix/name" of a header as a string. */
static void plain_path(const uint8_t *block, char path[PATH_BYTES]) {
  size_t prefix = strnlen((const char *)block + 345, 155), name = strnlen((const char *)block, 100);
  memcpy(path, block + 345, prefix);
  if (prefix) path[prefix++] = '/';
  memcpy(path + prefix, block, name);
  path[prefix + name] = 0;
}

/* A pax header of one record: its length in digits, " path=", the path and a newline. -1 if it is another. */
static int long_path(edgec_part record, char path[PATH_BYTES]) {
  size_t at = 0, length = 0;
  for (; at < record.size && at < 6 && record.bytes[at] >= '0' && record.bytes[at] <= '9'; at++)
    length = length * 10 + (record.bytes[at] - '0');
  if (length != record.size || record.size < at + 8 || memcmp(record.bytes + at, " path=", 6) || record.bytes[length - 1] != '\n') return -1;
  size_t count = length - 1 - at - 6;
  if (count >= PATH_BYTES || memchr(record.bytes + at + 6, 0, count)) return -1;
  memcpy(path, record.bytes + at + 6, count);
  path[count] = 0;
  return 0;
}

static int is_zero(const uint8_t *block) {
  for (int i = 0; i < BLOCK; i++)
    if (block[i]) return 0;
  return 1;
}

int edgec_find_in_tar(edgec_part tar, const char *name, edgec_part *found) {
  char path[PATH_BYTES];
  int named = 0;
  *found = (edgec_part){NULL, 0};
  for (size_t at = 0; at + BLOCK <= tar.size;) {
    const uint8_t *block = tar.bytes + at;
    if (is_zero(block)) return 0;
    int64_t size = octal(block + 124, 12);
    at += BLOCK;
    if (!is_header(block) || size < 0 || (uint64_t)size > tar.size - at) return -1;
    edgec_part content = {tar.bytes + at, (size_t)size};
    at += ((size_t)size + BLOCK - 1) / BLOCK * BLOCK;
    if (block[156] == 'x' && !named) {
      if (long_path(content, path)) return -1;
      named = 1;
      continue;
    }
    if (block[156] != '0' && block[156]) return -1;
    if (!named) plain_path(block, path);
    named = 0;
    const char *below = strchr(path, '/');
    if (!below || strcmp(below + 1, name)) continue;
    if (found->bytes) return -1;
    *found = content;
  }
  return -1; /* it is cut off */
}
