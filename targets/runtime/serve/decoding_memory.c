#include "decoding_memory.h"
#include "bounds.h"

#include <pthread.h>
#include <string.h>

enum {
  BYTES_OF_A_PIXEL = 16, /* a JPEG with four inks takes 15, a PNG with 16 bits 11 */
  BLOCKS = 32            /* a JPEG's sides are rounded up to blocks of at most so many pixels */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER, turn = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t given_back = PTHREAD_COND_INITIALIZER;
static size_t taken;

static size_t two(const uint8_t *b) { return (size_t)b[0] << 8 | b[1]; }

static size_t rounded(size_t side) { return (side + BLOCKS - 1) / BLOCKS * BLOCKS; }

/* Where height and width of a JPEG stand, two bytes each: in its first frame header (ITU-T T.81, B.2.2). NULL if a segment in
   front of it is not as usual; the decoder reads such files, too. */
static const uint8_t *jpeg_sides(const uint8_t *file, size_t size) {
  for (size_t at = 2; size >= 9 && at <= size - 9 && file[at] == 0xff;) {
    int marker = file[at + 1], is_frame = marker >= 0xc0 && marker <= 0xc2, is_known = marker == 0xc4 || marker == 0xdb || marker == 0xdd || marker >= 0xe0;
    if (is_frame) return file + at + 5;
    if (!is_known || marker == 0xff || two(file + at + 2) < 2) return NULL;
    at += 2 + two(file + at + 2);
  }
  return NULL;
}

size_t decoding_memory(const uint8_t *file, size_t size) {
  static const uint8_t png[] = {137, 'P', 'N', 'G', 13, 10, 26, 10, 0, 0, 0, 13, 'I', 'H', 'D', 'R'};
  size_t height, width;
  if (size >= 24 && !memcmp(file, png, sizeof png)) {
    if (two(file + 16) || two(file + 20)) return size; /* a side of more than 65,535 pixels, which is refused */
    width = two(file + 18), height = two(file + 22);
  } else if (size >= 2 && file[0] == 0xff && file[1] == 0xd8) {
    const uint8_t *sides = jpeg_sides(file, size);
    if (!sides) return SERVE_DECODING_BYTES;
    height = two(sides), width = two(sides + 2);
  } else return size; /* refused, after a copy perhaps */
  uint64_t bytes = (uint64_t)rounded(height) * rounded(width) * BYTES_OF_A_PIXEL + size;
  return bytes < SERVE_DECODING_BYTES ? (size_t)bytes : SERVE_DECODING_BYTES;
}

void decoding_memory_take(size_t bytes) {
  pthread_mutex_lock(&turn);
  pthread_mutex_lock(&lock);
  while (taken + bytes > SERVE_DECODING_BYTES) pthread_cond_wait(&given_back, &lock);
  taken += bytes;
  pthread_mutex_unlock(&lock);
  pthread_mutex_unlock(&turn);
}

void decoding_memory_give_back(size_t bytes) {
  pthread_mutex_lock(&lock);
  taken -= bytes;
  pthread_cond_signal(&given_back); /* one waits at most: the others wait for their turn */
  pthread_mutex_unlock(&lock);
}
