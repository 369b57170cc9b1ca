/* Reads picture files, and finds out which kind they are. */
#define _GNU_SOURCE
#include "picture.h"
#include "jpeg.h"
#include "limits.h"
#include "png.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

const char *edgec_decode_picture(uint8_t *file, size_t size, int channels, edgec_picture *picture) {
  if (edgec_is_jpeg(file, size)) return edgec_decode_jpeg(file, size, channels, picture);
  if (edgec_is_png(file, size)) return edgec_decode_png(file, size, channels, picture);
  return "this is neither a JPEG nor a PNG file. Convert it, or use the bundle's ./run, which reads others too";
}

static int read_all(int file, uint8_t *into, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t count = read(file, into + done, size - done);
    if (count <= 0) return -1;
    done += (size_t)count;
  }
  return 0;
}

const char *edgec_read_picture(const char *path, int channels, edgec_picture *picture) {
  int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a pipe must not make its reader wait */
  if (file < 0) return "the picture cannot be opened";
  const char *error = "the picture cannot be read";
  uint8_t *data = NULL;
  struct stat status;
  if (!fstat(file, &status) && S_ISREG(status.st_mode) && status.st_size > 0 && status.st_size <= EDGEC_PICTURE_BYTES &&
      (data = malloc((size_t)status.st_size)) && !read_all(file, data, (size_t)status.st_size))
    error = edgec_decode_picture(data, (size_t)status.st_size, channels, picture);
  close(file);
  free(data);
  return error;
}
