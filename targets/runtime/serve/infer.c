#include "infer.h"
#include "camera_frame.h"
#include "jobs.h"
#include "parameters.h"
#include "picture_files.h"
#include "regions.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST_ID = 1024, LONGEST_REGION = 256 };

typedef struct {
  edgec_json json;
  const uint8_t *binary; /* what follows the JSON */
  size_t binary_size;
  edgec_frame form; /* of one frame; `pixels` is 0 where images have the form of the network's input */
  int64_t images, bytes; /* of one */
  picture_file files[SERVE_IMAGES]; /* none, or one for each image */
  uint8_t *unpacked; /* numbers read from JSON */
  const uint8_t *data;
  int64_t classes; /* how many to return; 0: logits instead */
  int binary_output;
  float *logits;
  region *in, *out; /* of shared memory; NULL: the data is in the request, and the logits are in the answer */
  uint8_t *shared_logits;
  edgec_json output;
} question;

/* Read a shape that ends in `wanted`, optionally preceded by the number of images. */
static int read_shape(edgec_json shape, const int64_t *wanted, int count, int64_t *images) {
  int64_t found[5];
  int rank = 0;
  for (edgec_json n = edgec_json_first(shape); n.at; n = edgec_json_next(n))
    if (rank == 5 || edgec_json_integer(n, 1, INT32_MAX, &found[rank++])) return -1;
  if (rank != count && rank != count + 1) return -1;
  *images = rank == count ? 1 : found[0];
  return *images > SERVE_IMAGES || memcmp(found + rank - count, wanted, (size_t)count * sizeof *wanted) ? -1 : 0;
}

/* Read the numbers of nested arrays in order. Return how many were read, or -1. */
static int64_t unpack(edgec_json value, uint8_t *into, int64_t room) {
  int64_t number, count = 0;
  if (value.at && *value.at != '[') {
    if (!room || edgec_json_integer(value, 0, 255, &number)) return -1;
    *into = (uint8_t)number;
    return 1;
  }
  for (edgec_json one = edgec_json_first(value); one.at; one = edgec_json_next(one)) {
    int64_t more = unpack(one, into + count, room - count);
    if (more < 0) return -1;
    count += more;
  }
  return count;
}

/* Find the part of a region that a tensor's parameters name. NULL with no region if they name none; or what is wrong. */
static const char *find_region(edgec_json tensor, int64_t needed, int exact, region **found, uint8_t **at) {
  char name[LONGEST_REGION];
  edgec_json parameters = edgec_json_member(tensor, "parameters"), told = edgec_json_member(parameters, "shared_memory_region");
  int64_t offset = 0, size = -1;
  if (!told.at) return NULL;
  if (!regions_allowed()) return "shared memory is not offered: start edgec-serve with --shared-memory";
  size_t length = edgec_json_length(told);
  if (!length || length >= sizeof name) return "shared_memory_region is not a name";
  edgec_json_text(told, name);
  if (read_integer(parameters, "shared_memory_offset", 0, INT64_MAX, &offset) || read_integer(parameters, "shared_memory_byte_size", 1, INT64_MAX, &size) ||
      size < needed || (exact && size != needed))
    return exact ? "shared_memory_byte_size is not the size of the input, or shared_memory_offset is not a number"
                 : "shared_memory_byte_size is too small for the output, or shared_memory_offset is not a number";
  *found = region_use(name, offset, size, at);
  if (!*found) return "there is no such region of shared memory, or it is smaller: register it before";
  return region_is_broken(*found) ? "the shared memory has become shorter; register it again" : NULL;
}

static const char *read_data(question *q, edgec_json input) {
  static const char *const wrong = "the input's data has another size than its shape";
  int64_t size = q->images * q->bytes, told;
  edgec_json binary = parameter(input, "binary_data_size"), data = edgec_json_member(input, "data");
  if (size > SERVE_BODY_BYTES) return wrong;
  uint8_t *shared = NULL;
  const char *lost = find_region(input, size, 1, &q->in, &shared);
  if (lost) return lost;
  if (q->in) {
    q->data = shared;
    return binary.at || data.at || q->binary_size ? "an input in shared memory has no other data" : NULL;
  }
  if (binary.at) {
    q->data = q->binary;
    return data.at || edgec_json_integer(binary, size, size, &told) || q->binary_size != (size_t)size ? wrong : NULL;
  }
  if (q->binary_size) return "bytes follow the JSON that no input is said to have";
  if (!data.at) return "the input has no data";
  q->data = q->unpacked = malloc((size_t)size);
  if (!q->unpacked) return "not enough memory";
  return unpack(data, q->unpacked, size) == size ? NULL : "the input's data is not as many numbers from 0 to 255 as its shape says";
}

