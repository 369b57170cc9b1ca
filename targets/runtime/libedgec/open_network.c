/* From a file or bytes to a network: first what is compared with digests, then what is read. */
#define _GNU_SOURCE
#include "failure.h"
#include "network.h"
#include "processor.h"
#include "sha256.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { MANIFEST_BYTES = 2 << 20 }; /* TEXT_BYTES of device_limits.py */
static const int64_t file_bytes = 1 << 30;

static const char manifest_name[] = "manifest.json";

/* Read a whole regular file, below a folder or, with AT_FDCWD, anywhere. Others have no end to seek to, or nothing to read. */
static edgec_status read_file(int folder, const char *path, int64_t most, uint8_t **memory, edgec_part *part, edgec_error *error) {
  int file = openat(folder, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not make its reader wait */
  if (file < 0) return edgec_fail(error, EDGEC_NO_FILE, "%.180s cannot be opened", path);
  off_t size = lseek(file, 0, SEEK_END), done = 0;
  if (size < 1 || size > most || lseek(file, 0, SEEK_SET)) {
    close(file);
    return edgec_fail(error, EDGEC_NO_FILE, "%.120s is not a file, is empty, or is larger than %lld bytes", path, (long long)most);
  }
  uint8_t *into = malloc((size_t)size);
  for (ssize_t count = 1; into && done < size && count > 0; done += count > 0 ? count : 0) count = read(file, into + done, (size_t)(size - done));
  close(file);
  if (!into) return edgec_fail(error, EDGEC_NO_MEMORY, "not enough memory for %.180s", path);
  if (done < size) {
    free(into);
    return edgec_fail(error, EDGEC_NO_FILE, "%.180s cannot be read", path);
  }
  *memory = into;
  *part = (edgec_part){into, (size_t)size};
  return EDGEC_OK;
}

/* Compare with the digest that was asked for, if any: 64 hexadecimal digits, large or small. */
static edgec_status compare(edgec_part part, const edgec_open_options *options, edgec_error *error) {
  char digest[65];
  const char *wanted = options && options->size >= sizeof *options ? options->sha256 : NULL;
  if (!wanted) return EDGEC_OK;
  edgec_sha256(part.bytes, part.size, digest);
  return strcasecmp(digest, wanted) ? edgec_fail(error, EDGEC_CHANGED, "the sha256 is %s, and another one was asked for", digest) : EDGEC_OK;
}

/* Read what an engine says about itself. */
static edgec_status read_metadata(edgec_part engine, const edgec_footer *footer, edgec_network *n, edgec_error *error) {
  char *text = malloc(footer->metadata_size + 1);
  if (!text) return edgec_fail(error, EDGEC_NO_MEMORY, "not enough memory for the engine's description");
  memcpy(text, engine.bytes + footer->metadata_offset, footer->metadata_size);
  text[footer->metadata_size] = 0;
  edgec_json all = edgec_json_parse(text, footer->metadata_size), isa = edgec_json_member(all, "isa");
  int failed = !edgec_json_length(isa) || edgec_json_length(isa) >= sizeof n->instructions;
  if (!failed) edgec_json_text(isa, n->instructions);
  if (!failed && !n->manifest.memory) failed = edgec_read_fitting(edgec_json_member(all, "preprocessing"), &n->manifest.fitting);
  free(text);
  return failed ? edgec_fail(error, EDGEC_NO_BUNDLE, "the engine's description cannot be read") : EDGEC_OK;
}

static int inside(uint64_t offset, uint64_t bytes, uint64_t size) { return offset <= size && bytes <= size - offset; }

static edgec_status read_footer(edgec_part engine, edgec_footer *f, edgec_error *error) {
  static const char damaged[] = "it is neither a bundle nor an engine of this version of edgec, or it was cut off";
  if (engine.size < sizeof *f) return edgec_fail(error, EDGEC_NO_BUNDLE, "%s", damaged);
  memcpy(f, engine.bytes + engine.size - sizeof *f, sizeof *f);
  if (memcmp(f->magic, EDGEC_MAGIC, sizeof f->magic) || !inside(f->library_offset, f->library_size, engine.size) ||
      !inside(f->constants_offset, f->constants_size, engine.size) || !inside(f->metadata_offset, f->metadata_size, engine.size))
    return edgec_fail(error, EDGEC_NO_BUNDLE, "%s", damaged);
  return EDGEC_OK;
}

/* Whether the engine is that of its manifest: an input and classes of the same sizes. */
static int agrees(const edgec_network *n) {
  const edgec_program *p = n->code.program;
  const edgec_manifest *m = &n->manifest;
  int sizes = p->height == m->fitting.height && p->width == m->fitting.width && p->channels == m->fitting.channels;
  return sizes && (!m->memory || (m->output_height * m->output_width == p->output_pixels && m->class_count * p->output_pixels == p->classes));
}

static edgec_status load_engine(edgec_part engine, edgec_network *n, edgec_error *error) {
  edgec_footer footer;
  edgec_status status = read_footer(engine, &footer, error);
  if (status) return status;
  edgec_sha256(engine.bytes, engine.size, n->sha256);
  if (n->manifest.memory && strcmp(n->sha256, n->manifest.engine_sha256))
    return edgec_fail(error, EDGEC_CHANGED, "the engine was changed: its sha256 is not that of the bundle's manifest");
  status = read_metadata(engine, &footer, n, error);
  if (status) return status;
  if (!edgec_processor_has(n->instructions))
    return edgec_fail(error, EDGEC_PROCESSOR, "the engine is for processors with %s, which this one is not or does not have", n->instructions);
  status = edgec_load_code(engine.bytes + footer.library_offset, footer.library_size, &n->code, error);
  if (status) return status;
  if (!edgec_footer_fits(&footer, n->code.program, engine.size) || !agrees(n))
    return edgec_fail(error, EDGEC_NO_BUNDLE, "the engine is damaged: its parts do not belong together");
  n->constants = edgec_allocate(footer.constants_size);
  if (!n->constants) return edgec_fail(error, EDGEC_NO_MEMORY, "not enough memory for the weights");
  memcpy(n->constants, engine.bytes + footer.constants_offset, footer.constants_size);
  return EDGEC_OK;
}

static edgec_status load_packed(edgec_part file, edgec_network *n, edgec_error *error) {
  uint8_t *memory;
  edgec_part tar = {0}, found;
  edgec_status status = edgec_unpack(file, &memory, &tar.size, error);
  if (status) return status;
  tar.bytes = memory;
  if (edgec_find_in_tar(tar, manifest_name, &found) || !found.bytes || found.size > MANIFEST_BYTES)
    status = edgec_fail(error, EDGEC_NO_BUNDLE, "the archive is not one of edgec's, or holds no %s", manifest_name);
  else status = edgec_read_manifest(found, &n->manifest, error);
  if (!status && (edgec_find_in_tar(tar, n->manifest.engine, &found) || !found.bytes))
    status = edgec_fail(error, EDGEC_NO_BUNDLE, "the bundle is incomplete: %.120s is missing", n->manifest.engine);
  if (!status) status = load_engine(found, n, error);
  free(memory);
  return status;
}

static edgec_status load_bytes(edgec_part file, const edgec_open_options *options, edgec_network *n, edgec_error *error) {
  edgec_status status = compare(file, options, error);
  if (status) return status;
  return edgec_is_packed(file) ? load_packed(file, n, error) : load_engine(file, n, error);
}

/* A path of a manifest stays below its folder. */
static int stays_below(const char *path) {
  for (const char *part = path;; part = strchr(part, '/') + 1) {
    size_t length = strcspn(part, "/");
    if (!length || (length == 1 && *part == '.') || (length == 2 && part[0] == '.' && part[1] == '.')) return 0;
    if (!part[length]) return 1;
  }
}

static edgec_status load_folder(int folder, const edgec_open_options *options, edgec_network *n, edgec_error *error) {
  uint8_t *memory;
  edgec_part part;
  edgec_status status = read_file(folder, manifest_name, MANIFEST_BYTES, &memory, &part, error);
  if (status) return status;
  status = compare(part, options, error);
  if (!status) status = edgec_read_manifest(part, &n->manifest, error);
  free(memory);
  if (status) return status;
  if (!stays_below(n->manifest.engine)) return edgec_fail(error, EDGEC_NO_BUNDLE, "the manifest's engine is not below its folder");
  status = read_file(folder, n->manifest.engine, file_bytes, &memory, &part, error);
  if (status) return status;
  status = load_engine(part, n, error);
  free(memory);
  return status;
}

static edgec_status load_path(const char *path, const edgec_open_options *options, edgec_network *n, edgec_error *error) {
  int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    edgec_status status = load_folder(folder, options, n, error);
    close(folder);
    return status;
  }
  uint8_t *memory;
  edgec_part part;
  edgec_status status = read_file(AT_FDCWD, path, file_bytes, &memory, &part, error);
  if (status) return status;
  status = load_bytes(part, options, n, error);
  free(memory);
  return status;
}

