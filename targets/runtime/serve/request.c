#define _GNU_SOURCE
#include "request.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

static atomic_size_t bodies; /* bytes of all requests that are held */

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Wait until the connection can be read from or written to. 0, or -1. */
static int wait_until(int connection, short event, int64_t deadline) {
  struct pollfd p = {connection, event, 0};
  for (;;) {
    int64_t left = deadline - now_ms();
    int found = left > 0 ? poll(&p, 1, (int)left) : 0;
    if (found < 0 && errno == EINTR) continue;
    return found == 1 ? 0 : -1;
  }
}

/* Take what is there before waiting: each call of the system costs a microsecond or more of every request. */
static ssize_t receive(int connection, void *into, size_t room, int64_t deadline) {
  while (now_ms() < deadline) {
    ssize_t count = recv(connection, into, room, MSG_DONTWAIT);
    if (count >= 0 || (errno != EINTR && errno != EAGAIN)) return count;
    if (errno == EAGAIN && wait_until(connection, POLLIN, deadline)) return -1;
  }
  return -1;
}

int send_all(int connection, const void *bytes, size_t size) {
  int64_t deadline = now_ms() + SERVE_REQUEST_SECONDS * 1000;
  for (size_t sent = 0; sent < size;) {
    ssize_t count = send(connection, (const char *)bytes + sent, size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count > 0) sent += (size_t)count;
    else if (count < 0 && errno != EINTR && errno != EAGAIN) return -1;
    if (sent < size && wait_until(connection, POLLOUT, deadline)) return -1;
  }
  return 0;
}

void request_wait_at_most(int connection) {
  struct timeval idle = {SERVE_IDLE_SECONDS, 0};
  setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof idle);
}

