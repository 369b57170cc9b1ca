/* libFuzzer's entry: bytes that a client of edgec-serve sends, answered as the service does, with a network of one step.
   Build it with the service's sources but serve.c, which is included here. */
#define _GNU_SOURCE
#define main serve_main
#include "serve.c"
#undef main

#include "context.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { HEIGHT = 4, WIDTH = 5, CHANNELS = 3, CLASSES = 10, REGION = 8192 };

/* Of serve_main alone, which is not called. */
edgec_status edgec_open(const char *path, const edgec_open_options *options, edgec_network **opened, edgec_error *error) {
  (void)path, (void)options, (void)opened;
  *error = (edgec_error){EDGEC_NO_FILE, "nothing is opened here"};
  return EDGEC_NO_FILE;
}

/* Logits that depend on every pixel; no numbers for a picture that begins with white. */
static void add_up(const uint8_t *x, const uint8_t *w, const uint8_t *p, const uint8_t *r, uint8_t *y, int64_t begin, int64_t end) {
  (void)w, (void)p, (void)r;
  for (int64_t i = begin; i < end; i++) {
    float sum = x[0] == 255 ? INFINITY : (float)i;
    for (int k = 0; k < HEIGHT * WIDTH * CHANNELS; k++) sum += x[k];
    memcpy(y + 4 * i, &sum, 4);
  }
}

static const edgec_step steps[1] = {{.node = "sum", .kernel = add_up, .items = CLASSES, .edge = -1, .x = EDGEC_IMAGE, .r = EDGEC_NOTHING}};
static const edgec_program program = {.steps = steps, .step_count = 1, .arena_size = 64, .constants_size = 64, .height = HEIGHT, .width = WIDTH,
                                      .channels = CHANNELS, .classes = CLASSES, .output_pixels = 1};
static const char *classes[CLASSES] = {"a", "b\"", "c\\", "d\n", "e", "f", "g", "h", "i", "\xc3\xa9"};
static edgec_network network;
static uint8_t constants[64] __attribute__((aligned(64)));

static void start(void) {
  edgec_error error;
  network.code.program = &program;
  network.constants = constants;
  network.manifest = (edgec_manifest){.model = "tiny", .target = "host", .engine = "e", .engine_sha256 = "0", .classes = classes, .class_count = CLASSES,
                                      .output_height = 1, .output_width = 1, .fitting = {HEIGHT, WIDTH, CHANNELS, FIT_LETTERBOX, 0, {0}}};
  served.network = &network;
  served.about.size = sizeof served.about;
  edgec_describe(&network, &served.about);
  served.name = "tiny";
  rule.here_alone = 1;
  int file = shm_open("/edgec-fuzz", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0 || ftruncate(file, REGION) || close(file) || regions_allow("edgec-fuzz") || jobs_start(&network, 2, &error)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static int started;
  if (!started++) start();
  int ends[2];
  if (size > 1 << 16 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) return 0;
  if (send(ends[0], data, size, MSG_DONTWAIT) == (ssize_t)size) {
    shutdown(ends[0], SHUT_WR);
    place p = {ends[1], 0};
    for (int requests = 0; requests < 4 && serve_one(&p); requests++) {}
  }
  close(ends[0]);
  close(ends[1]);
  region_unregister(NULL);
  return 0;
}
