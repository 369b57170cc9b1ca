#include "memory_requests.h"
#include "json.h"
#include "regions.h"

#include <string.h>

enum { LONGEST_KEY = 256 };

static void register_region(const request *r, const char *name, answer *a) {
  char key[LONGEST_KEY + 1];
  int64_t offset = 0, size;
  edgec_json about = edgec_json_parse(r->body ? r->body : "", r->body_size), told = edgec_json_member(about, "offset"), called = edgec_json_member(about, "key");
  size_t length = edgec_json_length(called);
  if (!length || length > LONGEST_KEY) return refuse(a, 400, "a region needs a key of up to 256 bytes");
  edgec_json_text(called, key);
  if ((told.at && edgec_json_integer(told, 0, INT64_MAX, &offset)) || edgec_json_integer(edgec_json_member(about, "byte_size"), 1, INT64_MAX / 2, &size))
    return refuse(a, 400, "byte_size is a number from 1, and offset one from 0");
  const char *wrong = region_register(name, key, offset, size);
  if (wrong) refuse(a, 400, wrong);
}

void memory_answer(const request *r, const char *path, answer *a) {
  char held[SERVE_HEAD_BYTES];
  const char *name = NULL, *action = path;
  int get = !strcmp(r->method, "GET"), post = !strcmp(r->method, "POST");
  if (!regions_allowed()) return refuse(a, 400, "shared memory is not offered: start edgec-serve with --shared-memory");
  if (!strncmp(path, "/region/", 8)) {
    action = strrchr(path + 8, '/');
    if (!action) return refuse(a, 404, "there is nothing here");
    memcpy(held, path + 8, (size_t)(action - path - 8));
    held[action - path - 8] = 0;
    name = held;
  }
  if (get && !strcmp(action, "/status")) {
    if (regions_tell(name, &a->body)) refuse(a, 400, "there is no region of this name");
  } else if (post && name && !strcmp(action, "/register")) register_region(r, name, a);
  else if (post && !strcmp(action, "/unregister")) region_unregister(name); /* no error for an unknown region, as in Triton */
  else refuse(a, 404, "there is nothing here");
}