static int hexadecimal(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = (char)(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decode %XX in place. 0, or -1 if it is not a path. */
static int decode(char *path) {
  char *to = path;
  if (*path != '/') return -1;
  for (char *at = path; *at && *at != '?'; at++) {
    if ((unsigned char)*at < 0x21 || *at == 0x7f || *at == '#') return -1;
    int value = *at;
    if (*at == '%') {
      int high = hexadecimal(at[1]), low = high < 0 ? -1 : hexadecimal(at[2]);
      if (low < 0 || !(value = high * 16 + low)) return -1;
      at += 2;
    }
    *to++ = (char)value;
  }
  *to = 0;
  return 0;
}

static int is_name(const char *name) {
  if (!*name) return 0;
  for (; *name; name++)
    if (!((*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') || (*name >= '0' && *name <= '9') || strchr("!#$%&'*+-.^_`|~", *name))) return 0;
  return 1;
}

typedef struct {
  const char *length, *encoding, *transfer, *connection, *expect;
} framing;

/* Parse one header line. 0, or -1 if it is malformed, or repeats a header that may be given only once. */
static int take_header(request *r, framing *f, char *line) {
  char *colon = strchr(line, ':');
  if (!colon) return -1;
  *colon = 0;
  if (!is_name(line)) return -1;
  char *value = colon + 1, *end = value + strlen(value);
  while (*value == ' ' || *value == '\t') value++;
  while (end > value && (end[-1] == ' ' || end[-1] == '\t')) *--end = 0;
  for (const char *c = value; *c; c++)
    if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f) return -1;
  const struct {
    const char *name, **into;
  } known[] = {{"content-length", &f->length},
               {"content-encoding", &f->encoding},
               {"transfer-encoding", &f->transfer},
               {"connection", &f->connection},
               {"expect", &f->expect},
               {"host", &r->host},
               {"origin", &r->origin},
               {"authorization", &r->authorization},
               {"sec-fetch-site", &r->site},
               {"inference-header-content-length", &r->inference_header}};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    if (!strcasecmp(line, known[i].name)) {
      if (*known[i].into) return -1;
      *known[i].into = value;
    }
  return 0;
}

/* Split the head into its lines. 0, or the status with which it is refused. */
static int take_head(request *r, framing *f) {
  char *line = r->head, *end = strstr(line, "\r\n"), *rest;
  *end = 0;
  char *path = strchr(line, ' '), *version = path ? strchr(path + 1, ' ') : NULL;
  if (!version || strchr(version + 1, ' ')) return 400;
  *path++ = *version++ = 0;
  if (strcmp(version, "HTTP/1.1") && strcmp(version, "HTTP/1.0")) return 505;
  r->keep = version[7] == '1';
  for (line = end + 2; (end = strstr(line, "\r\n")) && end != line; line = end + 2) {
    *end = 0;
    if (take_header(r, f, line)) return 400;
  }
  rest = path;
  if (!is_name(r->head) || decode(rest) || !r->host) return 400;
  r->method = r->head;
  r->path = path;
  if (f->connection && !strcasecmp(f->connection, "close")) r->keep = 0;
  return 0;
}

/* Read up to the empty line, scanning each byte once. The bytes after it are the beginning of the body. */
static int read_head(int connection, request *r, size_t *head, size_t *held) {
  int64_t deadline = 0;
  for (*held = 0; *held < SERVE_HEAD_BYTES;) {
    char *into = r->head + *held;
    size_t room = SERVE_HEAD_BYTES - *held;
    ssize_t count = *held ? receive(connection, into, room, deadline) : recv(connection, into, room, 0);
    if (count <= 0) return -1;
    if (!*held) deadline = now_ms() + SERVE_REQUEST_SECONDS * 1000;
    size_t from = *held > 3 ? *held - 3 : 0;
    *held += (size_t)count;
    char *end = memmem(r->head + from, *held - from, "\r\n\r\n", 4);
    if (!end) continue;
    *head = (size_t)(end - r->head) + 4;
    if (memchr(r->head, 0, *head)) return 400;
    return 0;
  }
  return 431;
}

static int length_of(const char *digits, size_t *length) {
  size_t count = strspn(digits, "0123456789");
  if (!count || count > 10 || digits[count]) return -1;
  *length = (size_t)strtoull(digits, NULL, 10);
  return 0;
}

static int read_body(int connection, request *r, const char *first, size_t held, int expect) {
  int64_t deadline = now_ms() + SERVE_REQUEST_SECONDS * 1000;
  size_t size = r->body_size;
  if (atomic_fetch_add(&bodies, size) + size > SERVE_ALL_BODIES_BYTES || !(r->body = malloc(size + 1))) {
    atomic_fetch_sub(&bodies, size);
    r->body_size = 0;
    return 503;
  }
  memcpy(r->body, first, held);
  r->body[size] = 0;
  if (expect && send_all(connection, "HTTP/1.1 100 Continue\r\n\r\n", 25)) return -1;
  while (held < size) {
    ssize_t count = receive(connection, r->body + held, size - held, deadline);
    if (count <= 0) return -1;
    held += (size_t)count;
  }
  return 0;
}

int request_read(int connection, request *r, const char **why) {
  framing f = {0};
  size_t head, held;
  char first[SERVE_HEAD_BYTES];
  memset(r, 0, offsetof(request, head));
  *why = "this request is malformed or ambiguous";
  int status = read_head(connection, r, &head, &held);
  if (status) return status;
  held -= head;
  memcpy(first, r->head + head, held);
  r->head[head] = 0;
  status = take_head(r, &f);
  if (status) return status;
  if (f.transfer || (f.length && length_of(f.length, &r->body_size))) return 400;
  *why = "the body is compressed; send it uncompressed";
  if (f.encoding && strcasecmp(f.encoding, "identity")) return 415;
  *why = "the body is too large";
  size_t size = r->body_size;
  if (size > SERVE_BODY_BYTES) return r->body_size = 0, 413;
  *why = "more than one request was sent at a time";
  if (held > size) return r->body_size = 0, 400;
  *why = "other requests take the memory; try again";
  return size ? read_body(connection, r, first, held, f.expect && !held) : 0;
}

void request_free(request *r) {
  if (r->body) atomic_fetch_sub(&bodies, r->body_size);
  free(r->body);
  r->body = NULL;
}