/* Find the files of pictures, which are decoded when all the rest is known to be right. */
static const char *read_files(question *q, edgec_json input) {
  edgec_json count = edgec_json_first(edgec_json_member(input, "shape")), binary = parameter(input, "binary_data_size");
  int64_t told;
  if (!count.at || edgec_json_next(count).at || edgec_json_integer(count, 1, SERVE_IMAGES, &q->images))
    return "the shape of picture is [files], from 1 to 64";
  if (parameter(input, "shared_memory_region").at || edgec_json_member(input, "data").at || !binary.at)
    return "the files of picture follow the JSON: give binary_data_size";
  if (edgec_json_integer(binary, 1, SERVE_BODY_BYTES, &told) || (size_t)told != q->binary_size) return "binary_data_size is not the size of what follows the JSON";
  return pictures_find(q->binary, q->binary_size, q->images, q->files);
}

static const char *read_input(const service *s, question *q) {
  edgec_json input = edgec_json_first(edgec_json_member(q->json, "inputs"));
  if (!input.at || edgec_json_next(input).at) return "the request has to have one input";
  edgec_json shape = edgec_json_member(input, "shape"), name = edgec_json_member(input, "name"), datatype = edgec_json_member(input, "datatype");
  int64_t image[] = {s->about.height, s->about.width, s->about.channels};
  if (is_word(name, "picture")) return is_word(datatype, "BYTES") ? read_files(q, input) : "the datatype of picture has to be BYTES";
  if (!is_word(datatype, "UINT8")) return "the input's datatype has to be UINT8, or BYTES if it is called picture";
  if (is_word(name, "frame")) {
    const char *wrong = frame_read(edgec_json_member(q->json, "parameters"), &q->form);
    if (wrong) return wrong;
    q->bytes = frame_lay_out(&q->form, NULL);
    if (read_shape(shape, &q->bytes, 1, &q->images)) return "the shape of frame is [bytes] or [frames, bytes], up to 64 frames: height times stride, and for NV12 and I420 the rows of U and V";
  } else if (!is_word(name, "image")) return "the input is none of image, frame and picture";
  else if (read_shape(shape, image, 3, &q->images)) return "the shape of image is not [height, width, channels] of the network, or up to 64 of them";
  return read_data(q, input);
}

static int is_true(edgec_json value) { return value.at && *value.at == 't'; }

static const char *read_outputs(const service *s, question *q) {
  q->binary_output = is_true(parameter(q->json, "binary_data_output"));
  edgec_json output = edgec_json_first(edgec_json_member(q->json, "outputs"));
  if (!output.at) return NULL;
  if (edgec_json_next(output).at || !is_word(edgec_json_member(output, "name"), "logits")) return "the only output is logits";
  edgec_json binary = parameter(output, "binary_data"), classes = parameter(output, "classification");
  if (binary.at) q->binary_output = is_true(binary);
  q->output = output;
  const char *lost = find_region(output, q->images * (int64_t)(s->about.logits * sizeof(float)), 0, &q->out, &q->shared_logits);
  if (lost) return lost;
  if (q->out) q->binary_output = 0;
  if (q->out && classes.at) return "classes are not written to shared memory; ask for logits";
  if (!classes.at) return NULL;
  if (s->about.output_height * s->about.output_width != 1) return "a map of classes has no classification";
  return edgec_json_integer(classes, 1, s->about.classes, &q->classes) ? "classification is a number from 1 to the number of classes" : NULL;
}

/* Return NULL, or what is wrong. `json` is the zero-terminated text. */
static const char *read_question(const service *s, question *q, const char *json, size_t size) {
  q->json = edgec_json_parse(json, size);
  if (!q->json.at) return "the body is not JSON, or its Inference-Header-Content-Length is missing or wrong";
  const char *wrong = read_input(s, q);
  return wrong ? wrong : read_outputs(s, q);
}

static void add_logits(const service *s, const question *q, answer *a, text *binary) {
  size_t count = (size_t)q->images * s->about.logits;
  text_print(&a->body, "FP32\",\"shape\":[%d,%d", (int)q->images, (int)s->about.classes);
  if (s->about.output_height * s->about.output_width > 1) text_print(&a->body, ",%d,%d", (int)s->about.output_height, (int)s->about.output_width);
  if (q->out) {
    int64_t offset = 0;
    read_integer(edgec_json_member(q->output, "parameters"), "shared_memory_offset", 0, INT64_MAX, &offset);
    memcpy(q->shared_logits, q->logits, count * sizeof(float));
    char name[LONGEST_REGION];
    edgec_json_text(parameter(q->output, "shared_memory_region"), name);
    text_print(&a->body, "],\"parameters\":{\"shared_memory_region\":");
    text_quote(&a->body, name);
    text_print(&a->body, ",\"shared_memory_offset\":%lld,\"shared_memory_byte_size\":%zu}", (long long)offset, count * sizeof(float));
    return;
  }
  if (q->binary_output) {
    text_print(&a->body, "],\"parameters\":{\"binary_data_size\":%zu}", count * sizeof(float));
    text_add(binary, q->logits, count * sizeof(float));
    return;
  }
  text_print(&a->body, "],\"data\":[");
  for (size_t i = 0; i < count; i++) text_print(&a->body, i ? ",%.9g" : "%.9g", (double)q->logits[i]); /* 9 digits name each float */
  text_add(&a->body, "]", 1);
}

