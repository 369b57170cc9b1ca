/* edgec-serve: a bundle as an HTTP service. KServe v2 below /v2, Prometheus's numbers at /metrics. */
#define _GNU_SOURCE
#include "bounds.h"
#include "jobs.h"
#include "kserve.h"
#include "regions.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "usage: edgec-serve BUNDLE [--host ADDRESS] [--port N] [--workers N] [--name MODEL] [--sha256 DIGEST] [--without-token]\n"
    "                   [--shared-memory PREFIX]\n"
    "  --host           an IPv4 address to listen on; 127.0.0.1 unless given. For others than this machine EDGEC_TOKEN\n"
    "                   in the environment has to be a secret of 16 characters or more: Authorization: Bearer TOKEN\n"
    "  --without-token  no secret: whoever reaches the port may ask\n"
    "  --port           8000 unless given; 0 for any, which is printed\n"
    "  --workers        how many images run at a time; one for each processor unless given\n"
    "  --shared-memory  let requests name POSIX shared memory whose key begins with PREFIX, to read images and to write\n"
    "                   logits; \"\" is all that this program's user may read and write\n";

enum { TOKEN = 16, LATENCIES = 9 };
static const double limits[LATENCIES] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1};

typedef struct {
  int descriptor; /* -1: the place is free */
  time_t idle;    /* since when it waits for a request; 0: it does not */
} place;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static place places[SERVE_CONNECTIONS];
static long answered[600], below[LATENCIES + 1];
static double answered_seconds;
static atomic_int ending;
static service served;
static const char *token; /* NULL: none is needed */
static int here_alone;

static double clock_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void metrics(answer *a) {
  job_counts c = jobs_counted();
  text *t = &a->body;
  a->type = "text/plain; version=0.0.4";
  pthread_mutex_lock(&lock);
  text_print(t, "# HELP edgec_requests_total Answers, by status.\n# TYPE edgec_requests_total counter\n");
  for (int i = 200; i < 600; i++)
    if (answered[i]) text_print(t, "edgec_requests_total{code=\"%d\"} %ld\n", i, answered[i]);
  text_print(t, "# HELP edgec_request_duration_seconds From a request's last byte to its answer.\n# TYPE edgec_request_duration_seconds histogram\n");
  long count = 0;
  for (int i = 0; i < LATENCIES; i++) text_print(t, "edgec_request_duration_seconds_bucket{le=\"%g\"} %ld\n", limits[i], count += below[i]);
  count += below[LATENCIES];
  text_print(t, "edgec_request_duration_seconds_bucket{le=\"+Inf\"} %ld\nedgec_request_duration_seconds_sum %.9f\nedgec_request_duration_seconds_count %ld\n", count, answered_seconds, count);
  int open = 0;
  for (int i = 0; i < SERVE_CONNECTIONS; i++) open += places[i].descriptor >= 0;
  pthread_mutex_unlock(&lock);
  text_print(t, "# HELP edgec_images_total Images that ran.\n# TYPE edgec_images_total counter\nedgec_images_total %ld\n", c.done);
  text_print(t, "# HELP edgec_images_failed_total Images that were refused.\n# TYPE edgec_images_failed_total counter\nedgec_images_failed_total %ld\n", c.failed);
  text_print(t, "# HELP edgec_images_seconds_total Time of all runs together.\n# TYPE edgec_images_seconds_total counter\nedgec_images_seconds_total %.9f\n", c.seconds);
  text_print(t, "# HELP edgec_images_waiting Images in the queue.\n# TYPE edgec_images_waiting gauge\nedgec_images_waiting %ld\n", c.waiting);
  text_print(t, "# HELP edgec_connections Open connections.\n# TYPE edgec_connections gauge\nedgec_connections %d\n", open);
}

/* Compare in constant time, so that the time does not reveal how many bytes are right. */
static int is_token(const char *given) {
  size_t length = strlen(token);
  volatile unsigned char different = strlen(given) != length;
  for (size_t i = 0; i < length && given[i]; i++) different |= (unsigned char)(given[i] ^ token[i]);
  return !different;
}

static int is_host_here(const char *host) {
  static const char *const names[] = {"127.0.0.1", "localhost"};
  for (int i = 0; i < 2; i++) {
    size_t length = strlen(names[i]);
    if (!strncmp(host, names[i], length) && (!host[length] || (host[length] == ':' && !host[length + 1 + strspn(host + length + 1, "0123456789")]))) return 1;
  }
  return 0;
}

/* Return NULL if the request is allowed, or why not. Pages of other sites can reach a service on this machine through a
 * browser, which marks such requests. */
static const char *forbidden(const request *r) {
  if (r->origin || (r->site && strcmp(r->site, "none"))) return "not from a page of another site";
  if (here_alone && !is_host_here(r->host)) return "this service is for this machine alone: ask 127.0.0.1 or localhost";
  if (!token || !strncmp(r->path, "/v2/health/", 11)) return NULL;
  if (r->authorization && !strncmp(r->authorization, "Bearer ", 7) && is_token(r->authorization + 7)) return NULL;
  return "the token is missing or wrong: Authorization: Bearer TOKEN";
}

