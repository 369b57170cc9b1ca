#include "kserve.h"
#include "infer.h"
#include "jobs.h"
#include "memory_requests.h"
#include "regions.h"

#include <stdio.h>
#include <string.h>

void refuse(answer *a, int status, const char *why) {
  text_free(&a->body);
  a->status = status;
  a->header = 0;
  text_print(&a->body, "{\"error\":");
  text_quote(&a->body, why);
  text_add(&a->body, "}", 1);
}

static void server(answer *a) {
  text_print(&a->body, "{\"name\":\"edgec\",\"version\":\"%d.%d\",\"extensions\":[\"binary_tensor_data\",\"classification\",\"statistics\"%s]}",
             edgec_version() / 1000, edgec_version() % 1000, regions_allowed() ? ",\"system_shared_memory\"" : "");
}

static void model(const service *s, answer *a) {
  const edgec_description *d = &s->about;
  text_print(&a->body, "{\"name\":");
  text_quote(&a->body, s->name);
  text_print(&a->body, ",\"versions\":[\"1\"],\"platform\":\"edgec\",\"inputs\":[{\"name\":\"image\",\"datatype\":\"UINT8\",\"shape\":[-1,%d,%d,%d]}],",
             (int)d->height, (int)d->width, (int)d->channels);
  text_print(&a->body, "\"outputs\":[{\"name\":\"logits\",\"datatype\":\"FP32\",\"shape\":[-1,%d", (int)d->classes);
  if (d->output_height * d->output_width > 1) text_print(&a->body, ",%d,%d", (int)d->output_height, (int)d->output_width);
  text_print(&a->body, "]}]}");
}

static void config(const service *s, answer *a) {
  const edgec_description *d = &s->about;
  text_print(&a->body, "{\"name\":");
  text_quote(&a->body, s->name);
  text_print(&a->body, ",\"platform\":\"edgec\",\"backend\":\"edgec\",\"max_batch_size\":%d,\"input\":[{\"name\":\"image\",\"data_type\":\"TYPE_UINT8\",", SERVE_IMAGES);
  text_print(&a->body, "\"dims\":[%d,%d,%d]}],\"output\":[{\"name\":\"logits\",\"data_type\":\"TYPE_FP32\",\"dims\":[%d", (int)d->height, (int)d->width, (int)d->channels, (int)d->classes);
  if (d->output_height * d->output_width > 1) text_print(&a->body, ",%d,%d", (int)d->output_height, (int)d->output_width);
  text_print(&a->body, "]}]}");
}

static void statistics(const service *s, answer *a) {
  job_counts c = jobs_counted();
  text_print(&a->body, "{\"model_stats\":[{\"name\":");
  text_quote(&a->body, s->name);
  text_print(&a->body, ",\"version\":\"1\",\"inference_count\":%ld,\"execution_count\":%ld,\"inference_stats\":{", c.done - c.failed, c.done - c.failed);
  text_print(&a->body, "\"success\":{\"count\":%ld,\"ns\":%.0f},\"fail\":{\"count\":%ld,\"ns\":0}}}]}", c.done - c.failed, c.seconds * 1e9, c.failed);
}

static void of_model(const service *s, const request *r, const char *rest, answer *a) {
  int get = !strcmp(r->method, "GET"), post = !strcmp(r->method, "POST");
  if (!strncmp(rest, "/versions/1", 11) && (!rest[11] || rest[11] == '/')) rest += 11;
  if (get && !*rest) model(s, a);
  else if (get && !strcmp(rest, "/config")) config(s, a);
  else if (get && !strcmp(rest, "/stats")) statistics(s, a);
  else if (get && !strcmp(rest, "/ready")) a->type = "text/plain";
  else if (post && !strcmp(rest, "/infer")) infer(s, r, a);
  else refuse(a, 404, "there is nothing here");
}

static void repository(const service *s, answer *a) {
  text_print(&a->body, "[{\"name\":");
  text_quote(&a->body, s->name);
  text_print(&a->body, ",\"version\":\"1\",\"state\":\"READY\"}]");
}

void kserve_answer(const service *s, const request *r, answer *a) {
  const char *path = r->path + strlen("/v2");
  int get = !strcmp(r->method, "GET"), post = !strcmp(r->method, "POST");
  size_t length = strlen(s->name);
  if (get && (!*path || !strcmp(path, "/"))) server(a);
  else if (get && (!strcmp(path, "/health/live") || !strcmp(path, "/health/ready"))) a->type = "text/plain";
  else if (post && !strcmp(path, "/repository/index")) repository(s, a);
  else if (!strncmp(path, "/systemsharedmemory/", 20)) memory_answer(r, path + 19, a);
  else if (!strncmp(path, "/models/", 8) && !strncmp(path + 8, s->name, length) && (!path[8 + length] || path[8 + length] == '/')) of_model(s, r, path + 8 + length, a);
  else if (!strncmp(path, "/models/", 8)) refuse(a, 404, "there is no such model");
  else refuse(a, 404, "there is nothing here");
}