/* Write classes in Triton's form: "logit:index:name", the likeliest first. */
static void add_classes(const service *s, const question *q, answer *a, text *binary) {
  edgec_class *best = malloc((size_t)q->classes * sizeof *best);
  text_print(&a->body, "BYTES\",\"shape\":[%d,%d]", (int)q->images, (int)q->classes);
  if (!q->binary_output) text_print(&a->body, ",\"data\":[");
  a->body.failed |= !best;
  for (int64_t n = 0; best && n < q->images; n++) {
    const float *logits = q->logits + (size_t)n * s->about.logits;
    int count = edgec_likeliest(s->network, logits, best, (int32_t)q->classes);
    a->body.failed |= count != q->classes;
    for (int i = 0; i < count; i++) {
      text one = {0};
      const char *name = edgec_class_name(s->network, best[i].index);
      text_print(&one, "%f:%d", (double)logits[best[i].index], (int)best[i].index);
      if (name) text_add(&one, ":", 1), text_add(&one, name, strlen(name));
      uint32_t length = (uint32_t)one.size;
      text_add(&one, "", 1);
      a->body.failed |= one.failed;
      if (one.failed) return text_free(&one), free(best);
      if (q->binary_output) text_add(binary, &length, sizeof length), text_add(binary, one.bytes, length);
      else text_add(&a->body, ",", n + i ? 1 : 0), text_quote(&a->body, one.bytes);
      text_free(&one);
    }
  }
  if (q->binary_output) text_print(&a->body, ",\"parameters\":{\"binary_data_size\":%zu}", binary->size);
  else text_add(&a->body, "]", 1);
  free(best);
}

static void write_answer(const service *s, const question *q, answer *a) {
  text binary = {0};
  char id[LONGEST_ID];
  edgec_json told = edgec_json_member(q->json, "id");
  size_t length = edgec_json_length(told);
  text_print(&a->body, "{\"model_name\":");
  text_quote(&a->body, s->name);
  text_print(&a->body, ",\"model_version\":\"1\"");
  if (length && length < sizeof id) {
    edgec_json_text(told, id);
    text_print(&a->body, ",\"id\":");
    text_quote(&a->body, id);
  }
  text_print(&a->body, ",\"outputs\":[{\"name\":\"logits\",\"datatype\":\"");
  (q->classes ? add_classes : add_logits)(s, q, a, &binary);
  text_print(&a->body, "}]}");
  if (q->binary_output) a->header = a->body.size;
  text_add(&a->body, binary.bytes, binary.size);
  a->body.failed |= binary.failed;
  text_free(&binary);
}

/* HTTP's number for what went wrong with an image. */
static int status_of(edgec_status status) {
  if (status == EDGEC_BAD_FRAME || status == EDGEC_BAD_PICTURE) return 400;
  return status == EDGEC_NO_MEMORY ? 503 : 500;
}

static void run(const service *s, question *q, answer *a) {
  job jobs[SERVE_IMAGES];
  batch b;
  for (int64_t n = 0; n < q->images; n++) {
    jobs[n] = (job){.frame = q->form, .logits = q->logits + (size_t)n * s->about.logits};
    if (q->files[n].bytes) jobs[n].file = q->files[n];
    else if (q->form.pixels) frame_lay_out(&jobs[n].frame, q->data + n * q->bytes);
    else jobs[n].pixels = q->data + n * q->bytes;
  }
  if (jobs_run(jobs, (int)q->images, &b)) refuse(a, 503, "too many images wait; try again");
  else if (b.error.status) refuse(a, status_of(b.error.status), b.error.text);
  else write_answer(s, q, a);
  if ((q->in && region_is_broken(q->in)) || (q->out && region_is_broken(q->out))) refuse(a, 400, "the shared memory became shorter meanwhile; register it again");
}

void infer(const service *s, const request *r, answer *a) {
  question q = {.images = 1, .bytes = (int64_t)s->about.height * s->about.width * s->about.channels};
  size_t size = r->body_size;
  char *header = NULL;
  if (r->inference_header) {
    size_t digits = strspn(r->inference_header, "0123456789");
    size = digits && digits < 10 && !r->inference_header[digits] ? (size_t)atol(r->inference_header) : SIZE_MAX;
    if (size > r->body_size || size > 1 << 20) return refuse(a, 400, "Inference-Header-Content-Length is larger than the body, or than 1 MiB");
    q.binary = (const uint8_t *)r->body + size;
    q.binary_size = r->body_size - size;
    header = malloc(size + 1);
    if (!header) return refuse(a, 503, "not enough memory");
    if (size) memcpy(header, r->body, size);
    header[size] = 0;
  }
  const char *wrong = NULL;
  if (size) wrong = read_question(s, &q, header ? header : r->body, size);
  else if (q.binary_size) q.files[0] = (picture_file){q.binary, q.binary_size}; /* a file alone is the whole body */
  else wrong = "the request has no body";
  if (wrong) refuse(a, 400, wrong);
  else if (!(q.logits = malloc((size_t)q.images * s->about.logits * sizeof *q.logits))) refuse(a, 503, "not enough memory");
  else run(s, &q, a);
  region_release(q.in);
  region_release(q.out);
  free(q.logits);
  free(q.unpacked);
  free(header);
}