static void make_answer(const request *r, answer *a) {
  const char *no = forbidden(r);
  if (no) refuse(a, 403, no);
  else if (!strcmp(r->path, "/metrics") && !strcmp(r->method, "GET")) metrics(a);
  else if (!strncmp(r->path, "/v2", 3) && (!r->path[3] || r->path[3] == '/')) kserve_answer(&served, r, a);
  else refuse(a, 404, "there is nothing here; the service is below /v2");
  if (a->body.failed) refuse(a, 500, "not enough memory for the answer");
}

static void count(int status, double took) {
  int i = 0;
  while (i < LATENCIES && took > limits[i]) i++;
  pthread_mutex_lock(&lock);
  answered[status]++;
  below[i]++;
  answered_seconds += took;
  pthread_mutex_unlock(&lock);
}

static const char *phrase(int status) {
  switch (status) {
  case 200: return "OK";
  case 400: return "Bad Request";
  case 403: return "Forbidden";
  case 404: return "Not Found";
  case 413: return "Content Too Large";
  case 415: return "Unsupported Media Type";
  case 431: return "Request Header Fields Too Large";
  case 503: return "Service Unavailable";
  case 505: return "HTTP Version Not Supported";
  default: return "Internal Server Error";
  }
}

static int send_answer(int connection, const answer *a, int keep) {
  text head = {0};
  text_print(&head, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n", a->status, phrase(a->status), a->header ? "application/octet-stream" : a->type, a->body.size);
  if (a->header) text_print(&head, "Inference-Header-Content-Length: %zu\r\n", a->header);
  if (a->status == 503) text_print(&head, "Retry-After: 1\r\n");
  text_print(&head, "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n%s\r\n", keep ? "" : "Connection: close\r\n");
  if (a->body.size < 1 << 14) text_add(&head, a->body.bytes, a->body.size);
  int lost = head.failed || send_all(connection, head.bytes, head.size);
  if (!lost && a->body.size >= 1 << 14) lost = send_all(connection, a->body.bytes, a->body.size);
  text_free(&head);
  return lost;
}

/* Answer one request. Return whether the connection stays open. */
static int serve_one(place *p) {
  request r;
  answer a = {200, "application/json", {0}, 0};
  const char *why;
  int status = request_read(p->descriptor, &r, &why);
  pthread_mutex_lock(&lock);
  p->idle = 0;
  pthread_mutex_unlock(&lock);
  double begin = clock_seconds();
  int keep = !status && r.keep && !ending;
  if (status > 0) refuse(&a, status, why);
  else if (!status) make_answer(&r, &a);
  if (status >= 0) {
    keep = keep && a.status != 403;
    count(a.status, clock_seconds() - begin);
    keep = !send_answer(p->descriptor, &a, keep) && keep;
  }
  text_free(&a.body);
  request_free(&r);
  return keep;
}

static void *serve(void *argument) {
  place *p = argument;
  int yes = 1;
  setsockopt(p->descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  do {
    pthread_mutex_lock(&lock);
    p->idle = time(NULL);
    pthread_mutex_unlock(&lock);
  } while (!ending && serve_one(p));
  shutdown(p->descriptor, SHUT_WR);
  char rest[4096]; /* unread bytes at close would make the system drop the answer */
  for (int i = 0; i < 64 && recv(p->descriptor, rest, sizeof rest, MSG_DONTWAIT) > 0; i++) {}
  pthread_mutex_lock(&lock);
  close(p->descriptor);
  p->descriptor = -1;
  pthread_mutex_unlock(&lock);
  return NULL;
}

/* Return a free place. If there is none, the connection that we have waited for longest is closed, and the new client has
 * to try again. */
static place *take_place(int connection) {
  place *found = NULL, *slowest = NULL;
  time_t now = time(NULL);
  pthread_mutex_lock(&lock);
  for (int i = 0; i < SERVE_CONNECTIONS && !found; i++) {
    place *p = &places[i];
    if (p->descriptor < 0) found = p;
    else if (p->idle && p->idle < now && (!slowest || p->idle < slowest->idle)) slowest = p;
  }
  if (found) *found = (place){connection, now};
  else if (slowest) shutdown(slowest->descriptor, SHUT_RDWR);
  pthread_mutex_unlock(&lock);
  return found;
}

static void take_connection(int listener, const pthread_attr_t *attributes) {
  pthread_t thread;
  int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (connection < 0) {
    if (errno == EMFILE || errno == ENFILE) usleep(10000);
    return;
  }
  place *p = take_place(connection);
  if (p && !pthread_create(&thread, attributes, serve, p)) return;
  static const char busy[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n";
  (void)!send(connection, busy, sizeof busy - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
  pthread_mutex_lock(&lock);
  if (p) p->descriptor = -1;
  close(connection);
  pthread_mutex_unlock(&lock);
}

/* Close idle connections; give the others the time of one request to finish. */
static void finish(void) {
  ending = 1;
  for (int i = 0, open = 1; open && i < SERVE_REQUEST_SECONDS * 20; i++) {
    open = 0;
    pthread_mutex_lock(&lock);
    for (int k = 0; k < SERVE_CONNECTIONS; k++) {
      open |= places[k].descriptor >= 0;
      if (places[k].descriptor >= 0 && places[k].idle) shutdown(places[k].descriptor, SHUT_RD);
    }
    pthread_mutex_unlock(&lock);
    if (open) usleep(50000);
  }
}

static int run(int listener, int signals) {
  pthread_attr_t apart;
  pthread_attr_init(&apart);
  pthread_attr_setdetachstate(&apart, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&apart, SERVE_STACK_BYTES);
  for (;;) {
    struct pollfd p[] = {{listener, POLLIN, 0}, {signals, POLLIN, 0}};
    if (poll(p, 2, -1) < 0 && errno != EINTR) return 1;
    if (p[1].revents) break;
    if (p[0].revents) take_connection(listener, &apart);
  }
  close(listener);
  finish();
  return 0;
}

static int fail(const char *what, const char *why) {
  fprintf(stderr, "edgec-serve: %s%s%s\n", what, why ? ": " : "", why ? why : "");
  return 1;
}

static int listen_on(const char *host, int port, int *listener) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  socklen_t size = sizeof at;
  int yes = 1;
  inet_pton(AF_INET, host, &at.sin_addr);
  here_alone = ntohl(at.sin_addr.s_addr) >> 24 == 127;
  *listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (*listener < 0 || setsockopt(*listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) || bind(*listener, (struct sockaddr *)&at, size) ||
      listen(*listener, 64) || getsockname(*listener, (struct sockaddr *)&at, &size))
    return fail("the address cannot be listened on", strerror(errno));
  printf("http://%s:%d/v2/models/%s\n", host, ntohs(at.sin_port), served.name);
  return fflush(stdout) ? 1 : 0;
}

static int number(const char *value, int least, int most, int *into) {
  char *end;
  long found = strtol(value, &end, 10);
  if (!*value || *end || found < least || found > most) return -1;
  *into = (int)found;
  return 0;
}

typedef struct {
  const char *bundle, *host, *name, *sha256, *shared;
  int port, workers, open;
} options;

static int read_options(int count, char **arguments, options *o) {
  for (int i = 1; i < count; i++) {
    const char *one = arguments[i], *value = i + 1 < count ? arguments[i + 1] : NULL;
    int wrong = 0;
    if (!strcmp(one, "--without-token")) o->open = 1;
    else if (strncmp(one, "--", 2)) {
      if (o->bundle) return -1;
      o->bundle = one;
    } else {
      if (!value) return -1;
      struct in_addr address;
      if (!strcmp(one, "--host")) wrong = inet_pton(AF_INET, o->host = value, &address) != 1;
      else if (!strcmp(one, "--name")) o->name = value;
      else if (!strcmp(one, "--sha256")) o->sha256 = value;
      else if (!strcmp(one, "--shared-memory")) o->shared = value;
      else if (!strcmp(one, "--port")) wrong = number(value, 0, 65535, &o->port);
      else if (!strcmp(one, "--workers")) wrong = number(value, 1, SERVE_WORKERS, &o->workers);
      else return -1;
      i++;
    }
    if (wrong) return -1;
  }
  return o->bundle ? 0 : -1;
}

static int check_token(const options *o) {
  token = getenv("EDGEC_TOKEN");
  if (token && !*token) token = NULL;
  if (token && strlen(token) < TOKEN) return fail("EDGEC_TOKEN is shorter than 16 characters", NULL);
  if (token || o->open || !strncmp(o->host, "127.", 4)) return 0;
  return fail("others than this machine need a secret: set EDGEC_TOKEN, or give --without-token", NULL);
}

int main(int count_of, char **arguments) {
  options o = {.host = "127.0.0.1", .port = 8000};
  edgec_network *network;
  edgec_error error;
  int listener;
  if (read_options(count_of, arguments, &o)) return fputs(usage, stderr), 2;
  if (check_token(&o)) return 2;
  if (!o.workers) o.workers = (int)sysconf(_SC_NPROCESSORS_ONLN);
  edgec_open_options opening = {sizeof opening, o.sha256};
  if (edgec_open(o.bundle, &opening, &network, &error)) return fail(error.text, NULL);
  served.network = network;
  served.about.size = sizeof served.about;
  edgec_describe(network, &served.about);
  served.name = o.name ? o.name : *served.about.model ? served.about.model : "edgec";
  for (int i = 0; i < SERVE_CONNECTIONS; i++) places[i].descriptor = -1;
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  pthread_sigmask(SIG_BLOCK, &ends, NULL); /* before there are threads */
  int signals = signalfd(-1, &ends, SFD_CLOEXEC);
  if (signals < 0) return fail("signals cannot be read", strerror(errno));
  if (o.shared && regions_allow(o.shared)) return fail("shared memory cannot be offered", strerror(errno));
  if (jobs_start(network, o.workers < 1 ? 1 : o.workers, &error)) return fail(error.text, NULL);
  return listen_on(o.host, o.port, &listener) || run(listener, signals);
}