static edgec_status finish(edgec_status status, edgec_network *n, edgec_network **network, edgec_error *error) {
  if (status) {
    edgec_close(n);
    return status;
  }
  *network = n;
  return edgec_succeed(error);
}

static edgec_status begin(const void *source, edgec_network **network, edgec_network **n, edgec_error *error) {
  if (network) *network = NULL;
  if (!source || !network) return edgec_fail(error, EDGEC_BAD_ARGUMENT, "NULL was given for what to open, or where to put it");
  *n = calloc(1, sizeof **n);
  return *n ? EDGEC_OK : edgec_fail(error, EDGEC_NO_MEMORY, "not enough memory");
}

edgec_status edgec_open(const char *path, const edgec_open_options *options, edgec_network **network, edgec_error *error) {
  edgec_network *n;
  edgec_status status = begin(path, network, &n, error);
  return status ? status : finish(load_path(path, options, n, error), n, network, error);
}

edgec_status edgec_open_memory(const void *bytes, size_t size, const edgec_open_options *options, edgec_network **network, edgec_error *error) {
  edgec_network *n;
  edgec_status status = begin(bytes, network, &n, error);
  return status ? status : finish(load_bytes((edgec_part){bytes, size}, options, n, error), n, network, error);
}

void edgec_close(edgec_network *n) {
  if (!n) return;
  edgec_unload_code(&n->code);
  free(n->constants);
  free(n->manifest.memory);
  free(n);
}
